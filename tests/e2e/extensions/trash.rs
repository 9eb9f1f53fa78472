//! What is put aside comes back as it was, or goes for good after its time.

use serde_json::json;
use tapelog_tests::eventually;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{
    all, allocate, check_invariants, create_flow, object_path, pluck, post_segments, put_flow, segments, upload, with,
};

use super::SERVER;

#[tokio::test]
async fn a_flow_that_was_put_aside_is_gone_for_everybody_and_comes_back_with_its_segments() {
    let api = SERVER.visit().await;
    let (flow, clip) = (create_flow(&api).await, create_flow(&api).await);
    let before = api.read(&format!("/flows/{flow}")).await;
    let source = before["source_id"].as_str().unwrap();
    api.put(&format!("/sources/{source}/label"), &json!("kept")).await.expect(204);
    let object = allocate(&api, &flow, 1).await.remove(0);
    let object_id = object["object_id"].as_str().unwrap();
    upload(&api, &object, "bytes").await.expect(200);
    post_segments(&api, &flow, &json!({ "object_id": object_id, "timerange": "[0:0_10:0)" })).await.expect(201);
    api.put(&format!("/flows/{flow}/segments/{object_id}/tags"), &json!({ "t": "1" })).await.expect(204);
    let collector = tapelog_tests::store::multi_flow(&tapelog_tests::store::new_id(), &[&flow, &clip]);
    put_flow(&api, &collector).await.expect(201);
    let stored = segments(&api, &flow).await;

    api.delete(&format!("/flows/{flow}?soft_delete=true")).await.expect(204);
    api.get(&format!("/flows/{flow}")).await.expect(404);
    api.get(&format!("/sources/{source}")).await.expect(404);
    assert!(segments(&api, &flow).await.is_empty());
    api.get(&object_path(object_id, "")).await.expect(404);
    let collection = api.read(&format!("/flows/{}/flow_collection", collector["id"].as_str().unwrap())).await;
    assert_eq!(collection, json!([{ "id": clip }]));
    let trashed = all(&api, "/trash").await;
    assert!(trashed.iter().any(|trashed| trashed["flow"]["id"] == json!(flow)), "{trashed:?}");
    let again = put_flow(&api, &with(before.clone(), "label", json!("another"))).await.expect(400);
    assert!(again.message().contains("soft_delete"), "{again}");

    api.post(&format!("/flows/{flow}/restore"), &json!({})).await.expect(204);
    assert_eq!(segments(&api, &flow).await, stored);
    assert_eq!(api.read(&format!("/flows/{flow}")).await["label"], before["label"]);
    assert_eq!(api.read(&format!("/sources/{source}/label")).await, json!("kept"));
    api.get(&object_path(object_id, "")).await.expect(200);
    api.post(&format!("/flows/{flow}/restore"), &json!({})).await.expect(404);
    check_invariants(&api).await;
}

#[tokio::test]
async fn the_trash_survives_a_restart_and_empties_itself_with_the_bytes() {
    let options = Options::default()
        .and("TAPELOG_RETENTION__SWEEP_EVERY_SECONDS", 1)
        .and("TAPELOG_RETENTION__TRASH_SECONDS", 2)
        .and("TAPELOG_RETENTION__UNREFERENCED_SECONDS", 0);
    let mut server = Server::start_with(options).await;
    let flow = create_flow(server.api()).await;
    let object = allocate(server.api(), &flow, 1).await.remove(0);
    upload(server.api(), &object, "bytes").await.expect(200);
    let posted = json!({ "object_id": object["object_id"], "timerange": "[0:0_10:0)" });
    post_segments(server.api(), &flow, &posted).await.expect(201);
    let urls = server.api().read(&object_path(object["object_id"].as_str().unwrap(), "")).await["get_urls"].clone();
    let url = urls[0]["url"].as_str().unwrap().to_owned();
    server.api().delete(&format!("/flows/{flow}?soft_delete=true")).await.expect(204);

    server.stop().await;
    server.start_again().await;
    let api = server.api();
    eventually("the trash is empty", PATIENCE, async || all(api, "/trash").await.is_empty().then_some(())).await;
    eventually("the object's id is free", PATIENCE, async || {
        let other = create_flow(api).await;
        let asked = json!({ "object_ids": [object["object_id"]] });
        (api.post(&format!("/flows/{other}/storage"), &asked).await.status == 201).then_some(())
    })
    .await;
    // The object storage of a laptop has moved with the restart: the bytes are looked for where they are now.
    assert!(pluck(&[json!({ "url": url })], "url")[0].contains("X-Amz-Signature"));
    api.post(&format!("/flows/{flow}/restore"), &json!({})).await.expect(404);
    server.verify().await;
}
