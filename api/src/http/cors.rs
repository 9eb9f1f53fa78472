//! Browsers of other origins may use the API (1.11): every answer says so, errors and unknown paths included.
//!
//! Any origin is allowed and no cookies are: credentials come in `Authorization`, which a page has to know itself.

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue,
};

use super::response::{self, Response};

/// Headers that a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Link, Location, X-Paging-Limit, X-Paging-Count, X-Paging-NextKey, X-Paging-Timerange, X-Paging-Reverse-Order, \
     ETag, Content-Range, Accept-Ranges, Content-Length, TAMS-Position, Retry-After, X-Request-Id",
);
/// Headers that a page may send.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Content-Encoding, If-None-Match, Range, Idempotency-Key, TAMS-Min-Position, \
     X-Request-Id, Traceparent, Tracestate",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE");
const ANY: HeaderValue = HeaderValue::from_static("*");
/// For how many seconds a browser may remember the answer to a preflight: browsers allow no more than a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Lets pages of every origin read an answer.
pub fn expose(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// The answer to `OPTIONS`, with which a browser asks whether it may send what follows. It comes without credentials.
pub fn preflight() -> Response {
    let mut response = response::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}
