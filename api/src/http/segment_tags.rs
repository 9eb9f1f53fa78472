//! Tags of single segments: an extension. A segment is named by its time range or, where only one segment of the Flow uses
//! it, by its object.

use hyper::StatusCode;
use tapelog_commands::{Command, SegmentName, TagSegment, TagsChange};
use tapelog_events::{FlowId, Tags};
use tapelog_projections::{SegmentNameError, Tables};

use super::body::property;
use super::call::Call;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::submit;

/// `GET /flows/{flowId}/segments/{segment}/tags`.
pub fn get_all(call: &Call<'_>, flow_id: FlowId, segment: &SegmentName) -> Result<Response, Problem> {
    call.read(|tables| Ok(response::ok(&find(call, tables, flow_id, segment)?)))
}

/// `GET /flows/{flowId}/segments/{segment}/tags/{name}`.
pub fn get(call: &Call<'_>, flow_id: FlowId, segment: &SegmentName, name: &str) -> Result<Response, Problem> {
    call.read(|tables| response::set(find(call, tables, flow_id, segment)?.get(name), format_args!("tag {name:?}")))
}

/// `PUT /flows/{flowId}/segments/{segment}/tags`.
pub async fn put_all(call: &Call<'_>, flow_id: FlowId, segment: SegmentName) -> Result<Response, Problem> {
    let tags = property::tags(&call.body)?;
    change(call, flow_id, segment, TagsChange::Replace(tags)).await
}

/// `DELETE /flows/{flowId}/segments/{segment}/tags`.
pub async fn delete_all(call: &Call<'_>, flow_id: FlowId, segment: SegmentName) -> Result<Response, Problem> {
    change(call, flow_id, segment, TagsChange::Replace(Tags::new())).await
}

/// `PUT /flows/{flowId}/segments/{segment}/tags/{name}`.
pub async fn put(call: &Call<'_>, flow_id: FlowId, segment: SegmentName, name: &str) -> Result<Response, Problem> {
    let value = property::tag(name, &call.body)?;
    change(call, flow_id, segment, TagsChange::Set(name.to_owned(), value)).await
}

/// `DELETE /flows/{flowId}/segments/{segment}/tags/{name}`.
pub async fn delete(call: &Call<'_>, flow_id: FlowId, segment: SegmentName, name: &str) -> Result<Response, Problem> {
    change(call, flow_id, segment, TagsChange::Remove(name.to_owned())).await
}

async fn change(
    call: &Call<'_>,
    flow_id: FlowId,
    segment: SegmentName,
    change: TagsChange,
) -> Result<Response, Problem> {
    let submitted = submit(call, Command::TagSegment(TagSegment { flow_id, segment, change })).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

fn find(call: &Call<'_>, tables: &Tables, flow_id: FlowId, segment: &SegmentName) -> Result<Tags, Problem> {
    let readable = tables.flow(flow_id).is_some_and(|flow| call.access().may_read(&flow.flow().tags));
    if !readable {
        return Err(Problem::NotFound(format!("flow {flow_id} does not exist")));
    }
    let found = tables.segment_named(flow_id, segment).map_err(|error| match error {
        SegmentNameError::NotFound => Problem::NotFound(format!("flow {flow_id} has no such segment")),
        SegmentNameError::Ambiguous => {
            Problem::invalid("segment: several segments of the flow use this object; name one by its time range")
        }
    })?;
    Ok(found.tags.map(|tags| (*tags).clone()).unwrap_or_default())
}
