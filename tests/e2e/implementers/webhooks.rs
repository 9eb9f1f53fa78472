//! Lines 80 to 91: webhooks, and what is delivered to them.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::eventually;
use tapelog_tests::receiver::{self, Received, Receiver, Reply};
use tapelog_tests::server::{PATIENCE, Server};
use tapelog_tests::store::{
    all, encoded, multi_flow, new_id, pluck, post_segments, put_flow, second, segment, video_flow, with, without,
};

use super::store;

const PATH: &str = "/service/webhooks";

/// Everything that can be told.
const EVENTS: [&str; 8] = [
    "flows/created",
    "flows/updated",
    "flows/deleted",
    "flows/segments_added",
    "flows/segments_deleted",
    "sources/created",
    "sources/updated",
    "sources/deleted",
];

/// What a Flow is labelled with so that its webhook is told when nothing more is to come.
const END: &str = "the end";

/// A webhook that says everything that one can.
fn webhook() -> Value {
    json!({
        "url": format!("https://receiver.example/{}", new_id()),
        "api_key_name": "X-Key",
        "api_key_value": "a secret",
        "events": ["flows/segments_added", "sources/deleted"],
        "flow_ids": [new_id()],
        "source_ids": [new_id()],
        "flow_collected_by_ids": [],
        "source_collected_by_ids": [new_id()],
        "accept_get_urls": [],
        "accept_storage_ids": [new_id()],
        "presigned": true,
        "verbose_storage": false,
        "include_object_timerange": true,
        "tags": { "k": ["v", "w"] },
    })
}

/// Stores a webhook, and gives what it reads as.
async fn create(api: &Api, webhook: &Value) -> Value {
    api.post(PATH, webhook).await.expect(201).json()
}

fn path_of(webhook: &Value) -> String {
    format!("{PATH}/{}", webhook["id"].as_str().unwrap())
}

/// Each `POST` makes a webhook, with an id of the server's; nobody reads its secret; all else is kept.
#[tokio::test]
async fn line_80_each_post_makes_a_webhook_and_nobody_reads_its_secret() {
    let api = &store().await;
    let posted = webhook();
    let (first, second) = (create(api, &posted).await, create(api, &posted).await);
    assert_ne!(first["id"], second["id"]);
    for created in [&first, &second] {
        assert!(matches!(created["status"].as_str(), Some("created" | "started")), "{created}");
        assert_eq!(created.get("api_key_value"), None);
        let read = api.read(&path_of(created)).await;
        for (member, value) in without(posted.clone(), "api_key_value").as_object().unwrap() {
            assert_eq!(&read[member], value, "{member}");
        }
        let listed = all(api, &format!("{PATH}?limit=2")).await;
        assert!(pluck(&listed, "id").contains(&created["id"].as_str().unwrap().to_owned()));
    }
    let disabled = create(api, &with(posted, "status", json!("disabled"))).await;
    assert_eq!(disabled["status"], "disabled");
}

/// A `PUT` replaces a webhook that is there, and answers 201; a client may switch it on and off, and no more.
#[tokio::test]
async fn line_81_a_put_replaces_a_webhook_and_answers_201() {
    let api = &store().await;
    let created = create(api, &webhook()).await;
    let path = path_of(&created);
    let body = json!({
        "id": created["id"], "status": "disabled", "url": created["url"], "events": [], "api_key_name": "X-Key",
    });
    let replaced = api.put(&path, &body).await.expect(201).json();
    assert_eq!(replaced, body, "what is not said is gone");
    assert_eq!(api.read(&path).await, body);

    let unknown = new_id();
    api.put(&format!("{PATH}/{unknown}"), &with(body.clone(), "id", json!(unknown))).await.expect(404);
    for wrong in [
        without(body.clone(), "status"),
        without(body.clone(), "url"),
        without(body.clone(), "events"),
        without(body.clone(), "id"),
        with(body.clone(), "status", json!("started")),
        with(body.clone(), "status", json!("error")),
    ] {
        api.put(&path, &wrong).await.expect(400);
    }
    for status in ["started", "error"] {
        let refused = api.post(PATH, &with(webhook(), "status", json!(status))).await.expect(400);
        assert!(refused.message().contains("status"), "{refused}");
    }
    assert_eq!(api.read(&path).await, body);
    let again = api.put(&path, &with(body, "status", json!("created"))).await.expect(201).json();
    assert!(matches!(again["status"].as_str(), Some("created" | "started")), "{again}");
    api.delete(&path).await.expect(204);
    api.delete(&path).await.expect(404);
}

