//! The first administrator: without one, nobody could make another.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use tapelog_commands::{Command, Expected, IssueToken, SetAccount};
use tapelog_events::{AccountName, Scope, Token, TokenKind};
use tapelog_projections::Live;
use tapelog_store::sequencer::Sequencer;

use super::secret_file;
use super::token::TokenText;

/// Makes the account `admin` with a token in this file, unless there is an administrator who has a password or a token,
/// locked out or not.
///
/// # Errors
/// When that cannot be written.
pub async fn ensure_administrator(sequencer: &Sequencer, tables: &Live, file: &Path) -> Result<()> {
    let is_there = tables.read(|tables| {
        let registry = tables.registry();
        let mut administrators = registry.accounts.values().filter(|account| account.scopes.contains(&Scope::Admin));
        administrators.any(|account| {
            account.password_hash.is_some()
                || registry.tokens_of(&account.name).any(|token| token.kind == TokenKind::Api)
        })
    });
    if is_there {
        return Ok(());
    }
    let token = TokenText::random();
    // First the file: a token that nobody knows would be of no use.
    secret_file::write(file, &token.expose()).with_context(|| format!("{} cannot be written", file.display()))?;
    let name: AccountName = "admin".parse().context("admin is a name")?;
    let account = SetAccount {
        name: name.clone(),
        label: Some("First administrator".to_owned()),
        password_hash: None,
        scopes: Some(Scope::ALL.into()),
        access: None,
        disabled: None,
        expected: Expected::Any,
    };
    let token = Token {
        id: token.id,
        account: name,
        kind: TokenKind::Api,
        label: Some("made at the first start".to_owned()),
        secret_hash: token.hash(),
        scopes: BTreeSet::from(Scope::ALL),
        created: crate::node::now(),
        expires: None,
    };
    let failed = "the first administrator cannot be made";
    sequencer.submit_own(Command::SetAccount(account)).await.context(failed)?;
    sequencer.submit_own(Command::IssueToken(IssueToken { token, replaces: None })).await.context(failed)?;
    tracing::warn!(file = %file.display(), "the store has an administrator now, whose token is in this file");
    Ok(())
}
