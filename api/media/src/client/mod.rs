//! A plain client of the TAMS API, any 8.x server: the few operations that ingest and export need.
//!
//! Every call has a timeout and is repeated a bounded number of times when the server is busy, out
//! of reach or cut off. Credentials go to the API and to media URLs of the same
//! origin that are not presigned, and nowhere else.

mod model;
mod retry;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LINK, RANGE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;
use url::{Origin, Url};
use uuid::Uuid;

pub use model::{Allocation, FailedSegment, GetUrl, InitObject, PutUrl, Segment, SegmentPost};
use retry::with_retries;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For requests and answers that are JSON.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest silence while media is on its way.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// An upload slower than this is taken to hang (bytes a second).
const SLOWEST_UPLOAD: u64 = 64 * 1024;
const MOST_REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("tapelog/", env!("CARGO_PKG_VERSION"));

/// Who the client is.
#[derive(Clone)]
pub enum Credentials {
    /// An OAuth 2 bearer token.
    Bearer(String),
    /// HTTP basic authentication.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TamsError {
    /// The server answered with an error.
    #[error("{method} {target}: the server answers {status}: {message}")]
    Status {
        /// Method of the request.
        method: Method,
        /// URL of the request without its query, which may hold a signature.
        target: String,
        /// HTTP status.
        status: u16,
        /// What the server says.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server could not be reached or the exchange broke off.
    #[error("{target}: no answer")]
    Transport {
        /// URL of the request without its query.
        target: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered with something that the TAMS API does not describe.
    #[error("{target}: not an answer of a TAMS server: {reason}")]
    Protocol {
        /// URL of the request without its query.
        target: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file to upload cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The base URL is not one that requests can be made to.
    #[error("{0} is not the base URL of a TAMS server: it must begin with http:// or https://")]
    Base(Url),
}

/// Bytes to upload: a short piece from memory, then a piece of a file that is streamed.
#[derive(Debug, Clone)]
pub struct Upload {
    /// What comes first.
    pub head: Bytes,
    /// The file that follows.
    pub file: PathBuf,
    /// Where in the file to begin.
    pub offset: u64,
    /// How many bytes of the file.
    pub length: u64,
}

/// A client of one TAMS server.
#[derive(Debug, Clone)]
pub struct TamsClient {
    http: reqwest::Client,
    base: Url,
    origin: Origin,
    credentials: Option<Credentials>,
}

impl TamsClient {
    /// A client of the server at `base`, which may have a path in front of the API's own. A user
    /// name and password in the URL are used if no credentials are given.
    pub fn new(mut base: Url, credentials: Option<Credentials>) -> Result<Self, TamsError> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(TamsError::Base(base));
        }
        let from_url = (!base.username().is_empty()).then(|| Credentials::Basic {
            username: base.username().to_owned(),
            password: base.password().unwrap_or_default().to_owned(),
        });
        let stripped = base.set_username("").and_then(|()| base.set_password(None));
        if stripped.is_err() {
            return Err(TamsError::Base(base));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { http: http_client(), origin: base.origin(), base, credentials: credentials.or(from_url) })
    }

    /// The flow, or `None` if there is none of this id.
    pub async fn flow(&self, id: Uuid) -> Result<Option<Value>, TamsError> {
        match self.get_json(&self.url(&format!("flows/{id}"))).await {
            Ok((flow, _)) => Ok(Some(flow)),
            Err(TamsError::Status { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates or replaces a flow.
    pub async fn put_flow(&self, id: Uuid, flow: &Value) -> Result<(), TamsError> {
        let url = self.url(&format!("flows/{id}"));
        with_retries(|| self.send(self.api(Method::PUT, &url).json(flow), &url)).await?;
        Ok(())
    }

    /// The segments of a flow in the order of time, page by page. The query is that of
    /// `GET /flows/{id}/segments`.
    pub fn segments(&self, flow: Uuid, query: &[(&str, &str)]) -> SegmentPages<'_> {
        let mut url = self.url(&format!("flows/{flow}/segments"));
        url.query_pairs_mut().extend_pairs(query);
        SegmentPages { client: self, first: url.clone(), next: Some(url) }
    }

    /// Asks for a place to store an object of the given id on a flow.
    pub async fn allocate(&self, flow: Uuid, object_id: &str) -> Result<Allocation, TamsError> {
        let url = self.url(&format!("flows/{flow}/storage"));
        let body = json!({ "object_ids": [object_id] });
        let response = with_retries(|| self.send(self.api(Method::POST, &url).json(&body), &url)).await?;
        let mut storage: model::Storage = read_json(response, &url).await?;
        match storage.media_objects.pop() {
            Some(object) if object.object_id == object_id => Ok(object),
            _ => Err(protocol(&url, "the object asked for is not among the allocated ones")),
        }
    }

    /// Stores the bytes of an object.
    pub async fn upload(&self, place: &Allocation, upload: &Upload) -> Result<(), TamsError> {
        let url = self.resolve(&place.put_url.url)?;
        let length = upload.head.len() as u64 + upload.length;
        let timeout = REQUEST_TIMEOUT + Duration::from_secs(length / SLOWEST_UPLOAD);
        with_retries(|| async {
            let body = upload.body().await.map_err(|source| TamsError::File { path: upload.file.clone(), source })?;
            let mut request = self.media(Method::PUT, &url, place.presigned).timeout(timeout).body(body);
            for (name, value) in &place.put_url.headers {
                request = request.header(name, value);
            }
            if let Some(content_type) = &place.put_url.content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            // Object stores take no body of unknown length.
            self.send(request.header(CONTENT_LENGTH, length), &url).await
        })
        .await?;
        Ok(())
    }

    /// Registers segments. Those that the server does not accept are returned; the others are
    /// registered.
    pub async fn register(&self, flow: Uuid, segments: &[SegmentPost]) -> Result<Vec<FailedSegment>, TamsError> {
        let url = self.url(&format!("flows/{flow}/segments"));
        let response = with_retries(|| self.send(self.api(Method::POST, &url).json(segments), &url)).await?;
        if response.status() != StatusCode::OK {
            return Ok(Vec::new());
        }
        let failure: model::BulkFailure = read_json(response, &url).await?;
        Ok(failure.into_failed_segments())
    }

    /// Begins to download an object at a byte position. The answer is partial content if the server
    /// supports it, else the whole object.
    pub async fn download(&self, place: &GetUrl, from: u64) -> Result<Response, TamsError> {
        let url = self.resolve(&place.url)?;
        with_retries(|| {
            let mut request = self.media(Method::GET, &url, place.presigned);
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            self.send(request, &url)
        })
        .await
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a path joins a base that has one")
    }

    /// A URL from an answer, which may be relative.
    fn resolve(&self, url: &str) -> Result<Url, TamsError> {
        self.base.join(url).map_err(|error| protocol(&self.base, format!("a media URL cannot be read: {error}")))
    }

    fn api(&self, method: Method, url: &Url) -> RequestBuilder {
        self.authorized(self.http.request(method, url.clone()).timeout(REQUEST_TIMEOUT))
    }

    /// Clients include credentials if a media URL is of the API's origin (TAMS flow-segment schema),
    /// but not beside a signature, which object stores refuse.
    fn media(&self, method: Method, url: &Url, presigned: bool) -> RequestBuilder {
        let request = self.http.request(method, url.clone());
        if !presigned && url.origin() == self.origin { self.authorized(request) } else { request }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Some(Credentials::Bearer(token)) => request.bearer_auth(token),
            Some(Credentials::Basic { username, password }) => request.basic_auth(username, Some(password)),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, url: &Url) -> Result<Response, TamsError> {
        send(request, url).await
    }

    async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<(T, HeaderMap), TamsError> {
        let response = with_retries(|| self.send(self.api(Method::GET, url), url)).await?;
        let headers = response.headers().clone();
        Ok((read_json(response, url).await?, headers))
    }
}

impl Upload {
    async fn body(&self) -> Result<reqwest::Body, std::io::Error> {
        const CHUNK: usize = 64 * 1024;
        let mut file = tokio::fs::File::open(&self.file).await?;
        file.seek(SeekFrom::Start(self.offset)).await?;
        let head = futures::stream::once(std::future::ready(Ok(self.head.clone())));
        let rest = ReaderStream::with_capacity(file.take(self.length), CHUNK);
        Ok(reqwest::Body::wrap_stream(head.chain(rest)))
    }
}

/// The pages of a segment listing.
#[derive(Debug)]
pub struct SegmentPages<'a> {
    client: &'a TamsClient,
    first: Url,
    next: Option<Url>,
}

impl SegmentPages<'_> {
    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Segment>>, TamsError> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        let (page, headers): (Vec<Segment>, _) = self.client.get_json(&url).await?;
        self.next = self.following(&headers);
        if self.next.as_ref() == Some(&url) {
            return Err(protocol(&url, "the next page is the same page again"));
        }
        Ok(Some(page))
    }

    /// The page after the one with these headers: by its key, which no proxy can get wrong, else by
    /// the link.
    fn following(&self, headers: &HeaderMap) -> Option<Url> {
        if let Some(key) = text(headers, "x-paging-nextkey").filter(|key| !key.is_empty()) {
            let mut url = self.first.clone();
            url.query_pairs_mut().append_pair("page", key);
            return Some(url);
        }
        let (target, parameters) = text(headers, LINK.as_str())?.split_once('>')?;
        let next = self.first.join(target.trim().strip_prefix('<')?).ok()?;
        let is_next = parameters.replace(['"', ' '], "").contains("rel=next");
        (is_next && next.origin() == self.first.origin()).then_some(next)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An HTTP client with the project's limits.
pub fn http_client() -> reqwest::Client {
    http_client_builder().build().expect("a client with these settings can always be made")
}

/// What [`http_client`] is made of, for whoever needs other limits.
pub fn http_client_builder() -> reqwest::ClientBuilder {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster; then its provider is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(MOST_REDIRECTS))
}

/// Public files over HTTP, without credentials: playlists and their media.
#[derive(Debug, Clone)]
pub(crate) struct Downloader(reqwest::Client);

impl Downloader {
    /// A downloader.
    pub(crate) fn new() -> Self {
        Self(http_client())
    }

    /// Begins to download a URL, or `length` bytes of it from a position.
    pub(crate) async fn get(&self, url: &Url, range: Option<(u64, u64)>) -> Result<Response, TamsError> {
        let response = with_retries(|| {
            let mut request = self.0.get(url.clone());
            if let Some((offset, length)) = range {
                request = request.header(RANGE, format!("bytes={offset}-{}", (offset + length).saturating_sub(1)));
            }
            send(request, url)
        })
        .await?;
        if range.is_some() && response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(protocol(url, "the server does not support byte ranges, which the playlist needs"));
        }
        Ok(response)
    }
}

async fn send(request: RequestBuilder, url: &Url) -> Result<Response, TamsError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|source| transport(url, source))?;
    let method = request.method().clone();
    let response = client.execute(request).await.map_err(|source| transport(url, source))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = text(response.headers(), RETRY_AFTER.as_str())
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    let body = response.bytes().await.unwrap_or_default();
    Err(TamsError::Status {
        method,
        target: target(url),
        status: status.as_u16(),
        message: model::error_message(&body),
        retry_after,
    })
}

async fn read_json<T: DeserializeOwned>(response: Response, url: &Url) -> Result<T, TamsError> {
    let body = response.bytes().await.map_err(|source| transport(url, source))?;
    serde_json::from_slice(&body).map_err(|error| protocol(url, error.to_string()))
}

/// The error of an exchange that broke off.
pub(crate) fn transport(url: &Url, source: reqwest::Error) -> TamsError {
    TamsError::Transport { target: target(url), source: source.without_url() }
}

fn protocol(url: &Url, reason: impl Into<String>) -> TamsError {
    TamsError::Protocol { target: target(url), reason: reason.into() }
}

/// A URL as it may be shown: queries hold signatures.
fn target(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.to_string()
}
