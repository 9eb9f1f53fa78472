//! The TAMS API over HTTP: from requests to commands and queries, and from what comes of them to answers.
//!
//! [`answer()`] is all there is to mount; [`router`] is the same for use beside other routes. A request passes it in one
//! place: its id and span, what a panic becomes, the resource that its path names (`route`), its body, the wait for a
//! position, the handler, its tag (`etag`), CORS, and what is noted of it (`access`). Handlers stand in one module per resource and return an answer or a `Problem`, whose
//! status only `problem` knows.
//!
//! Guarantees: whatever a client sends is answered with the status that the specification documents, and a refusal says
//! which parameter or field is meant; an answer from the tables says at which position they were read; every read sees
//! all that was acknowledged to its client. Assumes that whoever accepts connections limits their number and the time
//! that a request's head may take. Knows neither NATS nor Arrow.

mod access;
mod account;
mod answer;
mod app;
mod as_of;
mod audit;
mod backend;
mod batch;
mod body;
mod call;
mod collection;
mod content;
mod cors;
mod deletion;
mod delivery;
mod dispatch;
mod etag;
mod events;
mod flow;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod instance;
mod json;
pub mod limits;
mod metrics;
mod notify;
mod object;
mod openapi;
mod paging;
mod past;
mod point;
pub(crate) mod position;
pub(crate) mod problem;
mod profile;
mod public_url;
mod query;
mod response;
pub(crate) mod route;
mod segment;
mod segment_tags;
mod service;
mod signing;
mod source;
mod storage;
mod tag_filter;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod trash;
mod urls;
mod webhook;
mod write;

pub(crate) use answer::{admit, refusal};
pub use answer::{answer, router};
pub use app::{App, AppParts, NatsFeed, ServiceFacts, Tip};
pub use backend::{BackendDescription, BackendPlace, Backends, StorageBackend, StoreType};
pub use delivery::Deliveries;
pub use events::{EventStreams, Follow};
pub use limits::{Limits, TooTight};
pub use metrics::Metrics;
pub use notify::Notifier;
pub use past::{LogPast, Past};
pub(crate) use query::decode_percent;
pub use response::Response;
