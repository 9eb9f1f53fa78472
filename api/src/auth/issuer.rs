//! Tokens of identity providers (JWT): whether they hold, who they are of, and what they allow.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tapelog_events::{Access, Permission, Scope};
use tokio_util::sync::CancellationToken;

use super::Principal;
use super::jwks::{KeyRing, NoKey};
use crate::settings::IssuerSettings;

/// Bytes of a name under which changes are recorded.
const NAME_BYTES: usize = 256;

/// Why a token does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is not in the form of a token, or not signed as it says.
    #[error("the token is no valid JWT, or its signature is not its issuer's")]
    Malformed,
    /// It is signed in a way that is not taken.
    #[error("the token is not signed with RSA, ECDSA or Ed25519")]
    Algorithm,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Immature,
    /// It is meant for somebody else.
    #[error("the token is not meant for this store: its {0} is another")]
    Audience(String),
    /// It lacks something.
    #[error("the token has no {0}")]
    Missing(String),
    /// Its key is not known.
    #[error(transparent)]
    Key(#[from] NoKey),
}

/// An identity provider.
pub struct Issuer {
    settings: IssuerSettings,
    keys: KeyRing,
}

impl Issuer {
    /// The provider of these settings, and what keeps its keys up to date until it is stopped.
    ///
    /// # Errors
    /// When the settings do not make sense.
    pub fn new(settings: &IssuerSettings, stop: CancellationToken) -> Result<(Self, impl Future<Output = ()> + use<>)> {
        let (keys, keeper) = KeyRing::new(settings, stop)?;
        Ok((Self { settings: settings.clone(), keys }, keeper))
    }

