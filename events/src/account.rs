//! Accounts and tokens of our own, for installations without an identity provider. Secrets are here as hashes only.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Access, Instant, Scope, TokenId};

/// Names an account: what its holder logs in with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

/// A text that is no name of an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an account name has 1 to {} letters, digits or characters of ._@-", AccountName::MAX_BYTES)]
pub struct InvalidAccountName;

impl AccountName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, InvalidAccountName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        let fits = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidAccountName) }
    }
}

impl TryFrom<String> for AccountName {
    type Error = InvalidAccountName;

    fn try_from(text: String) -> Result<Self, InvalidAccountName> {
        text.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody, a person or a program, who may use the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Names it.
    pub name: AccountName,
    /// Who that is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Hash of the password in PHC form, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// What its tokens may allow over the whole store.
    pub scopes: BTreeSet<Scope>,
    /// What it may do with resources of which classes.
    #[serde(default)]
    pub access: Access,
    /// Whether it is locked out.
    #[serde(default)]
    pub disabled: bool,
    /// When it was made.
    pub created: Instant,
    /// When it changed last.
    pub updated: Instant,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Sent with each request, until it is revoked or expires.
    Api,
    /// Traded once for an access token and its own successor.
    Refresh,
}

/// A token that the store gave out and has to remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names it; not secret.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountName,
    /// What it is for.
    pub kind: TokenKind,
    /// What it is for, in its holder's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Hash of its secret, which has too many bits to be guessed.
    #[serde(with = "serde_bytes")]
    pub secret_hash: [u8; 32],
    /// What it allows; never more than its account.
    pub scopes: BTreeSet<Scope>,
    /// When it was given out.
    pub created: Instant,
    /// Until when it holds; absent, until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Instant>,
}
