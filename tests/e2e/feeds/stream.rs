//! `/events`: what is told, to whom, and from where on.

use std::time::Duration;

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::events::EventStream;
use tapelog_tests::server::{Options, Server};
use tapelog_tests::store::{
    allocate, create_flow, multi_flow, new_id, post_segments, put_flow, second, segment, video_flow, with,
};

use super::{kinds, labels, make_flows};
use crate::auth::administrator;

#[tokio::test]
async fn what_happens_is_told_in_the_form_in_which_it_is_read() {
    let server = Server::start().await;
    let api = server.api();
    let mut stream = EventStream::open(api, "include_object_timerange=true", None).await;
    let (flow, collector) = (create_flow(api).await, new_id());
    let created = stream.take(2).await;
    assert_eq!(kinds(&created), ["sources/created", "flows/created"]);
    let read = api.read(&format!("/flows/{flow}")).await;
    assert_eq!(created[1].body["event"]["flow"], read);
    let source = format!("/sources/{}", read["source_id"].as_str().unwrap());
    assert_eq!(created[0].body["event"]["source"], api.read(&source).await);

    // Each on an object of its own: one with a URL that is signed, one with a URL of another store.
    let object = allocate(api, &flow, 1).await[0]["object_id"].as_str().unwrap().to_owned();
    let inside = json!({ "object_id": object, "timerange": second(0), "ts_offset": "0:0", "key_frame_count": 3 });
    post_segments(api, &flow, &json!([inside, segment(&new_id(), &second(1))])).await.expect(201);
    let added = stream.take(1).await.remove(0);
    assert_eq!(added.kind, "flows/segments_added");
    assert_eq!(added.body["event"]["flow_id"], flow.as_str());
    let mut told = added.body["event"]["segments"].clone();
    let mut read = api.read(&format!("/flows/{flow}/segments?include_object_timerange=true")).await;
    let url = told[0]["get_urls"][0]["url"].as_str().unwrap().to_owned();
    assert!(url.contains("X-Amz-Signature="), "{url}");
    for segments in [&mut told, &mut read] {
        segments[0]["get_urls"][0]["url"] = json!("signed at some moment");
    }
    assert_eq!(told, read);

    put_flow(api, &multi_flow(&collector, &[&flow])).await.expect(201);
    let collecting = api.read(&format!("/flows/{collector}")).await;
    api.put(&format!("/flows/{flow}/label"), &json!("a line\nand another")).await.expect(204);
    let collected = api.read(&format!("/flows/{flow}")).await;
    assert_eq!(collected["collected_by"], json!([collector]));
    let mut told = Vec::new();
    while told.last() != Some(&json!({ "flow": collected })) {
        told.extend(stream.take(1).await.into_iter().map(|event| event.body["event"].clone()));
    }
    assert!(told.contains(&json!({ "flow": collecting })), "{told:?}");

    api.delete(&format!("/flows/{flow}/segments?timerange={}", second(1))).await.expect(204);
    let mut deleted = stream.take(1).await.remove(0);
    while deleted.kind.ends_with("/updated") {
        deleted = stream.take(1).await.remove(0);
    }
    assert_eq!(deleted.kind, "flows/segments_deleted");
    assert_eq!(deleted.body["event"], json!({ "flow_id": flow, "timerange": second(1) }));
    api.delete(&format!("/flows/{collector}")).await.expect(204);
    let mut seen = Vec::new();
    while !kinds(&seen).contains(&"sources/deleted") {
        seen.extend(stream.take(1).await);
    }
    let flow_gone = seen.iter().find(|event| event.kind == "flows/deleted").expect("the flow is gone too");
    assert_eq!(flow_gone.body["event"], json!({ "flow_id": collector }));
}

#[tokio::test]
async fn a_stream_that_was_cut_goes_on_after_the_last_event_without_gap_or_repetition() {
    let mut server = Server::start_with(Options::default().and("TAPELOG_FEED__HEARTBEAT_SECONDS", 1)).await;
    let before = server.api().position().await;
    make_flows(server.api(), 0..10).await;
    let (mut last, mut seen) = (Some(before.clone()), Vec::new());
    for cut_after in [1, 3, 0, 2] {
        let mut stream = EventStream::open(server.api(), "events=flows/created", last.as_deref()).await;
        seen.extend(stream.take(cut_after).await);
        last = stream.last_id;
    }
    server.stop().await;
    server.start_again().await;
    make_flows(server.api(), 10..20).await;
    // A browser comes back with the URL that it began with, and says in the header how far it was.
    let query = format!("events=flows/created&from={before}");
    let mut stream = EventStream::open(server.api(), &query, last.as_deref()).await;
    seen.extend(stream.take(14).await);
    assert_eq!(labels(&seen), (0..20).collect::<Vec<_>>());
    assert!(seen.windows(2).all(|pair| pair[0].id != pair[1].id));

    // Signs of life say how far the log was read, and that is a place to go on from, too.
    let mark = stream.mark().await;
    assert_eq!(mark, server.api().position().await);
    make_flows(server.api(), 20..21).await;
    let mut again = EventStream::open(server.api(), "events=flows/created", Some(&mark)).await;
    assert_eq!(labels(&again.take(1).await), [20]);

    // So is any event, to begin with, and any moment.
    let (sixth, query) = (&seen[6], |from: &str| format!("events=flows/created&from={from}"));
    for from in [sixth.id.as_str(), sixth.body["event_timestamp"].as_str().unwrap()] {
        let mut stream = EventStream::open(server.api(), &query(from), None).await;
        assert_eq!(labels(&stream.take(15).await), (6..21).collect::<Vec<_>>(), "{from}");
    }
}

