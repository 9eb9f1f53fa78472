//! Objects (section 8).

use hyper::StatusCode;
use tapelog_events::ObjectId;

use super::call::{self, Call};
use super::json::{push, push_string};
use super::paging::Page;
use super::problem::Problem;
use super::response::{self, Response};
use super::tag_filter;
use super::urls::Urls;

/// `GET /objects/{objectId}`. Pages go over the Flows that use it.
pub fn get(call: &Call<'_>, object_id: &ObjectId) -> Result<Response, Problem> {
    let query = call.query()?;
    let urls = Urls::parse(call.app, &query)?;
    let flow_tags = tag_filter::parse(&query, "flow_tag")?;
    let paging = call::paging(call, &query)?;
    let (seq, found) = call.app.parts.tables.read(|tables| {
        let found = tables.object(object_id).map(|object| {
            let flows = object.referenced_by_flows(tables, &flow_tags, &paging);
            flows.map(|flows| (object, flows))
        });
        (tables.position(), found)
    });
    let missing = || Problem::NotFound(format!("object {object_id} does not exist, or no segment uses it"));
    let (object, flows) = found.ok_or_else(missing)??;

    let mut out = String::new();
    if !call.is_head() {
        let id = object.id.to_string();
        out.push_str("{\"id\":");
        push_string(&mut out, &id);
        out.push_str(",\"referenced_by_flows\":[");
        for (index, flow) in flows.items.iter().enumerate() {
            push(&mut out, if index == 0 { "\"" } else { ",\"" }, flow);
            out.push('"');
        }
        out.push(']');
        if let Some(first) = object.first_referenced_by_flow {
            push(&mut out, ",\"first_referenced_by_flow\":\"", first);
            out.push('"');
        }
        push(&mut out, ",\"timerange\":\"", object.timerange);
        out.push('"');
        if let Some(count) = object.key_frame_count {
            push(&mut out, ",\"key_frame_count\":", count);
        }
        out.push_str(",\"get_urls\":");
        urls.write(&id, &object.instances, &mut String::new(), &mut out);
        out.push('}');
    }
    let mut response = response::json(StatusCode::OK, out);
    let page = Page { limit: paging.limit, next: flows.next.as_deref(), listing: None };
    page.write(call, response.headers_mut());
    Ok(call.at(seq, response))
}
