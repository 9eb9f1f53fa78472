//! Sources (sections 2.3 and 4).

use std::sync::Arc;

use hyper::StatusCode;
use tapelog_commands::{Cascade, Command, SetSourceProperty, SourceProperty};
use tapelog_events::{Access, FlowId, Permission, SourceId, Tags, Verdict};
use tapelog_projections::{FlowView, Listed, SortBy, SourceFilter, SourceView, Tables};

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
use super::route::{Resource, Text};
use super::tag_filter;
use super::write::{Repeatable, submit};

/// `GET /sources`.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = SourceFilter {
        label: query.text("label")?.map(str::to_owned),
        format: query.format()?,
        tags: tag_filter::parse(&query, "tag")?,
        collected_by_ids: query.list("collected_by_ids")?,
        ..SourceFilter::default()
    };
    page(call, &query, filter)
}

/// A page of the Sources that a filter lets pass and the caller may read, as the rest of the query asks for them.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn page(call: &Call<'_>, query: &Query<'_>, filter: SourceFilter) -> Result<Response, Problem> {
    let filter = SourceFilter { access: call.access().clone(), ..filter };
    let sorts = [("created", SortBy::Created), ("updated", SortBy::Updated), ("label", SortBy::Label)];
    let sort = query.choice("sort_by", &sorts)?.unwrap_or_default();
    let paging = call::paging(call, query)?;
    call.read(|tables| {
        let tag = Tag::of(call, tables.changed(Listed::Sources));
        if tag.is_known(call) {
            return Ok(tag.unchanged());
        }
        let page = tables.sources(&filter, sort, &paging)?;
        let response = paging::listing(call, &paging, page, |source, out| source.write_json(out, call.access()));
        Ok(tag.mark(response))
    })
}

/// `GET /sources/{sourceId}`.
pub fn get(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    call.read(|tables| {
        let mut body = Vec::new();
        find(call, tables, id)?.write_json(&mut body, call.access());
        Ok(response::json(StatusCode::OK, body))
    })
}

/// `GET /sources/{sourceId}/tags`.
pub fn get_tags(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    call.read(|tables| Ok(response::ok(&find(call, tables, id)?.source().tags)))
}

/// `GET /sources/{sourceId}/tags/{name}`.
pub fn get_tag(call: &Call<'_>, id: SourceId, name: &str) -> Result<Response, Problem> {
    call.read(|tables| response::set(find(call, tables, id)?.source().tags.get(name), format_args!("tag {name:?}")))
}

/// `GET` of `label` or `description`.
pub fn get_text(call: &Call<'_>, id: SourceId, text: Text) -> Result<Response, Problem> {
    call.read(|tables| {
        let source = find(call, tables, id)?.source();
        let value = match text {
            Text::Label => &source.label,
            Text::Description => &source.description,
        };
        response::set(value.as_ref(), text)
    })
}

/// `PUT /sources/{sourceId}/tags/{name}`.
pub async fn put_tag(call: &Call<'_>, id: SourceId, name: &str) -> Result<Response, Problem> {
    let value = property::tag(name, &call.body)?;
    set(call, id, SourceProperty::Tag(name.to_owned(), Some(value))).await
}

/// `DELETE /sources/{sourceId}/tags/{name}`.
pub async fn delete_tag(call: &Call<'_>, id: SourceId, name: &str) -> Result<Response, Problem> {
    set(call, id, SourceProperty::Tag(name.to_owned(), None)).await
}

/// `PUT` of `label` or `description`.
pub async fn put_text(call: &Call<'_>, id: SourceId, text: Text) -> Result<Response, Problem> {
    let value = property::text(text, &call.body)?;
    set(call, id, text_property(text, Some(value))).await
}

/// `DELETE` of `label` or `description`.
pub async fn delete_text(call: &Call<'_>, id: SourceId, text: Text) -> Result<Response, Problem> {
    set(call, id, text_property(text, None)).await
}

fn text_property(text: Text, value: Option<String>) -> SourceProperty {
    match text {
        Text::Label => SourceProperty::Label(value),
        Text::Description => SourceProperty::Description(value),
    }
}

