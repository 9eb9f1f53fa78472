//! Objects without a flow, bytes through the API, and the end of objects that nobody uses.

use reqwest::Method;
use serde_json::json;
use tapelog_tests::api::Answer;
use tapelog_tests::eventually;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{allocate, create_flow, new_id, object_path, post_segments, upload};

use super::SERVER;

#[tokio::test]
async fn objects_of_no_flow_can_be_registered_by_any() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let asked = json!({ "object_ids": [new_id()], "content_type": "video/mp2t" });
    let object = api.post("/objects", &asked).await.expect(201).json()["media_objects"][0].clone();
    assert_eq!(object["put_url"]["content-type"], "video/mp2t");
    upload(&api, &object, "bytes").await.expect(200);
    let id = object["object_id"].as_str().unwrap();
    api.get(&object_path(id, "")).await.expect(404);
    let twice = api.post("/objects", &asked).await.expect(400);
    assert!(twice.message().contains("already exist"), "{twice}");
    post_segments(&api, &flow, &json!({ "object_id": id, "timerange": "[0:0_1:0)" })).await.expect(201);
    api.get(&object_path(id, "")).await.expect(200);
    let in_use = api.delete(&object_path(id, "?confirm=true")).await.expect(409);
    assert!(in_use.message().contains("used"), "{in_use}");
    api.delete(&format!("/flows/{flow}/segments")).await.expect(204);
    api.delete(&object_path(id, "?confirm=true")).await.expect(204);
    api.delete(&object_path(id, "?confirm=true")).await.expect(404);
}

#[tokio::test]
async fn bytes_go_through_the_api_where_a_client_asks_for_that() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let asked = json!({ "limit": 1, "presigned": false });
    let object =
        api.post(&format!("/flows/{flow}/storage"), &asked).await.expect(201).json()["media_objects"][0].clone();
    assert_eq!(object["presigned"], false);
    let url = object["put_url"]["url"].as_str().unwrap();
    assert!(url.starts_with(api.base()), "{url} is on the API's own origin");
    let bytes = vec![7_u8; 3_000_000];
    upload(&api, &object, bytes.clone()).await.expect(201);
    let id = object["object_id"].as_str().unwrap();
    post_segments(&api, &flow, &json!({ "object_id": id, "timerange": "[0:0_1:0)" })).await.expect(201);
    let got = Answer::to(api.request(Method::GET, &format!("{}/content", object_path(id, "")))).await.expect(200);
    assert!(got.body == bytes, "what was uploaded comes back");
    upload(&api, &object, "other bytes").await.expect(409);
    let unknown = format!("{}/content", object_path(&new_id(), ""));
    Answer::to(api.request(Method::PUT, &unknown).body("x")).await.expect(404);
}

#[tokio::test]
async fn bytes_are_erased_once_nobody_uses_them_and_never_before() {
    let options = Options::default()
        .and("TAPELOG_RETENTION__SWEEP_EVERY_SECONDS", 1)
        .and("TAPELOG_RETENTION__UNREFERENCED_SECONDS", 0);
    let server = Server::start_with(options).await;
    let api = server.api();
    let (flow, clip) = (create_flow(api).await, create_flow(api).await);
    let objects = allocate(api, &flow, 2).await;
    for (number, object) in objects.iter().enumerate() {
        upload(api, object, "bytes").await.expect(200);
        let posted = json!({ "object_id": object["object_id"], "timerange": tapelog_tests::store::second(number) });
        post_segments(api, &flow, &posted).await.expect(201);
    }
    let kept = objects[0]["object_id"].as_str().unwrap();
    let gone = objects[1]["object_id"].as_str().unwrap();
    let clipped = json!({ "object_id": kept, "timerange": "[0:0_1:0)" });
    post_segments(api, &clip, &clipped).await.expect(201);
    let url = async |id: &str| {
        let object = api.read(&object_path(id, "")).await;
        object["get_urls"][0]["url"].as_str().unwrap().to_owned()
    };
    let (kept_url, gone_url) = (url(kept).await, url(gone).await);
    let fetched = async |url: &str| Answer::to(api.request(Method::GET, url)).await.status;

    api.delete(&format!("/flows/{flow}")).await.expect(204);
    eventually("the bytes are erased", PATIENCE, async || (fetched(&gone_url).await == 404).then_some(())).await;
    assert_eq!(fetched(&kept_url).await, 200, "L7: what the clip uses stays");
    api.delete(&format!("/flows/{clip}")).await.expect(204);
    eventually("the rest is erased", PATIENCE, async || (fetched(&kept_url).await == 404).then_some(())).await;
    let other = create_flow(api).await;
    eventually("the id is free again", PATIENCE, async || {
        let asked = json!({ "object_ids": [kept] });
        (api.post(&format!("/flows/{other}/storage"), &asked).await.status == 201).then_some(())
    })
    .await;
    server.verify().await;
}
