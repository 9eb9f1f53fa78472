//! Collections as resources of their own.

use reqwest::Method;
use serde_json::json;
use tapelog_tests::api::Answer;
use tapelog_tests::store::{create_flow, new_id, pluck};

use super::SERVER;

#[tokio::test]
async fn a_collection_is_a_flow_that_collects_and_is_seen_with_what_it_collects() {
    let api = SERVER.visit().await;
    let (video, audio) = (create_flow(&api).await, create_flow(&api).await);
    let label = new_id();
    let asked =
        json!({ "label": label, "members": [{ "id": audio, "role": "sound" }, { "id": video, "role": "picture" }] });
    let made = api.post("/collections", &asked).await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(api.read(&format!("/flows/{id}")).await["flow_collection"], asked["members"]);
    assert_eq!(api.read(&format!("/flows/{video}")).await["collected_by"], json!([id]));
    let listed = api.get(&format!("/collections?label={label}")).await.expect(200).list();
    assert_eq!(pluck(&listed, "id"), [id]);
    let seen = api.get(&format!("/collections/{id}")).await.expect(200).json();
    assert_eq!(pluck(seen["members"].as_array().unwrap(), "id"), [audio.as_str(), &video], "in their order");
    api.get(&format!("/collections/{video}")).await.expect(404);
    api.post("/collections", &json!({ "id": id, "members": [] })).await.expect(409);
    api.post("/collections", &json!({ "members": [{ "id": new_id() }] })).await.expect(400);
    api.post("/collections", &json!({})).await.expect(400);
}

#[tokio::test]
async fn a_repeated_request_is_told_of_the_collection_that_the_first_one_made() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].clone();
    for (path, member) in [("/collections", json!(flow)), ("/source-collections", source)] {
        let (asked, key) = (json!({ "members": [{ "id": member }] }), new_id());
        let make = || Answer::to(api.request(Method::POST, path).json(&asked).header("idempotency-key", &key));
        let made = make().await.expect(201).json();
        assert_eq!(make().await.expect(201).json()["id"], made["id"], "{path}");
        let another = api.post(path, &asked).await.expect(201).json();
        assert_ne!(another["id"], made["id"], "{path}");
    }
}

#[tokio::test]
async fn a_collection_of_sources_collects_all_their_flows() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let whole = api.read(&format!("/flows/{flow}")).await;
    let source = whole["source_id"].as_str().unwrap();
    let proxy = new_id();
    api.put(&format!("/flows/{proxy}"), &tapelog_tests::store::with(whole.clone(), "id", json!(proxy)))
        .await
        .expect(201);
    let asked = json!({ "members": [{ "id": source, "role": "camera" }] });
    let made = api.post("/source-collections", &asked).await.expect(201).json();
    assert_eq!(made["source_collection"], json!([{ "id": source, "role": "camera" }]));
    let id = made["id"].as_str().unwrap();
    assert_eq!(api.read(&format!("/sources/{source}")).await["collected_by"], json!([id]));
    for collected in [&flow, &proxy] {
        assert!(api.read(&format!("/flows/{collected}")).await["collected_by"].is_array(), "{collected} is collected");
    }
    let seen = api.get(&format!("/source-collections/{id}")).await.expect(200).json();
    assert_eq!(pluck(seen["members"].as_array().unwrap(), "id"), [source]);
    assert!(pluck(&api.get("/source-collections?limit=1000").await.list(), "id").contains(&id.to_owned()));
    api.get(&format!("/source-collections/{source}")).await.expect(404);
    api.post("/source-collections", &json!({ "members": [{ "id": new_id() }] })).await.expect(400);
}
