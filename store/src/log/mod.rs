//! The log: one stream of records in one order, which several nodes may write.
//!
//! [`jetstream`] keeps it on NATS JetStream; [`memory`] is a seeded form of it that simulates the faults of a network.

mod chain;
mod follow;
mod genesis;
pub mod jetstream;
mod marker;
pub mod memory;
mod replay;
mod tail;

use std::error::Error;

use bytes::Bytes;
use futures::stream::BoxStream;
use tapelog_commands::Corrupt;
use tapelog_events::codec::DecodeError;
use tapelog_events::{Incarnation, Seq};

pub use chain::{Head, holds};
pub use replay::{ReplayError, replay};
pub use tail::{Reader, Tail};

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// Its bytes.
    pub payload: Bytes,
}

/// Records in order, without gap or repetition, for ever. What is transient is overcome inside; an error is the last item.
pub type Entries = BoxStream<'static, Result<Entry, Broken>>;

/// One stream of records in one order.
pub trait Log: Send + Sync + 'static {
    /// Appends a record right after `after`, or not at all: the fence that keeps two writers from both winning. Dropping
    /// the future does not take the record back.
    fn append(&self, after: Seq, payload: Bytes) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// The record with this number, if there is one; from the log's leader, never from a replica that may be behind.
    fn read(&self, seq: Seq) -> impl Future<Output = Result<Option<Bytes>, Unreachable>> + Send;

    /// The number of the last record at some moment between call and answer; zero when there is none.
    fn tip(&self) -> impl Future<Output = Result<Seq, Unreachable>> + Send;

    /// The records from this number on, and those to come.
    fn follow(&self, from: Seq) -> Entries;

    /// How large a record may be, in bytes.
    fn max_payload(&self) -> usize;

    /// Whether there is a connection to the log right now.
    fn is_connected(&self) -> bool;
}

/// A cause, for people.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A record was not appended, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another record stands there, or this very one, if it was sent before. It was not appended by this call.
    #[error("another record stands there")]
    Conflict,
    /// It may be in the log, now or later.
    #[error("no acknowledgement came")]
    Unknown(#[source] Cause),
    /// It was not appended and will not be; it may be tried again.
    #[error("log did not take the record")]
    Refused(#[source] Cause),
    /// It was not appended and never can be.
    #[error("record is larger than the log takes")]
    TooLarge,
}

/// The log cannot be asked now.
#[derive(Debug, thiserror::Error)]
#[error("log cannot be reached")]
pub struct Unreachable(#[source] pub Cause);

/// The log is not what it was. Acknowledged records may be lost, so nothing may be written on top until a person has
/// looked.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The stream is gone.
    #[error("stream {stream} does not exist any more; restore it from a backup")]
    Gone {
        /// Its name.
        stream: String,
    },
    /// The stream was made anew, or is another one.
    #[error("log has incarnation {found}, but this node knows it as {expected}: it was replaced; restore the old one")]
    Replaced {
        /// Which life of the log this node knows.
        expected: Incarnation,
        /// Which life was found.
        found: Incarnation,
    },
    /// A record is gone from the middle.
    #[error("record {0} is missing, though later ones exist; restore the log from a backup")]
    Missing(Seq),
    /// The end of the log is gone, or was replaced by something else.
    #[error("record {0} was acknowledged, but is not in the log any more; restore the log from a backup")]
    Rewound(Seq),
    /// The hash in a record is not that of the record before it.
    #[error("record {0} does not follow from the one before it (L2): the log was altered, or lost a record")]
    Chain(Seq),
    /// Bytes that are not a record that this version knows.
    #[error("record {seq} cannot be read")]
    Undecodable {
        /// Which record.
        seq: Seq,
        /// Why.
        source: DecodeError,
    },
    /// A record that cannot have happened after those before it.
    #[error("record {seq} contradicts the records before it")]
    Impossible {
        /// Which record.
        seq: Seq,
        /// Why.
        source: Corrupt,
    },
}
