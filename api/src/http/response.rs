//! Answers that succeed.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::StatusCode;
use serde::Serialize;

use super::problem::Problem;

/// An answer. Bodies are whole: none is larger than a page.
pub type Response = hyper::Response<Full<Bytes>>;

/// The media type of every body.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// 200 with this value.
pub fn ok<T: Serialize + ?Sized>(value: &T) -> Response {
    json(StatusCode::OK, encode(value))
}

/// 200 with the value of a property, where it is set.
///
/// # Errors
/// [`Problem::NotFound`], naming the property: `null` is no value of its type (2.7).
pub fn set<T: Serialize + ?Sized>(value: Option<&T>, property: impl fmt::Display) -> Result<Response, Problem> {
    value.map(ok).ok_or_else(|| Problem::NotFound(format!("{property} is not set")))
}

/// Room for one document of a list.
const DOCUMENT_BYTES: usize = 1024;

/// A JSON list of what is kept as documents.
pub fn documents<T>(items: &[T], write: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + items.len() * DOCUMENT_BYTES);
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, &mut out);
    }
    out.push(b']');
    out
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// JSON text of a value of ours.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("values of the model have string keys and no failing parts")
}
