//! The public keys of an identity provider: fetched in the background, and anew when a token names one that is not known.
//!
//! One task asks, and never more often than [`LEAST_PAUSE`]: whoever sends tokens with keys that do not exist cannot make
//! this server a burden to the provider. While the provider is down, the keys that were there last are used, for a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tapelog_media::client::http_client_builder;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::settings::IssuerSettings;

/// The time between two questions at least.
const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// The time between two questions where nothing is missing.
const USUAL_PAUSE: Duration = Duration::from_secs(600);
/// For how long keys are used that could not be fetched anew.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long a request waits for keys that are being fetched.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the provider may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer of the provider at most: far more than any has.
const ANSWER_BYTES: usize = 1 << 20;
/// Redirects that are followed.
const REDIRECTS: usize = 3;

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// The provider has no such key.
    #[error("the token is signed with a key that its issuer does not have")]
    Unknown,
    /// The provider's keys are not known.
    #[error("the keys of the token's issuer cannot be fetched")]
    Unavailable,
}

/// The keys as they are known.
#[derive(Clone, Default)]
struct Known {
    keys: Arc<[Key]>,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When the provider was asked last, with or without success.
    asked: Option<Instant>,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Known {
    /// The key of this id; where a token names none, the only one that there can be.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)).map(|key| &key.key),
            None => fitting.next().filter(|_| fitting.next().is_none()).map(|key| &key.key),
        }
    }

    fn is_fresh(&self) -> bool {
        self.fetched.is_some_and(|fetched| fetched.elapsed() < STALE)
    }
}

/// The keys of one provider.
pub struct KeyRing {
    known: watch::Receiver<Known>,
    wanted: Arc<Notify>,
}

impl KeyRing {
    /// The keys of a provider, and what keeps them up to date until it is stopped.
    ///
    /// # Errors
    /// When the settings do not make a client.
    pub fn new(settings: &IssuerSettings, stop: CancellationToken) -> Result<(Self, impl Future<Output = ()> + use<>)> {
        let source = Source::new(settings)?;
        let (sender, known) = watch::channel(Known::default());
        let wanted = Arc::new(Notify::new());
        Ok((Self { known, wanted: Arc::clone(&wanted) }, keep(source, sender, wanted, stop)))
    }

    /// The key with which a token was signed.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, NoKey> {
        let mut known = self.known.clone();
        let now = known.borrow_and_update().clone();
        if now.is_fresh()
            && let Some(key) = now.find(id, algorithm)
        {
            return Ok(key.clone());
        }
        if now.asked.is_none_or(|asked| asked.elapsed() >= LEAST_PAUSE) {
            self.wanted.notify_one();
            // Without an answer in time, what is known has to do.
            drop(timeout(PATIENCE, known.changed()).await);
        }
        let now = known.borrow().clone();
        match now.find(id, algorithm) {
            _ if !now.is_fresh() => Err(NoKey::Unavailable),
            Some(key) => Ok(key.clone()),
            None => Err(NoKey::Unknown),
        }
    }
}

/// Fetches keys at once, then every so often and when they are wanted.
async fn keep(source: Source, sender: watch::Sender<Known>, wanted: Arc<Notify>, stop: CancellationToken) {
    let mut failed = false;
    loop {
        let fetched = tokio::select! {
            () = stop.cancelled() => return,
            fetched = source.fetch() => fetched,
        };
        let asked = Some(Instant::now());
        match fetched {
            Ok(keys) => {
                if failed || sender.borrow().fetched.is_none() {
                    tracing::info!(
                        issuer = source.issuer,
                        keys = keys.len(),
                        "the keys of an identity provider are known"
                    );
                }
                failed = false;
                sender.send_replace(Known { keys: keys.into(), fetched: asked, asked });
            }
            Err(error) => {
                if !failed {
                    tracing::warn!(
                        issuer = source.issuer,
                        "the keys of an identity provider cannot be fetched: {error:#}"
                    );
                }
                failed = true;
                sender.send_modify(|known| known.asked = asked);
            }
        }
        let pause = if failed { LEAST_PAUSE } else { USUAL_PAUSE };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
            () = async { sleep(LEAST_PAUSE).await; wanted.notified().await } => {}
        }
    }
}

/// Where the keys of a provider come from.
pub struct Source {
    issuer: String,
    jwks_url: Option<Url>,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Url,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl Source {
    /// Where the keys of the provider of these settings come from.
    ///
    /// # Errors
    /// When its issuer is no URL although its keys are to be found by it, or no client can be made.
    pub fn new(settings: &IssuerSettings) -> Result<Self> {
        let encrypted = match &settings.jwks_url {
            Some(url) => url.scheme() == "https",
            None => {
                let url = Url::parse(&settings.issuer).context("issuer is no URL, and jwks_url is not set")?;
                ensure!(matches!(url.scheme(), "https" | "http"), "issuer is no URL of HTTP, and jwks_url is not set");
                url.scheme() == "https"
            }
        };
        let http = http_client_builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
            .https_only(encrypted)
            .build()
            .context("no HTTP client can be made")?;
        Ok(Self { issuer: settings.issuer.clone(), jwks_url: settings.jwks_url.clone(), http })
    }

    /// How many keys the provider has.
    ///
    /// # Errors
    /// When it cannot be asked, or what it says cannot be used.
    pub async fn count(&self) -> Result<usize> {
        Ok(self.fetch().await?.len())
    }

    async fn fetch(&self) -> Result<Vec<Key>> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
                let discovery: Discovery = self.get(Url::parse(&url)?).await?;
                if discovery.issuer != self.issuer {
                    bail!("{url} is that of the issuer {:?}, not of {:?}", discovery.issuer, self.issuer);
                }
                discovery.jwks_uri
            }
        };
        let set: KeySet = self.get(url.clone()).await?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(Key::read).collect();
        ensure!(!keys.is_empty(), "{url} has no key with which tokens can be checked");
        Ok(keys)
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T> {
        let fetched = async {
            let mut response = self.http.get(url.clone()).send().await?.error_for_status()?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                ensure!(body.len() + chunk.len() <= ANSWER_BYTES, "the answer is too long");
                body.extend_from_slice(&chunk);
            }
            Ok(serde_json::from_slice(&body)?)
        };
        fetched.await.with_context(|| format!("{url} cannot be read"))
    }
}

impl Key {
    /// A key of a set, where it is one for signatures that we know.
    fn read(value: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        // No symmetric ones: a public key must never be taken for a shared secret.
        let family: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            _ => return None,
        };
        let algorithms = match jwk.common.key_algorithm {
            Some(named) => family.iter().copied().filter(|it| Algorithm::try_from(named) == Ok(*it)).collect(),
            None => family.to_vec(),
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }
}
