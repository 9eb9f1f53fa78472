//! One request on its way through the handlers.

use std::fmt;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tapelog_events::{CommitId, Seq};
use tapelog_projections::{Direction, Paging, Tables};
use uuid::Uuid;

use super::app::App;
use super::limits;
use super::position;
use super::problem::Problem;
use super::query::Query;
use super::response::{self, Response};

/// One request.
pub struct Call<'a> {
    /// The API.
    pub app: &'a App,
    /// Method, URL and headers.
    pub head: &'a Parts,
    /// The body; empty for methods that have none.
    pub body: Bytes,
    /// Which request this is.
    pub id: &'a RequestId,
    /// Who asks.
    pub actor: &'a str,
}

impl Call<'_> {
    /// The part of the URL after `?`, as it was sent.
    pub fn raw_query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// The parameters.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where they make no text.
    pub fn query(&self) -> Result<Query<'_>, Problem> {
        Query::parse(self.raw_query())
    }

    /// Whether only the headers are asked for, so that a costly body need not be made.
    pub fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// Answers from the tables. The answer says at which position they were read.
    ///
    /// # Errors
    /// Those of `query`.
    pub fn read(&self, query: impl FnOnce(&Tables) -> Result<Response, Problem>) -> Result<Response, Problem> {
        let (seq, response) = self.app.parts.tables.read(|tables| (tables.position(), query(tables)));
        response.map(|response| self.at(seq, response))
    }

    /// An answer that is true at this position.
    pub fn at(&self, seq: Seq, mut response: Response) -> Response {
        position::write(self.app.parts.incarnation, seq, response.headers_mut());
        response
    }

    /// An answer without body that is true at this position.
    pub fn empty_at(&self, seq: Seq, status: StatusCode) -> Response {
        self.at(seq, response::empty(status))
    }
}

/// Which part of a listing a query asks for.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn paging<'q>(call: &Call<'_>, query: &'q Query<'_>) -> Result<Paging<'q>, Problem> {
    let direction = match query.boolean("reverse_order")? {
        Some(true) => Direction::Reversed,
        Some(false) | None => Direction::Usual,
    };
    Ok(Paging { direction, cursor: query.text("page")?, limit: query.limit(&call.app.parts.limits)? })
}

/// Names a request: by the id that its client gave it in `X-Request-Id`, or by a fresh one.
pub struct RequestId {
    /// Names the commit that the request may lead to; also the request itself, where its client gave no id.
    pub commit_id: CommitId,
    /// The id that the client gave.
    pub given: Option<HeaderValue>,
}

/// The header that carries it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl RequestId {
    /// The id of a request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let is_sane = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=limits::REQUEST_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        Self { commit_id: CommitId::from_uuid(Uuid::now_v7()), given: headers.get(REQUEST_ID).filter(is_sane).cloned() }
    }

    /// The id that the client gave, as text.
    pub fn given(&self) -> Option<&str> {
        self.given.as_ref().and_then(|value| value.to_str().ok())
    }

    /// The id as a header's value.
    pub fn to_header(&self) -> HeaderValue {
        self.given.clone().unwrap_or_else(|| {
            let text = self.commit_id.as_uuid().as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
            HeaderValue::try_from(text).expect("a UUID has visible characters only")
        })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.given() {
            Some(given) => f.write_str(given),
            None => self.commit_id.fmt(f),
        }
    }
}
