//! Presigned URLs (AWS Signature Version 4, in the query), written for the hot path.
//!
//! Listing segments is the most frequent read of a TAMS store, and each segment of the answer carries a
//! presigned URL. All parts of a signature that do not depend on the object's key are therefore worked out
//! once per signing window; what is left for one URL is a hash of the request and one of its HMACs.
//!
//! A window is a quarter of the validity: within it the same object gets the same URL, so that browsers and
//! caches see one resource and not a new one at every listing. URLs are signed with the start of their window
//! and live one window longer than promised, so each is valid for at least the promised time.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::RwLock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::Secret;

/// Everything but the unreserved characters of RFC 3986: how SigV4 encodes a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a path, where the slashes of a key stay.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A presigned upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedPut {
    /// Where to PUT the bytes.
    pub url: String,
    /// The value of `Content-Type` that the upload must carry, to the letter: it is part of the signature.
    pub content_type: String,
}

/// The moment with which URLs are signed: the start of a signing window. Get one per request from
/// [`MediaStore::signing_time`](super::MediaStore::signing_time) and use it for all URLs of the answer.
#[derive(Clone)]
pub struct SigningTime(Arc<Window>);

impl SigningTime {
    /// The start of the window. It changes exactly when the URLs do.
    pub fn start(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.start)
    }
}

/// What identifies the bucket and its user in a signature.
pub(super) struct PresignerSettings {
    /// Scheme and authority of the URLs: `https://host:port`, without a trailing slash.
    pub origin: String,
    /// The `Host` header that a client of such a URL sends.
    pub host: String,
    /// What stands before the key in the path, encoded: `/` or `/bucket/`.
    pub path_prefix: String,
    pub region: String,
    pub access_key: String,
    pub secret: Secret,
    /// How long a URL is valid at least.
    pub validity: Duration,
}

/// Signs URLs of one bucket.
pub(super) struct Presigner {
    settings: PresignerSettings,
    /// Length of a signing window, in seconds.
    step: u64,
    current: RwLock<Arc<Window>>,
}

/// All that URLs of one window share.
struct Window {
    /// Seconds since 1970.
    start: u64,
    get: Template,
    head: Template,
    put: Template,
    /// The HMAC over the string to sign, up to the hash of the request.
    signature: Hmac<Sha256>,
}

/// The canonical request of one method with holes for the key and the content type, and the query that goes with it.
struct Template {
    /// Hash of what stands before the key.
    before_key: Sha256,
    after_key: String,
    after_content_type: String,
    /// Scheme to prefix of the path.
    url_start: String,
    /// From `?` to `X-Amz-Signature=`.
    url_query: String,
}

impl Presigner {
    pub fn new(settings: PresignerSettings) -> Self {
        let step = (settings.validity.as_secs() / 4).max(1);
        let current = RwLock::new(Arc::new(Window::new(&settings, 0, step)));
        Self { settings, step, current }
    }

    /// The window that `now` is in. Its parts are made by the first request in it.
    pub fn signing_time(&self, now: SystemTime) -> SigningTime {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let start = seconds - seconds % self.step;
        let current = Arc::clone(&self.current.read());
        if current.start == start {
            return SigningTime(current);
        }
        let window = Arc::new(Window::new(&self.settings, start, self.step));
        *self.current.write() = Arc::clone(&window);
        SigningTime(window)
    }

    /// Appends the URL that reads `key` to `out`.
    pub fn presign_get(&self, key: &str, at: &SigningTime, out: &mut String) {
        at.0.sign(&at.0.get, key, "", out);
    }

    /// Appends the URL with which `key` can be asked for its headers (HEAD) to `out`.
    pub fn presign_head(&self, key: &str, at: &SigningTime, out: &mut String) {
        at.0.sign(&at.0.head, key, "", out);
    }