    /// Whether tokens that name this issuer are of it.
    pub fn is(&self, issuer: &str) -> bool {
        self.settings.issuer == issuer
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// When it does not hold, or that cannot be known.
    pub async fn check(&self, token: &str) -> Result<Principal, InvalidToken> {
        let header = decode_header(token).map_err(|_| InvalidToken::Malformed)?;
        // Extensions that must be understood, and are not (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(InvalidToken::Malformed);
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        principal(&self.settings, &header, token, &key)
    }
}

fn principal(
    settings: &IssuerSettings,
    header: &Header,
    token: &str,
    key: &DecodingKey,
) -> Result<Principal, InvalidToken> {
    // That the key is one for this algorithm is certain: it was found by it.
    let mut validation = Validation::new(header.alg);
    validation.leeway = settings.clock_skew_seconds;
    validation.validate_nbf = true;
    // Which claim names it is a matter of settings.
    validation.validate_aud = false;
    validation.set_issuer(&[&settings.issuer]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    let claims = decode::<Map<String, Value>>(token, key, &validation).map_err(|error| match error.kind() {
        ErrorKind::ExpiredSignature => InvalidToken::Expired,
        ErrorKind::ImmatureSignature => InvalidToken::Immature,
        ErrorKind::MissingRequiredClaim(claim) => InvalidToken::Missing(claim.clone()),
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => InvalidToken::Algorithm,
        _ => InvalidToken::Malformed,
    })?;
    let claims = Value::Object(claims.claims);

    let audience = texts(claim(&claims, &settings.audience_claim));
    if !audience.iter().any(|one| settings.audiences.contains(one)) {
        return Err(InvalidToken::Audience(settings.audience_claim.clone()));
    }
    let scopes = settings.scope_claims.iter().find_map(|name| claim(&claims, name));
    let scopes: BTreeSet<Scope> = words(scopes).iter().filter_map(|scope| scope.parse().ok()).collect();
    let names = settings.principal_claims.iter().filter_map(|name| claim(&claims, name)?.as_str());
    let name = names.into_iter().find(|name| is_name(name));
    let name = name.ok_or_else(|| InvalidToken::Missing(settings.principal_claims.join(" or ")))?;
    let access = match &settings.classes_claim {
        None => Access::Unrestricted,
        Some(name) => Access::Classes(classes(claim(&claims, name))),
    };
    Ok(Principal::new(name.into(), scopes, access))
}

/// A claim by its name, or by its path.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A text with spaces, or a list of texts.
fn words(value: Option<&Value>) -> Vec<String> {
    texts(value).iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect()
}

fn is_name(text: &str) -> bool {
    // Nobody passes for the server itself in what it records.
    text != tapelog_store::sequencer::ACTOR
        && (1..=NAME_BYTES).contains(&text.len())
        && !text.chars().any(char::is_control)
}

/// What a claim says of classes. What cannot be read permits nothing.
fn classes(value: Option<&Value>) -> BTreeMap<String, BTreeSet<Permission>> {
    let mut classes: BTreeMap<String, BTreeSet<Permission>> = BTreeMap::new();
    match value {
        Some(Value::Object(members)) => {
            for (class, permissions) in members {
                let permissions = words(Some(permissions)).into_iter().filter_map(|word| permission(&word));
                classes.entry(class.clone()).or_default().extend(permissions);
            }
        }
        value => {
            for word in words(value) {
                if let Some((class, given)) = word.rsplit_once(':') {
                    classes.entry(class.to_owned()).or_default().extend(permission(given));
                }
            }
        }
    }
    classes
}

/// What may be done, by its name.
pub fn permission(word: &str) -> Option<Permission> {
    match word {
        "read" => Some(Permission::Read),
        "write" => Some(Permission::Write),
        "delete" => Some(Permission::Delete),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use jsonwebtoken::{Algorithm, EncodingKey, encode};
    use serde_json::json;

    use super::*;
    use crate::auth::jwks::Source;

    const ISSUER: &str = "https://id.test/realm";

    struct Signer {
        algorithm: Algorithm,
        signing: EncodingKey,
        checking: DecodingKey,
    }

    impl Signer {
        fn new(algorithm: Algorithm, pkcs8: &[u8]) -> Self {
            let signing = match algorithm {
                Algorithm::EdDSA => EncodingKey::from_ed_der(pkcs8),
                _ => EncodingKey::from_ec_der(pkcs8),
            };
            let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&signing, algorithm).unwrap();
            Self { algorithm, checking: DecodingKey::from_jwk(&jwk).unwrap(), signing }
        }

        fn elliptic() -> Self {
            use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
            let random = ring::rand::SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            Self::new(Algorithm::ES256, pkcs8.as_ref())
        }

        fn edwards() -> Self {
            let mut pkcs8 = hex::decode("302e020100300506032b657004220420").unwrap();
            pkcs8.extend(rand::random::<[u8; 32]>());
            Self::new(Algorithm::EdDSA, &pkcs8)
        }

        fn sign(&self, claims: &Value) -> String {
            encode(&Header::new(self.algorithm), claims, &self.signing).unwrap()
        }

        fn check(&self, settings: &IssuerSettings, token: &str) -> Result<Principal, InvalidToken> {
            principal(settings, &decode_header(token).map_err(|_| InvalidToken::Malformed)?, token, &self.checking)
        }
    }

    fn settings(more: Value) -> IssuerSettings {
        let mut settings = json!({"issuer": ISSUER, "audiences": ["tams", "other"]});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(settings).unwrap()
    }

    /// Claims that hold, with these changed; `null` leaves one out.
    fn claims(changes: Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let mut claims = json!({
            "iss": ISSUER, "aud": "tams", "sub": "ann", "exp": now + 600, "nbf": now - 1,
            "scope": "openid tams-api/read tams-api/write",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value.as_str().and_then(|text| text.strip_prefix("now")) {
                Some(seconds) => claims[name] = json!(now + seconds.parse::<i64>().unwrap()),
                None if value.is_null() => drop(claims.as_object_mut().unwrap().remove(name)),
                None => claims[name] = value.clone(),
            }
        }
        claims
    }

    #[test]
    fn a_token_holds_within_its_time_for_its_audience_and_from_its_issuer() {
        for signer in [Signer::elliptic(), Signer::edwards()] {
            let settings = settings(json!({}));
            let check = |changes| signer.check(&settings, &signer.sign(&claims(changes))).map(|it| it.name.to_string());
            assert_eq!(check(json!({})), Ok("ann".to_owned()));
            assert_eq!(check(json!({"aud": ["x", "other"]})), Ok("ann".to_owned()));
            assert_eq!(check(json!({"exp": "now-30", "nbf": "now+30"})), Ok("ann".to_owned()), "clocks differ");
            assert_eq!(check(json!({"exp": "now-90"})), Err(InvalidToken::Expired));
            assert_eq!(check(json!({"nbf": "now+90"})), Err(InvalidToken::Immature));
            assert_eq!(check(json!({"exp": null})), Err(InvalidToken::Missing("exp".to_owned())));
            assert!(check(json!({"exp": "9999999999"})).is_err());
            assert_eq!(check(json!({"iss": null})), Err(InvalidToken::Missing("iss".to_owned())));
            assert_eq!(check(json!({"iss": "https://id.test"})), Err(InvalidToken::Malformed));
            for audience in [json!("x"), json!([]), json!(null), json!(7)] {
                assert_eq!(check(json!({ "aud": audience })), Err(InvalidToken::Audience("aud".to_owned())));
            }
            assert!(matches!(check(json!({"sub": "a\nb"})), Err(InvalidToken::Missing(_))));
            assert_eq!(check(json!({"sub": null, "client_id": "c"})), Ok("c".to_owned()));
        }
    }

    #[test]
    fn a_signature_of_another_key_or_none_does_not_hold() {
        let (signer, other, settings) = (Signer::elliptic(), Signer::elliptic(), settings(json!({})));
        let claims = claims(json!({}));
        assert_eq!(signer.check(&settings, &other.sign(&claims)).err(), Some(InvalidToken::Malformed));
        let token = signer.sign(&claims);
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert!(signer.check(&settings, &format!("{signed}.")).is_err());
        let (_, payload) = signed.split_once('.').unwrap();
        // {"alg":"none"}
        assert!(signer.check(&settings, &format!("eyJhbGciOiJub25lIn0.{payload}.")).is_err());
        // The public key as a shared secret.
        let secret = EncodingKey::from_secret(signer.checking.try_get_as_bytes().unwrap());
        let forged = encode(&Header::new(Algorithm::HS256), &claims, &secret).unwrap();
        assert!(signer.check(&settings, &forged).is_err());
    }

    #[test]
    fn claims_become_name_scopes_and_classes() {
        let signer = Signer::edwards();
        let check = |settings: Value, changes: Value| {
            signer.check(&self::settings(settings), &signer.sign(&claims(changes))).unwrap()
        };
        let cognito = check(
            json!({"audience_claim": "client_id", "principal_claims": ["username"]}),
            json!({"aud": null, "client_id": "tams", "username": "bob", "scope": "tams-api/delete"}),
        );
        assert_eq!((&*cognito.name, cognito.scopes), ("bob", BTreeSet::from([Scope::Delete])));
        let listed = check(json!({}), json!({"scope": null, "scp": ["tams-api/read", "tams-api/unheard-of"]}));
        assert_eq!((listed.scopes, &*listed.access), (BTreeSet::from([Scope::Read]), &Access::Unrestricted));
        let nested = check(json!({"scope_claims": ["/realm/roles"]}), json!({"realm": {"roles": ["tams-api/write"]}}));
        assert_eq!(nested.scopes, BTreeSet::from([Scope::Write]));

        let expected = Access::Classes(BTreeMap::from([
            ("a:news".to_owned(), BTreeSet::from([Permission::Read, Permission::Write])),
            ("sport".to_owned(), BTreeSet::from([Permission::Delete])),
        ]));
        for classes in [
            json!({"a:news": ["read", "write", "fly"], "sport": "delete"}),
            json!(["a:news:read", "a:news:write", "sport:delete", "nothing"]),
            json!("a:news:read a:news:write sport:delete"),
        ] {
            let principal = check(json!({"classes_claim": "c"}), json!({ "c": classes }));
            assert_eq!(*principal.access, expected);
        }
        let none = check(json!({"classes_claim": "c"}), json!({}));
        assert_eq!(*none.access, Access::Classes(BTreeMap::new()));
        let admin = check(json!({"classes_claim": "c"}), json!({"scope": "tams-api/admin"}));
        assert_eq!(*admin.access, Access::Unrestricted, "administrators pass everywhere");
    }

    #[test]
    fn an_issuer_is_a_url_or_its_keys_have_one() {
        assert!(Source::new(&settings(json!({"issuer": "realm"}))).is_err());
        assert!(Source::new(&settings(json!({"issuer": "realm", "jwks_url": "https://id.test/keys"}))).is_ok());
    }
}
