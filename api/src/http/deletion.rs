//! Deletions, and the requests that those come to which take longer than an answer may (section 9).

use hyper::StatusCode;
use hyper::header::LOCATION;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Cascade, Command, DeleteFlow, Manner, Patience};
use tapelog_events::{
    DeletionRequest, DeletionRequestId, DeletionStatus, Failure, FlowId, Instant, Outcome, TimeRange,
};
use tapelog_projections::{DeletionSort, Paging, Tables};
use tapelog_store::sequencer::Submitted;
use uuid::Uuid;

use super::call::{self, Call};
use super::paging;
use super::problem::Problem;
use super::query::Query;
use super::response::{self, Response};

/// `deletion-request.json`
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeletionRequest")]
pub struct Document<'a> {
    id: DeletionRequestId,
    flow_id: FlowId,
    timerange_to_delete: TimeRange,
    timerange_remaining: TimeRange,
    delete_flow: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    created: Instant,
    created_by: &'a str,
    updated: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<Instant>,
}

impl<'a> Document<'a> {
    fn of(request: &'a DeletionRequest) -> Self {
        let (status, error) = match &request.status {
            DeletionStatus::Created => ("created", None),
            DeletionStatus::Started => ("started", None),
            DeletionStatus::Done => ("done", None),
            DeletionStatus::Error(failure) => ("error", Some(failure)),
        };
        Self {
            id: request.id,
            flow_id: request.flow_id,
            timerange_to_delete: request.timerange_to_delete,
            timerange_remaining: request.timerange_remaining,
            delete_flow: request.delete_flow,
            status,
            error,
            created: request.created,
            created_by: &request.created_by,
            updated: request.updated,
            expiry: request.expiry,
        }
    }
}

/// `GET /flow-delete-requests`. The specification gives this listing no 400: a parameter that cannot be read is as good
/// as absent.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query().unwrap_or_default();
    let sorts = [("created", DeletionSort::Created), ("expiry", DeletionSort::Expiry)];
    let sort = query.choice("sort_by", &sorts).ok().flatten().unwrap_or_default();
    let paging = call::forgiving_paging(call, &query);
    call.read(|tables| {
        let from_start = Paging { cursor: None, ..paging };
        let page = tables.deletions(sort, &paging).or_else(|_| tables.deletions(sort, &from_start))?;
        Ok(paging::listing(call, &paging, page, |request, out| {
            out.extend(response::encode(&Document::of(request)));
        }))
    })
}

/// `GET /flow-delete-requests/{request-id}`.
pub fn get(call: &Call<'_>, id: DeletionRequestId) -> Result<Response, Problem> {
    call.read(|tables| {
        let request = tables.deletion(id).filter(|request| may_read(call, tables, request));
        let request = request.ok_or_else(|| Problem::NotFound(format!("deletion request {id} does not exist")))?;
        Ok(response::ok(&Document::of(request)))
    })
}

/// A request is as visible as its Flow, as long as that is there.
fn may_read(call: &Call<'_>, tables: &Tables, request: &DeletionRequest) -> bool {
    tables.flow(request.flow_id).is_none_or(|flow| call.access().may_read(&flow.flow().tags))
}

/// The command that deletes a Flow, at once or by a request.
pub fn of_flow(call: &Call<'_>, flow_id: FlowId, cascade: Cascade, manner: Manner) -> Command {
    Command::DeleteFlow(DeleteFlow { flow_id, cascade, manner, patience: patience(call) })
}

/// Whether what is deleted may come back: `soft_delete=true`, an extension.
///
/// # Errors
/// [`Problem::Invalid`] where the parameter is neither true nor false.
pub fn manner(query: &Query<'_>) -> Result<Manner, Problem> {
    Ok(match query.boolean("soft_delete")? {
        Some(true) => Manner::Aside,
        Some(false) | None => Manner::ForGood,
    })
}

/// Whether what depends on the resource goes along: not with `cascade=false`, an extension.
///
/// # Errors
/// [`Problem::Invalid`] where the parameter is neither true nor false.
pub fn cascade(query: &Query<'_>) -> Result<Cascade, Problem> {
    Ok(match query.boolean("cascade")? {
        Some(false) => Cascade::No,
        Some(true) | None => Cascade::Yes,
    })
}

/// How much of a deletion is done before it is answered, and the request for the rest.
pub fn patience(call: &Call<'_>) -> Patience {
    Patience {
        segments: call.app.parts.limits.delete_at_once,
        request_id: DeletionRequestId::from_uuid(Uuid::new_v4()),
    }
}

/// The answer to a deletion: that it is done, or where to see how far it is.
pub fn answer(call: &Call<'_>, submitted: &Submitted) -> Response {
    let Outcome::DeletionRequested { request_id } = submitted.outcome else {
        return call.empty_at(submitted.seq, StatusCode::NO_CONTENT);
    };
    let (seq, request) = call.app.parts.tables.read(|tables| (tables.position(), tables.deletion(request_id).cloned()));
    // It may have ended since, and been forgotten, where the answer is that to a repetition.
    let Some(request) = request else { return call.empty_at(seq, StatusCode::NO_CONTENT) };
    let mut response = response::json(StatusCode::ACCEPTED, response::encode(&Document::of(&request)));
    let location = paging::ascii(&call.url(&format!("/flow-delete-requests/{request_id}")));
    response.headers_mut().insert(LOCATION, location);
    call.at(seq, response)
}
