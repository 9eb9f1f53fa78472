//! Pages of the delivery log.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tapelog_events::{EventPosition, Instant, Notification};

use super::AttemptRow;
use super::table::Place;
use crate::AttemptResult;

/// What attempts come to, as they are filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptKind {
    /// The receiver has it.
    Delivered,
    /// The receiver could take nothing, or wants nothing any more.
    Failed,
    /// The receiver refused this notification.
    Refused,
}

impl AttemptKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Refused];

    /// What an attempt came to.
    pub const fn of(result: &AttemptResult) -> Self {
        match result {
            AttemptResult::Delivered { .. } => Self::Delivered,
            AttemptResult::Unreachable { .. } | AttemptResult::Gone => Self::Failed,
            AttemptResult::Refused { .. } => Self::Refused,
        }
    }

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// Which attempts are asked for: those that all of this lets pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// What they came to.
    pub kind: Option<AttemptKind>,
    /// What they notify of.
    pub notification: Option<Notification>,
    /// From this moment on.
    pub from: Option<Instant>,
    /// Before this moment.
    pub to: Option<Instant>,
    /// At the notification of this event.
    pub position: Option<EventPosition>,
}

impl AttemptFilter {
    /// Whether an attempt passes. When it was is not looked at: whoever reads begins and ends there.
    pub(super) fn matches(&self, row: &AttemptRow) -> bool {
        self.kind.is_none_or(|kind| kind == AttemptKind::of(&row.attempted.result))
            && self.notification.is_none_or(|notification| notification == row.notification)
            && self.position.is_none_or(|position| position == row.position)
    }
}

/// In which order attempts come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttemptOrder {
    /// The last first.
    #[default]
    NewestFirst,
    /// The first first.
    OldestFirst,
}

/// Where a page ended. Its text form means something here only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCursor(pub(super) Place);

/// A text that is not where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not where a page of attempts ended")]
pub struct InvalidCursor;

impl fmt::Display for AttemptCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for AttemptCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        bytes.try_into().map(Self).map_err(|_| InvalidCursor)
    }
}

/// Some attempts for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPage {
    /// They.
    pub rows: Vec<AttemptRow>,
    /// Where the next page begins, if there may be more.
    pub next: Option<AttemptCursor>,
}
