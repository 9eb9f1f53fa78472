//! The feed on NATS.

use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;
use serde_json::{Value, json};
use tapelog_tests::eventually;
use tapelog_tests::nats::Nats;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::shape;
use tapelog_tests::store::{allocate, create_flow, post_segments, second};
use tokio::time::timeout;

use super::{all_after, make_flows};

fn options(nats: &Nats) -> Options {
    Options::on(&nats.url()).and("TAPELOG_FEED__NATS", true)
}

/// A message of the feed: its subject, the id of its event, its body.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    subject: String,
    id: String,
    body: Value,
}

/// The first so many messages of the feed, as a subscriber gets them.
async fn feed(nats: &Nats, count: usize) -> Vec<Told> {
    let stream = nats.jetstream().await.get_stream("TAPELOG_FEED").await.unwrap();
    let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count);
    let told = messages.map(|message| {
        let message = message.unwrap();
        let headers = message.headers.as_ref().unwrap();
        let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
        let body: Value = serde_json::from_slice(&message.payload).unwrap();
        shape::check_notification(&body).unwrap_or_else(|wrong| panic!("{wrong}: {body}"));
        assert_eq!(body["event_type"], header("Tapelog-Event-Type").as_str());
        assert_eq!(header("Nats-Msg-Id"), header("Tapelog-Event-Id"));
        Told { subject: message.subject.to_string(), id: header("Tapelog-Event-Id"), body }
    });
    timeout(PATIENCE, told.collect()).await.expect("the feed gets as far as the log")
}

#[tokio::test]
async fn a_subscriber_gets_every_notification_once_and_in_order_whatever_becomes_of_servers() {
    let nats = Nats::start().await;
    let mut one = Server::start_with(options(&nats)).await;
    let begin = format!("{}.0", one.api().position().await.split('.').next().unwrap());
    let service = one.api().read("/service").await;
    let mechanism = service["event_stream_mechanisms"].as_array().unwrap().iter().find(|m| m["name"] == "tapelog-nats");
    assert_eq!(mechanism.unwrap()["config"]["stream"], "TAPELOG_FEED");
    assert_eq!(mechanism.unwrap()["config"]["subject"], "tams.feed.>");

    let flow = create_flow(one.api()).await;
    let object = allocate(one.api(), &flow, 1).await[0]["object_id"].clone();
    let inside = json!({ "object_id": object, "timerange": second(0), "ts_offset": "0:0" });
    post_segments(one.api(), &flow, &inside).await.expect(201);
    make_flows(one.api(), 0..20).await;
    one.kill();
    one.start_again().await;
    make_flows(one.api(), 20..40).await;
    // A second server publishes the same, and a third one takes over after both.
    let mut two = Server::start_with(options(&nats)).await;
    let writes = async |server: &Server| make_flows(server.api(), 40..60).await;
    tokio::join!(writes(&one), writes(&two));
    one.kill();
    make_flows(two.api(), 60..80).await;
    two.stop().await;
    one.start_again().await;
    make_flows(one.api(), 80..90).await;

    let expected = all_after(one.api(), &begin).await;
    let told = feed(&nats, expected.len()).await;
    assert_eq!(
        told.iter().map(|told| &told.id).collect::<Vec<_>>(),
        expected.iter().map(|event| &event.id).collect::<Vec<_>>()
    );
    for (told, event) in told.iter().zip(&expected) {
        let body = &event.body["event"];
        let about = [&body["flow_id"], &body["flow"]["id"], &body["source_id"], &body["source"]["id"]];
        let about = about.into_iter().find_map(Value::as_str).unwrap();
        assert_eq!(told.subject, format!("tams.feed.{}.{about}", event.kind.replace('/', ".")));
        // But for URLs that would expire before they are read.
        match event.kind.as_str() {
            "flows/segments_added" => assert_eq!(told.body["event"]["segments"][0]["get_urls"], json!([])),
            _ => assert_eq!(told.body, event.body),
        }
    }
}

#[tokio::test]
async fn a_feed_that_is_switched_on_later_has_what_happened_before_and_an_outage_leaves_no_gap() {
    let mut nats = Nats::start().await;
    let mut server = Server::start_with(Options::on(&nats.url())).await;
    make_flows(server.api(), 0..3).await;
    let told = server.api().read("/service").await["event_stream_mechanisms"].clone();
    assert!(!told.to_string().contains("tapelog-nats"), "{told}");
    server.stop().await;
    server.set("TAPELOG_FEED__NATS", true);
    server.start_again().await;
    let begin = format!("{}.0", server.api().position().await.split('.').next().unwrap());
    make_flows(server.api(), 3..6).await;
    nats.kill();
    nats.start_again().await;
    eventually("writes pass again", PATIENCE, async || {
        let answer = server.api().get("/readyz").await;
        (answer.status == 200).then_some(())
    })
    .await;
    make_flows(server.api(), 6..9).await;
    let expected = all_after(server.api(), &begin).await;
    let told = feed(&nats, expected.len()).await;
    assert_eq!(told.len(), 18);
    assert!(told.iter().zip(&expected).all(|(told, event)| told.id == event.id && told.body == event.body));
}
