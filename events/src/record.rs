//! What the log is made of: records of commits of events, chained by hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CommitId, Event, Incarnation, Instant, Outcome};

/// The number of a record in the log. The first is 1; 0 stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The number of the record after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in one life of the log. Text form: `<incarnation>.<sequence>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// Up to and with which record.
    pub seq: Seq,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.seq)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (incarnation, seq) = text.split_once('.').ok_or(InvalidPosition)?;
        Ok(Self {
            incarnation: incarnation.parse().map_err(|_| InvalidPosition)?,
            seq: Seq(seq.parse().map_err(|_| InvalidPosition)?),
        })
    }
}

/// Where an event stands in one life of the log. Text form: `<sequence>.<commit>.<event>`. They ascend in log order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventPosition {
    /// Its record.
    pub seq: Seq,
    /// Its commit, counted from zero in the record.
    pub commit: u32,
    /// It, counted from zero in the commit.
    pub event: u32,
}

impl EventPosition {
    /// Where the first event of a record stands.
    pub const fn start_of(seq: Seq) -> Self {
        Self { seq, commit: 0, event: 0 }
    }
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.seq, self.commit, self.event)
    }
}

impl FromStr for EventPosition {
    type Err = InvalidEventPosition;

    fn from_str(text: &str) -> Result<Self, InvalidEventPosition> {
        let mut numbers = text.splitn(3, '.');
        let mut number = || numbers.next().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let (seq, commit, event) = (number(), number(), number());
        let parsed =
            || Some(Self { seq: Seq(seq?.parse().ok()?), commit: commit?.parse().ok()?, event: event?.parse().ok()? });
        parsed().ok_or(InvalidEventPosition)
    }
}

/// Names an event beyond this life of the log. Text form: `<incarnation>.<sequence>.<commit>.<event>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// Where in it.
    pub position: EventPosition,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.position)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventPosition;

    fn from_str(text: &str) -> Result<Self, InvalidEventPosition> {
        let (incarnation, position) = text.split_once('.').ok_or(InvalidEventPosition)?;
        let incarnation = incarnation.parse().map_err(|_| InvalidEventPosition)?;
        Ok(Self { incarnation, position: position.parse()? })
    }
}

/// A text that is not the position of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event, which is named as <incarnation>.<sequence>.<commit>.<event>")]
pub struct InvalidEventPosition;

/// A text that is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a position, which has the form <incarnation>.<sequence>")]
pub struct InvalidPosition;

/// The BLAKE3 hash of a record's bytes, which hold the hash of the record before: a chain that makes tampering and
/// loss visible.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ChainHash(#[serde(with = "serde_bytes")] [u8; 32]);

impl ChainHash {
    /// What stands in the first record, before which there is none.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of a record, from its bytes in the log.
    pub fn of(record: &[u8]) -> Self {
        Self(*blake3::hash(record).as_bytes())
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

impl FromStr for ChainHash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// One message of the log: the commits that one write to it made durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this envelope; see [`crate::codec`].
    pub format: u16,
    /// The hash of the record before.
    pub prev_hash: ChainHash,
    /// The outcomes of commands, in the order in which they took effect.
    pub commits: Vec<Commit>,
}

/// The outcome of one command: all of its events or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Names the commit. A UUIDv7.
    pub id: CommitId,
    /// When it was decided; never earlier than the commit before.
    pub at: Instant,
    /// Who asked for it.
    pub actor: String,
    /// The request that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What makes a repetition of the request recognisable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What makes a repetition of a request recognisable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Digest of who asked, for what, under which client's key.
    #[serde(with = "serde_bytes")]
    pub key: [u8; 32],
    /// Digest of the request: another one under the same key is a mistake of the client's.
    #[serde(with = "serde_bytes")]
    pub request: [u8; 32],
    /// What the first request came to.
    pub outcome: Outcome,
}
