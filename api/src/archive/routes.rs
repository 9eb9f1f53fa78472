//! What commands ask a running server for: the records of its log, and how its archive is.
//!
//! `GET /admin/log?from=<record>&to=<record>` answers with records as they stand in the log, each after its length in four
//! bytes, big-endian; `TAMS-Position` says which log it is and where it ends. `GET /admin/archive` answers with JSON.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::{Buf, BufMut, BytesMut};
use futures::stream::{self, Stream};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use tapelog_events::{Position, Seq};
use tapelog_projections::archive::{ArchiveStatus, ArchiverStatus};
use tapelog_store::log::jetstream::JetStreamLog;
use tapelog_store::log::{Entry, Log};

use crate::auth::Authenticator;
use crate::http::route::Rule;
use crate::http::{admit, position};

/// What the routes need.
pub struct Routes {
    /// Who finds out who asks: only administrators may.
    pub authenticator: Arc<Authenticator>,
    /// The log.
    pub log: JetStreamLog,
    /// What the archiver tells of itself, where there is one.
    pub archive: Option<ArchiverStatus>,
}

/// The routes.
pub fn router(routes: Arc<Routes>) -> Router {
    Router::new().route("/admin/log", get(records)).route("/admin/archive", get(status)).with_state(routes)
}

/// Which records are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    /// The first; absent: the log's first.
    from: Option<u64>,
    /// The last; absent, or past the end of the log: the log's last.
    to: Option<u64>,
}

async fn records(State(routes): State<Arc<Routes>>, range: Query<Range>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    if let Err(refusal) = admit(&routes.authenticator, &mut head, Rule::Admin).await {
        return refusal.map(Body::new);
    }
    let tip = match routes.log.tip().await {
        Ok(tip) => tip,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    let from = range.from.unwrap_or(1).max(1);
    let to = range.to.unwrap_or(tip.0).min(tip.0);
    // Nothing waits for records that are to come.
    let count = usize::try_from((to + 1).saturating_sub(from)).unwrap_or(usize::MAX);
    let entries = if count == 0 { stream::empty().boxed() } else { routes.log.follow(Seq(from)) };
    let mut response = Response::new(Body::from_stream(entries.take(count).map_ok(framed)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    position::write(routes.log.incarnation(), tip, headers);
    response
}

fn framed(entry: Entry) -> Bytes {
    let mut bytes = BytesMut::with_capacity(LENGTH + entry.payload.len());
    // What a server takes in one message has far fewer bytes.
    bytes.put_u32(u32::try_from(entry.payload.len()).unwrap_or(u32::MAX));
    bytes.put(entry.payload);
    bytes.freeze()
}

/// The bytes of a length.
const LENGTH: usize = 4;

async fn status(State(routes): State<Arc<Routes>>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    if let Err(refusal) = admit(&routes.authenticator, &mut head, Rule::Admin).await {
        return refusal.map(Body::new);
    }
    axum::Json(routes.archive.as_ref().map(ArchiverStatus::get)).into_response()
}

/// How the archive of a running server is; `None` when it keeps none.
///
/// # Errors
/// When the server does not answer as it should.
pub async fn status_of(url: &str, token: &str) -> Result<Option<ArchiveStatus>> {
    let request = tapelog_media::client::http_client().get(format!("{url}/admin/archive")).bearer_auth(token);
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// The log of a running server.
#[derive(Debug, Clone)]
pub struct RemoteLog {
    url: String,
    token: String,
    /// Which log, and its last record when it was asked.
    pub position: Position,
}

impl RemoteLog {
    /// Asks the server at this URL for its log.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub async fn open(url: &str, token: &str) -> Result<Self> {
        let response = request(url, token, Seq(1), Seq::ZERO).await?;
        let told = response.headers().get(position::POSITION).and_then(|value| value.to_str().ok());
        let position = told.and_then(|text| text.parse().ok()).context("the server does not say where its log ends")?;
        Ok(Self { url: url.to_owned(), token: token.to_owned(), position })
    }

    /// The records from this one on, up to the last when the server was asked.
    pub fn follow(self, from: Seq) -> impl Stream<Item = Result<Entry>> {
        stream::once(async move {
            let response = request(&self.url, &self.token, from, self.position.seq).await?;
            let chunks = response.bytes_stream().map_err(anyhow::Error::from).boxed();
            let reader = Frames { chunks, pending: BytesMut::new(), next: from, last: self.position.seq };
            Ok::<_, anyhow::Error>(stream::try_unfold(reader, |mut reader| async move {
                Ok(reader.next().await?.map(|entry| (entry, reader)))
            }))
        })
        .try_flatten()
    }
}

async fn request(url: &str, token: &str, from: Seq, to: Seq) -> Result<reqwest::Response> {
    let url = format!("{url}/admin/log?from={from}&to={to}");
    Ok(tapelog_media::client::http_client().get(url).bearer_auth(token).send().await?.error_for_status()?)
}

/// Takes records out of an answer.
struct Frames {
    chunks: stream::BoxStream<'static, Result<Bytes>>,
    pending: BytesMut,
    next: Seq,
    last: Seq,
}

impl Frames {
    async fn next(&mut self) -> Result<Option<Entry>> {
        if self.next > self.last {
            return Ok(None);
        }
        self.fill(LENGTH).await?;
        let length = self.pending.get_u32() as usize;
        self.fill(length).await?;
        let entry = Entry { seq: self.next, payload: self.pending.split_to(length).freeze() };
        self.next = self.next.next();
        Ok(Some(entry))
    }

    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.pending.len() < length {
            match self.chunks.next().await {
                Some(chunk) => self.pending.extend_from_slice(&chunk.context("the server's answer broke off")?),
                None => bail!("the server's answer ends before record {}", self.next),
            }
        }
        Ok(())
    }
}
