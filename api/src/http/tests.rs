//! The API as its clients see it, over a log in memory.

mod repetition;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tapelog_commands::State;
use tapelog_events::{Instant, Tags, Timestamp, WebhookId};
use tapelog_projections::history::as_of::AsOf;
use tapelog_projections::history::{Historian, History};
use tapelog_projections::{Live, Projector, Tables};
use tapelog_store::guard::{Guard, Networks};
use tapelog_store::log::memory::MemoryLog;
use tapelog_store::log::{Head, Tail};
use tapelog_store::media::{Addressing, MediaMetrics, MediaStore, S3Settings, Secret};
use tapelog_store::sequencer::{Sequencer, SequencerSettings};
use tapelog_webhooks::{
    AttemptCursor, AttemptFilter, AttemptOrder, AttemptPage, Attempted, DeliveryState, PingError, StateError,
    TableError,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::route::{Part, Resource, Verb};
use super::*;
use crate::audit::Signer;
use crate::auth::{AuthParts, Authenticator, MasterKey, Vault};
use crate::housekeeping::Retention;
use crate::settings::{AuthMode, AuthSettings, DataFolder, FeedSettings};

const FLOW: &str = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";
const SOURCE: &str = "2aa143ac-0ab7-4d75-bc32-5c00c13d186f";
const BACKEND: &str = "60af2ab4-e8a5-4c65-a09b-d35983680315";

fn media() -> MediaStore {
    MediaStore::new(S3Settings {
        endpoint: "http://127.0.0.1:9".parse().unwrap(),
        public_endpoint: None,
        region: "us-east-1".to_owned(),
        bucket: "media".to_owned(),
        access_key: "key".to_owned(),
        secret: Secret::new("secret"),
        addressing: Addressing::Path,
        url_validity: Duration::from_secs(600),
        metrics: MediaMetrics::default(),
    })
    .unwrap()
}

async fn app() -> App {
    app_on(Arc::new(MemoryLog::reliable())).await
}

/// Nothing is ever delivered.
struct NoDeliveries;

impl Deliveries for NoDeliveries {
    fn state(&self, _: WebhookId) -> BoxFuture<'_, Result<Option<DeliveryState>, StateError>> {
        Box::pin(async { Ok(None) })
    }

    fn ping(&self, id: WebhookId) -> BoxFuture<'_, Result<Attempted, PingError>> {
        Box::pin(async move { Err(PingError::Unknown(id)) })
    }

    fn attempts(
        &self,
        _: WebhookId,
        _: AttemptFilter,
        _: AttemptOrder,
        _: Option<AttemptCursor>,
        _: usize,
    ) -> BoxFuture<'_, Result<AttemptPage, TableError>> {
        Box::pin(async { Ok(AttemptPage { rows: Vec::new(), next: None }) })
    }
}