/// A webhook has a URL and known events, of which there may be none.
#[tokio::test]
async fn line_82_a_webhook_has_a_url_and_known_events() {
    let api = &store().await;
    for (wrong, field) in [
        (with(webhook(), "events", json!(["flows/renamed"])), "events"),
        (without(webhook(), "events"), "events"),
        (without(webhook(), "url"), "url"),
        (with(webhook(), "flow_ids", json!(["x"])), "flow_ids"),
        (with(webhook(), "presigned", json!("yes")), "presigned"),
    ] {
        let refused = api.post(PATH, &wrong).await.expect(400);
        assert!(refused.message().contains(field), "{refused} does not name {field}");
    }
    assert_eq!(create(api, &with(webhook(), "events", json!([]))).await["events"], json!([]));
}

/// A webhook that is told of everything, with these changes, and its receiver.
async fn listen(api: &Api, changes: Value) -> (Receiver, Value) {
    let receiver = Receiver::start().await;
    let mut webhook = json!({ "url": receiver.url(), "events": EVENTS });
    for (member, value) in changes.as_object().unwrap() {
        webhook[member] = value.clone();
    }
    let created = create(api, &webhook).await;
    (receiver, created)
}

/// Labels a Flow, and gives what the receiver was told up to and with that: order is the log's, so nothing more comes.
async fn told(api: &Api, receiver: &Receiver, flow: &str) -> Vec<Value> {
    api.put(&format!("/flows/{flow}/label"), &json!(END)).await.expect(204);
    eventually("the last event is delivered", PATIENCE, async || {
        let told: Vec<_> = receiver.taken().iter().map(Received::json).collect();
        let is_last = |told: &Value| told["event"]["flow"]["id"] == *flow && told["event"]["flow"]["label"] == END;
        let last = told.iter().position(is_last)?;
        Some(told[..last].to_vec())
    })
    .await
}

/// The types of these notifications.
fn types(told: &[Value]) -> Vec<&str> {
    told.iter().map(|told| told["event_type"].as_str().unwrap()).collect()
}

/// The Flow or Source that a notification is about.
fn subject(told: &Value) -> &Value {
    let event = &told["event"];
    [&event["flow"]["id"], &event["flow_id"], &event["source"]["id"], &event["source_id"]]
        .into_iter()
        .find(|id| id.is_string())
        .unwrap()
}

/// The header with the key, the members of the body, and a signature beside them.
#[tokio::test]
async fn line_83_a_delivery_carries_the_key_and_the_event() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let changes = json!({ "flow_ids": [flow["id"]], "events": ["flows/created"], "api_key_name": "X-Key", "api_key_value": "a secret" });
    let (receiver, _) = listen(api, changes).await;
    put_flow(api, &flow).await.expect(201);
    let [told] = &receiver.takes(1, PATIENCE).await[..] else { panic!("there was one event") };
    assert_eq!(told.header("x-key"), "a secret");
    assert_eq!(told.header("content-type"), "application/json");
    for header in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(!told.header(header).is_empty());
    }
    let body = told.json();
    assert_eq!(pluck_members(&body), ["event", "event_timestamp", "event_type"]);
    assert_eq!(body["event_type"], "flows/created");
    assert!(body["event_timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
}

fn pluck_members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What is created and updated is told whole, what is deleted by its id.
#[tokio::test]
async fn line_84_events_hold_the_whole_resource_or_its_id() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let (id, source) = (flow["id"].as_str().unwrap(), flow["source_id"].as_str().unwrap());
    let (receiver, _) = listen(api, json!({ "source_ids": [source] })).await;
    put_flow(api, &flow).await.expect(201);
    let (read_flow, read_source) =
        (api.read(&format!("/flows/{id}")).await, api.read(&format!("/sources/{source}")).await);
    api.put(&format!("/sources/{source}/label"), &json!("a source")).await.expect(204);
    api.put(&format!("/flows/{id}/label"), &json!("a flow")).await.expect(204);
    let updated = api.read(&format!("/flows/{id}")).await;
    api.delete(&format!("/flows/{id}")).await.expect(204);
    let told: Vec<_> = receiver.takes(6, PATIENCE).await.iter().map(Received::json).collect();
    let events: Vec<_> = told.iter().map(|told| (told["event_type"].as_str().unwrap(), &told["event"])).collect();
    let of = |kind: &str| {
        let found: Vec<_> = events.iter().filter(|(told, _)| *told == kind).map(|(_, event)| *event).collect();
        assert_eq!(found.len(), 1, "{kind}: {events:?}");
        found[0].clone()
    };
    assert_eq!(of("flows/created"), json!({ "flow": read_flow }));
    assert_eq!(of("sources/created"), json!({ "source": read_source }));
    assert_eq!(of("sources/updated")["source"]["label"], "a source");
    assert_eq!(of("flows/updated"), json!({ "flow": updated }));
    assert_eq!(of("flows/deleted"), json!({ "flow_id": id }));
    assert_eq!(of("sources/deleted"), json!({ "source_id": source }));
}