async fn set(call: &Call<'_>, source_id: SourceId, property: SourceProperty) -> Result<Response, Problem> {
    let submitted = submit(call, Command::SetSourceProperty(SetSourceProperty { source_id, property })).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// Extension `POST /sources`: changes several Sources at once, or one. None is made: a Source appears with its first
/// Flow (ADR 0018).
pub async fn post_batch(call: &Call<'_>) -> Result<Response, Problem> {
    if call.body.is_empty() {
        return Err(not_in_tams(&Resource::Sources));
    }
    let edits = body::source::read_batch(&call.body)?;
    let submitted = batch::submit(call, edits.into_iter().map(|edit| edit.map(Command::EditSource)));
    Ok(batch::answer(call, submitted.await?))
}

/// Extension `DELETE /sources/{sourceId}?cascade=`: deletes its Flows, and so the Source. Each Flow goes by a commit of
/// its own; that any of them may not go is found out before the first goes.
pub async fn delete(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    let query = call.query()?;
    let Some(cascade) = query.boolean("cascade")? else { return Err(not_in_tams(&Resource::Source(id))) };
    let manner = deletion::manner(&query)?;
    let request = Repeatable::of(call).await?;
    if let Some(answered) = request.answered()? {
        return Ok(deletion::answer(call, &answered));
    }
    let flows = call.app.parts.tables.read(|tables| {
        let source = find(call, tables, id)?;
        let flows = call::flows_of(tables, id, &Arc::new(Access::Unrestricted));
        let refused = flows.iter().find(|flow| flow.flow().is_read_only());
        if !cascade {
            return Err(Problem::Conflict(format!("source {id} has {} flows, and cascade is false", flows.len())));
        }
        if call.access().judge(Permission::Delete, &source.source().tags) != Verdict::Granted {
            return Err(Problem::Forbidden(format!("you may not delete source {id}")));
        }
        if let Some(flow) = refused {
            return Err(Problem::Forbidden(format!("flow {} of the source is read_only", flow.flow().id)));
        }
        let hidden =
            |flow: &FlowView<'_>| call.access().judge(Permission::Delete, &flow.flow().tags) != Verdict::Granted;
        if flows.iter().any(hidden) {
            return Err(Problem::Forbidden(format!("you may not delete every flow of source {id}")));
        }
        let mut flows: Vec<_> = flows.iter().map(|flow| flow.flow().id).collect();
        // The answer is that for the last one: it tells of a Flow that goes on after it, where there is one.
        flows.sort_by_cached_key(|flow_id| tables.segments_of(*flow_id));
        Ok(flows)
    })?;
    let deletion = |flow_id: FlowId| (*flow_id.as_uuid(), deletion::of_flow(call, flow_id, Cascade::Yes, manner));
    let told = request.submit_each(flows.into_iter().map(deletion).collect()).await?;
    let told = told.ok_or_else(|| Problem::NotFound(format!("source {id} does not exist")))?;
    Ok(deletion::answer(call, &told))
}

/// Extension `PUT /sources/{sourceId}/tags`: all tags at once.
pub async fn put_tags(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    if call.body.is_empty() {
        return Err(not_in_tams(&Resource::SourceTags(id)));
    }
    set(call, id, SourceProperty::Tags(property::tags(&call.body)?)).await
}

/// Extension `DELETE /sources/{sourceId}/tags?confirm=true`: no tags are left.
pub async fn delete_tags(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    if call.query()?.boolean("confirm")? != Some(true) {
        return Err(not_in_tams(&Resource::SourceTags(id)));
    }
    set(call, id, SourceProperty::Tags(Tags::new())).await
}

/// A Source, if it may be seen: what may not is as good as not there (14.2).
fn find<'a>(call: &Call<'_>, tables: &'a Tables, id: SourceId) -> Result<SourceView<'a>, Problem> {
    let source = tables.source(id).filter(|source| call.access().may_read(&source.source().tags));
    source.ok_or_else(|| Problem::NotFound(format!("source {id} does not exist")))
}
