//! What one attempt to deliver a notification came to.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tapelog_events::Instant;

/// One attempt to deliver a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// When it began. Waiting for a place is not part of it.
    pub started: Instant,
    /// How long it took.
    pub took: Duration,
    /// What it came to.
    pub result: AttemptResult,
    /// The beginning of what the receiver said, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// What an attempt came to, by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The receiver has it: any status of success.
    Delivered {
        /// The status.
        status: u16,
    },
    /// The receiver could not take anything at that moment, so that whatever comes after would fail as well.
    Unreachable {
        /// What kind of failure it was.
        reason: Reason,
        /// The status, if there was an answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// How long the receiver asked to be left alone; at most an hour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    /// The receiver does not take this notification, which says nothing of others.
    Refused {
        /// The status.
        status: u16,
    },
    /// The receiver says that it wants nothing any more (410).
    Gone,
}

impl AttemptResult {
    /// The status, if there was an answer.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Delivered { status } | Self::Refused { status } => Some(*status),
            Self::Unreachable { status, .. } => *status,
            Self::Gone => Some(410),
        }
    }
}

/// For people: neither what was sent nor where to, which may hold secrets.
impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { status } => write!(f, "the receiver took it with status {status}"),
            Self::Unreachable { reason: Reason::Status, status: Some(status), .. } => {
                write!(f, "the receiver answered with status {status}")
            }
            Self::Unreachable { reason, .. } => reason.fmt(f),
            Self::Refused { status } => write!(f, "the receiver refused it with status {status}"),
            Self::Gone => f.write_str("the receiver is gone for good: it answered with status 410"),
        }
    }
}

/// Why a receiver could not take anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its address must not be asked.
    Forbidden,
    /// Its name leads nowhere.
    Name,
    /// No connection came about.
    Connect,
    /// Nothing secret could be agreed on, or it is not who it should be.
    Tls,
    /// It took too long.
    Timeout,
    /// The connection broke off, or what came was not HTTP.
    Broken,
    /// It answered so.
    Status,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 7] =
        [Self::Forbidden, Self::Name, Self::Connect, Self::Tls, Self::Timeout, Self::Broken, Self::Status];

    /// Its name, as errors and metrics tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Name => "name",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forbidden => "the receiver has an address that must not be asked",
            Self::Name => "the receiver's name leads nowhere",
            Self::Connect => "no connection to the receiver came about",
            Self::Tls => "no secure connection to the receiver came about",
            Self::Timeout => "the receiver did not answer in time",
            Self::Broken => "the connection to the receiver broke off",
            Self::Status => "the receiver cannot take anything now",
        })
    }
}
