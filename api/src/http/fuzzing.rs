//! What a fuzzer calls: the readers of what clients send, with no server around them. Only fuzzers and tests have it.

use std::sync::Arc;

use http::uri::PathAndQuery;
use tapelog_events::{FlowId, Format, Incarnation, Instant, SourceId, TimeRange};
use tapelog_projections::{Direction, FlowFilter, Paging, SegmentFilter, SortBy, SourceFilter, Tables};

use super::body::{self, property};
use super::limits::{self, Limits};
use super::paging;
use super::problem::Problem;
use super::query::Query;
use super::route::{BitRate, Resource, Text};
use super::tag_filter;

/// Reads a body as the requests do that send one to the resource of this path, and says whether one takes it.
///
/// # Panics
/// Where a body is refused by anything but a 4xx.
pub fn body(path: &str, body: &[u8]) -> bool {
    use Resource as R;
    let Ok(resource) = Resource::parse("", path) else { return false };
    match resource {
        R::Service => taken(body::service::read(body)),
        R::Sources => each_taken(body::source::read_batch(body)),
        R::Flows => each_taken(body::flow::read_batch(body)),
        R::Flow(id) => taken(body::flow::read(id, body)),
        R::SourceTags(_) | R::FlowTags(_) | R::SegmentTags(_, _) => taken(property::tags(body)),
        R::SourceTag(_, name) | R::FlowTag(_, name) | R::SegmentTag(_, _, name) => taken(property::tag(&name, body)),
        R::SourceLabel(_) | R::FlowLabel(_) => taken(property::text(Text::Label, body)),
        R::SourceDescription(_) | R::FlowDescription(_) => taken(property::text(Text::Description, body)),
        R::ReadOnly(_) => taken(body::named::<bool>("read_only", body)),
        R::FlowCollection(_) => taken(property::flow_collection(body)),
        R::MaxBitRate(_) => taken(body::named::<u64>(&BitRate::Max.to_string(), body)),
        R::AvgBitRate(_) => taken(body::named::<u64>(&BitRate::Average.to_string(), body)),
        R::Segments(id) => taken(body::segment::read(id, body, Arc::from([]))),
        R::Storage(_) | R::Objects => taken(body::storage::read(body, &Limits::default())),
        R::Collections => taken(body::collection::read(body, || (flow_id(), source_id()))),
        R::SourceCollections => taken(body::collection::read_of_sources(body, || (flow_id(), source_id()))),
        R::Profile(id) => taken(body::profile::read(id, body)),
        R::Instances(_) => taken(body::instance::read(body)),
        R::Webhooks => taken(body::webhook::read_new(body)),
        R::Webhook(id) => taken(body::webhook::read(id, body)),
        R::Redelivery(_) => taken(body::delivery::read_redelivery(body, incarnation())),
        R::Replay(_) => taken(body::delivery::read_replay(body, incarnation())),
        R::Accounts | R::Account(_) => taken(body::account::read(body)),
        R::AccountTokens(_) => taken(body::account::read_token(body)),
        // What is sent to these is nothing, or bytes that are passed on, or a form.
        R::SourceRestore(_) | R::FlowRestore(_) | R::Ping(_) | R::SigningSecret(_) | R::Content(_) | R::Token => false,
        // These are only read or deleted.
        R::Root
        | R::StorageBackends
        | R::Profiles
        | R::Delivery(_)
        | R::Deliveries(_)
        | R::DeadLetters(_)
        | R::DeadLetter(_, _)
        | R::Source(_)
        | R::Object(_)
        | R::DeletionRequests
        | R::DeletionRequest(_)
        | R::Trash
        | R::TagNames
        | R::TagValues(_)
        | R::Collection(_)
        | R::SourceCollection(_)
        | R::Audit
        | R::AuditExport
        | R::AuditKey
        | R::Events
        | R::Me
        | R::AccountToken(_, _)
        | R::AuthenticationLog
        | R::Alive
        | R::Ready
        | R::Projections
        | R::Metrics
        | R::OpenApi
        | R::Docs => false,
    }
}

fn flow_id() -> FlowId {
    "00000000-0000-4000-8000-000000000001".parse().expect("it is a UUID of version 4")
}

/// That of the positions in the seeds.
fn incarnation() -> Incarnation {
    "00000000-0000-4000-8000-000000000003".parse().expect("it is a UUID of version 4")
}

fn source_id() -> SourceId {
    "00000000-0000-4000-8000-000000000002".parse().expect("it is a UUID of version 4")
}

/// Whether all of a list was read, where each item is judged on its own.
fn each_taken<T>(read: Result<Vec<Result<T, Problem>>, Problem>) -> bool {
    match read {
        Ok(items) => {
            // Each is looked at, also after one that was refused.
            let taken: Vec<bool> = items.into_iter().map(taken).collect();
            taken.into_iter().all(|taken| taken)
        }
        Err(problem) => taken::<()>(Err(problem)),
    }
}

/// Whether something was read, and not refused.
fn taken<T>(read: Result<T, Problem>) -> bool {
    let Err(problem) = read else { return true };
    let status = problem.response("request", Instant::from_micros(0)).status();
    assert!(status.is_client_error(), "{status}: {problem}");
    false
}

