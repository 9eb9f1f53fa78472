//! End to end: everything here talks to a server as its clients do, over real HTTP, a real nats-server and a real object
//! store. Names of tests say the rule; numbers beside them are lines of the list of things that implementers of TAMS
//! get wrong.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod crash;
mod objects;
mod outage;
mod paging;
mod rebuild;
mod round_trip;
mod spec_collections;
mod spec_flows;
mod spec_objects;
mod spec_segments;
mod spec_service;
mod two_writers;
