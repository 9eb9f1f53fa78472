//! Collections of Flows and of Sources as resources of their own: an extension. A collection of Flows is the Flow that has
//! a `flow_collection`, a collection of Sources the Source of such a Flow.

use hyper::StatusCode;
use tapelog_commands::Command;
use tapelog_events::{CollectionItem, FlowId, SourceId};
use tapelog_projections::{FlowFilter, FlowView, SourceFilter, SourceView, Tables};

use super::body;
use super::call::{self, Call};
use super::flow;
use super::problem::Problem;
use super::response::{self, Response};
use super::source;
use super::tag_filter;
use super::write::{Repeatable, fresh_id, submit};

/// `GET /collections`: the Flows that collect others.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = FlowFilter {
        label: query.text("label")?.map(str::to_owned),
        tags: tag_filter::parse(&query, "tag")?,
        has_collection: Some(true),
        ..FlowFilter::default()
    };
    flow::page(call, &query, filter)
}

/// `GET /source-collections`: the Sources that collect others.
pub fn list_of_sources(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = SourceFilter {
        label: query.text("label")?.map(str::to_owned),
        tags: tag_filter::parse(&query, "tag")?,
        has_collection: Some(true),
        ..SourceFilter::default()
    };
    source::page(call, &query, filter)
}

/// `GET /collections/{flowId}`: the Flow that collects, with the Flows that it collects in their order.
pub fn get(call: &Call<'_>, id: FlowId) -> Result<Response, Problem> {
    call.read(|tables| {
        let collection = readable(call, tables, id).filter(|flow| flow.flow().flow_collection.is_some());
        let collection = collection.ok_or_else(|| Problem::NotFound(format!("flow {id} collects nothing")))?;
        let members = collection.flow().members().iter().filter_map(|member| readable(call, tables, member.id));
        let members: Vec<_> = members.collect();
        let mut out = b"{\"collection\":".to_vec();
        collection.write_json(&mut out, None, call.access());
        out.extend_from_slice(b",\"members\":");
        out.extend(response::documents(&members, |flow, out| flow.write_json(out, None, call.access())));
        out.push(b'}');
        Ok(response::json(StatusCode::OK, out))
    })
}

/// `GET /source-collections/{sourceId}`: the Source that collects, with the Sources that it collects.
pub fn get_of_source(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    call.read(|tables| {
        let source = readable_source(call, tables, id);
        let members = source.map(|source| source.source_collection()).unwrap_or_default();
        let members: Vec<_> = members.iter().filter_map(|member| readable_source(call, tables, member.id)).collect();
        let collection = source.filter(|_| !members.is_empty());
        let collection = collection.ok_or_else(|| Problem::NotFound(format!("source {id} collects nothing")))?;
        let mut out = b"{\"collection\":".to_vec();
        collection.write_json(&mut out, call.access());
        out.extend_from_slice(b",\"members\":");
        out.extend(response::documents(&members, |source, out| source.write_json(out, call.access())));
        out.push(b'}');
        Ok(response::json(StatusCode::OK, out))
    })
}

/// `POST /collections`: a Flow of format multi that collects Flows.
pub async fn create(call: &Call<'_>) -> Result<Response, Problem> {
    let ids = fresh_ids(call)?;
    let flow = body::collection::read(&call.body, || ids)?;
    let flow_id = flow.flow_id;
    submit(call, Command::PutFlow(Box::new(flow))).await?;
    created(call, |tables, out| tables.flow(flow_id).map(|flow| flow.write_json(out, None, call.access())))
}

/// `POST /source-collections`: a Source that collects Sources, through a Flow of format multi that collects all their
/// Flows.
pub async fn create_of_sources(call: &Call<'_>) -> Result<Response, Problem> {
    let ids = fresh_ids(call)?;
    let body::collection::NewSourceCollection { mut flow, members } =
        body::collection::read_of_sources(&call.body, || ids)?;
    let source_id = flow.metadata.source_id;
    let written = |tables: &Tables, out: &mut Vec<u8>| {
        tables.source(source_id).map(|source| source.write_json(out, call.access()))
    };
    // The members that it was made of may be gone by now.
    if Repeatable::of(call).await?.answered()?.is_some() {
        return created(call, written);
    }
    let items = call.app.parts.tables.read(|tables| {
        let mut items = Vec::new();
        for (index, member) in members.iter().enumerate() {
            if readable_source(call, tables, member.id).is_none() {
                return Err(Problem::invalid(format!("members[{index}].id {} is not a source", member.id)));
            }
            let flows = call::flows_of(tables, member.id, call.access());
            items.extend(flows.iter().map(|flow| CollectionItem {
                id: flow.flow().id,
                role: member.role.clone(),
                container_mapping: None,
            }));
        }
        Ok(items)
    })?;
    flow.metadata.flow_collection = Some(items);
    submit(call, Command::PutFlow(Box::new(flow))).await?;
    created(call, written)
}

fn created(call: &Call<'_>, write: impl FnOnce(&Tables, &mut Vec<u8>) -> Option<()>) -> Result<Response, Problem> {
    call.read(|tables| {
        let mut out = Vec::new();
        // Another client may have deleted it since: it was created nonetheless.
        match write(tables, &mut out) {
            Some(()) => Ok(response::json(StatusCode::CREATED, out)),
            None => Ok(response::empty(StatusCode::CREATED)),
        }
    })
}

fn fresh_ids(call: &Call<'_>) -> Result<(FlowId, SourceId), Problem> {
    Ok((FlowId::from_uuid(fresh_id(call, "flow")?), SourceId::from_uuid(fresh_id(call, "source")?)))
}

fn readable<'a>(call: &Call<'_>, tables: &'a Tables, id: FlowId) -> Option<FlowView<'a>> {
    tables.flow(id).filter(|flow| call.access().may_read(&flow.flow().tags))
}

fn readable_source<'a>(call: &Call<'_>, tables: &'a Tables, id: SourceId) -> Option<SourceView<'a>> {
    tables.source(id).filter(|source| call.access().may_read(&source.source().tags))
}