/// Reads what stands between the method and the version of a request: its path, then its query as every listing does.
/// Whether the path names a resource and the query is one.
///
/// # Panics
/// Where something is refused by anything but a 4xx, and where a parameter gets lost on the way to the next page.
pub fn path_and_query(text: &str) -> bool {
    // As it comes from hyper.
    let Ok(target) = PathAndQuery::try_from(text) else { return false };
    let names_resource = taken(Resource::parse("", target.path()));
    let raw = target.query().unwrap_or_default();
    let query = match Query::parse(raw) {
        Ok(query) => query,
        Err(problem) => return taken::<()>(Err(problem)),
    };
    read_parameters(&query);
    check_next_page(target.path(), raw, &query);
    names_resource
}

fn read_parameters(query: &Query<'_>) {
    taken(query.parsed::<TimeRange>("timerange"));
    taken(query.parsed::<FlowId>("flow_id"));
    taken(query.parsed::<i64>("frame_width"));
    taken(query.list::<SourceId>("collected_by_ids"));
    taken(query.list::<String>("accept_get_urls"));
    taken(query.choice("format", &Format::ALL.map(|format| (format.as_str(), format))));
    taken(query.mime_type("codec"));
    for family in ["tag", "flow_tag", "storage_backend_tag"] {
        taken(tag_filter::parse(query, family));
    }
    let direction = match query.boolean("reverse_order") {
        Ok(Some(true)) => Direction::Reversed,
        Ok(_) | Err(_) => Direction::Usual,
    };
    let limit = query.limit(&Limits::default());
    if let Ok(limit) = limit {
        assert!((1..=Limits::default().page_max).contains(&limit));
    }
    taken(limit);
    if let Ok(Some(page)) = query.text("page") {
        read_cursor(page, direction);
    }
}

/// Reads a cursor as each of the listings does.
fn read_cursor(page: &str, direction: Direction) {
    let tables = Tables::new();
    let paging = Paging { direction, cursor: Some(page), limit: 1 };
    for sort in [SortBy::Created, SortBy::Updated, SortBy::Label] {
        taken(tables.flows(&FlowFilter::default(), sort, &paging).map_err(Problem::from));
        taken(tables.sources(&SourceFilter::default(), sort, &paging).map_err(Problem::from));
    }
    taken(tables.segments(flow_id(), &SegmentFilter::default(), &paging).map_err(Problem::from));
}

/// The `Link` to the next page asks for the same with another `page`.
fn check_next_page(path: &str, raw: &str, query: &Query<'_>) {
    const NEXT: &str = "next, after this one";
    let link = paging::link(&format!("http://tams.test{path}"), raw, NEXT);
    let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
    let url = url.expect("it is one link");
    assert!(!url.contains([',', ';', '<', '>', '"', ' ']) && url.is_ascii(), "{url}");
    let (_, raw_next) = url.split_once('?').expect("it has a query");
    let Ok(next) = Query::parse(raw_next) else {
        assert!(query.with_prefix("").count() == limits::QUERY_PARAMETERS, "{raw}");
        return;
    };
    assert_eq!(next.text("page").ok(), Some(Some(NEXT)), "{raw}");
    let others = |query: &Query<'_>| {
        let others = query.with_prefix("").filter(|(name, _)| *name != "page");
        others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(others(&next), others(query), "{raw}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::http::route::{ROUTES, Verb};

    /// The name and the content of each seed of a target.
    fn seeds(target: &str) -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let read = |file: fs::DirEntry| fs::read_to_string(file.path()).unwrap();
        files.map(|file| (file.file_name().into_string().unwrap(), read(file))).collect()
    }

    #[test]
    fn the_seeds_of_bodies_are_read_as_their_names_say() {
        for (name, seed) in seeds("body") {
            let (path, bytes) = seed.split_once('\n').unwrap();
            assert_eq!(body(path, bytes.as_bytes()), !name.starts_with("refused-"), "{name}");
        }
    }

    #[test]
    fn every_route_that_takes_a_body_has_a_seed_that_it_takes() {
        const OTHERS: [&str; 6] = [
            "/sources/{sourceId}/restore",
            "/flows/{flowId}/restore",
            "/service/webhooks/{webhookId}/ping",
            "/service/webhooks/{webhookId}/secret",
            "/objects/{objectId}/content",
            "/oauth2/token",
        ];
        let mut missing: BTreeSet<_> = ROUTES
            .iter()
            .filter(|route| route.operation(Verb::Post).or(route.operation(Verb::Put)).is_some())
            .map(|route| route.template)
            .filter(|template| !OTHERS.contains(template))
            .collect();
        for (name, seed) in seeds("body") {
            let (path, _) = seed.split_once('\n').unwrap();
            if !name.starts_with("refused-") {
                missing.remove(Resource::parse("", path).unwrap().route().template);
            }
        }
        assert_eq!(missing, BTreeSet::new());
    }

    #[test]
    fn the_seeds_of_paths_are_read_as_their_names_say() {
        for (name, seed) in seeds("path_and_query") {
            assert_eq!(path_and_query(&seed), !name.starts_with("refused-"), "{name}");
        }
    }
}
