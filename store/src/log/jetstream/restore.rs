//! Putting a log back, record by record, into a server that has lost it.
//!
//! Until the last record is acknowledged, the stream is marked as one that is being restored: nobody opens it as if it
//! were the log. Records are sent ahead of their acknowledgements, each under the fence, so that one that does not arrive
//! is followed by none.

use std::collections::VecDeque;
use std::future::IntoFuture as _;
use std::path::{Path, PathBuf};

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::context::{Context, ContextBuilder, PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::stream::{Config, RawMessageErrorKind, Stream};
use bytes::Bytes;
use tapelog_events::{ChainHash, Incarnation, Seq};

use super::open::{self, OpenError, RESTORING, check, configuration, find, first_incarnation, marker_of};
use super::{Connection, Cut, JetStreamSettings, unreachable};
use crate::log::marker::{Marker, MarkerError};
use crate::log::{Cause, Entry, Head, Unreachable};

/// How many records may be on their way at once, and how many bytes of them: enough that the server never waits for the
/// next one, and few megabytes.
const RECORDS_AHEAD: usize = 256;
const BYTES_AHEAD: usize = 8 << 20;

/// The log is not put back, or not to its end. What was put back stays: trying again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The server cannot be reached, or does not answer any more.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Marker or stream belong to something else, or the stream is not as a log must be.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It would be put back where there is another one.
    #[error("archive holds the log {archived}, but {place} is that of {found}: use another data folder or stream")]
    OtherLife {
        /// Which life of the log would be put back.
        archived: Incarnation,
        /// Where another one is known.
        place: &'static str,
        /// Which.
        found: Incarnation,
    },
    /// The archive is shorter than what is known to have been acknowledged.
    #[error(
        "archive ends at record {end}, but this node knows that the log held {known}: records {} to {known} are missing \
         from it, so restore from a newer archive, or start an empty data folder from this one to go on without them",
        end.next()
    )]
    Short {
        /// Where what would be put back ends.
        end: Seq,
        /// A record that was acknowledged.
        known: Seq,
    },
    /// Somebody else writes to the stream.
    #[error("another record stands at {0}: stop everything else that writes to the stream")]
    Taken(Seq),
    /// The server did not take a record.
    #[error("record {seq} was not acknowledged; run the same command again to go on")]
    NotAcknowledged {
        /// Which record.
        seq: Seq,
        /// Why.
        source: Cause,
    },
    /// What stands in the stream now is not what was put there.
    #[error("stream does not end with record {0} as it was put back")]
    Different(Seq),
}

impl From<MarkerError> for RestoreError {
    fn from(error: MarkerError) -> Self {
        Self::Open(error.into())
    }
}

/// A log that is being put back.
pub struct Restoration {
    connection: Connection,
    context: Context,
    stream: Stream<()>,
    settings: JetStreamSettings,
    incarnation: Incarnation,
    marker: PathBuf,
    /// What the stream was configured as when it was found or made.
    config: Config,
    /// The last record that the stream had before.
    found: Seq,
    /// Where the log has to end.
    end: Seq,
    known: Seq,
    /// The last record that was sent.
    sent: Seq,
    /// Those that are on their way, in order.
    ahead: VecDeque<Sent>,
    bytes_ahead: usize,
}

struct Sent {
    seq: Seq,
    bytes: usize,
    ack: PublishAckFuture,
}

impl Restoration {
    /// Finds the stream for a log of this life that ends at `end`; where it is missing, it is made, and marked as one that
    /// is being restored. `known` is a record that the log is known to have held, besides what the marker says.
    ///
    /// # Errors
    /// When this node knows another life of the log, or records after `end`; when the stream is something else, or cannot
    /// be reached.
    pub async fn begin(
        connection: &Connection,
        settings: &JetStreamSettings,
        marker: &Path,
        incarnation: Incarnation,
        end: Seq,
        known: Seq,
    ) -> Result<Self, RestoreError> {
        let context = ContextBuilder::new().timeout(settings.request_timeout).build(connection.client().clone());
        let name = &settings.stream;
        let remembered = marker_of(marker, name)?;
        if let Some(remembered) = &remembered
            && remembered.incarnation != incarnation
        {
            let found = remembered.incarnation;
            return Err(RestoreError::OtherLife { archived: incarnation, place: "the marker", found });
        }
        let known = remembered.map_or(known, |marker| marker.last_seq.max(known));
        let standing = find(&context, name).await?;
        // A restore that was interrupted has said how far it goes, also to nodes that know nothing else.
        let begun = standing.as_ref().and_then(|info| info.config.metadata.get(RESTORING)?.parse().ok().map(Seq));
        let held = begun.map_or(known, |begun| begun.max(known));
        if held > end {
            return Err(RestoreError::Short { end, known: held });
        }
        let (config, found) = match standing {
            Some(info) => (info.config, Seq(info.state.last_sequence)),
            None => {
                let created = open::create_as(&context, settings, marked(configuration(settings), end)).await?;
                (created.config, Seq(created.state.last_sequence))
            }
        };
        check(&unmarked(config.clone()), settings)?;
        let stream = context.get_stream_no_info(name).await.map_err(unreachable)?;
        if found > Seq::ZERO {
            let first = first_incarnation(&stream, name).await?;
            if first != incarnation {
                return Err(RestoreError::OtherLife { archived: incarnation, place: "the stream", found: first });
            }
        }
        Ok(Self {
            connection: connection.clone(),
            context,
            stream,
            settings: settings.clone(),
            incarnation,
            marker: marker.to_owned(),
            config,
            found,
            end,
            known,
            sent: found,
            ahead: VecDeque::new(),
            bytes_ahead: 0,
        })
    }

