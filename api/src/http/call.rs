//! One request on its way through the handlers.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tapelog_events::{Access, CommitId, Seq, SourceId};
use tapelog_projections::{Direction, FlowFilter, FlowView, Paging, SortBy, Tables};
use uuid::Uuid;

use super::app::{App, AppParts};
use super::as_of::PastTables;
use super::limits;
use super::position;
use super::problem::Problem;
use super::public_url;
use super::query::Query;
use super::response::{self, Response};
use crate::auth::Principal;

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
    pub principal: &'a Principal,
    /// The tables of the moment that is asked about, where that is not the present.
    pub past: Option<PastTables>,
}

impl Call<'_> {
    /// What whoever asks may do with resources of which classes.
    pub fn access(&self) -> &Arc<Access> {
        &self.principal.access
    }

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

    /// The absolute URL of a path below the base path, as the client would write it.
    pub fn url(&self, path: &str) -> String {
        let AppParts { public_url, scheme, base_path, .. } = &self.app.parts;
        public_url::absolute(public_url.as_deref(), scheme, &self.head.headers, base_path, path)
    }

    /// Whether only the headers are asked for, so that a costly body need not be made.
    pub fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// Answers from the tables. The answer says at which position they were read, also where something is not there.
    ///
    /// # Errors
    /// Those of `query`.
    pub fn read(&self, query: impl FnOnce(&Tables) -> Result<Response, Problem>) -> Result<Response, Problem> {
        let (seq, response) = self.look(|tables| (tables.position(), query(tables)));
        match response {
            Ok(response) => Ok(self.at(seq, response)),
            Err(problem) => Err(problem.seen_at(seq)),
        }
    }

    /// Looks at the tables of the moment that is asked about.
    pub fn look<R>(&self, query: impl FnOnce(&Tables) -> R) -> R {
        match &self.past {
            Some(past) => query(&past.tables),
            None => self.app.parts.tables.read(query),
        }
    }

    /// An answer that is true at this position.
    pub fn at(&self, seq: Seq, mut response: Response) -> Response {
        match &self.past {
            Some(past) => position::write_text(&past.position, response.headers_mut()),
            None => position::write(self.app.parts.incarnation, seq, response.headers_mut()),
        }
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

/// The same for a listing that the specification gives no 400: what cannot be read is as good as absent.
pub fn forgiving_paging<'q>(call: &Call<'_>, query: &'q Query<'_>) -> Paging<'q> {
    let limits = &call.app.parts.limits;
    let direction = match query.boolean("reverse_order") {
        Ok(Some(true)) => Direction::Reversed,
        Ok(Some(false) | None) | Err(_) => Direction::Usual,
    };
    let limit = match query.text("limit") {
        Ok(Some("0")) => 1,
        Ok(_) | Err(_) => query.limit(limits).unwrap_or(limits.page_default),
    };
    Paging { direction, cursor: query.text("page").ok().flatten(), limit }
}

/// Every Flow of a Source that may be read.
pub fn flows_of<'a>(tables: &'a Tables, source_id: SourceId, access: &Arc<Access>) -> Vec<FlowView<'a>> {
    let filter = FlowFilter { source_id: Some(source_id), access: Arc::clone(access), ..FlowFilter::default() };
    let all = Paging { direction: Direction::Usual, cursor: None, limit: usize::MAX };
    let page = tables.flows(&filter, SortBy::Created, &all);
    page.expect("only a cursor can be refused, and there is none").items
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
