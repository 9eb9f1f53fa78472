//! Lines 80 to 91: webhooks. Lines about deliveries come with the deliverer, in the issue about subscribers:
//!
//! - 83, the header with the key and the shape of what is delivered;
//! - 84, what the events of a Flow and a Source hold;
//! - 85, what the filters by Flow and Source let through (that they are taken and kept is part of line 80 here);
//! - 86, the filter for what is in no collection (the same);
//! - 87, what is left out of segments that are delivered, and added to them (the same);
//! - 88, a receiver that is away for a while, and for good;
//! - 89, a webhook in error, and one that is disabled;
//! - 90, the events of a list of segments and of their deletion;
//! - 91, a deletion of nothing, which is no event.
//!
//! Until then `/service` does not promise webhooks among its mechanisms.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::store::{all, new_id, pluck, with, without};

use super::store;

const PATH: &str = "/service/webhooks";

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
