//! Sources (sections 2.3 and 4).

use hyper::StatusCode;
use tapelog_commands::{Command, SetSourceProperty, SourceProperty};
use tapelog_events::SourceId;
use tapelog_projections::{Direction, SortBy, SourceFilter, SourceView, Tables};

use super::body::property;
use super::call::{self, Call};
use super::paging::{Listing, Page};
use super::problem::Problem;
use super::response::{self, Response};
use super::route::Text;
use super::tag_filter;
use super::write::submit;

/// `GET /sources`.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = SourceFilter {
        label: query.text("label")?.map(str::to_owned),
        format: query.format()?,
        tags: tag_filter::parse(&query, "tag")?,
        collected_by_ids: query.list("collected_by_ids")?,
    };
    let sorts = [("created", SortBy::Created), ("updated", SortBy::Updated), ("label", SortBy::Label)];
    let sort = query.choice("sort_by", &sorts)?.unwrap_or_default();
    let paging = call::paging(call, &query)?;
    call.read(|tables| {
        let page = tables.sources(&filter, sort, &paging)?;
        let body = response::documents(&page.items, SourceView::write_json);
        let mut response = response::json(StatusCode::OK, body);
        let reverse = paging.direction == Direction::Reversed;
        let listing = Listing { count: page.items.len(), reverse, timerange: None };
        let page = Page { limit: paging.limit, next: page.next.as_deref(), listing: Some(listing) };
        page.write(call, response.headers_mut());
        Ok(response)
    })
}

/// `GET /sources/{sourceId}`.
pub fn get(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    call.read(|tables| {
        let mut body = Vec::new();
        find(tables, id)?.write_json(&mut body);
        Ok(response::json(StatusCode::OK, body))
    })
}

/// `GET /sources/{sourceId}/tags`.
pub fn get_tags(call: &Call<'_>, id: SourceId) -> Result<Response, Problem> {
    call.read(|tables| Ok(response::ok(&find(tables, id)?.source().tags)))
}

/// `GET /sources/{sourceId}/tags/{name}`.
pub fn get_tag(call: &Call<'_>, id: SourceId, name: &str) -> Result<Response, Problem> {
    call.read(|tables| response::set(find(tables, id)?.source().tags.get(name), format_args!("tag {name:?}")))
}

/// `GET` of `label` or `description`.
pub fn get_text(call: &Call<'_>, id: SourceId, text: Text) -> Result<Response, Problem> {
    call.read(|tables| {
        let source = find(tables, id)?.source();
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

fn find(tables: &Tables, id: SourceId) -> Result<SourceView<'_>, Problem> {
    tables.source(id).ok_or_else(|| Problem::NotFound(format!("source {id} does not exist")))
}