async fn app_on(log: Arc<MemoryLog>) -> App {
    let tables = Arc::new(Live::new(Tables::new()));
    let (sink, deliveries) = mpsc::channel(64);
    let clock = || Instant::from(std::time::SystemTime::now());
    let (sequencer, _) =
        Sequencer::start(Arc::clone(&log), State::default(), Head::START, clock, SequencerSettings::default(), sink);
    let (projector, _) = Projector::start(Arc::clone(&tables), deliveries);
    let place = BackendPlace {
        store_type: StoreType::HttpObjectStore,
        provider: "here".to_owned(),
        region: None,
        availability_zone: None,
        store_product: "S3".to_owned(),
        tags: Tags::new(),
    };
    let description = BackendDescription {
        id: BACKEND.parse().unwrap(),
        label: Some("disk".to_owned()),
        default_storage: true,
        place,
    };
    let key = MasterKey::random();
    let folder = tempfile::tempdir().unwrap();
    let (authenticator, _) = Authenticator::start(AuthParts {
        settings: &AuthSettings { mode: AuthMode::None, ..AuthSettings::default() },
        data: &DataFolder::open(folder.path()).unwrap(),
        key: &key,
        incarnation: log.incarnation(),
        tables: Arc::clone(&tables),
        stop: CancellationToken::new(),
    })
    .unwrap();
    let backends = Arc::new(Backends::new(vec![StorageBackend { description, media: Arc::new(media()) }]));
    let events = EventStreams::new(
        Arc::new(Tail::new(Arc::clone(&log))),
        Arc::new(Notifier::new(Arc::clone(&backends), Arc::clone(&tables))),
        &FeedSettings::default(),
    );
    let history = History::open(folder.path()).unwrap();
    let present = Arc::clone(&tables);
    App::new(AppParts {
        authenticator: Arc::new(authenticator),
        export_signer: Arc::new(Signer::new(&key)),
        vault: Arc::new(Vault::new(&key, &[])),
        sequencer,
        tables,
        projector: projector.status(),
        maintenance: tokio::sync::watch::channel(Default::default()).1,
        incarnation: log.incarnation(),
        past: Arc::new(LogPast {
            log: MemoryLog::clone(&log),
            as_of: AsOf::new(history.clone(), Arc::clone(&log), Arc::clone(&present)),
            historian: Historian::start(MemoryLog::clone(&log), history.clone(), CancellationToken::new()).0,
            history,
        }),
        log,
        events,
        deliveries: Arc::new(NoDeliveries),
        guard: Guard::new(Networks::default(), []),
        secret_grace: Duration::from_secs(60),
        backends,
        access_log: crate::settings::AccessLog::None,
        retention: Retention {
            unregistered: Duration::from_secs(3600),
            unreferenced: Duration::from_secs(3600),
            trash: Duration::from_secs(3600),
            deletion_requests: Duration::from_secs(3600),
            sweep_every: Duration::from_secs(3600),
            delete_at_once: 1000,
        },
        service: ServiceFacts {
            version: "test".to_owned(),
            min_object_timeout: Timestamp::from_parts(600, 0).unwrap(),
            min_presigned_url_timeout: Timestamp::from_parts(600, 0).unwrap(),
            nats_feed: None,
        },
        limits: Limits::default(),
        metrics: Metrics::new(false),
        public_url: None,
        scheme: "http",
        base_path: String::new(),
    })
}

struct Told {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl App {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Told {
        let mut request = Request::builder().method(method).uri(path).header("host", "tams.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, body) = answer(self, request.body(Full::new(body.into())).unwrap()).await.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Told { status: head.status.as_u16(), headers: head.headers, text }
    }

    async fn get(&self, path: &str) -> Told {
        self.send("GET", path, &[], "").await
    }

    async fn write(&self, method: &str, path: &str, body: Value) -> Told {
        self.send(method, path, &[], body.to_string()).await
    }

