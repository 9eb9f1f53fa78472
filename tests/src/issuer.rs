//! An identity provider: discovery, public keys, and tokens signed with the private ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rand::random;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Who its tokens are meant for.
pub const AUDIENCE: &str = "tams";

/// A key with which tokens are signed.
#[derive(Clone)]
pub struct Signer {
    header: Header,
    key: EncodingKey,
    public: Value,
}

impl Signer {
    /// A fresh RSA key.
    pub fn rsa() -> Self {
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key of 2048 bits");
        let key = key.to_pkcs1_der().expect("a key has this form");
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_der(key.as_bytes()))
    }

    /// A fresh key on an elliptic curve.
    pub fn elliptic() -> Self {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = ring::rand::SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("there is randomness");
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(key.as_ref()))
    }

    fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        let mut header = Header::new(algorithm);
        header.kid = Some(format!("{:x}", random::<u64>()));
        let mut public = Jwk::from_encoding_key(&key, algorithm).expect("a key has a public one");
        public.common.key_id.clone_from(&header.kid);
        Self { header, key, public: serde_json::to_value(public).expect("a key is JSON") }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        encode(&self.header, claims, &self.key).expect("claims can be signed")
    }
}

/// An identity provider.
pub struct Issuer {
    url: String,
    keys: watch::Sender<Vec<Value>>,
    signer: Signer,
    fetched: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// One with this key.
    pub async fn start(signer: Signer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/realm", listener.local_addr().expect("a socket has an address"));
        let (keys, published) = watch::channel(vec![signer.public.clone()]);
        let fetched = Arc::new(AtomicUsize::new(0));
        let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let counter = Arc::clone(&fetched);
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(async move || Json(discovery.clone())))
            .route(
                "/realm/keys",
                get(async move || {
                    counter.fetch_add(1, Ordering::SeqCst);
                    Json(json!({ "keys": *published.borrow() }))
                }),
            );
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the listener stays open");
        });
        Self { url, keys, signer, fetched, serving }
    }

    /// What its tokens name it, and where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The setting that has a server take its tokens, for all classes of resources.
    pub fn setting(&self) -> String {
        format!(r#"[{{issuer="{}",audiences=["{AUDIENCE}"]}}]"#, self.url)
    }

    /// The setting that has a server take its tokens, for the classes of resources in the claim `classes`.
    pub fn setting_with_classes(&self) -> String {
        format!(r#"[{{issuer="{}",audiences=["{AUDIENCE}"],classes_claim="classes"}}]"#, self.url)
    }

    /// Signs with another key from now on; the old one is withdrawn.
    pub fn rotate(&mut self, signer: Signer) {
        self.keys.send_replace(vec![signer.public.clone()]);
        self.signer = signer;
    }

    /// How often its keys were asked for.
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }

    /// A token for these scopes, with some claims changed.
    pub fn token(&self, scopes: &str, changes: Value) -> String {
        self.signer.sign(&self.claims(scopes, changes))
    }

    /// The claims of such a token.
    pub fn claims(&self, scopes: &str, changes: Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600, "scope": scopes,
        });
        for (name, value) in changes.as_object().expect("changes are an object") {
            claims[name] = value.clone();
        }
        claims
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Seconds from now, as tokens tell the time.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    now.cast_signed() + seconds
}
