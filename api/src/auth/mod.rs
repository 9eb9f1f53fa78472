//! Who asks, and what they may do (sections 1.1 and 14).
//!
//! [`Authenticator`] finds out from a request's credentials who sends it. There are accounts of the store's own, whose
//! tokens and passwords it knows by their hashes only, and identity providers, whose tokens it checks by their public
//! keys. What a [`Principal`] may do over the whole store is judged by the rule of each route; what with single resources,
//! by commands and tables.
//!
//! Guarantees: a request whose credentials do not hold is answered before anything else is said about what it asks for;
//! no secret is in an event, a log or an answer, but for the one answer that gives it out; a token or account that was
//! ended lets no further request in. Assumes that whoever reads the data folder may do everything.

mod access_token;
mod credentials;
mod first;
mod grant;
mod issuer;
mod journal;
mod jwks;
mod password;
mod principal;
mod seal;
mod secret_file;
mod settings;
mod throttle;
mod token;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use serde::Deserialize;
use tapelog_events::{Account, AccountName, Incarnation, TokenKind};
use tapelog_projections::Live;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::problem::Problem;
use crate::server::Remote;
use crate::settings::{AuthMode, AuthSettings, DataFolder};
use access_token::{AccessTokens, InvalidAccessToken};
use credentials::{Basic, Credentials};
use issuer::{InvalidToken, Issuer};
use journal::{Attempt, Means, Writing};
use jwks::NoKey;
use password::{Passwords, TooMany};
use throttle::Throttle;
use token::TokenText;

pub use access_token::scopes_text;
pub use credentials::take_url_token;
pub use first::ensure_administrator;
pub use grant::{Grant, GrantError, Granted};
pub use issuer::permission;
pub use journal::{Entry, Journal, Place};
pub use password::{LEAST_BYTES as PASSWORD_LEAST_BYTES, MOST_BYTES as PASSWORD_MOST_BYTES};
pub use principal::Principal;
pub use seal::{CannotOpen, MasterKey, Vault};
pub use settings::{count_keys, ensure_sound};
pub use token::{TokenText as NewToken, local_token};

/// What an [`Authenticator`] is put together from.
pub struct AuthParts<'a> {
    /// Who may use the store.
    pub settings: &'a AuthSettings,
    /// Where the token for commands, and the authentication log, are.
    pub data: &'a DataFolder,
    /// The secret of the store.
    pub key: &'a MasterKey,
    /// Which log the store is of.
    pub incarnation: Incarnation,
    /// Where accounts are read.
    pub tables: Arc<Live>,
    /// Told when the server ends.
    pub stop: CancellationToken,
}

/// What goes on beside requests.
pub struct AuthTasks {
    tasks: TaskTracker,
    writing: Writing,
}

impl AuthTasks {
    /// Waits until all has ended, after it was told to.
    ///
    /// # Errors
    /// When the authentication log could not be ended.
    pub async fn ended(self) -> Result<()> {
        self.tasks.close();
        self.tasks.wait().await;
        let writing = self.writing;
        tokio::task::spawn_blocking(move || writing.stop()).await.context("the authentication log did not end")
    }
}

/// Finds out who sends a request.
pub struct Authenticator {
    /// Everybody, where requests need no credentials.
    everybody: Option<Arc<Principal>>,
    basic: bool,
    url_token: bool,
    /// How clients may say who they are.
    challenge: HeaderValue,
    refresh_validity: Duration,
    tables: Arc<Live>,
    local: TokenText,
    access_tokens: AccessTokens,
    issuers: Vec<Issuer>,
    passwords: Passwords,
    throttle: Throttle,
    journal: Journal,
}

/// Names a request in the authentication log.
pub type RequestName<'a> = dyn fmt::Display + Sync + 'a;

