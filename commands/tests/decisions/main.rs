//! What may happen next, given what has happened: one file a family of rules, and what holds for all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collection;
mod corrupt;
mod flow;
mod harness;
mod idempotency;
mod properties;
mod segment;
mod service;
mod source;
mod storage;