#[tokio::test]
async fn filters_are_those_of_webhooks() {
    let server = Server::start().await;
    let api = server.api();
    let begin = api.position().await;
    let (one, two, collector) = (create_flow(api).await, create_flow(api).await, new_id());
    put_flow(api, &multi_flow(&collector, &[&one])).await.expect(201);
    for flow in [&one, &two] {
        post_segments(api, flow, &segment(&new_id(), &second(0))).await.expect(201);
    }
    make_flows(api, 99..100).await;
    let source = api.read(&format!("/flows/{two}")).await["source_id"].as_str().unwrap().to_owned();
    let collecting = api.read(&format!("/flows/{collector}")).await["source_id"].as_str().unwrap().to_owned();

    // The Flow with the label 99 ends what is read where the filter lets it pass; else as many as there must be are read.
    for (query, expected) in [
        (format!("flow_ids={one},{two}&events=flows/created,flows/segments_added"), 4),
        (format!("source_ids={source}"), 3),
        (format!("flow_collected_by_ids={collector}&events=flows/segments_added"), 1),
        ("flow_collected_by_ids=&events=flows/segments_added".to_owned(), 1),
        (format!("source_collected_by_ids={collecting}&events=flows/segments_added"), 1),
    ] {
        let mut stream = EventStream::open(api, &format!("{query}&last_event_id={begin}"), None).await;
        let told = stream.take(expected).await;
        let is_meant = |event: &Value| {
            let event = event.to_string();
            event.contains(&one) || event.contains(&two) || event.contains(&source)
        };
        assert!(told.iter().all(|event| is_meant(&event.body)), "{query}: {told:?}");
    }
    let mut without_urls =
        EventStream::open(api, &format!("accept_get_urls=&events=flows/segments_added&from={begin}"), None).await;
    assert_eq!(without_urls.take(1).await[0].body["event"]["segments"][0]["get_urls"], json!([]));

    let other = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";
    for (parameter, value, status) in [
        ("events", "flows/made", 400),
        ("flow_ids", "x", 400),
        ("source_ids", "x", 400),
        ("flow_collected_by_ids", "x", 400),
        ("source_collected_by_ids", "x", 400),
        ("accept_storage_ids", "x", 400),
        ("presigned", "perhaps", 400),
        ("verbose_storage", "perhaps", 400),
        ("include_object_timerange", "perhaps", 400),
        ("from", "soon", 400),
        ("last_event_id", "7", 400),
        ("last_event_id", "2026-11-21T10:00:00Z", 400),
        ("last_event_id", &format!("{}.999999", begin.split('.').next().unwrap()), 400),
        ("last_event_id", &format!("{other}.1.0.0"), 412),
    ] {
        let refused = api.get(&format!("/events?{parameter}={value}")).await.expect(status);
        assert!(status == 412 || refused.message().contains(parameter), "{refused}");
    }
    let head = api.head("/events").await.expect(200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
}

async fn account(server: &Server, name: &str, classes: Value) -> (Api, String) {
    let admin = administrator(server);
    let account = json!({ "name": name, "scopes": ["tams-api/read"], "classes": classes });
    admin.post("/auth/accounts", &account).await.expect(201);
    let token = admin.post(&format!("/auth/accounts/{name}/tokens"), &json!({})).await.expect(201).json();
    let path = format!("/auth/accounts/{name}/tokens/{}", token["id"].as_str().unwrap());
    (server.api().as_bearer(token["token"].as_str().unwrap()), path)
}

#[tokio::test]
async fn a_reader_is_told_what_it_may_read_for_as_long_as_its_token_holds() {
    let options = Options::protected().and("TAPELOG_FEED__HEARTBEAT_SECONDS", 1);
    let server = Server::start_with(options).await;
    let admin = administrator(&server);
    let (ann, token) = account(&server, "ann", json!({ "news": ["read"] })).await;
    assert_eq!(server.api().get("/events").await.status, 401);
    let mut stream = EventStream::open(&ann, "events=flows/created,flows/updated", None).await;
    let (open, hidden) = (new_id(), new_id());
    let news = with(video_flow(&open), "tags", json!({ "auth_classes": ["news"] }));
    put_flow(&admin, &news).await.expect(201);
    let sport = with(multi_flow(&hidden, &[&open]), "tags", json!({ "auth_classes": ["sport"] }));
    put_flow(&admin, &sport).await.expect(201);
    admin.put(&format!("/flows/{open}/label"), &json!("last")).await.expect(204);
    loop {
        let event = stream.next().await.unwrap();
        let told = &event.body["event"]["flow"];
        assert_eq!(told["id"], open.as_str(), "{event:?}");
        assert!(told.get("collected_by").is_none(), "what collects it is not for ann: {told}");
        if told["label"] == "last" {
            assert_eq!(*told, ann.read(&format!("/flows/{open}")).await);
            break;
        }
    }
    // What is told of one Flow would say that the other collects it.
    let probing = ann.get(&format!("/events?flow_collected_by_ids={hidden}")).await;
    assert_eq!(probing.status, 403, "{probing}");
    admin.delete(&token).await.expect(204);
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.rest()).await;
    assert_eq!(ended.expect("the stream ends within a heartbeat"), []);
}