/// A filter by Flow lets all events of Sources through, one by Source filters all; both must agree.
#[tokio::test]
async fn line_85_filters_by_flow_and_source_let_through_what_they_name() {
    let api = &store().await;
    let (mine, sibling, other) = (video_flow(&new_id()), video_flow(&new_id()), video_flow(&new_id()));
    let sibling = with(sibling, "source_id", mine["source_id"].clone());
    let ours = [&mine["id"], &sibling["id"], &other["id"], &mine["source_id"], &other["source_id"]];
    let (of_flow, _) = listen(api, json!({ "flow_ids": [mine["id"]] })).await;
    let (of_source, _) = listen(api, json!({ "source_ids": [mine["source_id"]] })).await;
    let (of_both, _) = listen(api, json!({ "flow_ids": [mine["id"]], "source_ids": [mine["source_id"]] })).await;
    for flow in [&mine, &sibling, &other] {
        put_flow(api, flow).await.expect(201);
        let id = flow["id"].as_str().unwrap();
        post_segments(api, id, &segment(&new_id(), &second(0))).await.expect(201);
    }
    let mut told_of = Vec::new();
    for receiver in [&of_flow, &of_source, &of_both] {
        let told = told(api, receiver, mine["id"].as_str().unwrap()).await;
        let told: Vec<_> = told.into_iter().filter(|told| ours.contains(&subject(told))).collect();
        told_of.push(
            told.iter()
                .map(|told| format!("{} {}", types(std::slice::from_ref(told))[0], subject(told)))
                .collect::<Vec<_>>(),
        );
        api.put(&format!("/flows/{}/label", mine["id"].as_str().unwrap()), &json!("more")).await.expect(204);
    }
    let line = |kind: &str, id: &Value| format!("{kind} {id}");
    let relabelled = [line("flows/updated", &mine["id"]), line("flows/updated", &mine["id"])];
    let source = line("sources/created", &mine["source_id"]);
    let flow = [line("flows/created", &mine["id"]), line("flows/segments_added", &mine["id"])];
    let siblings = [line("flows/created", &sibling["id"]), line("flows/segments_added", &sibling["id"])];
    let other_source = line("sources/created", &other["source_id"]);
    assert_eq!(told_of[0], [std::slice::from_ref(&source), &flow[..], std::slice::from_ref(&other_source)].concat());
    assert_eq!(told_of[1][..5], [std::slice::from_ref(&source), &flow[..], &siblings[..]].concat()[..]);
    assert_eq!(told_of[2][..3], [std::slice::from_ref(&source), &flow[..]].concat()[..]);
    assert!(told_of[1][5..].iter().chain(&told_of[2][3..]).all(|line| relabelled.contains(line)), "{told_of:?}");
}

