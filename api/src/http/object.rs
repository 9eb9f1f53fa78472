//! Objects (section 8).

use hyper::StatusCode;
use tapelog_commands::Command;
use tapelog_events::ObjectId;
use tapelog_projections::ObjectKind;

use super::call::{self, Call};
use super::dispatch::not_in_tams;
use super::json::{push, push_string};
use super::paging::Page;
use super::problem::Problem;
use super::response::{self, Response};
use super::route::Resource;
use super::tag_filter;
use super::urls::Urls;
use super::write::submit;

/// `GET /objects/{objectId}`. Pages go over the Flows that use it. Whoever may see none of them does not see the object.
pub fn get(call: &Call<'_>, object_id: &ObjectId) -> Result<Response, Problem> {
    let query = call.query()?;
    let urls = Urls::parse(call, &query)?;
    let flow_tags = tag_filter::parse(&query, "flow_tag")?;
    let paging = call::paging(call, &query)?;
    let (seq, found) = call.look(|tables| {
        let access = call.access();
        let found = tables.object(object_id).filter(|object| object.is_readable(tables, access)).map(|object| {
            let first = object
                .first_referenced_by_flow
                .filter(|first| tables.flow(*first).is_some_and(|flow| access.may_read(&flow.flow().tags)));
            let flows = object.referenced_by_flows(tables, &flow_tags, access, &paging);
            flows.map(|flows| (object, first, flows))
        });
        (tables.position(), found)
    });
    let missing = || Problem::NotFound(format!("object {object_id} does not exist, or no segment uses it"));
    let (object, first, flows) = found.ok_or_else(|| missing().seen_at(seq))??;

    let mut out = String::new();
    let id = object.id.to_string();
    out.push_str("{\"id\":");
    push_string(&mut out, &id);
    out.push_str(",\"referenced_by_flows\":[");
    for (index, flow) in flows.items.iter().enumerate() {
        push(&mut out, if index == 0 { "\"" } else { ",\"" }, flow);
        out.push('"');
    }
    out.push(']');
    if let Some(first) = first {
        push(&mut out, ",\"first_referenced_by_flow\":\"", first);
        out.push('"');
    }
    let mut key = String::new();
    match &object.kind {
        ObjectKind::Media { timerange, key_frame_count, init } => {
            push(&mut out, ",\"timerange\":\"", timerange);
            out.push('"');
            if let Some(count) = key_frame_count {
                push(&mut out, ",\"key_frame_count\":", count);
            }
            if let Some(init) = init {
                let init_id = init.object_id.to_string();
                out.push_str(",\"init_object\":{\"id\":");
                push_string(&mut out, &init_id);
                out.push_str(",\"get_urls\":");
                urls.write(&init_id, &init.instances, &mut key, &mut out);
                out.push('}');
            }
        }
        ObjectKind::Init => {}
    }
    out.push_str(",\"get_urls\":");
    urls.write(&id, &object.instances, &mut key, &mut out);
    out.push('}');
    let mut response = response::json(StatusCode::OK, out);
    let page = Page { limit: paging.limit, next: flows.next.as_deref(), listing: None };
    page.write(call, response.headers_mut());
    Ok(call.at(seq, response))
}

/// Extension `DELETE /objects/{objectId}?confirm=true`: gives up an object that no segment uses, without waiting for its
/// grace to end.
pub async fn delete(call: &Call<'_>, object_id: ObjectId) -> Result<Response, Problem> {
    if call.query()?.boolean("confirm")? != Some(true) {
        return Err(not_in_tams(&Resource::Object(object_id)));
    }
    let submitted = submit(call, Command::DeleteObject(object_id)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}
