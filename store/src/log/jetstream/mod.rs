//! The log on NATS JetStream: one stream with one subject, read without filter and without acknowledgements.

mod connection;
mod deliveries;
mod inspect;
mod open;
mod restore;

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::context::{Context, ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use parking_lot::Mutex;
use tapelog_events::{Incarnation, Instant, Seq};
use tokio::task::spawn_blocking;

use super::follow::in_order;
use super::marker::Marker;
pub use super::marker::MarkerError;
use super::{AppendError, Cause, Entries, Log, Unreachable};
pub use connection::Connection;
use connection::Cut;
use deliveries::Subscription;
pub use inspect::{Inspection, StreamFacts, inspect};
pub use open::OpenError;
pub use restore::{Restoration, RestoreError};

/// What the headers of a message may take of the server's `max_payload`, in bytes.
const HEADER_BYTES: usize = 1024;

/// How the log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamSettings {
    /// The name of the stream: letters, digits, `_` and `-`. Its one subject is `<stream>.records`.
    pub stream: String,
    /// On how many servers a new stream is kept: 1, 3 or 5.
    pub replicas: usize,
    /// How long the server may take to answer before the outcome counts as unknown.
    pub request_timeout: Duration,
}

impl Default for JetStreamSettings {
    fn default() -> Self {
        Self { stream: "TAPELOG".to_owned(), replicas: 1, request_timeout: Duration::from_secs(5) }
    }
}

/// The log on NATS JetStream. Clones share it.
#[derive(Debug, Clone)]
pub struct JetStreamLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    context: Context,
    stream: Stream<()>,
    name: String,
    subject: String,
    incarnation: Incarnation,
    marker: Mutex<Marker>,
    marker_path: PathBuf,
    /// What the stream's own configuration allows, in bytes.
    max_message: usize,
}

impl JetStreamLog {
    /// Opens the log. Where `marker` says that there was one, it must still be the same; where there is no marker, a log
    /// that is found is taken over, and made if there is none. `now` is written into the first record of a new log.
    ///
    /// # Errors
    /// When the log is not what it was, is not configured as a log must be, or cannot be reached.
    pub async fn open(
        connection: &Connection,
        settings: &JetStreamSettings,
        marker: &Path,
        now: Instant,
    ) -> Result<Self, OpenError> {
        let context = ContextBuilder::new().timeout(settings.request_timeout).build(connection.client().clone());
        let opened = open::open(&context, settings, marker, now).await?;
        let inner = Inner {
            connection: connection.clone(),
            stream: opened.stream,
            name: settings.stream.clone(),
            subject: open::subject(&settings.stream),
            context,
            incarnation: opened.marker.incarnation,
            marker: Mutex::new(opened.marker),
            marker_path: marker.to_owned(),
            max_message: opened.max_message,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Which life of the log this is.
    pub fn incarnation(&self) -> Incarnation {
        self.inner.incarnation
    }

    /// The connection that it is on, for other uses.
    pub fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// Notes outside of the log that it holds this record, so that a start notices when it does not any more. It takes
    /// two writes to disk, so once a second is often.
    ///
    /// # Errors
    /// When the marker file cannot be written.
    pub async fn remember(&self, seq: Seq) -> Result<(), MarkerError> {
        let inner = Arc::clone(&self.inner);
        let write = move || {
            let mut marker = inner.marker.lock();
            if seq <= marker.last_seq {
                return Ok(());
            }
            marker.last_seq = seq;
            marker.store(&inner.marker_path)
        };
        spawn_blocking(write).await.expect("writing the marker does not panic, and nothing aborts it")
    }
}

/// Which log a marker file remembers, and a record that it is known to have held; `None` where there is no such file.
///
/// # Errors
/// When it cannot be used.
pub fn remembered(marker: &Path) -> Result<Option<(Incarnation, Seq)>, MarkerError> {
    Ok(Marker::load(marker)?.map(|marker| (marker.incarnation, marker.last_seq)))
}

/// Has a data folder that knows nothing of its log know which one it is, and a record that it has held.
///
/// # Errors
/// When the marker file cannot be written.
pub fn note(marker: &Path, stream: &str, incarnation: Incarnation, last_seq: Seq) -> Result<(), MarkerError> {
    Marker { stream: stream.to_owned(), incarnation, last_seq }.store(marker)
}

impl Log for JetStreamLog {
    async fn append(&self, after: Seq, payload: Bytes) -> Result<(), AppendError> {
        let Inner { connection, context, subject, name, .. } = &*self.inner;
        // The client would keep the message until there is a connection again, and its outcome would be unknown.
        if !self.is_connected() {
            return Err(AppendError::Refused("not connected to the server".into()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, name.as_str());
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, after.0.to_string());
        let sent = context.publish_with_headers(subject.clone(), headers, payload).await.map_err(not_sent)?;
        let ack = connection.answer(sent.into_future()).await.map_err(|cut| match cut {
            Cut::Answered(error) => not_acknowledged(error),
            Cut::Lost => AppendError::Unknown(cut.into()),
        })?;
        if ack.sequence != after.next().0 {
            let text = format!("record was expected at {}, but acknowledged at {}", after.next(), ack.sequence);
            return Err(AppendError::Unknown(text.into()));
        }
        Ok(())
    }

    async fn read(&self, seq: Seq) -> Result<Option<Bytes>, Unreachable> {
        let Inner { connection, stream, .. } = &*self.inner;
        match connection.answer(stream.get_raw_message(seq.0)).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(Cut::Answered(error)) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(cut) => Err(unreachable(cut)),
        }
    }

    async fn tip(&self) -> Result<Seq, Unreachable> {
        let Inner { connection, stream, .. } = &*self.inner;
        let info = connection.answer(stream.get_info()).await.map_err(unreachable)?;
        Ok(Seq(info.state.last_sequence))
    }

    fn follow(&self, from: Seq) -> Entries {
        in_order(Subscription::new(self.clone()), from)
    }

    fn max_payload(&self) -> usize {
        let server = self.inner.connection.client().server_info().max_payload;
        server.min(self.inner.max_message).saturating_sub(HEADER_BYTES)
    }

    fn is_connected(&self) -> bool {
        self.inner.connection.is_connected()
    }
}

/// Whatever fails before the message is given to the connection leaves the log as it is.
fn not_sent(error: PublishError) -> AppendError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => AppendError::TooLarge,
        _ => AppendError::Refused(error.into()),
    }
}

/// After that, only an answer that the server gives before it stores anything is certain.
fn not_acknowledged(error: PublishError) -> AppendError {
    let answer = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    match (error.kind(), answer.map(jetstream::Error::error_code)) {
        (PublishErrorKind::WrongLastSequence, _) => AppendError::Conflict,
        // Nobody was there to take the message.
        (PublishErrorKind::StreamNotFound, _) => AppendError::Refused(error.into()),
        (_, Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)) => AppendError::TooLarge,
        (
            _,
            Some(
                ErrorCode::STREAM_NOT_MATCH
                | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
                | ErrorCode::STORAGE_RESOURCES_EXCEEDED,
            ),
        ) => AppendError::Refused(error.into()),
        _ => AppendError::Unknown(error.into()),
    }
}

fn unreachable(error: impl Into<Cause>) -> Unreachable {
    Unreachable(error.into())
}
