//! Access tokens of the store's own: short-lived, signed, and remembered nowhere.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use tapelog_events::{Account, AccountName, Incarnation, Scope};

use super::seal::MasterKey;

/// By how many seconds the clocks of nodes of one log may differ.
const CLOCK_SKEW_SECONDS: u64 = 5;

/// Signs and checks access tokens.
pub struct AccessTokens {
    issuer: String,
    validity: Duration,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: AccountName,
    iat: u64,
    exp: u64,
    scope: String,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Whose it is.
    pub account: AccountName,
    /// What it allows at most.
    pub scopes: BTreeSet<Scope>,
    /// When it was given out, in seconds since the Unix epoch.
    issued_seconds: u64,
}

impl AccessToken {
    /// Whether it was given out before its account became what it is now: with another password perhaps, or another
    /// account of that name. Its time is known to the second.
    pub fn is_older_than(&self, account: &Account) -> bool {
        let updated = u64::try_from(account.updated.as_micros() / 1_000_000).unwrap_or_default();
        self.issued_seconds < updated
    }
}

/// An access token that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccessToken {
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// It is none, or not one of this store.
    #[error("the access token is not valid")]
    Invalid,
}

impl AccessTokens {
    /// Those of the log of this incarnation, valid for so long.
    pub fn new(key: &MasterKey, incarnation: Incarnation, validity: Duration) -> Self {
        let secret = key.derive("tapelog 2026 access tokens");
        let issuer = format!("urn:tapelog:{incarnation}");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_SKEW_SECONDS;
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        Self {
            issuer,
            validity,
            signing: EncodingKey::from_secret(&secret),
            checking: DecodingKey::from_secret(&secret),
            validation,
        }
    }

    /// Whether this issuer is the store itself.
    pub fn are_of(&self, issuer: &str) -> bool {
        self.issuer == issuer
    }

    /// For how long a token is valid.
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// A token for an account that allows this.
    pub fn issue(&self, account: &AccountName, scopes: &BTreeSet<Scope>, now: SystemTime) -> String {
        let iat = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: account.clone(),
            iat,
            exp: iat + self.validity.as_secs(),
            scope: scopes_text(scopes),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing).expect("the key is one of the algorithm")
    }

    /// What a token says. It holds no longer where its account has changed since it was given out.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn check(&self, token: &str) -> Result<AccessToken, InvalidAccessToken> {
        let claims = decode::<Claims>(token, &self.checking, &self.validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => InvalidAccessToken::Expired,
            _ => InvalidAccessToken::Invalid,
        })?;
        let scopes = claims.claims.scope.split(' ').filter_map(|scope| scope.parse().ok()).collect();
        Ok(AccessToken { account: claims.claims.sub, scopes, issued_seconds: claims.claims.iat })
    }
}

/// Scopes as OAuth 2 writes them.
pub fn scopes_text(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_time_and_for_its_store() {
        let (key, incarnation) = (MasterKey::random(), Incarnation::from_uuid(uuid::Uuid::new_v4()));
        let tokens = AccessTokens::new(&key, incarnation, Duration::from_secs(60));
        let ann: AccountName = "ann".parse().unwrap();
        let scopes = BTreeSet::from([Scope::Read, Scope::Write]);
        let now = SystemTime::now();
        let token = tokens.issue(&ann, &scopes, now);
        let checked = tokens.check(&token).unwrap();
        assert_eq!((&checked.account, &checked.scopes), (&ann, &scopes));
        let old = tokens.issue(&ann, &scopes, now - Duration::from_secs(70));
        assert_eq!(tokens.check(&old), Err(InvalidAccessToken::Expired));
        let other_key = AccessTokens::new(&MasterKey::random(), incarnation, Duration::from_secs(60));
        assert_eq!(tokens.check(&other_key.issue(&ann, &scopes, now)), Err(InvalidAccessToken::Invalid));
        let other_log = Incarnation::from_uuid(uuid::Uuid::new_v4());
        let other_log = AccessTokens::new(&key, other_log, Duration::from_secs(60));
        assert_eq!(tokens.check(&other_log.issue(&ann, &scopes, now)), Err(InvalidAccessToken::Invalid));
        assert_eq!(tokens.check("a.b.c"), Err(InvalidAccessToken::Invalid));
    }
}
