//! Accounts and tokens of this store, and its authentication log.

use std::collections::BTreeMap;
use std::ops::Bound;

use hyper::StatusCode;
use hyper::header::LOCATION;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, Expected, IssueToken, SetAccount};
use tapelog_events::{Access, Account, AccountName, Instant, Permission, Scope, Token, TokenId, TokenKind};
use tapelog_projections::Direction;

use super::body::account::{self as body, AccountBody, TokenBody};
use super::call::{self, Call};
use super::paging::{Listing, Page};
use super::problem::Problem;
use super::response::{self, Response};
use super::token::keep_nowhere;
use super::write::{Repeatable, submit, submit_once};
use crate::auth::{NewToken, Place};

/// What somebody may do with resources of which classes; `null` is whatever the classes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Classes")]
#[serde(transparent)]
pub struct ClassesView<'a>(Option<BTreeMap<&'a str, Vec<Permission>>>);

impl<'a> From<&'a Access> for ClassesView<'a> {
    fn from(access: &'a Access) -> Self {
        Self(match access {
            Access::Unrestricted => None,
            Access::Classes(classes) => Some(
                classes
                    .iter()
                    .map(|(name, permissions)| (name.as_str(), permissions.iter().copied().collect()))
                    .collect(),
            ),
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct AccountView<'a> {
    name: &'a AccountName,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    scopes: Vec<&'static str>,
    classes: ClassesView<'a>,
    has_password: bool,
    disabled: bool,
    created: Instant,
    updated: Instant,
}

impl<'a> From<&'a Account> for AccountView<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            name: &account.name,
            label: account.label.as_deref(),
            scopes: names(&account.scopes),
            classes: (&account.access).into(),
            has_password: account.password_hash.is_some(),
            disabled: account.disabled,
            created: account.created,
            updated: account.updated,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub struct TokenView<'a> {
    id: TokenId,
    account: &'a AccountName,
    kind: TokenKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    scopes: Vec<&'static str>,
    created: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Instant>,
    /// Only in the answer that gives it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl<'a> From<&'a Token> for TokenView<'a> {
    fn from(token: &'a Token) -> Self {
        Self {
            id: token.id,
            account: &token.account,
            kind: token.kind,
            label: token.label.as_deref(),
            scopes: names(&token.scopes),
            created: token.created,
            expires: token.expires,
            token: None,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Me")]
pub struct MeView<'a> {
    name: &'a str,
    scopes: Vec<&'static str>,
    classes: ClassesView<'a>,
}

fn names<'a>(scopes: impl IntoIterator<Item = &'a Scope>) -> Vec<&'static str> {
    scopes.into_iter().map(|scope| scope.as_str()).collect()
}

fn no_account(name: &AccountName) -> Problem {
    Problem::NotFound(format!("account {name} does not exist"))
}

/// `GET /auth/me`.
pub fn me(call: &Call<'_>) -> Response {
    let principal = call.principal;
    response::ok(&MeView {
        name: &principal.name,
        scopes: names(&principal.scopes),
        classes: (&*principal.access).into(),
    })
}

/// `GET /auth/accounts`, by name.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let paging = call::paging(call, &query)?;
    let cursor = paging.cursor.map(str::parse::<AccountName>).transpose();
    let cursor = cursor.map_err(|error| Problem::invalid(format!("query parameter page: {error}")))?;
    let beyond = cursor.map_or(Bound::Unbounded, Bound::Excluded);
    call.read(|tables| {
        let accounts = &tables.registry().accounts;
        let mut items: Vec<&Account> = match paging.direction {
            Direction::Usual => {
                accounts.range((beyond, Bound::Unbounded)).map(|(_, one)| one).take(paging.limit + 1).collect()
            }
            Direction::Reversed => {
                accounts.range((Bound::Unbounded, beyond)).rev().map(|(_, one)| one).take(paging.limit + 1).collect()
            }
        };
        let is_last = items.len() <= paging.limit;
        items.truncate(paging.limit);
        let next = items.last().filter(|_| !is_last).map(|account| account.name.as_str());
        let mut response = response::ok(&items.iter().map(|account| AccountView::from(*account)).collect::<Vec<_>>());
        let reverse = paging.direction == Direction::Reversed;
        let listing = Listing { count: items.len(), reverse, timerange: None };
        Page { limit: paging.limit, next, listing: Some(listing) }.write(call, response.headers_mut());
        Ok(response)
    })
}

