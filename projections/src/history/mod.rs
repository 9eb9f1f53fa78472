//! The history: where in the log everything happened, kept on disk.
//!
//! The tables say what is; this says when it came about. [`History`] is an index of the whole log by resource, in an
//! embedded key-value store: small keys that name records, never what stands in them, which is read from the log when it
//! is asked for. It is a projection like any other. It is made from the log alone, so its folder can be deleted at any
//! time; it carries its own checkpoint, written in one batch with its entries; and one that was built anew is equal to
//! one that followed, byte by byte ([`History::digest`], L5).
//!
//! [`Historian`] keeps it up to date, on a thread that gives way to all others. [`audit`] answers who changed what and
//! when; [`Moment`] is how a past moment is named, and [`as_of`] tells what was then. For that, versions of metadata are
//! kept whole, since they are few beside segments.

pub mod as_of;
pub mod audit;
mod document;
mod follower;
mod metrics;
mod moment;
mod open;
mod record;
mod store;
mod thing;
mod touched;
mod versions;

pub use follower::{Historian, HistorianStatus};
pub use moment::{Moment, moment_at};
pub use open::{OpenHistoryError, open_history};
pub use record::ReadError;
pub use store::{History, HistoryError};
