//! The TAMS API over HTTP: from requests to commands and queries, and from what comes of them to answers.
//!
//! [`answer()`] is all there is to mount; [`router`] is the same for use beside other routes. A request passes it in one
//! place: its id and span, what a panic becomes, the resource that its path names (`route`), its body, the wait for a
//! position, the handler, and CORS. Handlers stand in one module per resource and return an answer or a `Problem`, whose
//! status only `problem` knows.
//!
//! Guarantees: whatever a client sends is answered with the status that the specification documents, and a refusal says
//! which parameter or field is meant; an answer from the tables says at which position they were read; every read sees
//! all that was acknowledged to its client. Assumes that whoever accepts connections limits their number and the time
//! that a request's head may take. Knows neither NATS nor Arrow.

mod answer;
mod app;
mod backend;
mod body;
mod call;
mod cors;
mod flow;
mod health;
mod json;
pub mod limits;
mod object;
mod paging;
mod position;
mod problem;
mod public_url;
mod query;
mod response;
mod route;
mod segment;
mod service;
mod source;
mod storage;
mod tag_filter;
mod urls;
mod write;

#[cfg(test)]
mod tests;

pub use answer::{answer, router};
pub use app::{App, AppParts, ServiceFacts, Tip};
pub use backend::{BackendDescription, BackendPlace, Backends, StorageBackend, StoreType};
pub use limits::Limits;
pub use response::Response;
