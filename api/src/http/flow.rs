//! Flows (sections 2.4 and 5).

use hyper::StatusCode;
use tapelog_commands::{Command, FlowProperty, SetFlowProperty};
use tapelog_events::{FlowId, FlowStatus, Outcome, Tags, TimeRange};
use tapelog_projections::{FlowFilter, FlowView, Listed, SortBy, Tables};

use super::batch;
use super::body::{self, property};
use super::call::{self, Call};
use super::deletion;
use super::dispatch::not_in_tams;
use super::etag::Tag;
use super::paging;
use super::problem::Problem;
use super::query::Query;
use super::response::{self, Response};
use super::route::{BitRate, Resource, Text};
use super::tag_filter;
use super::write::submit;

const STATUSES: [(&str, FlowStatus); 4] = [
    ("awaiting_content", FlowStatus::AwaitingContent),
    ("ingesting", FlowStatus::Ingesting),
    ("replication_in_progress", FlowStatus::ReplicationInProgress),
    ("closed_complete", FlowStatus::ClosedComplete),
];

/// `GET /flows`.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    page(call, &query, filter(&query)?)
}

/// The Flows that a query asks for.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn filter(query: &Query<'_>) -> Result<FlowFilter, Problem> {
    Ok(FlowFilter {
        source_id: query.parsed("source_id")?,
        timerange: query.parsed("timerange")?,
        format: query.format()?,
        codec: query.mime_type("codec")?.map(str::to_owned),
        profile_id: query.parsed("profile_id")?,
        label: query.text("label")?.map(str::to_owned),
        status: query.choice("status", &STATUSES)?,
        tags: tag_filter::parse(query, "tag")?,
        frame_width: pixels(query, "frame_width")?,
        frame_height: pixels(query, "frame_height")?,
        init_segments: query.boolean("init_segments")?,
        collected_by_ids: query.list("collected_by_ids")?,
        ..FlowFilter::default()
    })
}

/// Those of the Flows that a filter lets pass which the caller may read.
pub fn readable(call: &Call<'_>, filter: FlowFilter) -> FlowFilter {
    FlowFilter { access: call.access().clone(), ..filter }
}

/// What Flows are to be listed by.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn sort(query: &Query<'_>) -> Result<SortBy, Problem> {
    let sorts = [("created", SortBy::Created), ("metadata_updated", SortBy::Updated), ("label", SortBy::Label)];
    Ok(query.choice("sort_by", &sorts)?.unwrap_or_default())
}

/// A page of the Flows that a filter lets pass and the caller may read, as the rest of the query asks for them.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn page(call: &Call<'_>, query: &Query<'_>, filter: FlowFilter) -> Result<Response, Problem> {
    let filter = readable(call, filter);
    let sort = sort(query)?;
    let paging = call::paging(call, query)?;
    call.read(|tables| {
        let tag = Tag::of(call, tables.changed(Listed::Flows));
        if tag.is_known(call) {
            return Ok(tag.unchanged());
        }
        let page = tables.flows(&filter, sort, &paging)?;
        let response = paging::listing(call, &paging, page, |flow, out| flow.write_json(out, None, call.access()));
        Ok(tag.mark(response))
    })
}

/// A number of pixels in the query. One that no picture can have is that of no picture, as zero is.
fn pixels(query: &Query<'_>, name: &str) -> Result<Option<u32>, Problem> {
    let number: Option<i64> = query.parsed(name)?;
    Ok(number.map(|number| u32::try_from(number).unwrap_or(0)))
}

/// `GET /flows/{flowId}`.
pub fn get(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    let query = call.query()?;
    let clip: Option<TimeRange> = query.parsed("timerange")?;
    let with_timerange = query.boolean("include_timerange")? == Some(true);
    call.read(|tables| {
        let flow = find(call, tables, id)?;
        let timerange = with_timerange.then(|| tables.flow_range(id, clip.as_ref()));
        let mut body = Vec::new();
        flow.write_json(&mut body, timerange, call.access());
        Ok(response::json(StatusCode::OK, body))
    })
}

/// `PUT /flows/{flowId}`.
pub async fn put(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    let command = body::flow::read(id, &call.body)?;
    let submitted = submit(call, Command::PutFlow(Box::new(command))).await?;
    match submitted.outcome {
        Outcome::Created => call.read(|tables| {
            // Another client may have deleted it since: it was created nonetheless.
            let Some(flow) = tables.flow(id) else { return Ok(response::empty(StatusCode::CREATED)) };
            let mut body = Vec::new();
            flow.write_json(&mut body, None, call.access());
            Ok(response::json(StatusCode::CREATED, body))
        }),
        Outcome::Done
        | Outcome::Segments { .. }
        | Outcome::Allocated { .. }
        | Outcome::WebhookCreated { .. }
        | Outcome::DeletionRequested { .. } => Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT)),
    }
}

/// `DELETE /flows/{flowId}`; with `cascade` and `soft_delete` as extensions.
pub async fn delete(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let query = call.query()?;
    let command = deletion::of_flow(call, flow_id, deletion::cascade(&query)?, deletion::manner(&query)?);
    let submitted = submit(call, command).await?;
    Ok(deletion::answer(call, &submitted))
}

/// `GET /flows/{flowId}/tags`.
pub fn get_tags(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    call.read(|tables| Ok(response::ok(&find(call, tables, id)?.flow().tags)))
}

/// `GET /flows/{flowId}/tags/{name}`.
pub fn get_tag(call: &Call<'_>, id: FlowId, name: &str) -> Result<Response, Problem> {
    call.read(|tables| response::set(find(call, tables, id)?.flow().tags.get(name), format_args!("tag {name:?}")))
}

