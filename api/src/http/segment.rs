//! Segments of a Flow (sections 2.5, 6 and 9.1).

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, DeleteSegments, PostSegments};
use tapelog_events::{FlowId, Instant, ObjectId, ObjectIdView, Outcome, SegmentFailure, TimeRange, Timestamp};
use tapelog_projections::{Direction, Listed, ListedSegment, SegmentFilter, SegmentPage};
use uuid::Uuid;

use super::body;
use super::call::{self, Call};
use super::deletion;
use super::etag::Tag;
use super::json::{push, push_string};
use super::limits;
use super::paging::{Listing, Page};
use super::problem::{Problem, segment_failure_type};
use super::query::Query;
use super::response::{self, Response};
use super::tag_filter;
use super::urls::Urls;
use super::write::submit;

/// `GET /flows/{flowId}/segments`. A Flow that does not exist has no segments, and neither has one that the caller may not
/// see. `tag.` filters, `include_tags` and `presigned_head` are extensions.
pub async fn list(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = filter(&query)?;
    let paging = call::paging(call, &query)?;
    let urls = Urls::parse(call, &query)?;
    let include = Include {
        object_timerange: query.boolean("include_object_timerange")? == Some(true),
        tags: query.boolean("include_tags")? == Some(true),
    };

    // What is on the page is copied out, so that writers do not wait while URLs are signed.
    let (seq, tag, found) = call.look(|tables| {
        let is_hidden = tables.flow(flow_id).is_some_and(|flow| !call.access().may_read(&flow.flow().tags));
        let tag = Tag::of(call, (is_hidden, tables.changed(Listed::Segments(flow_id)), urls.signed_at()));
        let found = match is_hidden {
            _ if tag.is_known(call) => None,
            true => Some(Ok(nothing())),
            false => Some(tables.segments(flow_id, &filter, &paging)),
        };
        (tables.position(), tag, found)
    });
    let Some(found) = found else { return Ok(call.at(seq, tag.unchanged())) };
    let found = found?;
    let segments = &found.page.items;
    let body = if call.is_head() { String::new() } else { render(segments, &urls, include).await };
    let mut response = response::json(StatusCode::OK, body);
    let listing = Listing {
        count: segments.len(),
        reverse: paging.direction == Direction::Reversed,
        timerange: Some(found.timerange),
    };
    let page = Page { limit: paging.limit, next: found.page.next.as_deref(), listing: Some(listing) };
    page.write(call, response.headers_mut());
    Ok(call.at(seq, tag.mark(response)))
}

/// The segments that a query asks for.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn filter(query: &Query<'_>) -> Result<SegmentFilter, Problem> {
    Ok(SegmentFilter {
        timerange: query.parsed("timerange")?,
        object_id: object_id(query)?,
        tags: tag_filter::parse(query, "tag")?,
    })
}

/// What is told of segments only where it is asked for.
#[derive(Clone, Copy)]
pub struct Include {
    /// The range of the object.
    pub object_timerange: bool,
    /// An extension.
    pub tags: bool,
}

fn nothing() -> SegmentPage {
    let page = tapelog_projections::Page { items: Vec::new(), next: None };
    SegmentPage { page, timerange: TimeRange::NEVER }
}

/// An object id in the query; one that no object can have is one that none has.
fn object_id(query: &Query<'_>) -> Result<Option<ObjectId>, Problem> {
    query.parsed("object_id")
}

/// Room for a segment with one presigned URL.
pub const SEGMENT_BYTES: usize = 512;
/// How many segments are written before other tasks get their turn: about a quarter of a millisecond.
const SEGMENTS_PER_TURN: usize = 256;

async fn render(segments: &[ListedSegment], urls: &Urls<'_>, include: Include) -> String {
    let mut out = String::with_capacity(2 + segments.len() * SEGMENT_BYTES);
    let mut key = String::new();
    out.push('[');
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            out.push(',');
            if index % SEGMENTS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        write_segment(segment, urls, include, &mut key, &mut out);
    }
    out.push(']');
    out
}