    /// A video Flow with these segments of one second each, on as many objects.
    async fn with_segments(&self, count: usize) -> Vec<String> {
        let put = self.write("PUT", &format!("/flows/{FLOW}"), flow()).await;
        assert_eq!(put.status, 201, "{}", put.text);
        let allocated = self.write("POST", &format!("/flows/{FLOW}/storage"), json!({"limit": count})).await.json();
        let ids: Vec<String> = allocated["media_objects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| object["object_id"].as_str().unwrap().to_owned())
            .collect();
        let segments: Vec<_> = (0..).zip(&ids).map(|(second, id)| segment(id, second)).collect();
        let posted = self.write("POST", &format!("/flows/{FLOW}/segments"), segments.into()).await;
        assert_eq!((posted.status, posted.text.as_str()), (201, ""));
        ids
    }
}

fn flow() -> Value {
    json!({
        "id": FLOW, "source_id": SOURCE, "label": "a", "format": "urn:x-nmos:format:video", "codec": "video/h264",
        "container": "video/mp2t", "tags": {"mood": ["calm", "blue"], "a/b c": "x,y"},
        "essence_parameters": {"frame_width": 16, "frame_height": 9, "frame_rate": {"numerator": 25}},
    })
}

fn segment(object_id: &str, second: u64) -> Value {
    json!({"object_id": object_id, "timerange": format!("[{second}:0_{}:0)", second + 1), "ts_offset": format!("{second}:0")})
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_read_and_says_its_position() {
    let app = app().await;
    let put = app.write("PUT", &format!("/flows/{FLOW}"), flow()).await;
    assert_eq!(put.status, 201, "{}", put.text);
    assert_eq!(put.json()["tags"], flow()["tags"]);
    let position = put.headers["tams-position"].to_str().unwrap();
    let path = format!("/flows/{FLOW}/tags/a%2Fb%20c");
    let read = app.send("GET", &path, &[("tams-min-position", position)], "").await;
    assert_eq!((read.status, read.text.as_str()), (200, "\"x,y\""));
    assert_eq!(app.write("PUT", &format!("/flows/{FLOW}"), flow()).await.status, 204);
    assert_eq!(app.get(&format!("/sources/{SOURCE}")).await.json()["label"], "a");

    let other = format!("{FLOW}.1");
    assert_eq!(app.send("GET", &path, &[("tams-min-position", &other)], "").await.status, 412);
    assert_eq!(app.send("GET", &path, &[("tams-min-position", "soon")], "").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_not_reached_in_time_is_503() {
    let app = app().await;
    let far = format!("{}.999999", app.parts.incarnation);
    let told = app.send("GET", "/flows", &[("tams-min-position", &far)], "").await;
    assert_eq!((told.status, told.headers["retry-after"].to_str().unwrap()), (503, "1"));
}

#[tokio::test]
async fn segments_are_listed_with_signed_urls_in_pages_that_link_on() {
    let app = app().await;
    let ids = app.with_segments(5).await;
    let mut path = format!("/flows/{FLOW}/segments?limit=2&accept_get_urls=disk&timerange=[0:0_4:5)");
    let mut listed = Vec::new();
    loop {
        let page = app.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let head = app.send("HEAD", &path, &[], "").await;
        for name in ["link", "x-paging-nextkey", "x-paging-limit", "x-paging-count", "x-paging-timerange"] {
            assert_eq!(head.headers.get(name), page.headers.get(name), "{name}");
        }
        let segments = page.json().as_array().unwrap().clone();
        assert_eq!(page.headers["x-paging-count"], segments.len().to_string());
        listed.extend(segments);
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap().strip_prefix("<http://tams.test").unwrap();
        path = link.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(listed.iter().map(|segment| segment["object_id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    let url = &listed[3]["get_urls"][0];
    assert_eq!((&url["label"], &url["presigned"]), (&json!("disk"), &json!(true)));
    assert!(url["url"].as_str().unwrap().contains("X-Amz-Signature="), "{url}");
    assert_eq!(listed[3]["ts_offset"], "3:0");
    assert_eq!(listed[3].as_object().unwrap().len(), 4, "{}", listed[3]);
}

#[tokio::test]
async fn get_urls_are_those_that_every_parameter_lets_pass() {
    let app = app().await;
    app.with_segments(1).await;
    let outside = json!({
        "object_id": "out\"side", "timerange": "[9:0]",
        "get_urls": [{"url": "https://cdn.example/a\"b", "label": "cdn"}],
    });
    assert_eq!(app.write("POST", &format!("/flows/{FLOW}/segments"), outside).await.status, 201);
    let labels = async |parameters: &str| -> Vec<String> {
        let told = app.get(&format!("/flows/{FLOW}/segments?{parameters}")).await;
        assert_eq!(told.status, 200, "{parameters}: {}", told.text);
        let segments = told.json();
        let urls = segments.as_array().unwrap().iter().flat_map(|segment| segment["get_urls"].as_array().unwrap());
        urls.map(|url| url["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(labels("").await, ["disk", "cdn"]);
    assert_eq!(labels("accept_get_urls=").await, [""; 0]);
    assert_eq!(labels("accept_get_urls=cdn,x").await, ["cdn"]);
    assert_eq!(labels(&format!("accept_storage_ids={BACKEND}")).await, ["disk"]);
    assert_eq!(labels("accept_storage_ids=").await, ["disk", "cdn"]);
    assert_eq!(labels("presigned=true").await, ["disk"]);
    assert_eq!(labels("presigned=false").await, ["cdn"]);
    assert_eq!(labels("storage_backend_tag_exists.x=false").await, ["disk", "cdn"]);
    assert_eq!(labels("storage_backend_tag_exists.x=true").await, [""; 0]);
    let verbose = app.get(&format!("/flows/{FLOW}/segments?verbose_storage=true")).await.json();
    assert_eq!(verbose[0]["get_urls"][0]["storage_id"], BACKEND);
    assert_eq!(verbose[0]["get_urls"][0]["store_type"], "http_object_store");
    assert_eq!(verbose[1]["get_urls"][0]["controlled"], false);
    assert_eq!(verbose[1]["get_urls"][0]["url"], "https://cdn.example/a\"b");
    assert_eq!(app.get(&format!("/flows/{FLOW}/segments?accept_storage_ids=bad")).await.status, 400);

    let object = app.get("/objects/out%22side").await.json();
    assert_eq!(object["referenced_by_flows"], json!([FLOW]));
    assert_eq!(object["first_referenced_by_flow"], FLOW);
    assert_eq!(object["timerange"], "[9:0]");
}

#[tokio::test]
async fn a_list_of_segments_may_partly_fail_and_a_single_one_may_not() {
    let app = app().await;
    let ids = app.with_segments(1).await;
    let path = format!("/flows/{FLOW}/segments");
    let (overlapping, unknown) = (segment(&ids[0], 0), segment("nobody", 7));
    let told = app.write("POST", &path, json!([overlapping, unknown])).await;
    assert_eq!(told.status, 200);
    let failed = told.json()["failed_segments"].clone();
    assert_eq!(failed[0]["timerange"], "[0:0_1:0)");
    assert_eq!(failed[0]["error"]["type"], "segment_overlap");
    assert_eq!(failed[1]["error"]["type"], "segment_unknown_object");
    let told = app.write("POST", &path, overlapping).await;
    assert_eq!((told.status, told.json()["type"].as_str().unwrap().to_owned()), (400, "segment_overlap".to_owned()));
}

#[tokio::test]
async fn a_repeated_request_with_its_key_gets_the_first_answer_and_another_request_none() {
    let app = app().await;
    assert_eq!(app.write("PUT", &format!("/flows/{FLOW}"), flow()).await.status, 201);
    let path = format!("/flows/{FLOW}/storage");
    let key = [("idempotency-key", "one")];
    let first = app.send("POST", &path, &key, r#"{"limit":2}"#).await;
    let again = app.send("POST", &path, &key, r#"{"limit":2}"#).await;
    let ids = |told: &Told| -> Vec<Value> {
        told.json()["media_objects"].as_array().unwrap().iter().map(|object| object["object_id"].clone()).collect()
    };
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(ids(&first), ids(&again));
    assert_eq!(app.send("POST", &path, &key, r#"{"limit":3}"#).await.status, 422);
    assert_eq!(app.send("POST", &path, &[("idempotency-key", "")], "").await.status, 400);
}

#[tokio::test]
async fn properties_are_set_read_and_unset() {
    let app = app().await;
    assert_eq!(app.write("PUT", &format!("/flows/{FLOW}"), flow()).await.status, 201);
    for (property, value) in [
        ("label", json!("new")),
        ("description", json!("")),
        ("max_bit_rate", json!(0)),
        ("avg_bit_rate", json!(5000)),
        ("flow_collection", json!([])),
        ("tags/x", json!(["a", "b"])),
    ] {
        let path = format!("/flows/{FLOW}/{property}");
        assert_eq!(app.write("PUT", &path, value.clone()).await.status, 204, "{property}");
        assert_eq!(app.get(&path).await.json(), value, "{property}");
        assert_eq!(app.send("DELETE", &path, &[("content-type", "application/json")], "").await.status, 204);
        assert_eq!(app.get(&path).await.status, 404, "{property}");
    }
    for (property, wrong) in [
        ("label", json!(5)),
        ("max_bit_rate", json!(-1)),
        ("avg_bit_rate", json!("5")),
        ("read_only", json!("true")),
        ("tags/x", json!({"a": 1})),
        ("flow_collection", json!({})),
    ] {
        assert_eq!(app.write("PUT", &format!("/flows/{FLOW}/{property}"), wrong).await.status, 400, "{property}");
    }
    assert_eq!(app.get(&format!("/flows/{FLOW}/read_only")).await.text, "false");
    assert_eq!(app.write("PUT", &format!("/flows/{FLOW}/read_only"), json!(true)).await.status, 204);
    assert_eq!(app.write("PUT", &format!("/flows/{FLOW}/label"), json!("x")).await.status, 403);
}

#[tokio::test]
async fn every_resource_says_which_methods_it_has() {
    let app = app().await;
    let id = FLOW;
    for path in [
        "/".to_owned(),
        "/service".to_owned(),
        "/service/storage-backends".to_owned(),
        "/sources".to_owned(),
        format!("/sources/{id}"),
        format!("/sources/{id}/tags"),
        format!("/sources/{id}/tags/t"),
        format!("/sources/{id}/label"),
        "/flows".to_owned(),
        format!("/flows/{id}"),
        format!("/flows/{id}/tags/t"),
        format!("/flows/{id}/description"),
        format!("/flows/{id}/read_only"),
        format!("/flows/{id}/flow_collection"),
        format!("/flows/{id}/avg_bit_rate"),
        format!("/flows/{id}/segments"),
        format!("/flows/{id}/storage"),
        "/objects/o".to_owned(),
        "/healthz".to_owned(),
        "/admin/projections".to_owned(),
    ] {
        let refused = app.send("PATCH", &path, &[], "").await;
        assert_eq!(refused.status, 405, "{path}");
        let allowed: HashSet<&str> = refused.headers["allow"].to_str().unwrap().split(", ").collect();
        let route = Resource::parse("", &path).unwrap().route();
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
            let told = app.send(method, &path, &[], "").await;
            let part =
                Verb::of(&method.parse().unwrap()).and_then(|verb| route.operation(verb)).map(|found| found.part);
            assert_eq!(part.is_some(), allowed.contains(method), "{method} {path}");
            match part {
                Some(Part::Tams) => assert_ne!(told.status, 405, "{method} {path}"),
                // On a path of the specification it has to be asked for beyond doubt.
                Some(Part::Extension) => {}
                None => assert_eq!(told.status, 405, "{method} {path}"),
            }
            assert!(told.status < 500, "{method} {path}: {}", told.text);
        }
    }
}

#[tokio::test]
async fn browsers_may_read_every_answer_and_are_told_so_before_they_ask() {
    let app = app().await;
    for path in ["/flows", "/nowhere", "/flows/x"] {
        let preflight = app.send("OPTIONS", path, &[("origin", "http://ui.example")], "").await;
        assert_eq!((preflight.status, preflight.text.as_str()), (204, ""), "{path}");
        assert!(preflight.headers["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
        let told = app.send("GET", path, &[("x-request-id", "mine")], "").await;
        assert_eq!(told.headers["access-control-allow-origin"], "*");
        assert!(told.headers["access-control-expose-headers"].to_str().unwrap().contains("Link"));
        assert_eq!(told.headers["x-request-id"], "mine");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let app = app().await;
    for (path, status, named) in [
        ("/flows?limit=0", 400, "limit"),
        ("/flows?format=video", 400, "format"),
        ("/flows?source_id=xyz", 400, "source_id"),
        ("/flows?timerange=bad", 400, "timerange"),
        ("/flows?tag_exists.x=2", 400, "tag_exists.x"),
        ("/flows?page=bogus!", 400, "page"),
        ("/flows?codec=h264", 400, "codec"),
        ("/sources?sort_by=metadata_updated", 400, "sort_by"),
        ("/flows/bad/segments", 404, "bad"),
        ("/objects/none", 404, "none"),
    ] {
        let told = app.get(path).await;
        assert_eq!(told.status, status, "{path}");
        let body = told.json();
        assert!(body["message"].as_str().unwrap().contains(named), "{path}: {body}");
        assert_eq!(body["instance"].as_str().unwrap(), told.headers["x-request-id"].to_str().unwrap());
    }
    let missing = app.get(&format!("/flows/{FLOW}/segments")).await;
    assert_eq!((missing.status, missing.text.as_str()), (200, "[]"));
    assert_eq!(missing.headers["x-paging-timerange"], "()");
    let long = app.send("POST", "/service", &[], vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE.as_u16());
    let backends = app.get("/service/storage-backends?limit=0&reverse_order=perhaps&tag_exists.x=9").await;
    assert_eq!((backends.status, backends.headers["x-paging-limit"].to_str().unwrap()), (200, "1"));
    assert_eq!(backends.json()[0]["default_storage"], true);
}

#[tokio::test]
async fn readiness_says_which_part_is_missing() {
    let app = app().await;
    let told = app.get("/readyz").await;
    assert_eq!(told.status, 503);
    let parts = told.json()["parts"].clone();
    assert_eq!((&parts[0]["ready"], &parts[1]["ready"]), (&json!(true), &json!(true)), "{parts}");
    assert_eq!((&parts[2]["name"], &parts[2]["ready"]), (&json!("storage disk"), &json!(false)), "{parts}");
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/admin/projections").await.json()["following"], true);
}

#[test]
fn times_before_the_epoch_are_the_epoch() {
    assert_eq!(Instant::from(std::time::UNIX_EPOCH - Duration::from_secs(1)), Instant::from_micros(0));
}
