//! Accounts and tokens of our own.

use std::collections::BTreeSet;

use tapelog_commands::{Command, Expected, IssueToken, Rejection, SetAccount};
use tapelog_events::{
    Access, Account, AccountDeleted, AccountName, AccountSet, Event, Instant, Outcome, Scope, Token, TokenId,
    TokenIssued, TokenKind, TokenRevoked,
};
use uuid::Uuid;

use crate::harness::*;

const TOKEN: TokenId = TokenId::from_uuid(Uuid::from_u128(0x71));
const NEXT_TOKEN: TokenId = TokenId::from_uuid(Uuid::from_u128(0x72));

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn account(scopes: impl IntoIterator<Item = Scope>) -> Account {
    Account {
        name: name("ann"),
        label: None,
        password_hash: text("$argon2id$x"),
        scopes: scopes.into_iter().collect(),
        access: Access::Unrestricted,
        disabled: false,
        created: EARLIER,
        updated: EARLIER,
    }
}

fn is_set(account: Account) -> Event {
    AccountSet { account }.into()
}

fn change(expected: Expected) -> SetAccount {
    SetAccount {
        name: name("ann"),
        label: None,
        password_hash: None,
        scopes: None,
        access: None,
        disabled: None,
        expected,
    }
}

fn token(id: TokenId, scopes: impl IntoIterator<Item = Scope>) -> Token {
    Token {
        id,
        account: name("ann"),
        kind: TokenKind::Refresh,
        label: None,
        secret_hash: [0; 32],
        scopes: scopes.into_iter().collect(),
        created: EARLIER,
        expires: Some(Instant::from_micros(9_000_000)),
    }
}

fn issue(token: Token, replaces: Option<TokenId>) -> Command {
    Command::IssueToken(IssueToken { token, replaces })
}

fn issued(token: Token) -> Event {
    TokenIssued { token }.into()
}

fn revoked(token_id: TokenId) -> Event {
    TokenRevoked { token_id }.into()
}

#[test]
fn an_account_is_made_and_changed_and_what_is_absent_stays() {
    let scopes: BTreeSet<_> = [Scope::Read].into();
    let made = SetAccount { password_hash: text("$argon2id$x"), scopes: Some(scopes), ..change(Expected::Absent) };
    let at_once = Account { created: NOW, updated: NOW, ..account([Scope::Read]) };
    given([])
        .when(Command::SetAccount(made))
        .then_events([is_set(at_once.clone())])
        .then_outcome(&Outcome::Created)
        .when(Command::SetAccount(change(Expected::Any)))
        .then_nothing_happens()
        .when(Command::SetAccount(SetAccount { disabled: Some(true), ..change(Expected::Present) }))
        .then_events([is_set(Account { disabled: true, ..at_once })])
        .then_outcome(&Outcome::Done);
}

#[test]
fn an_account_is_there_or_not_as_expected() {
    given([is_set(account([]))])
        .when(Command::SetAccount(change(Expected::Absent)))
        .then_rejected(Rejection::AccountExists(name("ann")));
    given([])
        .when(Command::SetAccount(change(Expected::Present)))
        .then_rejected(Rejection::AccountNotFound(name("ann")))
        .when(Command::DeleteAccount(name("ann")))
        .then_rejected(Rejection::AccountNotFound(name("ann")))
        .when(issue(token(TOKEN, []), None))
        .then_rejected(Rejection::AccountNotFound(name("ann")));
}

#[test]
fn an_account_takes_its_tokens_along() {
    let others = Account { name: name("bob"), ..account([]) };
    let of_bob = Token { account: name("bob"), ..token(NEXT_TOKEN, []) };
    given([is_set(account([])), is_set(others), issued(token(TOKEN, [])), issued(of_bob)])
        .when(Command::DeleteAccount(name("ann")))
        .then_events([AccountDeleted { name: name("ann") }.into()])
        .then_holds(|state| state.registry().tokens.iter().map(|(id, _)| *id).eq([NEXT_TOKEN]));
}

#[test]
fn a_token_allows_no_more_than_its_account() {
    let given_out = Token { created: NOW, ..token(TOKEN, [Scope::Read]) };
    given([is_set(account([Scope::Read, Scope::Write]))])
        .when(issue(token(TOKEN, [Scope::Read, Scope::Admin]), None))
        .then_events([issued(given_out)])
        .then_outcome(&Outcome::Created);
}

#[test]
fn a_disabled_account_is_given_no_token() {
    given([is_set(Account { disabled: true, ..account([]) })])
        .when(issue(token(TOKEN, []), None))
        .then_rejected(Rejection::AccountDisabled(name("ann")));
}

#[test]
fn a_token_is_traded_once_and_by_its_own_account() {
    let next = || token(NEXT_TOKEN, []);
    given([is_set(account([])), issued(token(TOKEN, []))])
        .when(issue(next(), Some(TOKEN)))
        .then_events([revoked(TOKEN), issued(Token { created: NOW, ..next() })])
        .when(issue(next(), Some(TOKEN)))
        .then_rejected(Rejection::TokenNotFound(TOKEN));
    let others = Account { name: name("bob"), ..account([]) };
    let of_bob = Token { account: name("bob"), ..token(TOKEN, []) };
    given([is_set(account([])), is_set(others), issued(of_bob)])
        .when(issue(next(), Some(TOKEN)))
        .then_rejected(Rejection::TokenNotFound(TOKEN));
}

#[test]
fn a_token_is_revoked_once() {
    given([is_set(account([])), issued(token(TOKEN, []))])
        .when(Command::RevokeToken(TOKEN))
        .then_events([revoked(TOKEN)])
        .when(Command::RevokeToken(TOKEN))
        .then_rejected(Rejection::TokenNotFound(TOKEN));
}
