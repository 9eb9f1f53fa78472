//! Feeds: what happens, for whoever follows it.

mod limits;
mod nats;
mod stream;

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::events::{Event, EventStream};
use tapelog_tests::store::{create_flow, new_id, put_flow, video_flow};

/// The kinds of some events, in order.
fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// Everything that happened after this position, until nothing did for a while: as long as a heartbeat takes to come.
async fn all_after(api: &Api, position: &str) -> Vec<Event> {
    let end = api.position().await;
    let mut stream = EventStream::open(api, &format!("last_event_id={position}"), None).await;
    let mut events = Vec::new();
    // One more write marks the end.
    let last = create_flow(api).await;
    loop {
        let event = stream.next().await.expect("the stream does not end");
        if event.kind == "sources/created" && is_after(&event.id, &end) {
            break;
        }
        events.push(event);
    }
    api.delete(&format!("/flows/{last}")).await.expect(204);
    events
}

/// Whether an event is in a later record.
fn is_after(event: &str, position: &str) -> bool {
    let seq = |text: &str| text.split('.').nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap();
    seq(event) > seq(position)
}

/// Makes so many Flows, each with its number as label.
async fn make_flows(api: &Api, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let mut flow: Value = video_flow(&new_id());
        flow["label"] = json!(number.to_string());
        put_flow(api, &flow).await.expect(201);
    }
}

/// The labels of the Flows that some events are about.
fn labels(events: &[Event]) -> Vec<usize> {
    events.iter().map(|event| event.body["event"]["flow"]["label"].as_str().unwrap().parse().unwrap()).collect()
}
