//! The tables as a server sees them: filled from records that decisions led to, and asked by the queries of the API.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod as_of;
mod audit;
mod checkpoint;
mod history;
mod listing;
mod live;
mod model;
mod object;
mod rebuild;
mod registry;
mod scribe;
mod segment;
mod step;
mod tag;
mod verify;
