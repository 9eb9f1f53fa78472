//! Bodies of requests about accounts and tokens.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tapelog_events::{Access, AccountName, Instant, Permission, Scope};

use crate::auth::{PASSWORD_LEAST_BYTES, PASSWORD_MOST_BYTES, permission};
use crate::http::limits;
use crate::http::problem::Problem;

/// Classes that one account may name.
const CLASSES: usize = 1000;

/// What a request makes of an account; what is absent stays.
pub struct AccountBody {
    /// Names it, where a request creates it.
    pub name: Option<AccountName>,
    /// Who that is.
    pub label: Option<String>,
    /// The new password.
    pub password: Option<String>,
    /// What its tokens may allow.
    pub scopes: Option<BTreeSet<Scope>>,
    /// What it may do with resources of which classes.
    pub access: Option<Access>,
    /// Whether it is locked out.
    pub disabled: Option<bool>,
}

/// What a request says of a token to be given out.
pub struct TokenBody {
    /// What it is for.
    pub label: Option<String>,
    /// What it allows; absent, whatever its account may.
    pub scopes: Option<BTreeSet<Scope>>,
    /// Until when it holds.
    pub expires: Option<Instant>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AccountPut")]
pub struct AccountMembers {
    name: Option<String>,
    label: Option<String>,
    password: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<BTreeMap<String, Vec<Permission>>>")]
    classes: Option<Option<BTreeMap<String, Vec<String>>>>,
    disabled: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TokenPost")]
pub struct TokenMembers {
    label: Option<String>,
    scopes: Option<Vec<String>>,
    expires: Option<Instant>,
}

/// Here `null` is not the same as leaving it out: all classes, and those that it has.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reads what is to become of an account.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(body: &[u8]) -> Result<AccountBody, Problem> {
    let AccountMembers { name, label, password, scopes, classes, disabled } = super::object(body)?;
    let name = name.map(|name| name.parse().map_err(|error| Problem::invalid(format!("name: {error}")))).transpose()?;
    if let Some(label) = &label {
        limits::text("label", label, limits::LABEL_BYTES)?;
    }
    if let Some(password) = &password {
        if password.len() < PASSWORD_LEAST_BYTES {
            return Err(Problem::invalid(format!("password: it has fewer than {PASSWORD_LEAST_BYTES} bytes")));
        }
        limits::text("password", password, PASSWORD_MOST_BYTES)?;
        if password.starts_with("tapelog_") {
            return Err(Problem::invalid("password: it begins like a token of this store"));
        }
    }
    let access = match classes {
        None => None,
        Some(None) => Some(Access::Unrestricted),
        Some(Some(classes)) => Some(Access::Classes(read_classes(classes)?)),
    };
    Ok(AccountBody { name, label, password, scopes: scopes.map(read_scopes).transpose()?, access, disabled })
}

/// Reads what a token is to be.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read_token(body: &[u8]) -> Result<TokenBody, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(TokenBody { label: None, scopes: None, expires: None });
    }
    let TokenMembers { label, scopes, expires } = super::object(body)?;
    if let Some(label) = &label {
        limits::text("label", label, limits::LABEL_BYTES)?;
    }
    Ok(TokenBody { label, scopes: scopes.map(read_scopes).transpose()?, expires })
}

fn read_scopes(scopes: Vec<String>) -> Result<BTreeSet<Scope>, Problem> {
    let scope = |(index, scope): (usize, String)| {
        scope.parse().map_err(|error| Problem::invalid(format!("scopes[{index}]: {scope:?} is {error}")))
    };
    scopes.into_iter().enumerate().map(scope).collect()
}

fn read_classes(classes: BTreeMap<String, Vec<String>>) -> Result<BTreeMap<String, BTreeSet<Permission>>, Problem> {
    limits::count("classes", classes.len(), CLASSES)?;
    let class = |(class, words): (String, Vec<String>)| {
        limits::text("classes", &class, limits::TAG_VALUE_BYTES)?;
        let permission = |word: String| {
            let unknown = || Problem::invalid(format!("classes.{class}: {word:?} is not one of read, write, delete"));
            permission(&word).ok_or_else(unknown)
        };
        let permissions = words.into_iter().map(permission).collect::<Result<_, _>>()?;
        Ok((class, permissions))
    };
    classes.into_iter().map(class).collect()
}
