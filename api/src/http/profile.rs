//! Profiles (5.5): technical metadata that Flows share.

use hyper::StatusCode;
use tapelog_commands::Command;
use tapelog_events::{Profile, ProfileId};
use tapelog_projections::{ProfileFilter, Tables};

use super::body;
use super::call::{self, Call};
use super::paging::Page;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::submit;

/// `GET /service/profiles`. Its pages say less of themselves than those of other listings.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = ProfileFilter {
        format: query.format()?,
        codec: query.mime_type("codec")?.map(str::to_owned),
        label: query.text("label")?.map(str::to_owned),
        access: call.access().clone(),
    };
    let paging = call::paging(call, &query)?;
    call.read(|tables| {
        let page = tables.profiles(&filter, &paging)?;
        let mut response = response::ok(&page.items);
        let page = Page { limit: paging.limit, next: page.next.as_deref(), listing: None };
        page.write(call, response.headers_mut());
        Ok(response)
    })
}

/// `GET /service/profiles/{profileId}`.
pub fn get(call: &Call<'_>, id: ProfileId) -> Result<Response, Problem> {
    call.read(|tables| {
        let profile = find(tables, id).filter(|profile| call.access().may_read(&profile.tags));
        profile.map(response::ok).ok_or_else(|| Problem::NotFound(format!("profile {id} does not exist")))
    })
}

/// `POST /service/profiles/{profileId}`.
pub async fn create(call: &Call<'_>, id: ProfileId) -> Result<Response, Problem> {
    let command = body::profile::read(id, &call.body)?;
    submit(call, Command::CreateProfile(Box::new(command))).await?;
    call.read(|tables| {
        // Profiles are never deleted.
        let profile = find(tables, id).ok_or(Problem::Internal)?;
        Ok(response::json(StatusCode::CREATED, response::encode(profile)))
    })
}

fn find(tables: &Tables, id: ProfileId) -> Option<&Profile> {
    tables.registry().profiles.get(&id)
}
