//! The description of this API (OpenAPI 3.1), and a page to browse it.
//!
//! It is made from what the server itself works with: the paths, methods and scopes of `ROUTES`, and the types that
//! bodies are read into and written from, whose schemas are derived. What those cannot say, summaries and parameters,
//! stands in `operations`, one entry for each operation; a test holds the one against the other.

mod document;
mod operations;
mod parameters;
mod schemas;

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};

use super::call::Call;
use super::response::{self, Response};

/// The page: no other file, no network.
const PAGE: &str = include_str!("page.html");
/// The page may run its own script, and ask this server and the object storage.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src *; img-src data:; base-uri 'none'; frame-ancestors 'none'",
);

/// `GET /openapi.json`.
pub fn document(call: &Call<'_>) -> Response {
    static DOCUMENT: OnceLock<serde_json::Value> = OnceLock::new();
    let mut document = DOCUMENT.get_or_init(document::document).clone();
    document["servers"] = serde_json::json!([{ "url": call.url("") }]);
    response::ok(&document)
}

/// `GET /docs`.
pub fn page() -> Response {
    let mut response = response::json(StatusCode::OK, Bytes::from_static(PAGE.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}
