//! The store itself (section 13).

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::Command;
use tapelog_events::Timestamp;
use tapelog_projections::{Direction, Page, Paging};

use super::app::NatsFeed;
use super::backend::BackendDescription;
use super::body;
use super::call::{self, Call};
use super::paging;
use super::problem::Problem;
use super::response::{self, Response};
use super::tag_filter;
use super::write::submit;

/// The version of the TAMS API that is spoken.
const API_VERSION: &str = "8.2";

/// `GET /`.
pub fn root() -> Response {
    response::ok(&["service", "flows", "sources", "flow-delete-requests", "objects"])
}

/// `service.json`
#[derive(Serialize, JsonSchema)]
pub struct Service<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    r#type: &'static str,
    api_version: &'static str,
    service_version: &'a str,
    event_stream_mechanisms: Vec<Mechanism<'a>>,
    min_object_timeout: Timestamp,
    min_presigned_url_timeout: Timestamp,
}

/// `event-stream-common.json`
#[derive(Serialize, JsonSchema)]
pub struct Mechanism<'a> {
    name: &'static str,
    /// Where it is described.
    docs: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<MechanismConfig<'a>>,
}

/// What a client has to know to use an event stream mechanism.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MechanismConfig<'a> {
    /// Where events are sent from.
    Url { url: String },
    /// Where on NATS they are.
    Nats(&'a NatsFeed),
}

/// How clients are told what happens. The specification knows webhooks; the others are extensions.
fn mechanisms<'a>(call: &Call<'_>, nats: Option<&'a NatsFeed>) -> Vec<Mechanism<'a>> {
    let mechanism = |name, config| Mechanism { name, docs: call.url("/docs"), config };
    let sse = MechanismConfig::Url { url: call.url("/events") };
    let nats = nats.map(|feed| mechanism("tapelog-nats", Some(MechanismConfig::Nats(feed))));
    [mechanism("webhooks", None), mechanism("tapelog-sse", Some(sse))].into_iter().chain(nats).collect()
}

/// `GET /service`.
pub fn get(call: &Call<'_>) -> Result<Response, Problem> {
    let facts = &call.app.parts.service;
    call.read(|tables| {
        let (name, description) = tables.service();
        Ok(response::ok(&Service {
            name,
            description,
            r#type: "urn:x-tams:service.tapelog",
            api_version: API_VERSION,
            service_version: &facts.version,
            event_stream_mechanisms: mechanisms(call, facts.nats_feed.as_ref()),
            min_object_timeout: facts.min_object_timeout,
            min_presigned_url_timeout: facts.min_presigned_url_timeout,
        }))
    })
}

/// `POST /service`.
pub async fn post(call: &Call<'_>) -> Result<Response, Problem> {
    let command = body::service::read(&call.body)?;
    let submitted = submit(call, Command::UpdateService(command)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::OK))
}

/// `GET /service/storage-backends`. The specification gives this listing no 400: a parameter that cannot be read is as
/// good as absent.
pub fn storage_backends(call: &Call<'_>) -> Response {
    let query = call.query().unwrap_or_default();
    let tags = tag_filter::parse(&query, "tag").unwrap_or_default();
    let Paging { direction, cursor, limit } = call::forgiving_paging(call, &query);

    let mut backends: Vec<&BackendDescription> = call
        .app
        .parts
        .backends
        .iter()
        .map(|backend| &backend.description)
        .filter(|backend| call.access().may_read(&backend.place.tags))
        .filter(|backend| tags.iter().all(|filter| filter.matches(&backend.place.tags)))
        .collect();
    if direction == Direction::Reversed {
        backends.reverse();
    }
    // The key of a page is the id of the last backend of the one before.
    let before = cursor.and_then(|cursor| backends.iter().position(|backend| backend.id.to_string() == cursor));
    let mut items = backends.split_off(before.map_or(0, |index| index + 1));
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|backend| backend.id.to_string());
    let page = Page { items, next };
    paging::listing(call, &Paging { direction, cursor, limit }, page, |backend, out| {
        out.extend(response::encode(backend))
    })
}
