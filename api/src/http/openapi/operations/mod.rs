//! What each operation does, in words: one entry for each operation of `ROUTES`.

mod audit;
mod delivery;
mod flow;
mod other;
mod segment;
mod service;
mod source;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::parameters::Parameter;
use super::schemas::TokenForm;
use crate::http::body;
use crate::http::route::Verb;

/// What an operation does.
pub struct Described {
    pub verb: Verb,
    /// `operationId`
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// More about it, where there is more to say.
    pub text: &'static str,
    pub query: &'static [&'static Parameter],
    pub body: Option<Body>,
    /// How it succeeds.
    pub answers: &'static [Answer],
    /// Whether it can be refused with 409.
    pub conflicts: bool,
    /// What a write makes of an `Idempotency-Key`.
    pub repetition: Repetition,
}

/// What a write makes of an `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// A repetition is answered as the first request was.
    Recognised,
    /// The header is ignored; the text says why.
    Unknown,
}

/// A schema, made when it is asked for.
pub type Of = fn(&mut SchemaGenerator) -> Schema;

/// A body.
pub struct Body {
    pub required: bool,
    pub media_type: &'static str,
    /// `None` for bytes.
    pub schema: Option<Of>,
}

/// How an operation succeeds.
pub enum Answer {
    /// With a status and a document.
    Json(u16, &'static str, Of),
    /// With a page of documents and these headers.
    Page(&'static str, Of, &'static [&'static str]),
    /// It goes on, and this says how far it is.
    Accepted(&'static str, Of),
    /// With a status and no body.
    Empty(u16, &'static str),
    /// The client goes on elsewhere.
    Redirect(&'static str),
    /// With something that is no JSON document of the model.
    Other(&'static str, &'static str),
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn json<T: JsonSchema>() -> Option<Body> {
    Some(Body { required: true, media_type: "application/json", schema: Some(of::<T>) })
}

/// Headers of a page of resources.
const LISTING: &[&str] = &[
    "Link",
    "X-Paging-NextKey",
    "X-Paging-Limit",
    "X-Paging-Count",
    "X-Paging-Reverse-Order",
    "ETag",
    "TAMS-Position",
];
/// Headers of a page of segments.
const SEGMENTS: &[&str] = &[
    "Link",
    "X-Paging-NextKey",
    "X-Paging-Limit",
    "X-Paging-Count",
    "X-Paging-Reverse-Order",
    "X-Paging-Timerange",
    "ETag",
    "TAMS-Position",
];
/// Headers of a page of what is not sorted.
const REFERENCES: &[&str] = &["Link", "X-Paging-NextKey", "X-Paging-Limit", "ETag", "TAMS-Position"];

const DONE: &[Answer] = &[Answer::Empty(204, "Done, or it was so already.")];

/// An operation without parameters and body that changes nothing.
const PLAIN: Described = Described {
    verb: Verb::Get,
    id: "",
    tag: "",
    summary: "",
    text: "",
    query: &[],
    body: None,
    answers: DONE,
    conflicts: false,
    repetition: Repetition::Recognised,
};

/// A body that may be left out.
const OPTIONAL_STORAGE: Option<Body> =
    Some(Body { required: false, media_type: "application/json", schema: Some(of::<body::storage::StorageBody>) });
const OPTIONAL_REDELIVERY: Option<Body> =
    Some(Body { required: false, media_type: "application/json", schema: Some(of::<body::delivery::RedeliveryBody>) });
const TOKEN_FORM: Option<Body> =
    Some(Body { required: true, media_type: "application/x-www-form-urlencoded", schema: Some(of::<TokenForm>) });

/// Every operation, by the template of its path.
pub fn operations() -> impl Iterator<Item = &'static (&'static str, Described)> {
    let all = [
        service::OPERATIONS,
        delivery::OPERATIONS,
        source::OPERATIONS,
        flow::OPERATIONS,
        segment::OPERATIONS,
        audit::OPERATIONS,
        other::OPERATIONS,
    ];
    all.into_iter().flatten()
}