/// An empty list of collections asks for what is in none.
#[tokio::test]
async fn line_86_an_empty_list_of_collections_asks_for_what_is_in_none() {
    let api = &store().await;
    let (alone, member) = (video_flow(&new_id()), video_flow(&new_id()));
    let (id, member_id) = (alone["id"].as_str().unwrap(), member["id"].as_str().unwrap());
    put_flow(api, &member).await.expect(201);
    let collection = multi_flow(&new_id(), &[member_id]);
    put_flow(api, &collection).await.expect(201);
    let (uncollected, _) = listen(api, json!({ "flow_collected_by_ids": [] })).await;
    let collected = json!({ "flow_collected_by_ids": [collection["id"]], "events": ["flows/segments_added"] });
    let (collected, _) = listen(api, collected).await;
    put_flow(api, &alone).await.expect(201);
    for flow in [member_id, id] {
        post_segments(api, flow, &segment(&new_id(), &second(0))).await.expect(201);
    }
    let told = told(api, &uncollected, id).await;
    assert!(told.iter().all(|told| subject(told) != member_id), "{told:?}");
    let added: Vec<_> = told.iter().filter(|told| subject(told) == id).collect();
    assert!(added.iter().any(|told| told["event_type"] == "flows/segments_added"), "{told:?}");
    let collected = collected.takes(1, PATIENCE).await;
    assert_eq!(collected[0].json()["event"]["flow_id"], member_id);
}

/// The options of a webhook shape what its segments are told with, as those of the listing do.
#[tokio::test]
async fn line_87_segments_are_told_with_the_urls_and_ranges_that_are_asked_for() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let id = flow["id"].as_str().unwrap();
    put_flow(api, &flow).await.expect(201);
    let of_flow = |options: Value| {
        let mut changes = json!({ "flow_ids": [id], "events": ["flows/segments_added"] });
        changes.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        changes
    };
    let (plain, _) = listen(api, of_flow(json!({}))).await;
    let (bare, _) = listen(api, of_flow(json!({ "accept_get_urls": [], "include_object_timerange": true }))).await;
    let posted = with(segment(&new_id(), &second(0)), "object_timerange", json!("[0:0_1:0)"));
    post_segments(api, id, &posted).await.expect(201);
    let first = async |receiver: &Receiver| receiver.takes(1, PATIENCE).await[0].json()["event"]["segments"][0].clone();
    let (plain, bare) = (first(&plain).await, first(&bare).await);
    assert_eq!(plain["get_urls"][0]["url"], "https://elsewhere.example/media");
    assert_eq!(plain.get("object_timerange"), None, "{plain}");
    assert!(bare.get("get_urls").is_none_or(|urls| *urls == json!([])), "{bare}");
    assert_eq!(bare["object_timerange"], "[0:0_1:0)");
}

/// A receiver that is away for a while misses nothing, and its webhook stays what it was.
#[tokio::test]
async fn line_88_a_receiver_that_is_away_for_a_while_misses_nothing() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let id = flow["id"].as_str().unwrap();
    let (mut receiver, webhook) = listen(api, json!({ "flow_ids": [id], "events": ["flows/segments_added"] })).await;
    put_flow(api, &flow).await.expect(201);
    let post = async |number| post_segments(api, id, &segment(&new_id(), &second(number))).await.expect(201);
    post(0).await;
    receiver.takes(1, PATIENCE).await;
    receiver.respond(|_, before| Reply::Status(if before < 4 { 503 } else { 200 }));
    post(1).await;
    receiver.takes(2, PATIENCE).await;
    receiver.die().await;
    post(2).await;
    post(3).await;
    eventually("a failure is noticed", PATIENCE, async || {
        let state = api.read(&format!("{}/delivery", path_of(&webhook))).await;
        (state["consecutive_failures"].as_u64()? > 1).then_some(())
    })
    .await;
    assert_eq!(api.read(&path_of(&webhook)).await["status"], "started");
    receiver.start_again().await;
    let told = receiver.takes(4, PATIENCE).await;
    let starts: Vec<_> = told.iter().map(|told| told.json()["event"]["segments"][0]["timerange"].clone()).collect();
    assert_eq!(starts, [0, 1, 2, 3].map(|number| json!(second(number))));
}

/// A receiver that stays away has its webhook given up, which says why.
#[tokio::test]
async fn line_88_a_receiver_that_stays_away_is_given_up_with_a_reason() {
    let server = Server::start_with(impatient()).await;
    let webhook = given_up(server.api()).await;
    let error = &webhook["error"];
    assert!(error["type"].is_string() && error["time"].is_string(), "{webhook}");
    let summary = error["summary"].as_str().unwrap();
    assert!(summary.contains("connect"), "it says what failed: {summary}");
    server.verify().await;
}

