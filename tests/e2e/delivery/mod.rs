//! What webhooks are told when everything around them fails: each receiver has every event that is for it, in log order,
//! with no gap but those that its dead letters list (L10).

mod ledger;
mod nodes;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::store::{new_id, segment_at};
use tokio::sync::watch;
use tokio::time::sleep;

/// When a writer that was put off comes again.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the servers are from time to time.
type Place = watch::Receiver<Arc<Api>>;

/// Registers one segment after the other, each until that is acknowledged, however often servers die meanwhile.
async fn write(place: Place, flow: String, count: usize) {
    for number in 0..count {
        let (segment, key) = (segment_at(number), new_id());
        loop {
            let api = Arc::clone(&place.borrow());
            let path = format!("/flows/{flow}/segments");
            let request = api.request(Method::POST, &path).header("idempotency-key", &key).json(&segment);
            match Answer::try_to(request).await {
                Ok(answer) if answer.status == 201 => break,
                Ok(answer) if answer.status < 500 => panic!("{answer}"),
                Ok(_) | Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

/// Registers a webhook, and gives its id.
async fn register(api: &Api, url: &str, events: Value, filter: Value) -> String {
    let mut body = json!({ "url": url, "events": events, "accept_get_urls": [] });
    for (name, value) in filter.as_object().unwrap() {
        body[name] = value.clone();
    }
    let created = api.post("/service/webhooks", &body).await.expect(201);
    created.json()["id"].as_str().unwrap().to_owned()
}