/// `POST /auth/accounts`.
pub async fn create(call: &Call<'_>) -> Result<Response, Problem> {
    let body = body::read(&call.body)?;
    let name = body.name.clone().ok_or_else(|| Problem::invalid("name: it is missing"))?;
    let location = format!("{}/auth/accounts/{name}", call.app.parts.base_path);
    let mut response = set(call, name, body, Expected::Absent, StatusCode::CREATED).await?;
    let location = location.try_into().expect("names of accounts are visible characters");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// `PUT /auth/accounts/{account}`; what is absent stays.
pub async fn put(call: &Call<'_>, name: AccountName) -> Result<Response, Problem> {
    let body = body::read(&call.body)?;
    if body.name.as_ref().is_some_and(|given| *given != name) {
        return Err(Problem::invalid("name: it is another than in the path"));
    }
    set(call, name, body, Expected::Present, StatusCode::OK).await
}

async fn set(
    call: &Call<'_>,
    name: AccountName,
    body: AccountBody,
    expected: Expected,
    status: StatusCode,
) -> Result<Response, Problem> {
    let AccountBody { name: _, label, password, scopes, access, disabled } = body;
    let password_hash = match &password {
        Some(password) => Some(call.app.parts.authenticator.hash_password(password).await?),
        None => None,
    };
    let command = SetAccount { name: name.clone(), label, password_hash, scopes, access, disabled, expected };
    submit_once(call, &call.principal.name, Command::SetAccount(command)).await?;
    call.read(|tables| {
        let account = tables.registry().accounts.get(&name).ok_or_else(|| no_account(&name))?;
        Ok(response::json(status, response::encode(&AccountView::from(account))))
    })
}

/// `GET /auth/accounts/{account}`.
pub fn get(call: &Call<'_>, name: &AccountName) -> Result<Response, Problem> {
    call.read(|tables| {
        let account = tables.registry().accounts.get(name).ok_or_else(|| no_account(name))?;
        Ok(response::ok(&AccountView::from(account)))
    })
}

/// `DELETE /auth/accounts/{account}`, with its tokens.
pub async fn delete(call: &Call<'_>, name: AccountName) -> Result<Response, Problem> {
    let submitted = submit(call, Command::DeleteAccount(name)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// `GET /auth/accounts/{account}/tokens`, without their secrets.
pub fn list_tokens(call: &Call<'_>, name: &AccountName) -> Result<Response, Problem> {
    call.read(|tables| {
        let registry = tables.registry();
        registry.accounts.get(name).ok_or_else(|| no_account(name))?;
        let mut tokens: Vec<_> = registry.tokens_of(name).map(TokenView::from).collect();
        tokens.sort_by_key(|token| (token.created, token.id));
        Ok(response::ok(&tokens))
    })
}

/// `POST /auth/accounts/{account}/tokens`: the one answer that holds the secret.
pub async fn create_token(call: &Call<'_>, name: AccountName) -> Result<Response, Problem> {
    let TokenBody { label, scopes, expires } = body::read_token(&call.body)?;
    let now: Instant = call.app.now().into();
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Problem::invalid("expires: it is not in the future"));
    }
    let of_account = call.app.parts.tables.read(|tables| {
        let account = tables.registry().accounts.get(&name).ok_or_else(|| no_account(&name))?;
        Ok::<_, Problem>(account.scopes.clone())
    })?;
    if let Some(missing) =
        scopes.iter().flatten().find(|scope| !of_account.contains(scope) && !of_account.contains(&Scope::Admin))
    {
        return Err(Problem::invalid(format!("scopes: account {name} does not have {missing}")));
    }
    let text = NewToken::random();
    let token = Token {
        id: text.id,
        account: name,
        kind: TokenKind::Api,
        label,
        secret_hash: text.hash(),
        scopes: scopes.unwrap_or(of_account),
        created: now,
        expires,
    };
    let issue = IssueToken { token: token.clone(), replaces: None };
    let submitted = submit_once(call, &call.principal.name, Command::IssueToken(issue)).await?;
    let authenticator = &call.app.parts.authenticator;
    authenticator.note_token(&token.account, call.head, call.id);
    let view = TokenView { token: Some(text.expose()), ..TokenView::from(&token) };
    let mut response = call.at(submitted.seq, response::json(StatusCode::CREATED, response::encode(&view)));
    keep_nowhere(response.headers_mut());
    Ok(response)
}

/// `DELETE /auth/accounts/{account}/tokens/{tokenId}`.
pub async fn revoke_token(call: &Call<'_>, name: &AccountName, id: TokenId) -> Result<Response, Problem> {
    if let Some(answered) = Repeatable::of(call).await?.answered()? {
        return Ok(call.empty_at(answered.seq, StatusCode::NO_CONTENT));
    }
    let is_there = call.app.parts.tables.read(|tables| tables.registry().tokens_of(name).any(|token| token.id == id));
    if !is_there {
        return Err(Problem::NotFound(format!("account {name} has no token {id}")));
    }
    let submitted = submit(call, Command::RevokeToken(id)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// `GET /auth/log`, newest first.
pub async fn log(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let limit = query.limit(&call.app.parts.limits)?;
    let before: Option<Place> = query.parsed("page")?;
    let since: Option<Instant> = query.parsed("since")?;
    let journal = call.app.parts.authenticator.journal().clone();
    let read = tokio::task::spawn_blocking(move || journal.read(limit, before, since)).await;
    let (entries, next) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            tracing::error!(%error, "the authentication log cannot be read");
            return Err(Problem::Internal);
        }
        Err(error) => {
            tracing::error!(%error, "reading the authentication log panicked");
            return Err(Problem::Internal);
        }
    };
    let next = next.map(|place| place.to_string());
    let mut response = response::ok(&entries);
    let listing = Listing { count: entries.len(), reverse: false, timerange: None };
    Page { limit, next: next.as_deref(), listing: Some(listing) }.write(call, response.headers_mut());
    Ok(response)
}
