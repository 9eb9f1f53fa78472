//! What was put aside by `soft_delete`, an extension.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, TrashedFlow};
use tapelog_events::{Flow, FlowId, Instant, Permission, SourceId, Verdict};

use super::call::{self, Call};
use super::paging;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::{Repeatable, submit};

/// A Flow that was put aside, as clients see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrashedFlow")]
pub struct Trashed<'a> {
    /// When it was put aside.
    deleted: Instant,
    /// Until when it can be restored at least.
    restorable_until: Instant,
    flow: &'a Flow,
}

/// `GET /trash`: the latest first.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let paging = call::paging(call, &query)?;
    let kept = call.app.parts.retention.trash;
    call.read(|tables| {
        let page = tables.trash(call.access(), &paging)?;
        Ok(paging::listing(call, &paging, page, |TrashedFlow { flow, at, .. }, out| {
            out.extend(response::encode(&Trashed { deleted: *at, restorable_until: at.saturating_add(kept), flow }));
        }))
    })
}

/// `POST /flows/{flowId}/restore`: the Flow is back with its segments. What collected it does not collect it again.
pub async fn restore_flow(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let submitted = submit(call, Command::RestoreFlow(flow_id)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// `POST /sources/{sourceId}/restore`: every Flow of the Source that was put aside is back, and the Source with them.
pub async fn restore_source(call: &Call<'_>, source_id: SourceId) -> Result<Response, Problem> {
    let request = Repeatable::of(call).await?;
    if let Some(answered) = request.answered()? {
        return Ok(call.empty_at(answered.seq, StatusCode::NO_CONTENT));
    }
    let flows: Vec<_> = call.app.parts.tables.read(|tables| {
        let trash = tables.registry().trash.values();
        let of_source = trash.filter(|trashed| trashed.flow.source_id == source_id);
        let visible =
            of_source.filter(|trashed| call.access().judge(Permission::Write, &trashed.flow.tags) == Verdict::Granted);
        visible.map(|trashed| (*trashed.flow.id.as_uuid(), Command::RestoreFlow(trashed.flow.id))).collect()
    });
    let restored = request.submit_each(flows).await?;
    let restored = restored.ok_or_else(|| Problem::NotFound(format!("no flow of source {source_id} was put aside")))?;
    Ok(call.empty_at(restored.seq, StatusCode::NO_CONTENT))
}
