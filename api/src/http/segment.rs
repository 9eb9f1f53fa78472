//! Segments of a Flow (sections 2.5, 6 and 9.1).

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use tapelog_commands::{Command, DeleteSegments, PostSegments};
use tapelog_events::{FlowId, Instant, ObjectId, ObjectIdView, Outcome, SegmentFailure, TimeRange, Timestamp};
use tapelog_projections::{Direction, ListedSegment, SegmentFilter};
use uuid::Uuid;

use super::body;
use super::call::{self, Call};
use super::json::{push, push_string};
use super::limits;
use super::paging::{Listing, Page};
use super::problem::{Problem, segment_failure_type};
use super::query::Query;
use super::response::{self, Response};
use super::urls::Urls;
use super::write::submit;

/// `GET /flows/{flowId}/segments`. A Flow that does not exist has no segments.
pub async fn list(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = SegmentFilter { timerange: query.parsed("timerange")?, object_id: object_id(&query)? };
    let paging = call::paging(call, &query)?;
    let urls = Urls::parse(call.app, &query)?;
    let object_timerange = query.boolean("include_object_timerange")? == Some(true);

    // What is on the page is copied out, so that writers do not wait while URLs are signed.
    let (seq, found) =
        call.app.parts.tables.read(|tables| (tables.position(), tables.segments(flow_id, &filter, &paging)));
    let found = found?;
    let segments = &found.page.items;
    let body = if call.is_head() { String::new() } else { render(segments, &urls, object_timerange).await };
    let mut response = response::json(StatusCode::OK, body);
    let listing = Listing {
        count: segments.len(),
        reverse: paging.direction == Direction::Reversed,
        timerange: Some(found.timerange),
    };
    let page = Page { limit: paging.limit, next: found.page.next.as_deref(), listing: Some(listing) };
    page.write(call, response.headers_mut());
    Ok(call.at(seq, response))
}

/// An object id in the query; one that no object can have is one that none has.
fn object_id(query: &Query<'_>) -> Result<Option<ObjectId>, Problem> {
    query.parsed("object_id")
}

/// Room for a segment with one presigned URL.
const SEGMENT_BYTES: usize = 512;
/// How many segments are written before other tasks get their turn: about a quarter of a millisecond.
const SEGMENTS_PER_TURN: usize = 256;

async fn render(segments: &[ListedSegment], urls: &Urls<'_>, object_timerange: bool) -> String {
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
        write_segment(segment, urls, object_timerange, &mut key, &mut out);
    }
    out.push(']');
    out
}

/// Writes a segment as `flow-segment.json`. `key` is room for the key of its object.
fn write_segment(segment: &ListedSegment, urls: &Urls<'_>, object_timerange: bool, key: &mut String, out: &mut String) {
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
    if object_timerange {
        push(out, ",\"object_timerange\":\"", segment.object_timerange);
        out.push('"');
    }
    if let Some(count) = segment.key_frame_count {
        push(out, ",\"key_frame_count\":", count);
    }
    out.push_str(",\"get_urls\":");
    urls.write(object_id, &segment.instances, key, out);
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
        Outcome::Segments { .. } | Outcome::Created | Outcome::Done | Outcome::Allocated { .. } => {
            response::empty(StatusCode::CREATED)
        }
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
#[derive(Serialize)]
struct Failed<'a> {
    failed_segments: Vec<FailedSegment<'a>>,
}

#[derive(Serialize)]
struct FailedSegment<'a> {
    object_id: &'a ObjectId,
    timerange: TimeRange,
    error: SegmentError,
}

#[derive(Serialize)]
struct SegmentError {
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
    let command = DeleteSegments { flow_id, timerange, object_id: object_id(&query)? };
    let submitted = submit(call, Command::DeleteSegments(command)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}