/// `GET` of `label` or `description`.
pub fn get_text(call: &Call<'_>, id: FlowId, text: Text) -> Result<Response, Problem> {
    call.read(|tables| {
        let flow = find(call, tables, id)?.flow();
        let value = match text {
            Text::Label => &flow.label,
            Text::Description => &flow.description,
        };
        response::set(value.as_ref(), text)
    })
}

/// `GET /flows/{flowId}/read_only`: unset means false.
pub fn get_read_only(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    call.read(|tables| Ok(response::ok(&find(call, tables, id)?.flow().is_read_only())))
}

/// `GET /flows/{flowId}/flow_collection`. One that was set to an empty list is there; one that was deleted is not, as the
/// conformance suite has it (2.7 leaves it open).
pub fn get_collection(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    call.read(|tables| response::set(find(call, tables, id)?.flow().flow_collection.as_ref(), "flow_collection"))
}

/// `GET` of a bit rate.
pub fn get_bit_rate(call: &Call<'_>, id: FlowId, rate: BitRate) -> Result<Response, Problem> {
    call.read(|tables| {
        let flow = find(call, tables, id)?.flow();
        let value = match rate {
            BitRate::Max => flow.max_bit_rate,
            BitRate::Average => flow.avg_bit_rate,
        };
        response::set(value.as_ref(), rate)
    })
}

/// `PUT /flows/{flowId}/tags/{name}`.
pub async fn put_tag(call: &Call<'_>, id: FlowId, name: &str) -> Result<Response, Problem> {
    let value = property::tag(name, &call.body)?;
    set(call, id, FlowProperty::Tag(name.to_owned(), Some(value))).await
}

/// `DELETE /flows/{flowId}/tags/{name}`.
pub async fn delete_tag(call: &Call<'_>, id: FlowId, name: &str) -> Result<Response, Problem> {
    set(call, id, FlowProperty::Tag(name.to_owned(), None)).await
}

/// `PUT` of `label` or `description`.
pub async fn put_text(call: &Call<'_>, id: FlowId, text: Text) -> Result<Response, Problem> {
    let value = property::text(text, &call.body)?;
    set(call, id, text_property(text, Some(value))).await
}

/// `DELETE` of `label` or `description`.
pub async fn delete_text(call: &Call<'_>, id: FlowId, text: Text) -> Result<Response, Problem> {
    set(call, id, text_property(text, None)).await
}

fn text_property(text: Text, value: Option<String>) -> FlowProperty {
    match text {
        Text::Label => FlowProperty::Label(value),
        Text::Description => FlowProperty::Description(value),
    }
}

/// `PUT /flows/{flowId}/read_only`.
pub async fn put_read_only(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    let value = body::named("read_only", &call.body)?;
    set(call, id, FlowProperty::ReadOnly(value)).await
}

/// `PUT /flows/{flowId}/flow_collection`.
pub async fn put_collection(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    let items = property::flow_collection(&call.body)?;
    set(call, id, FlowProperty::FlowCollection(Some(items))).await
}

/// `DELETE /flows/{flowId}/flow_collection`.
pub async fn delete_collection(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    set(call, id, FlowProperty::FlowCollection(None)).await
}

/// `PUT` of a bit rate.
pub async fn put_bit_rate(call: &Call<'_>, id: FlowId, rate: BitRate) -> Result<Response, Problem> {
    let value = body::named(&rate.to_string(), &call.body)?;
    set(call, id, rate_property(rate, Some(value))).await
}

/// `DELETE` of a bit rate.
pub async fn delete_bit_rate(call: &Call<'_>, id: FlowId, rate: BitRate) -> Result<Response, Problem> {
    set(call, id, rate_property(rate, None)).await
}

fn rate_property(rate: BitRate, value: Option<u64>) -> FlowProperty {
    match rate {
        BitRate::Max => FlowProperty::MaxBitRate(value),
        BitRate::Average => FlowProperty::AvgBitRate(value),
    }
}

async fn set(call: &Call<'_>, flow_id: FlowId, property: FlowProperty) -> Result<Response, Problem> {
    let submitted = submit(call, Command::SetFlowProperty(SetFlowProperty { flow_id, property })).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// Extension `POST /flows`: several Flows at once, or one, each as by `PUT /flows/{flowId}`.
pub async fn post_batch(call: &Call<'_>) -> Result<Response, Problem> {
    if call.body.is_empty() {
        return Err(not_in_tams(&Resource::Flows));
    }
    let flows = body::flow::read_batch(&call.body)?;
    let submitted =
        batch::submit(call, flows.into_iter().map(|flow| flow.map(|flow| Command::PutFlow(Box::new(flow)))));
    Ok(batch::answer(call, submitted.await?))
}

/// Extension `PUT /flows/{flowId}/tags`: all tags at once.
pub async fn put_tags(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    if call.body.is_empty() {
        return Err(not_in_tams(&Resource::FlowTags(id)));
    }
    set(call, id, FlowProperty::Tags(property::tags(&call.body)?)).await
}

/// Extension `DELETE /flows/{flowId}/tags?confirm=true`: no tags are left.
pub async fn delete_tags(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    if call.query()?.boolean("confirm")? != Some(true) {
        return Err(not_in_tams(&Resource::FlowTags(id)));
    }
    set(call, id, FlowProperty::Tags(Tags::new())).await
}

/// A Flow, if it may be seen: what may not is as good as not there (14.2).
fn find<'a>(call: &Call<'_>, tables: &'a Tables, id: FlowId) -> Result<FlowView<'a>, Problem> {
    let flow = tables.flow(id).filter(|flow| call.access().may_read(&flow.flow().tags));
    flow.ok_or_else(|| Problem::NotFound(format!("flow {id} does not exist")))
}
