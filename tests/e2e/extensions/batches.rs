//! Several resources in one request.

use serde_json::{Value, json};
use tapelog_tests::store::{create_flow, new_id, video_flow, with};

use super::SERVER;

#[tokio::test]
async fn each_flow_of_a_batch_is_judged_on_its_own() {
    let api = SERVER.visit().await;
    let flows: Vec<Value> = (0..50).map(|_| video_flow(&new_id())).collect();
    let answer = api.post("/flows", &json!(flows)).await.expect(201);
    assert_eq!(answer.json(), json!({ "created": 50, "updated": 0, "failed": [] }));
    api.get(&format!("/flows/{}", flows[49]["id"].as_str().unwrap())).await.expect(200);

    let changed = with(flows[0].clone(), "label", json!("changed"));
    let bad_format = with(flows[1].clone(), "format", json!("urn:x-nmos:format:none"));
    let other_format = json!({
        "id": new_id(), "source_id": flows[2]["source_id"], "format": "urn:x-nmos:format:audio", "codec": "audio/aac",
        "essence_parameters": { "sample_rate": 48000, "channels": 2 },
    });
    let answer =
        api.post("/flows", &json!([bad_format, changed, other_format, video_flow(&new_id())])).await.expect(200);
    let told = answer.json();
    assert_eq!((&told["created"], &told["updated"]), (&json!(1), &json!(1)), "{answer}");
    let failed: Vec<_> = told["failed"].as_array().unwrap().iter().map(|item| &item["index"]).collect();
    assert_eq!(failed, [0, 2], "{answer}");
    assert!(told["failed"][0]["message"].as_str().unwrap().contains("format"), "{answer}");
    let label = api.read(&format!("/flows/{}/label", flows[0]["id"].as_str().unwrap())).await;
    assert_eq!(label, json!("changed"));
    api.post("/flows", &json!("text")).await.expect(200);
    api.post("/flows", &video_flow(&new_id())).await.expect(201);
}

#[tokio::test]
async fn sources_are_changed_in_a_batch_and_never_made() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].clone();
    let edits = json!([{ "id": source, "label": "new", "tags": { "a": "b" } }, { "id": new_id(), "label": "none" }]);
    let answer = api.post("/sources", &edits).await.expect(200);
    assert_eq!(answer.json()["updated"], 1, "{answer}");
    assert_eq!(answer.json()["failed"][0]["status"], 404, "{answer}");
    let source = api.read(&format!("/sources/{}", source.as_str().unwrap())).await;
    assert_eq!((&source["label"], &source["tags"]), (&json!("new"), &json!({ "a": "b" })));
}
