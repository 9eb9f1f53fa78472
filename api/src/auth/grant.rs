//! Tokens for credentials (OAuth 2, RFC 6749).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hyper::http::request::Parts;
use tapelog_commands::IssueToken;
use tapelog_events::{Account, AccountName, Instant, Scope, Token, TokenId, TokenKind};

use super::credentials::{self, Basic, Credentials};
use super::journal::{Attempt, Entry, Means};
use super::principal::Principal;
use super::token::TokenText;
use super::{Authenticator, RequestName, Why, remote};
use crate::http::problem::Problem;

/// With this scope a client asks for a refresh token beside the access token, as OpenID Connect has it. It is not given
/// unasked: each is remembered in the log.
const OFFLINE: &str = "offline_access";
/// Refresh tokens of one account at most; a further one takes the place of the oldest.
const REFRESH_TOKENS: usize = 100;

/// What is asked for.
pub enum Grant {
    /// An access token for the name of an account with its password or a token, in the body or in the header.
    ClientCredentials(Option<(String, String)>),
    /// An access token, and another refresh token, for this one.
    RefreshToken(String),
}

/// What is given.
pub struct Granted {
    /// Whose it is.
    pub account: AccountName,
    /// The access token.
    pub access_token: String,
    /// For how long it is valid.
    pub validity: Duration,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// The refresh token, once it is remembered.
    pub refresh: Option<(TokenText, IssueToken)>,
}

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// `invalid_client`: the credentials do not hold.
    #[error(transparent)]
    Client(Problem),
    /// `invalid_grant`: the refresh token does not hold.
    #[error("{0}")]
    Grant(String),
    /// `invalid_scope`: nothing of what is asked for may be given.
    #[error("none of the scopes that are asked for may be given")]
    Scope,
}

impl Authenticator {
    /// Whether a client has a right to what it asks for, and what it is given then.
    ///
    /// # Errors
    /// When it has none.
    pub async fn grant(
        &self,
        head: &Parts,
        grant: Grant,
        scope: Option<&str>,
        request_id: &RequestName<'_>,
    ) -> Result<Granted, GrantError> {
        let remote = remote(head);
        let (account, principal, replaces) = match grant {
            Grant::ClientCredentials(named) => {
                let (account, principal) = self.client(head, named, remote, request_id).await?;
                (account, principal, None)
            }
            Grant::RefreshToken(token) => {
                let (account, principal) = self.refreshed(&token, remote, request_id)?;
                let id = TokenText::parse(&token).map(|token| token.id);
                (account, principal, id)
            }
        };
        let scopes = match scope {
            None => principal.scopes,
            Some(scope) => {
                let wanted: BTreeSet<_> = scope.split(' ').filter_map(|scope| scope.parse::<Scope>().ok()).collect();
                let is_admin = principal.scopes.contains(&Scope::Admin);
                wanted.into_iter().filter(|scope| is_admin || principal.scopes.contains(scope)).collect()
            }
        };
        if scopes.is_empty() {
            return Err(GrantError::Scope);
        }
        let wants_refresh = scope.is_some_and(|scope| scope.split(' ').any(|scope| scope == OFFLINE));
        let refresh = match replaces {
            Some(id) => Some(self.refresh_token(&account.name, scopes.clone(), Some(id))),
            None if wants_refresh => {
                let oldest = self.oldest_refresh_token(&account.name);
                Some(self.refresh_token(&account.name, scopes.clone(), oldest))
            }
            None => None,
        };
        Ok(Granted {
            access_token: self.access_tokens.issue(&account.name, &scopes, SystemTime::now()),
            validity: self.access_tokens.validity(),
            account: account.name,
            scopes,
            refresh,
        })
    }

    /// Notes that a token was given out for credentials or for a refresh token.
    pub fn note_grant(&self, account: &AccountName, refreshed: bool, head: &Parts, request_id: &RequestName<'_>) {
        let means = if refreshed { Means::RefreshToken } else { Means::Password };
        self.note_granted(means, account, head, request_id);
    }

    /// Notes that an API token was given out by an administrator.
    pub fn note_token(&self, account: &AccountName, head: &Parts, request_id: &RequestName<'_>) {
        self.note_granted(Means::Token, account, head, request_id);
    }

    fn note_granted(&self, means: Means, account: &AccountName, head: &Parts, request_id: &RequestName<'_>) {
        self.journal.note(Entry {
            principal: Some(account.to_string()),
            remote: remote(head),
            request_id: Some(request_id.to_string()),
            ..Entry::now(Attempt::Granted, means)
        });
    }

    async fn client(
        &self,
        head: &Parts,
        named: Option<(String, String)>,
        remote: Option<IpAddr>,
        request_id: &RequestName<'_>,
    ) -> Result<(Account, Principal), GrantError> {
        let refuse = |why| GrantError::Client(self.problem(why));
        let basic = match (credentials::of(head), named) {
            // As they are, although 2.3.1 has them encoded once more: hardly any client does, nor do other servers expect it.
            (Ok(Some(Credentials::Basic(basic))), None) => basic,
            (_, Some((name, password))) => Basic { name, password },
            (_, None) => return Err(refuse(Why::Nothing)),
        };
        self.account(&basic, remote).await.map_err(|failure| {
            self.note_failure(&failure, remote, request_id);
            refuse(failure.why)
        })
    }

    fn refreshed(
        &self,
        token: &str,
        remote: Option<IpAddr>,
        request_id: &RequestName<'_>,
    ) -> Result<(Account, Principal), GrantError> {
        let (account, principal) = self.remembered(token, TokenKind::Refresh).map_err(|failure| {
            self.note_failure(&failure, remote, request_id);
            GrantError::Grant(failure.why.to_string())
        })?;
        let account = account.ok_or_else(|| GrantError::Grant(Why::UnknownToken.to_string()))?;
        Ok((account, principal))
    }

    fn refresh_token(
        &self,
        account: &AccountName,
        scopes: BTreeSet<Scope>,
        replaces: Option<TokenId>,
    ) -> (TokenText, IssueToken) {
        let text = TokenText::random();
        let now = crate::node::now();
        let validity = i64::try_from(self.refresh_validity.as_micros()).unwrap_or(i64::MAX);
        let token = Token {
            id: text.id,
            account: account.clone(),
            kind: TokenKind::Refresh,
            label: None,
            secret_hash: text.hash(),
            scopes,
            created: now,
            expires: Some(Instant::from_micros(now.as_micros().saturating_add(validity))),
        };
        (text, IssueToken { token, replaces })
    }

    /// The refresh token of an account that has to make room for another.
    fn oldest_refresh_token(&self, account: &AccountName) -> Option<TokenId> {
        self.tables.read(|tables| {
            let tokens = tables.registry().tokens_of(account).filter(|token| token.kind == TokenKind::Refresh);
            let mut tokens: Vec<_> = tokens.map(|token| (token.created, token.id)).collect();
            tokens.sort_unstable();
            tokens.first().filter(|_| tokens.len() >= REFRESH_TOKENS).map(|(_, id)| *id)
        })
    }
}
