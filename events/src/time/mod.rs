//! Time on a TAMS timeline: [`Timestamp`], a point, and [`TimeRange`], a stretch of points.
//!
//! A timeline has no calendar: a timestamp counts nanoseconds from an origin that nobody but the
//! client knows (TAI is recommended), so nothing here reads or writes wall clock time.
//!
//! Both types are text in JSON and a small tuple of integers in MessagePack. The text is what the
//! TAMS schemas allow and no more, and it means what it means to the BBC's own library, to which
//! `tests/mediatimestamp.rs` compares this module case by case.

mod encoding;
mod grammar;
mod range;
mod text;
mod timestamp;

#[cfg(test)]
mod properties;

pub use grammar::{TimeRangeError, parse_segment};
pub use range::{Clusivity, TimeRange};
pub use timestamp::{Timestamp, TimestampError};
