//! HTTP and the life of a server: what the `tapelog` binary is made of.
//!
//! Guarantees that belong here: bad input is answered with a 4xx that names the field and changes nothing; an answer that
//! acknowledges a write is given when the write is in the log and in this server's tables; a stop finishes what was
//! accepted. Knows neither NATS nor Arrow.

pub mod admin;
pub mod archive;
pub mod audit;
pub mod auth;
mod checkpointing;
pub mod claim;
mod delivery;
pub mod doctor;
mod feed;
pub mod housekeeping;
pub mod http;
pub mod maintenance;
mod metrics;
pub mod node;
pub mod open_log;
pub mod server;
pub mod settings;
mod storage;
mod task_thread;
pub mod telemetry;
