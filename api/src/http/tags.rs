//! Tags across the store, with how often they are used: an extension.

use serde::Serialize;
use tapelog_events::Access;
use tapelog_projections::{Page, Paging};

use super::call::{self, Call};
use super::paging;
use super::problem::Problem;
use super::response::{self, Response};

/// `GET /tags`: the names of tags, A to Z, each with how many Flows, Sources and segments have it and how many values
/// it has. `prefix` asks for those names that begin so.
pub fn names(call: &Call<'_>) -> Result<Response, Problem> {
    ensure_sees_all(call)?;
    let query = call.query()?;
    let paging = call::paging(call, &query)?;
    let prefix = query.text("prefix")?.unwrap_or_default();
    call.read(|tables| Ok(page(call, &paging, tables.tag_names(prefix, &paging)?)))
}

/// `GET /tags/{name}`: the values of a tag, A to Z, each with how many Flows, Sources and segments have it.
pub fn values(call: &Call<'_>, name: &str) -> Result<Response, Problem> {
    ensure_sees_all(call)?;
    let query = call.query()?;
    let paging = call::paging(call, &query)?;
    call.read(|tables| Ok(page(call, &paging, tables.tag_values(name, &paging)?)))
}

/// Numbers over the whole store would tell of what somebody may not see.
fn ensure_sees_all(call: &Call<'_>) -> Result<(), Problem> {
    match &**call.access() {
        Access::Unrestricted => Ok(()),
        Access::Classes(_) => {
            Err(Problem::Forbidden("statistics of tags are for those who may see every resource".to_owned()))
        }
    }
}

fn page<T: Serialize>(call: &Call<'_>, paging: &Paging<'_>, page: Page<T>) -> Response {
    paging::listing(call, paging, page, |item, out| out.extend(response::encode(item)))
}
