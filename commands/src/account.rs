//! Accounts and tokens of our own. Secrets arrive as hashes.

use tapelog_events::{
    Access, Account, AccountDeleted, AccountName, AccountSet, Event, Outcome, Scope, TokenId, TokenIssued, TokenRevoked,
};

use crate::{Context, Decision, Expected, IssueToken, Rejection, SetAccount, State};

pub(crate) fn set(state: &State, context: &Context<'_>, command: &SetAccount) -> Result<Decision, Rejection> {
    let before = state.registry().accounts.get(&command.name);
    match (before, command.expected) {
        (Some(_), Expected::Absent) => return Err(Rejection::AccountExists(command.name.clone())),
        (None, Expected::Present) => return Err(Rejection::AccountNotFound(command.name.clone())),
        (Some(_), Expected::Present | Expected::Any) | (None, Expected::Absent | Expected::Any) => {}
    }
    let mut account = before.cloned().unwrap_or_else(|| Account {
        name: command.name.clone(),
        label: None,
        password_hash: None,
        scopes: Default::default(),
        access: Access::Unrestricted,
        disabled: false,
        created: context.at,
        updated: context.at,
    });
    if let Some(label) = &command.label {
        account.label = Some(label.clone());
    }
    if let Some(hash) = &command.password_hash {
        account.password_hash = Some(hash.clone());
    }
    if let Some(scopes) = &command.scopes {
        account.scopes.clone_from(scopes);
    }
    if let Some(access) = &command.access {
        account.access = access.clone();
    }
    if let Some(disabled) = command.disabled {
        account.disabled = disabled;
    }
    if before == Some(&account) {
        return Ok(Decision::nothing());
    }
    account.updated = context.at;
    let outcome = if before.is_some() { Outcome::Done } else { Outcome::Created };
    Ok(Decision { events: vec![Event::AccountSet(AccountSet { account })], outcome })
}

pub(crate) fn delete(state: &State, name: &AccountName) -> Result<Decision, Rejection> {
    state.registry().accounts.get(name).ok_or_else(|| Rejection::AccountNotFound(name.clone()))?;
    Ok(Decision::done(vec![Event::AccountDeleted(AccountDeleted { name: name.clone() })]))
}

/// Gives out a token. One that takes the place of another does so only once, so that a stolen refresh token is of no use
/// beside its owner's.
pub(crate) fn issue(state: &State, context: &Context<'_>, command: &IssueToken) -> Result<Decision, Rejection> {
    let name = &command.token.account;
    let registry = state.registry();
    let account = registry.accounts.get(name).ok_or_else(|| Rejection::AccountNotFound(name.clone()))?;
    if account.disabled {
        return Err(Rejection::AccountDisabled(name.clone()));
    }
    let mut events = Vec::new();
    if let Some(token_id) = command.replaces {
        let replaced = registry.tokens.get(&token_id).filter(|token| token.account == *name);
        replaced.ok_or(Rejection::TokenNotFound(token_id))?;
        events.push(Event::TokenRevoked(TokenRevoked { token_id }));
    }
    let mut token = command.token.clone();
    if !account.scopes.contains(&Scope::Admin) {
        token.scopes = token.scopes.intersection(&account.scopes).copied().collect();
    }
    token.created = context.at;
    events.push(Event::TokenIssued(TokenIssued { token }));
    Ok(Decision { events, outcome: Outcome::Created })
}

pub(crate) fn revoke(state: &State, token_id: TokenId) -> Result<Decision, Rejection> {
    state.registry().tokens.get(&token_id).ok_or(Rejection::TokenNotFound(token_id))?;
    Ok(Decision::done(vec![Event::TokenRevoked(TokenRevoked { token_id })]))
}
