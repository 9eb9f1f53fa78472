//! What puts notifications into the feed's stream.

use std::collections::VecDeque;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::context::{Context, PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tapelog_events::{Access, EventPosition, Record, Seq};
use tapelog_store::log::jetstream::Connection;
use tapelog_store::log::{Broken, Cause, Log, Unreachable};
use tapelog_store::stream::{Stream, StreamSettings};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::end::End;
use super::message::{Messages, Outgoing, Place};
use super::{FeedMetrics, FeedParts, FeedSettings};
use crate::{Transforms, notices};

/// How many messages may be on their way: enough that the server need not wait for the next one.
const MESSAGES_AHEAD: usize = 64;
/// How many bytes of messages may be on their way.
const BYTES_AHEAD: usize = 4 * 1024 * 1024;
/// How many records are taken at a time, where so many are there.
const RECORDS_AHEAD: usize = 32;
/// What the headers of a message may take of the server's `max_payload`, in bytes.
const HEADER_BYTES: usize = 1024;
/// For how long the server knows ids of messages: longer than one may be on its way.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How long the stream must stand still before a node that stands by takes over.
const STANDBY: Duration = Duration::from_secs(2);
/// How long to wait after a failure: doubles from the first to the last. Without jitter, since the few nodes of a
/// deployment cannot overload the server by asking it at the same time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Why publishing stops.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Somebody else has published.
    #[error("another node publishes")]
    Overtaken,
    /// NATS does not do as it should; it may later.
    #[error("the feed cannot be written")]
    Failed(#[source] Cause),
    /// The log is not what it was.
    #[error("the log cannot be read any more")]
    Broken(#[source] Arc<Broken>),
}

impl From<Unreachable> for Stopped {
    fn from(error: Unreachable) -> Self {
        Self::Failed(error.into())
    }
}

/// Puts notifications into the feed's stream.
pub struct Publisher<L> {
    parts: FeedParts<L>,
    messages: Messages,
    metrics: FeedMetrics,
    /// Once it is there, and until something goes wrong with it.
    stream: Option<Stream>,
    pause: Duration,
}

impl<L: Log> Publisher<L> {
    pub fn new(parts: FeedParts<L>, metrics: FeedMetrics) -> Self {
        let messages = Messages {
            render: Arc::clone(&parts.render),
            incarnation: parts.incarnation,
            prefix: parts.settings.prefix.clone(),
            // Those that are signed would expire before they are read.
            transforms: Arc::new(Transforms { presigned: Some(false), ..Transforms::default() }),
            access: Arc::new(Access::Unrestricted),
        };
        Self { parts, messages, metrics, stream: None, pause: FIRST_PAUSE }
    }

    /// Publishes for as long as the log can be read.
    pub async fn run(mut self) {
        loop {
            match self.publish().await {
                // The records of a log end with an error only.
                Ok(()) => return,
                Err(Stopped::Overtaken) => self.stand_by().await,
                Err(Stopped::Failed(cause)) => {
                    self.metrics.failures.inc();
                    self.stream = None;
                    if self.pause == FIRST_PAUSE {
                        warn!(error = &*cause, "the feed cannot be written; it is tried again until it can");
                    }
                    sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                }
                Err(Stopped::Broken(broken)) => {
                    error!(error = &*broken as &dyn std::error::Error, "the feed ends, for the log is broken");
                    return;
                }
            }
        }
    }

    /// Waits until the stream stands still: either there is nothing to publish, or nobody who does.
    async fn stand_by(&mut self) {
        info!("another node publishes the feed; this one stands by");
        let mut seen = None;
        loop {
            sleep(STANDBY).await;
            let Ok((_, end)) = self.end().await else { return };
            if seen.replace(end) == Some(end) {
                return;
            }
        }
    }

    async fn end(&mut self) -> Result<(Context, End), Unreachable> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(&self.parts.connection, &self.parts.settings).await?),
        };
        let context = stream.context().clone();
        let end = End::read(&context, &self.parts.settings.stream, self.parts.incarnation).await?;
        Ok((context, end))
    }

    /// Where to begin in a stream that holds nothing. What happened longer ago than it keeps messages would be gone from
    /// it; and of what happened since, it would still hold what was published.
    async fn beginning(&self) -> Result<Place, Stopped> {
        let max_age = self.parts.settings.max_age;
        if max_age.is_zero() {
            return Ok(Place::before(EventPosition::start_of(Seq(1))));
        }
        let oldest = (self.parts.clock)().saturating_sub(max_age);
        (self.parts.since)(oldest).await.map(Place::before).map_err(Stopped::Failed)
    }

    async fn publish(&mut self) -> Result<(), Stopped> {
        let (context, end) = self.end().await?;
        let mut next = match end.next {
            Some(next) => next,
            None => self.beginning().await?,
        };
        let mut flight = Flight::new(context, self.parts.settings.stream.clone(), end.sequence);
        let reader = self.parts.tail.from(next.event.seq);
        let records = stream::try_unfold(reader, async |mut reader| Ok(Some((reader.next().await?, reader))));
        let mut chunks = std::pin::pin!(records.ready_chunks(RECORDS_AHEAD));
        while let Some(chunk) = chunks.next().await {
            for read in chunk {
                let (seq, record) = read.map_err(Stopped::Broken)?;
                self.publish_record(seq, &record, next, &mut flight).await?;
                next = Place::before(EventPosition::start_of(seq.next()));
            }
            flight.land(0, &self.metrics).await?;
            self.pause = FIRST_PAUSE;
            self.measure(next);
        }
        Ok(())
    }

    async fn publish_record(
        &self,
        seq: Seq,
        record: &Arc<Record>,
        from: Place,
        flight: &mut Flight,
    ) -> Result<(), Stopped> {
        let max_payload = self.parts.connection.client().server_info().max_payload;
        let most_bytes = max_payload.saturating_sub(HEADER_BYTES);
        for notice in notices(seq, record).filter(|notice| notice.position >= from.event) {
            let messages = self.messages.of(record, &notice, most_bytes).await;
            if messages.is_empty() {
                self.metrics.too_large.inc();
                error!(position = %notice.position, most_bytes, "a notification is too large for NATS and is left out of the feed");
            }
            let there = if notice.position == from.event { from.parts } else { 0 };
            for message in messages.into_iter().skip(there) {
                flight.land(MESSAGES_AHEAD - 1, &self.metrics).await?;
                flight.send(message).await?;
            }
        }
        Ok(())
    }

    fn measure(&self, next: Place) {
        let lag = self.parts.tail.last().map_or(0, |last| last.next().0.saturating_sub(next.event.seq.0));
        self.metrics.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }
}

