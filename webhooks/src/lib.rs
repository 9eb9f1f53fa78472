//! Who is told what happens: webhooks, and feeds that clients follow.
//!
//! Everything here reads the log and nothing else: a [`Notice`] is made of an event alone, so that whoever is told late
//! is still told the truth of that moment. What a notice looks like on the wire is rendered by whoever serves the API
//! ([`Render`]), at the moment of delivery, so that URLs are signed then.
//!
//! Guarantees: each webhook is told every event that its filters let pass at least once and in log order, except those
//! that its dead letters list (L10); one whose receiver fails holds up no other; a position moves only past what was
//! delivered, did not match or is a dead letter, so that another node goes on exactly there.

mod notice;
mod render;

pub use notice::{Filter, Notice, Subject, notices};
pub use render::{Render, Transforms};
