//! What may happen next, given what has happened: one file a family of rules, and what holds for all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod asked;
mod collection;
mod corrupt;
mod deletion;
mod delivery;
mod flow;
mod harness;
mod idempotency;
mod init;
mod instance;
mod object;
mod permission;
mod picture;
mod profile;
mod properties;
mod segment;
mod segment_tags;
mod service;
mod source;
mod storage;
mod trash;
mod webhook;