    /// The last record that the stream had before.
    pub fn found(&self) -> Seq {
        self.found
    }

    /// The last record that was known to have been acknowledged; 0 when nothing was known.
    pub fn known(&self) -> Seq {
        self.known
    }

    /// The hash of a record in the stream, if there is one with this number.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn hash_of(&self, seq: Seq) -> Result<Option<ChainHash>, Unreachable> {
        match self.connection.answer(self.stream.get_raw_message(seq.0)).await {
            Ok(message) => Ok(Some(ChainHash::of(&message.payload))),
            Err(Cut::Answered(error)) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(cut) => Err(unreachable(cut)),
        }
    }

    /// Sends the next record. Before the first, the stream is marked as one that is being restored, and noted outside of
    /// it how far the log went.
    ///
    /// # Errors
    /// When the server does not take it, or one that was sent before.
    pub async fn put(&mut self, entry: Entry) -> Result<(), RestoreError> {
        if self.sent == self.found {
            self.mark().await?;
        }
        let bytes = entry.payload.len();
        while self.ahead.len() >= RECORDS_AHEAD || (self.bytes_ahead + bytes > BYTES_AHEAD && !self.ahead.is_empty()) {
            self.settle().await?;
        }
        let ack = self.send(entry.seq, entry.payload).await?;
        self.sent = entry.seq;
        self.bytes_ahead += bytes;
        self.ahead.push_back(Sent { seq: entry.seq, bytes, ack });
        Ok(())
    }

    /// Waits for the last acknowledgement, and makes the stream the log again.
    ///
    /// # Errors
    /// When a record was not taken, or the stream does not end with this record now.
    pub async fn finish(mut self, end: Head) -> Result<(), RestoreError> {
        while !self.ahead.is_empty() {
            self.settle().await?;
        }
        if self.hash_of(end.seq).await? != Some(end.hash) {
            return Err(RestoreError::Different(end.seq));
        }
        self.remember()?;
        let config = unmarked(self.config.clone());
        self.context.update_stream(config).await.map_err(unreachable)?;
        Ok(())
    }

    async fn mark(&self) -> Result<(), RestoreError> {
        self.context.update_stream(marked(self.config.clone(), self.end)).await.map_err(unreachable)?;
        self.remember()
    }

    fn remember(&self) -> Result<(), RestoreError> {
        let marker = Marker { stream: self.settings.stream.clone(), incarnation: self.incarnation, last_seq: self.end };
        Ok(marker.store(&self.marker)?)
    }

    async fn send(&self, seq: Seq, payload: Bytes) -> Result<PublishAckFuture, RestoreError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, self.settings.stream.as_str());
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.sent.0.to_string());
        let sent = self.context.publish_with_headers(open::subject(&self.settings.stream), headers, payload).await;
        sent.map_err(|error| RestoreError::NotAcknowledged { seq, source: error.into() })
    }

    /// Waits for the acknowledgement of the record that was sent first.
    async fn settle(&mut self) -> Result<(), RestoreError> {
        let Some(Sent { seq, bytes, ack }) = self.ahead.pop_front() else { return Ok(()) };
        self.bytes_ahead -= bytes;
        match self.connection.answer(ack.into_future()).await {
            Ok(ack) if ack.sequence == seq.0 => Ok(()),
            Ok(_) => Err(RestoreError::Taken(seq)),
            Err(Cut::Answered(error)) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Err(RestoreError::Taken(seq))
            }
            Err(cut) => Err(RestoreError::NotAcknowledged { seq, source: cut.into() }),
        }
    }
}

fn marked(mut config: Config, end: Seq) -> Config {
    config.metadata.insert(RESTORING.to_owned(), end.to_string());
    config
}

fn unmarked(mut config: Config) -> Config {
    config.metadata.remove(RESTORING);
    config
}