/// Makes the stream, or gives the one that is there these settings.
async fn open(connection: &Connection, settings: &FeedSettings) -> Result<Stream, Unreachable> {
    let is_for_ever = settings.max_age.is_zero();
    let stream = StreamSettings {
        name: settings.stream.clone(),
        description: "What happens in a tapelog store: notifications, made from its log".to_owned(),
        subjects: vec![settings.all_subjects()],
        max_age: settings.max_age,
        max_bytes: settings.max_bytes,
        duplicate_window: if is_for_ever { DUPLICATE_WINDOW } else { DUPLICATE_WINDOW.min(settings.max_age) },
        replicas: settings.replicas,
        request_timeout: settings.request_timeout,
    };
    Stream::open(connection, &stream).await
}

/// The messages that are on their way.
struct Flight {
    context: Context,
    stream: String,
    /// The number of the last message once all have arrived.
    last: u64,
    acks: VecDeque<Ack>,
    bytes: usize,
}

/// An acknowledgement that is to come.
struct Ack {
    /// The number that the message is to have.
    number: u64,
    bytes: usize,
    answer: BoxFuture<'static, Result<PublishAck, PublishError>>,
}

impl Flight {
    fn new(context: Context, stream: String, last: u64) -> Self {
        Self { context, stream, last, acks: VecDeque::new(), bytes: 0 }
    }

    /// Sends a message that is to stand right after the one before it.
    async fn send(&mut self, Outgoing { subject, mut headers, payload }: Outgoing) -> Result<(), Stopped> {
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.last.to_string());
        let bytes = payload.len();
        let sent = self.context.publish_with_headers(subject, headers, payload.into()).await;
        let answer = Box::pin(sent.map_err(|error| Stopped::Failed(error.into()))?.into_future());
        self.last += 1;
        self.bytes += bytes;
        self.acks.push_back(Ack { number: self.last, bytes, answer });
        Ok(())
    }

    /// Waits until no more than so many messages are on their way.
    async fn land(&mut self, most: usize, metrics: &FeedMetrics) -> Result<(), Stopped> {
        while self.acks.len() > most || self.bytes > BYTES_AHEAD {
            let Some(Ack { number, bytes, answer }) = self.acks.pop_front() else { break };
            self.bytes -= bytes;
            match answer.await {
                Ok(ack) if ack.sequence == number && !ack.duplicate => metrics.published.inc(),
                Ok(_) => return Err(Stopped::Overtaken),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => return Err(Stopped::Overtaken),
                Err(error) => return Err(Stopped::Failed(error.into())),
            };
        }
        Ok(())
    }
}