/// Writes a segment as `flow-segment.json`. `key` is room for the key of its object.
pub fn write_segment(segment: &ListedSegment, urls: &Urls<'_>, include: Include, key: &mut String, out: &mut String) {
    let mut buffer = Uuid::encode_buffer();
    let object_id = match segment.object_id.view() {
        ObjectIdView::Uuid(bytes) => &*Uuid::from_bytes(*bytes).as_hyphenated().encode_lower(&mut buffer),
        ObjectIdView::Text(text) => text,
    };
    out.push_str("{\"object_id\":");
    push_string(out, object_id);
    push(out, ",\"timerange\":\"", segment.timerange);
    out.push('"');
    if segment.ts_offset != Timestamp::ZERO {
        push(out, ",\"ts_offset\":\"", segment.ts_offset);
        out.push('"');
    }
    if let Some(duration) = segment.last_duration {
        push(out, ",\"last_duration\":\"", duration);
        out.push('"');
    }
    if let Some(offset) = segment.sample_offset {
        push(out, ",\"sample_offset\":", offset);
    }
    if let Some(count) = segment.sample_count {
        push(out, ",\"sample_count\":", count);
    }
    if include.object_timerange {
        push(out, ",\"object_timerange\":\"", segment.object_timerange);
        out.push('"');
    }
    if let Some(count) = segment.key_frame_count {
        push(out, ",\"key_frame_count\":", count);
    }
    if let Some(tags) = segment.tags.as_ref().filter(|_| include.tags) {
        out.push_str(",\"tags\":");
        out.push_str(&String::from_utf8_lossy(&response::encode(&**tags)));
    }
    out.push_str(",\"get_urls\":");
    urls.write(object_id, &segment.instances, key, out);
    if let Some(init) = &segment.init {
        let init_id = init.object_id.to_string();
        out.push_str(",\"init_object\":{\"object_id\":");
        push_string(out, &init_id);
        out.push_str(",\"get_urls\":");
        urls.write(&init_id, &init.instances, key, out);
        out.push('}');
    }
    out.push('}');
}

/// `POST /flows/{flowId}/segments`.
pub async fn post(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let command = read_segments(call, flow_id).await?;
    let submitted = submit(call, Command::PostSegments(command)).await?;
    let response = match submitted.outcome {
        Outcome::Segments { failures } if !failures.is_empty() => {
            response::ok(&Failed::new(&failures, call.app.now().into()))
        }
        Outcome::Segments { .. }
        | Outcome::Created
        | Outcome::Done
        | Outcome::Allocated { .. }
        | Outcome::WebhookCreated { .. }
        | Outcome::DeletionRequested { .. } => response::empty(StatusCode::CREATED),
    };
    Ok(call.at(submitted.seq, response))
}

/// Reads the body, and a large one where it holds up no other request.
async fn read_segments(call: &Call<'_>, flow_id: FlowId) -> Result<PostSegments, Problem> {
    let reserved_labels = Arc::clone(&call.app.reserved_labels);
    if call.body.len() < limits::LARGE_BODY_BYTES {
        return body::segment::read(flow_id, &call.body, reserved_labels);
    }
    let bytes = call.body.clone();
    let reading = tokio::task::spawn_blocking(move || body::segment::read(flow_id, &bytes, reserved_labels));
    reading.await.unwrap_or_else(|error| {
        tracing::error!(%error, "reading a body failed");
        Err(Problem::Internal)
    })
}

/// `flow-segment-bulk-failure.json`
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FailedSegments")]
pub struct Failed<'a> {
    failed_segments: Vec<FailedSegment<'a>>,
}

#[derive(Serialize, JsonSchema)]
pub struct FailedSegment<'a> {
    object_id: &'a ObjectId,
    timerange: TimeRange,
    error: SegmentError,
}

#[derive(Serialize, JsonSchema)]
pub struct SegmentError {
    r#type: &'static str,
    summary: String,
    time: Instant,
}

impl<'a> Failed<'a> {
    fn new(failures: &'a [SegmentFailure], time: Instant) -> Self {
        let failed_segments = failures.iter().map(|SegmentFailure { object_id, timerange, kind }| FailedSegment {
            object_id,
            timerange: *timerange,
            error: SegmentError { r#type: segment_failure_type(kind), summary: kind.to_string(), time },
        });
        Self { failed_segments: failed_segments.collect() }
    }
}

/// `DELETE /flows/{flowId}/segments`: those that lie entirely inside the range.
pub async fn delete(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let query = call.query()?;
    let timerange = query.parsed("timerange")?.unwrap_or(TimeRange::ETERNITY);
    let object_id = object_id(&query)?;
    let command = DeleteSegments { flow_id, timerange, object_id, patience: deletion::patience(call) };
    let submitted = submit(call, Command::DeleteSegments(command)).await?;
    Ok(deletion::answer(call, &submitted))
}