    /// The URL that uploads `key` with exactly this content type.
    pub fn presign_put(&self, key: &str, content_type: &str, at: &SigningTime) -> PresignedPut {
        // SigV4 signs header values with their white space folded. Advertising the folded form
        // leaves servers and clients nothing to disagree about.
        let content_type = content_type.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut url = String::with_capacity(512);
        at.0.sign(&at.0.put, key, &content_type, &mut url);
        PresignedPut { url, content_type }
    }
}

impl Window {
    fn new(settings: &PresignerSettings, start: u64, step: u64) -> Self {
        let date_time = amz_date(start);
        let date = &date_time[..8];
        let scope = format!("{date}/{}/s3/aws4_request", settings.region);

        let mut key = hmac(format!("AWS4{}", settings.secret.expose()).as_bytes(), date.as_bytes());
        for part in [settings.region.as_str(), "s3", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let mut signature = keyed(&key);
        signature.update(format!("AWS4-HMAC-SHA256\n{date_time}\n{scope}\n").as_bytes());

        let credential = format!("{}/{scope}", settings.access_key);
        let credential = utf8_percent_encode(&credential, QUERY);
        let expires = settings.validity.as_secs() + step;
        let template = |method: &str, operation: &str, signs_content_type: bool| {
            let signed_headers = if signs_content_type { "content-type;host" } else { "host" };
            let query = format!(
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date_time}\
                 &X-Amz-Expires={expires}&X-Amz-SignedHeaders={}",
                utf8_percent_encode(signed_headers, QUERY)
            );
            // The parameter of the AWS SDKs that names the operation sorts after all of `X-Amz-*`.
            let (sorted, as_sent) = if operation.is_empty() {
                (query.clone(), query)
            } else {
                (format!("{query}&x-id={operation}"), format!("x-id={operation}&{query}"))
            };
            let headers = if signs_content_type { "content-type:" } else { "" };
            let end_of_content_type = if signs_content_type { "\n" } else { "" };
            Template {
                before_key: Sha256::new_with_prefix(format!("{method}\n{}", settings.path_prefix)),
                after_key: format!("\n{sorted}\n{headers}"),
                after_content_type: format!(
                    "{end_of_content_type}host:{}\n\n{signed_headers}\nUNSIGNED-PAYLOAD",
                    settings.host
                ),
                url_start: format!("{}{}", settings.origin, settings.path_prefix),
                url_query: format!("?{as_sent}&X-Amz-Signature="),
            }
        };
        Self {
            start,
            get: template("GET", "GetObject", false),
            head: template("HEAD", "", false),
            put: template("PUT", "PutObject", true),
            signature,
        }
    }

    /// Appends the URL of `key` to `out`. Nothing is allocated, unless `out` has to grow.
    fn sign(&self, template: &Template, key: &str, content_type: &str, out: &mut String) {
        out.push_str(&template.url_start);
        let key_start = out.len();
        out.extend(utf8_percent_encode(key, PATH));

        let mut request = template.before_key.clone();
        request.update(&out.as_bytes()[key_start..]);
        request.update(&template.after_key);
        request.update(content_type);
        request.update(&template.after_content_type);

        let mut digits = [0; 64];
        let mut signature = self.signature.clone();
        signature.update(hex_digits(&request.finalize().into(), &mut digits).as_bytes());
        out.push_str(&template.url_query);
        out.push_str(hex_digits(&signature.finalize().into_bytes().into(), &mut digits));
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hex_digits<'a>(bytes: &[u8; 32], digits: &'a mut [u8; 64]) -> &'a str {
    hex::encode_to_slice(bytes, digits).expect("two digits for each of 32 bytes are 64");
    str::from_utf8(digits).expect("hexadecimal digits are ASCII")
}

/// `20250131T235959Z`
fn amz_date(seconds: u64) -> String {
    // The year 9999 is the last one that the format and the `time` crate can express.
    let moment = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, (hour, minute, second)) = (moment.date(), moment.to_hms());
    let mut text = String::with_capacity(16);
    write!(text, "{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z", date.year(), u8::from(date.month()), date.day())
        .expect("writing to a string cannot fail");
    text
}
