//! The store itself (section 13).

use hyper::StatusCode;
use serde::Serialize;
use tapelog_commands::Command;
use tapelog_events::Timestamp;

use super::backend::BackendDescription;
use super::body;
use super::call::Call;
use super::limits::Limits;
use super::paging::{Listing, Page};
use super::problem::Problem;
use super::query::Query;
use super::response::{self, Response};
use super::tag_filter;
use super::write::submit;

/// The version of the TAMS API that is spoken.
const API_VERSION: &str = "8.2";

/// `GET /`.
pub fn root() -> Response {
    response::ok(&["service", "flows", "sources", "objects"])
}

/// `service.json`
#[derive(Serialize)]
struct Service<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    r#type: &'static str,
    api_version: &'static str,
    service_version: &'a str,
    min_object_timeout: Timestamp,
    min_presigned_url_timeout: Timestamp,
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
    let reverse = query.boolean("reverse_order").is_ok_and(|reverse| reverse == Some(true));
    let limit = limit(&query, &call.app.parts.limits);

    let mut backends: Vec<&BackendDescription> = call
        .app
        .parts
        .backends
        .iter()
        .map(|backend| &backend.description)
        .filter(|backend| tags.iter().all(|filter| filter.matches(&backend.place.tags)))
        .collect();
    if reverse {
        backends.reverse();
    }
    // The key of a page is the id of the last backend of the one before.
    let page = query.text("page").ok().flatten();
    let before = page.and_then(|page| backends.iter().position(|backend| backend.id.to_string() == page));
    let mut rest = backends.split_off(before.map_or(0, |index| index + 1));
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more).map(|backend| backend.id.to_string());

    let mut response = response::ok(&rest);
    let listing = Listing { count: rest.len(), reverse, timerange: None };
    Page { limit, next: next.as_deref(), listing: Some(listing) }.write(call, response.headers_mut());
    response
}

fn limit(query: &Query<'_>, limits: &Limits) -> usize {
    match query.text("limit") {
        Ok(Some("0")) => 1,
        _ => query.limit(limits).unwrap_or(limits.page_default),
    }
}
