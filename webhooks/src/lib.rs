//! Who is told what happens: webhooks, and feeds that clients follow.
//!
//! Everything here reads the log and nothing else: a [`Notice`] is made of an event alone, so that whoever is told late
//! is still told the truth of that moment. What a notice looks like on the wire is rendered by whoever serves the API
//! ([`Render`]), at the moment of delivery, so that URLs are signed then.
//!
//! Guarantees: each webhook is told every event that its filters let pass at least once and in log order, except those
//! that its dead letters list (L10); one whose receiver fails holds up no other; a position moves only past what was
//! delivered, did not match or is a dead letter, so that another node goes on exactly there.

mod attempt;
mod attempts;
mod client;
mod directory;
mod dispatcher;
pub mod feed;
mod lease;
mod metrics;
mod notice;
mod office;
mod origin;
mod position;
mod recipient;
mod redelivery;
mod reign;
mod render;
mod schedule;
mod target;
mod worker;

pub use attempt::{AttemptResult, Attempted, Reason};
pub use attempts::{
    AttemptCursor, AttemptFilter, AttemptKind, AttemptLog, AttemptOrder, AttemptPage, AttemptRow, AttemptSettings,
    InvalidCursor, TableError,
};
pub use client::{Client, ClientSettings, Lane};
pub use directory::Directory;
pub use dispatcher::{DeliverySettings, DeliveryState, Dispatcher, PingError, StateError};
pub use lease::LeaseSettings;
pub use notice::{Filter, Notice, Subject, notices};
pub use office::DispatcherParts;
pub use position::PositionSettings;
pub use render::{Render, Transforms, body, write_body};
pub use schedule::{Schedule, ScheduleSettings};
pub use target::{Secrets, Target, Unusable};