/// Credentials that do not hold, with what is noted of it.
struct Failure {
    means: Means,
    principal: Option<String>,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("this needs credentials")]
    Nothing,
    #[error(transparent)]
    Unreadable(#[from] credentials::Unreadable),
    #[error("{0} is not taken by this server")]
    SwitchedOff(&'static str),
    #[error("there is no such account with such a password")]
    WrongPassword,
    #[error("the token is none of this store, or was ended")]
    UnknownToken,
    #[error("the token has expired")]
    ExpiredToken,
    #[error("a refresh token is good for a new access token only")]
    RefreshToken,
    #[error("the token is of an issuer that is not trusted here")]
    UnknownIssuer,
    #[error("the account is disabled, or gone")]
    NoAccount,
    #[error(transparent)]
    AccessToken(#[from] InvalidAccessToken),
    #[error(transparent)]
    Token(#[from] InvalidToken),
    #[error("there were too many wrong passwords")]
    Throttled(Duration),
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl Authenticator {
    /// Begins to take credentials.
    ///
    /// # Errors
    /// When an issuer's settings do not make sense, or the data folder cannot be written.
    pub fn start(parts: AuthParts<'_>) -> Result<(Self, AuthTasks)> {
        let AuthParts { settings, data, key, incarnation, tables, stop } = parts;
        let (journal, writing) = Journal::open(&data.authentication_log(), settings.log_days)?;
        let tasks = TaskTracker::new();
        let mut issuers = Vec::new();
        for one in &settings.issuers {
            let (issuer, keeper) =
                Issuer::new(one, stop.clone()).with_context(|| format!("auth.issuers {}", one.issuer))?;
            tasks.spawn(keeper);
            issuers.push(issuer);
        }
        let challenge = match settings.basic {
            true => HeaderValue::from_static("Bearer realm=\"tapelog\", Basic realm=\"tapelog\", charset=\"UTF-8\""),
            false => HeaderValue::from_static("Bearer realm=\"tapelog\""),
        };
        let authenticator = Self {
            everybody: match settings.mode {
                AuthMode::None => Some(Arc::new(Principal::anonymous())),
                AuthMode::Required => None,
            },
            basic: settings.basic,
            url_token: settings.url_token,
            challenge,
            refresh_validity: Duration::from_secs(settings.refresh_token_seconds),
            tables,
            local: token::write_local(&data.local_token())?,
            access_tokens: AccessTokens::new(key, incarnation, Duration::from_secs(settings.access_token_seconds)),
            issuers,
            passwords: Passwords::new(),
            throttle: Throttle::new(),
            journal,
        };
        Ok((authenticator, AuthTasks { tasks, writing }))
    }

    /// Who sends a request with this head.
    ///
    /// # Errors
    /// `Problem::Unauthenticated` where it has no credentials, or none that hold; `Problem::TooManyAttempts` after
    /// wrong passwords; `Problem::NotReady` where it cannot be known now.
    pub async fn authenticate(&self, head: &Parts, request_id: &RequestName<'_>) -> Result<Arc<Principal>, Problem> {
        if let Some(everybody) = &self.everybody {
            return Ok(Arc::clone(everybody));
        }
        let remote = remote(head);
        match self.identify(head, remote).await {
            Ok(principal) => Ok(Arc::new(principal)),
            Err(failure) => {
                self.note_failure(&failure, remote, request_id);
                Err(self.problem(failure.why))
            }
        }
    }

    /// The authentication log.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The hash of a password, for an account.
    ///
    /// # Errors
    /// `Problem::NotReady` where too many are hashed at once.
    pub async fn hash_password(&self, password: &str) -> Result<String, Problem> {
        self.passwords.hash(password).await.map_err(|error| self.problem(error.into()))
    }

    async fn identify(&self, head: &Parts, remote: Option<IpAddr>) -> Result<Principal, Failure> {
        let unknown = |means, why| Failure { means, principal: None, why };
        let credentials = credentials::of(head).map_err(|error| unknown(Means::Unreadable, error.into()))?;
        match credentials {
            None => Err(unknown(Means::Nothing, Why::Nothing)),
            Some(Credentials::Bearer(token)) => self.bearer(token).await,
            Some(Credentials::Url(_)) if !self.url_token => {
                Err(unknown(Means::Unreadable, Why::SwitchedOff("the query parameter access_token")))
            }
            Some(Credentials::Url(token)) => self.bearer(token).await,
            Some(Credentials::Basic(_)) if !self.basic => Err(unknown(Means::Password, Why::SwitchedOff("HTTP Basic"))),
            Some(Credentials::Basic(basic)) => {
                let (account, principal) = self.account(&basic, remote).await?;
                drop(account);
                Ok(principal)
            }
        }
    }

    async fn bearer(&self, token: &str) -> Result<Principal, Failure> {
        if token.starts_with(token::PREFIX) {
            return self.remembered(token, TokenKind::Api).map(|(_, principal)| principal);
        }
        #[derive(Deserialize)]
        struct Unchecked {
            iss: String,
            sub: Option<String>,
        }
        // Whose keys to check it with; only what comes of the check is believed.
        let claimed = jsonwebtoken::dangerous::insecure_decode_claims::<Unchecked>(token);
        let failure = |means, principal, why| Failure { means, principal, why };
        let Unchecked { iss, sub } =
            claimed.map_err(|_| failure(Means::IssuerToken, None, InvalidToken::Malformed.into()))?;
        if self.access_tokens.are_of(&iss) {
            let fail = |why| failure(Means::AccessToken, sub.clone(), why);
            let token = self.access_tokens.check(token).map_err(|error| fail(error.into()))?;
            let account = self.usable(&token.account).ok_or_else(|| fail(Why::NoAccount))?;
            if token.is_older_than(&account) {
                return Err(fail(InvalidAccessToken::Expired.into()));
            }
            return Ok(Principal::of_account(&account, &token.scopes));
        }
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.is(&iss)) else {
            return Err(failure(Means::IssuerToken, sub, Why::UnknownIssuer));
        };
        issuer.check(token).await.map_err(|error| failure(Means::IssuerToken, sub, error.into()))
    }

    /// Whose token this is that the store remembers, and what it allows. Tokens of the machine itself have no account.
    fn remembered(&self, text: &str, wanted: TokenKind) -> Result<(Option<Account>, Principal), Failure> {
        let means = match wanted {
            TokenKind::Api => Means::Token,
            TokenKind::Refresh => Means::RefreshToken,
        };
        let fail = |principal: Option<&AccountName>, why| {
            Err(Failure { means, principal: principal.map(ToString::to_string), why })
        };
        let Some(given) = TokenText::parse(text) else { return fail(None, Why::UnknownToken) };
        if wanted == TokenKind::Api && given.id == self.local.id && given.has_hash(&self.local.hash()) {
            return Ok((None, Principal::local()));
        }
        let found = self.tables.read(|tables| {
            let registry = tables.registry();
            let token = registry.tokens.get(&given.id)?;
            Some((token.clone(), registry.accounts.get(&token.account)?.clone()))
        });
        let Some((token, account)) = found.filter(|(token, _)| given.has_hash(&token.secret_hash)) else {
            return fail(None, Why::UnknownToken);
        };
        match (token.kind, wanted) {
            (TokenKind::Refresh, TokenKind::Api) => return fail(Some(&account.name), Why::RefreshToken),
            (TokenKind::Api, TokenKind::Refresh) => return fail(Some(&account.name), Why::UnknownToken),
            (TokenKind::Api, TokenKind::Api) | (TokenKind::Refresh, TokenKind::Refresh) => {}
        }
        if token.expires.is_some_and(|expires| expires <= crate::node::now()) {
            return fail(Some(&account.name), Why::ExpiredToken);
        }
        if account.disabled {
            return fail(Some(&account.name), Why::NoAccount);
        }
        let principal = Principal::of_account(&account, &token.scopes);
        Ok((Some(account), principal))
    }

    /// Whose name and password, or token, these are.
    async fn account(&self, basic: &Basic, remote: Option<IpAddr>) -> Result<(Account, Principal), Failure> {
        let Basic { name, password } = basic;
        let fail = |why| Failure { means: Means::Password, principal: Some(name.clone()), why };
        if password.starts_with(token::PREFIX) {
            let (account, principal) = self.remembered(password, TokenKind::Api)?;
            let account = account.filter(|account| account.name.as_str() == name);
            return account.map(|account| (account, principal)).ok_or_else(|| fail(Why::UnknownToken));
        }
        let account = name.parse().ok().and_then(|name| self.usable(&name));
        let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
        let known = hash.is_some_and(|hash| self.passwords.is_known(name, hash, password));
        if !known {
            let remote = remote.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            self.throttle.check(name, remote, Instant::now()).map_err(|pause| fail(Why::Throttled(pause)))?;
            let fits = password.len() <= password::MOST_BYTES
                && self.passwords.check(name, hash, password).await.map_err(|error| fail(error.into()))?;
            if !fits {
                self.throttle.failed(name, remote, Instant::now());
                return Err(fail(Why::WrongPassword));
            }
            self.throttle.succeeded(name, remote);
        }
        let account = account.ok_or_else(|| fail(Why::WrongPassword))?;
        let principal = Principal::of_account(&account, &account.scopes);
        Ok((account, principal))
    }

    /// An account that is not disabled.
    fn usable(&self, name: &AccountName) -> Option<Account> {
        let account = self.tables.read(|tables| tables.registry().accounts.get(name).cloned());
        account.filter(|account| !account.disabled)
    }

    fn note_failure(&self, failure: &Failure, remote: Option<IpAddr>, request_id: &RequestName<'_>) {
        let outcome = if let Why::Throttled(_) = failure.why { Attempt::Throttled } else { Attempt::Failed };
        self.journal.note(Entry {
            principal: failure.principal.clone(),
            reason: Some(failure.why.to_string()),
            remote,
            request_id: Some(request_id.to_string()),
            ..Entry::now(outcome, failure.means)
        });
    }

    fn problem(&self, why: Why) -> Problem {
        match why {
            Why::Throttled(retry_after) => Problem::TooManyAttempts { retry_after },
            Why::TooMany(error) => Problem::NotReady(error.to_string()),
            Why::Token(InvalidToken::Key(error @ NoKey::Unavailable)) => Problem::NotReady(error.to_string()),
            why => Problem::Unauthenticated { text: why.to_string(), challenge: self.challenge.clone() },
        }
    }
}

/// Where a request comes from, as far as the connection tells.
pub fn remote(head: &Parts) -> Option<IpAddr> {
    head.extensions.get::<Remote>().map(|remote| remote.0.ip())
}
