//! Where a webhook's notifications go, and what goes with them.

use std::fmt;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook as Signer};
use tapelog_events::{Instant, SealedSecret, Webhook};
use url::Url;

/// Opens what is sealed in the log.
pub trait Secrets: Send + Sync + 'static {
    /// The secret, unless it cannot be opened: then it was sealed with a key that this server does not have.
    fn open(&self, sealed: &SealedSecret) -> Option<String>;
}

/// Why nothing can be posted to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its URL.
    #[error("the webhook's URL is not one")]
    Url,
    /// Its key or what its notifications are signed with.
    #[error("a secret of the webhook cannot be opened: it was sealed with a key that this server does not have")]
    Sealed,
    /// The header that carries its key.
    #[error("the webhook's api_key_name and api_key_value are not a header that it can have")]
    Header,
    /// What its notifications are signed with.
    #[error("the webhook's signing secret is not one")]
    Secret,
}

/// Where a webhook's notifications go, and what goes with them. Made once for as long as the webhook stays as it is.
pub struct Target {
    url: Url,
    /// Scheme, host and port: those who share them share what may be asked of them at the same time.
    origin: Arc<str>,
    /// What goes with each notification.
    headers: HeaderMap,
    signer: Option<Signer>,
    /// The signer before, and until when it signs as well.
    previous: Option<(Signer, Instant)>,
}

impl Target {
    /// Where the notifications of a webhook go. `at` is now: a secret that is not in force any more need not be opened.
    ///
    /// # Errors
    /// When nothing can be posted there.
    pub fn of(webhook: &Webhook, secrets: &dyn Secrets, at: Instant) -> Result<Self, Unusable> {
        let open = |sealed: &SealedSecret| secrets.open(sealed).ok_or(Unusable::Sealed);
        let subscription = &webhook.subscription;
        let url = Url::parse(&subscription.url).map_err(|_| Unusable::Url)?;
        let mut headers = HeaderMap::new();
        if let (Some(name), Some(value)) = (&subscription.api_key_name, &subscription.api_key_value) {
            let (name, value) = key(name, &open(value)?)?;
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signer = |sealed: &SealedSecret| Signer::new(&open(sealed)?).map_err(|_| Unusable::Secret);
        let signing = webhook.signing.as_ref();
        let previous = signing.and_then(|signing| signing.previous.as_ref()).filter(|previous| at < previous.until);
        Ok(Self {
            origin: url.origin().ascii_serialization().into(),
            url,
            headers,
            signer: signing.map(|signing| signer(&signing.secret)).transpose()?,
            previous: previous.map(|previous| Ok((signer(&previous.secret)?, previous.until))).transpose()?,
        })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// What goes with an attempt to post `body`, which is text, that begins now.
    pub(crate) fn headers(&self, id: &str, body: &[u8], now: Instant) -> HeaderMap {
        let seconds = now.as_micros().div_euclid(1_000_000);
        let mut headers = self.headers.clone();
        headers.insert(HEADER_WEBHOOK_ID, HeaderValue::try_from(id).expect("an id is visible ASCII"));
        headers.insert(HEADER_WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
        let sign = |signer: &Signer| signer.sign(id, seconds, body).expect("a body is JSON, and so text");
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(signer, _)| signer);
        let signatures: Vec<String> = self.signer.iter().chain(previous).map(sign).collect();
        if !signatures.is_empty() {
            let signatures = HeaderValue::try_from(signatures.join(" ")).expect("signatures are base64");
            headers.insert(HEADER_WEBHOOK_SIGNATURE, signatures);
        }
        headers
    }
}

/// The header that carries a webhook's key. Where a request ends, and whom it is for, is not a client's to say.
fn key(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Unusable> {
    let name = HeaderName::try_from(name).map_err(|_| Unusable::Header)?;
    if [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(&name) {
        return Err(Unusable::Header);
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| Unusable::Header)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Neither the key nor the URL's query, which may hold another.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("origin", &self.origin).finish_non_exhaustive()
    }
}
