//! End to end: everything here talks to a server as its clients do, over real HTTP, a real nats-server and a real object
//! store. Names of tests say the rule.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod as_of;
mod audit;
mod auth;
mod bad_input;
mod crash;
mod deletion;
mod deliveries;
mod delivery;
mod extensions;
mod feeds;
mod idempotency;
mod implementers;
mod init_objects;
mod instances;
mod model;
mod objects;
mod openapi;
mod operations;
mod outage;
mod paging;
mod profiles;
mod rebuild;
mod round_trip;
mod spec_flows;
mod spec_service;
mod two_writers;
mod webhooks;