/// Options of a server that soon gives up a receiver.
fn impatient() -> tapelog_tests::server::Options {
    receiver::options().and("TAPELOG_WEBHOOKS__GIVE_UP_HOURS", 0.0003)
}

/// A webhook that the server has given up.
async fn given_up(api: &Api) -> Value {
    let (mut receiver, webhook) = listen(api, json!({ "events": ["flows/created"] })).await;
    receiver.die().await;
    put_flow(api, &video_flow(&new_id())).await.expect(201);
    eventually("the webhook is given up", PATIENCE, async || {
        let webhook = api.read(&path_of(&webhook)).await;
        (webhook["status"] == "error").then_some(webhook)
    })
    .await
}

/// A webhook in error can be switched on and not off; one that is off is told nothing until it is on.
#[tokio::test]
async fn line_89_a_webhook_is_switched_on_again_and_goes_on() {
    let server = Server::start_with(impatient()).await;
    let api = server.api();
    let webhook = without(given_up(api).await, "error");
    let path = path_of(&webhook);
    let refused = api.put(&path, &with(webhook.clone(), "status", json!("disabled"))).await.expect(400);
    assert!(refused.message().contains("status"), "{refused}");
    let receiver = Receiver::start().await;
    let moved = with(webhook, "url", json!(receiver.url()));
    let put =
        async |status: &str| api.put(&path, &with(moved.clone(), "status", json!(status))).await.expect(201).json();
    assert!(matches!(put("created").await["status"].as_str(), Some("created" | "started")));
    receiver.takes(1, PATIENCE).await;

    assert_eq!(put("disabled").await["status"], "disabled");
    put_flow(api, &video_flow(&new_id())).await.expect(201);
    let (other, _) = listen(api, json!({})).await;
    put_flow(api, &video_flow(&new_id())).await.expect(201);
    other.takes(2, PATIENCE).await;
    assert_eq!(receiver.count(), 1, "a webhook that is off is told nothing");
    put("created").await;
    assert_eq!(receiver.takes(3, PATIENCE).await.len(), 3, "what happened meanwhile is told afterwards");
}

/// A list of segments is told with each of them; what is deleted is told from its first to its last segment.
#[tokio::test]
async fn line_90_added_segments_are_told_each_and_deleted_ones_by_their_range() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let id = flow["id"].as_str().unwrap();
    put_flow(api, &flow).await.expect(201);
    let (receiver, _) = listen(api, json!({ "flow_ids": [id], "source_ids": [flow["source_id"]] })).await;
    let segments: Vec<_> = [0, 1, 5].map(|number| segment(&new_id(), &second(number))).to_vec();
    post_segments(api, id, &json!(segments)).await.expect(201);
    api.delete(&format!("/flows/{id}/segments?timerange={}", encoded("[-9:0_4:0)"))).await.expect(204);
    let told = told(api, &receiver, id).await;
    let of = |kind: &str| {
        told.iter().filter(|told| told["event_type"] == kind).map(|told| &told["event"]).collect::<Vec<_>>()
    };
    let added = of("flows/segments_added");
    assert!((1..=3).contains(&added.len()) && added.iter().all(|event| event["flow_id"] == *id), "{told:?}");
    let ranges: Vec<_> =
        added.iter().flat_map(|event| pluck(event["segments"].as_array().unwrap(), "timerange")).collect();
    assert_eq!(ranges, [0, 1, 5].map(second));
    assert_eq!(of("flows/segments_deleted"), [&json!({ "flow_id": id, "timerange": "[0:0_2:0)" })]);
}

/// What deletes nothing is no event.
#[tokio::test]
async fn line_91_a_deletion_of_nothing_is_no_event() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let id = flow["id"].as_str().unwrap();
    put_flow(api, &flow).await.expect(201);
    post_segments(api, id, &segment(&new_id(), &second(0))).await.expect(201);
    let (receiver, _) = listen(api, json!({ "flow_ids": [id], "source_ids": [flow["source_id"]] })).await;
    for range in ["[50:0_60:0)", "[0:0_0:5)"] {
        api.delete(&format!("/flows/{id}/segments?timerange={}", encoded(range))).await.expect(204);
    }
    assert_eq!(told(api, &receiver, id).await, Vec::<Value>::new());
}
