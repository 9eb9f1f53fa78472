//! Settings of who may use the store (section 14).

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Who may use the store.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Whether requests need credentials. `none` is for development: everybody may do everything, and the server refuses
    /// to listen on anything but a loopback address.
    pub mode: AuthMode,
    /// Whether the account name and password of HTTP Basic are taken. They are worth something over TLS or on one machine
    /// only.
    pub basic: bool,
    /// Whether a token is taken from the query parameter `access_token`, as players need it that can set no header. URLs
    /// are often logged on their way.
    pub url_token: bool,
    /// Seconds for which an access token of the store's own is valid.
    pub access_token_seconds: u64,
    /// Seconds for which a refresh token is valid, counted anew at each use.
    pub refresh_token_seconds: u64,
    /// Days for which the authentication log in the data folder is kept.
    pub log_days: u32,
    /// Identity providers whose tokens (JWT) are taken. Where there is one, no first administrator is made.
    pub issuers: Vec<IssuerSettings>,
}

/// Whether requests need credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// They do.
    Required,
    /// They do not: everybody may do everything.
    None,
}

/// An identity provider whose tokens are taken. Tokens are signed with RSA, ECDSA or Ed25519, and say when they expire.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The issuer exactly as its tokens name it in `iss`, such as `https://id.example.org/realms/media`.
    pub issuer: String,
    /// Who a token must be meant for: one of these.
    pub audiences: Vec<String>,
    /// The claim that says who a token is meant for. Access tokens of Amazon Cognito say it in `client_id`.
    #[serde(default = "audience_claim")]
    pub audience_claim: String,
    /// Where its public keys are. Absent: where `<issuer>/.well-known/openid-configuration` says.
    #[serde(default)]
    pub jwks_url: Option<Url>,
    /// Claims that may hold the scopes, as a text with spaces or a list; the first that a token has counts. One that
    /// begins with `/` is a path into nested claims, such as `/realm_access/roles`.
    #[serde(default = "scope_claims")]
    pub scope_claims: Vec<String>,
    /// Claims that may hold the name under which changes are recorded; the first that a token has counts.
    #[serde(default = "principal_claims")]
    pub principal_claims: Vec<String>,
    /// The claim that says what may be done with which classes of resources (`auth_classes`):
    /// `{"news": ["read", "write"]}` or `["news:read", "news:write"]`. A token without it reaches only resources that have
    /// no classes. Absent: tokens reach all classes.
    #[serde(default)]
    pub classes_claim: Option<String>,
    /// Seconds by which the clock of the issuer may be off.
    #[serde(default = "clock_skew_seconds")]
    pub clock_skew_seconds: u64,
}

fn audience_claim() -> String {
    "aud".to_owned()
}

fn scope_claims() -> Vec<String> {
    vec!["scope".to_owned(), "scp".to_owned()]
}

fn principal_claims() -> Vec<String> {
    vec!["sub".to_owned(), "client_id".to_owned(), "username".to_owned()]
}

fn clock_skew_seconds() -> u64 {
    60
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            mode: AuthMode::Required,
            basic: true,
            url_token: true,
            access_token_seconds: 900,
            refresh_token_seconds: 30 * 86_400,
            log_days: 90,
            issuers: Vec::new(),
        }
    }
}

/// The secret of the store.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSettings {
    /// 64 hexadecimal digits from which the keys for tokens and for sealed secrets are derived: the same on all nodes of a
    /// log. Absent: the file `secrets.key` of the data folder, which is made at the first start. Who loses it has to set
    /// the keys of webhooks again.
    #[serde(skip_serializing)]
    pub key: Option<String>,
    /// Further keys of the same form, which open what was sealed with them and seal nothing: the one before, once `key` is
    /// another, or the one to come. At the start, secrets of webhooks that were sealed with one of them are sealed anew.
    #[serde(default, skip_serializing)]
    pub previous_keys: Vec<String>,
}
