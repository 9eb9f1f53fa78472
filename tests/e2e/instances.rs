//! Instances of objects on several storage backends: where uploads go, copies, and their end.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{allocate, create_flow, new_id, object_path, pluck, post_segments, second, upload};

/// Two further backends beside the default one, over folders of their own.
const STORAGE: &str = r#"[
    {"label": "archive", "bucket": "archive-media", "store_product": "tape", "availability_zone": "b", "tags": {"tier": "cold"}},
    {"label": "near", "bucket": "near-media"}
]"#;

fn options() -> Options {
    Options::default().and("TAPELOG_STORAGE", STORAGE)
}

/// The storage backends by label.
async fn backends(api: &Api) -> Vec<Value> {
    api.read("/service/storage-backends").await.as_array().unwrap().clone()
}

async fn backend(api: &Api, label: &str) -> Value {
    let backends = backends(api).await;
    backends.iter().find(|backend| backend["label"] == label).expect("it is in the settings")["id"].clone()
}

async fn get_urls(api: &Api, object: &str, query: &str) -> Vec<Value> {
    api.read(&object_path(object, query)).await["get_urls"].as_array().unwrap().clone()
}

/// Waits until an object has a URL with this label, or has none.
async fn until_told(api: &Api, object: &str, label: &str, there: bool) {
    eventually("the URLs change", PATIENCE, async || {
        let labels = pluck(&get_urls(api, object, "").await, "label");
        (labels.contains(&label.to_owned()) == there).then_some(())
    })
    .await;
}

async fn download(api: &Api, url: &Value) -> Answer {
    Answer::to(api.request(Method::GET, url["url"].as_str().unwrap())).await
}

#[tokio::test]
async fn storage_backends_are_those_of_the_settings_and_uploads_go_where_they_are_asked_to() {
    let mut server = Server::start_with(options()).await;
    let listed = backends(server.api()).await;
    assert_eq!(pluck(&listed, "label"), ["archive", "default", "near"]);
    let defaults: Vec<_> = listed.iter().map(|backend| backend["default_storage"].clone()).collect();
    assert_eq!(defaults, [json!(false), json!(true), json!(false)]);
    assert_eq!((&listed[0]["store_product"], &listed[0]["availability_zone"]), (&json!("tape"), &json!("b")));
    let cold = server.api().read("/service/storage-backends?tag.tier=cold").await;
    assert_eq!(pluck(cold.as_array().unwrap(), "label"), ["archive"]);
    let page = server.api().get("/service/storage-backends?limit=2&reverse_order=true").await.expect(200);
    assert_eq!(pluck(&page.list(), "label"), ["near", "default"]);
    let rest = server.api().get(&page.next().unwrap()).await.expect(200);
    assert_eq!((pluck(&rest.list(), "label"), rest.next()), (vec!["archive".to_owned()], None));

    let flow = create_flow(server.api()).await;
    let wanted = json!({ "limit": 1, "storage_id": listed[0]["id"], "presigned": true });
    let allocated = server.api().post(&format!("/flows/{flow}/storage"), &wanted).await.expect(201).json();
    let allocated = allocated["media_objects"][0].clone();
    upload(server.api(), &allocated, "cold bytes").await.expect(200);
    let posted = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
    post_segments(server.api(), &flow, &posted).await.expect(201);
    server.stop().await;
    server.start_again().await;
    assert_eq!(backends(server.api()).await, listed, "ids are the same in every life");
    let object = allocated["object_id"].as_str().unwrap();
    let urls = get_urls(server.api(), object, "?verbose_storage=true").await;
    assert_eq!((urls.len(), &urls[0]["label"], &urls[0]["storage_id"]), (1, &json!("archive"), &listed[0]["id"]));
    assert_eq!(urls[0]["tags"], json!({ "tier": "cold" }));
    assert_eq!(download(server.api(), &urls[0]).await.expect(200).body, "cold bytes");
}

/// Section 8: 201 at once, and the URL once it leads somewhere.
#[tokio::test]
async fn an_object_is_copied_to_another_backend_and_may_leave_the_first() {
    let server = Server::start_with(options()).await;
    let api = server.api();
    let flow = create_flow(api).await;
    let allocated = allocate(api, &flow, 1).await[0].clone();
    let media: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
    upload(api, &allocated, media.clone()).await.expect(200);
    let posted = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
    post_segments(api, &flow, &posted).await.expect(201);
    let object = allocated["object_id"].as_str().unwrap();
    let instances = object_path(object, "/instances");
    let (first, near) = (backend(api, "default").await, backend(api, "near").await);

    api.post(&instances, &json!({ "storage_id": first })).await.expect(400);
    let created = api.post(&instances, &json!({ "storage_id": near })).await.expect(201);
    assert!(created.body.is_empty());
    until_told(api, object, "near", true).await;
    let urls = get_urls(api, object, "").await;
    assert_eq!(pluck(&urls, "label"), ["default", "near"]);
    let copy = download(api, &urls[1]).await.expect(200);
    assert_eq!((copy.body.to_vec(), copy.header("content-type")), (media.clone(), Some("video/mp2t")));

    api.delete(&format!("{instances}?storage_id={}&label=x", first.as_str().unwrap())).await.expect(400);
    api.delete(&format!("{instances}?storage_id=bad")).await.expect(400);
    api.delete(&format!("{instances}?storage_id={}", new_id())).await.expect(404);
    api.delete(&format!("{instances}?storage_id={}", first.as_str().unwrap())).await.expect(204);
    assert_eq!(pluck(&get_urls(api, object, "").await, "label"), ["near"]);
    eventually("the bytes are erased", PATIENCE, async || (download(api, &urls[0]).await.status == 404).then_some(()))
        .await;
    assert_eq!(download(api, &urls[1]).await.expect(200).body, media);
    api.delete(&format!("{instances}?storage_id={}", near.as_str().unwrap())).await.expect(400);
}

/// A store takes in what lies elsewhere, from addresses that it may ask.
#[tokio::test]
async fn an_object_outside_of_the_store_is_copied_into_it() {
    let server = Server::start_with(options().and("TAPELOG_FETCH__ALLOW_PRIVATE", true)).await;
    let api = server.api();
    let flow = create_flow(api).await;
    let elsewhere = allocate(api, &flow, 1).await[0].clone();
    upload(api, &elsewhere, "bytes from elsewhere").await.expect(200);
    let posted = json!({ "object_id": elsewhere["object_id"], "timerange": second(0) });
    post_segments(api, &flow, &posted).await.expect(201);
    let urls = get_urls(api, elsewhere["object_id"].as_str().unwrap(), "").await;

    let object = new_id();
    let external = json!({
        "object_id": object, "timerange": second(1), "get_urls": [{ "url": urls[0]["url"], "label": "elsewhere" }],
    });
    post_segments(api, &flow, &external).await.expect(201);
    let archive = json!({ "storage_id": backend(api, "archive").await });
    api.post(&object_path(&object, "/instances"), &archive).await.expect(201);
    until_told(api, &object, "archive", true).await;
    let urls = get_urls(api, &object, "?presigned=true").await;
    assert_eq!(download(api, &urls[0]).await.expect(200).body, "bytes from elsewhere");
}

/// Whoever may name an address must not have the server ask what only the server reaches.
#[tokio::test]
async fn an_address_of_this_network_is_not_asked_for_a_copy() {
    let server = Server::start_with(options()).await;
    let api = server.api();
    let flow = create_flow(api).await;
    let object = new_id();
    let url = api.base().replace("127.0.0.1", "localhost");
    let inside =
        json!({ "object_id": object, "timerange": second(0), "get_urls": [{ "url": url, "label": "inside" }] });
    post_segments(api, &flow, &inside).await.expect(201);
    let (instances, archive) =
        (object_path(&object, "/instances"), json!({ "storage_id": backend(api, "archive").await }));
    api.post(&instances, &archive).await.expect(201);
    // Once it is given up, it may be asked for again.
    eventually("the copy is given up", PATIENCE, async || {
        (api.post(&instances, &archive).await.status == 201).then_some(())
    })
    .await;
    assert_eq!(pluck(&get_urls(api, &object, "").await, "label"), ["inside"]);
}

/// Extension: on request, and only then, each signed URL comes with one for `HEAD`.
#[tokio::test]
async fn urls_for_head_are_told_on_request() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let allocated = allocate(api, &flow, 1).await[0].clone();
    upload(api, &allocated, "0123456789").await.expect(200);
    let posted = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
    post_segments(api, &flow, &posted).await.expect(201);
    for path in [format!("/flows/{flow}/segments"), object_path(allocated["object_id"].as_str().unwrap(), "")] {
        // Not by `get`, which holds answers against the closed schema.
        let answer = Answer::to(api.request(Method::GET, &format!("{path}?presigned_head=true"))).await.expect(200);
        let told = answer.json();
        let url = told.pointer("/0/get_urls/0/head_url").or_else(|| told.pointer("/get_urls/0/head_url")).unwrap();
        let head = Answer::to(api.request(Method::HEAD, url.as_str().unwrap())).await.expect(200);
        assert_eq!(head.header("content-length"), Some("10"));
        api.read(&path).await;
    }
}

/// Without presigning, uploads go through the API itself.
#[tokio::test]
async fn an_upload_that_is_not_presigned_goes_to_the_api() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let wanted = json!({ "object_ids": [format!("{flow}/a b")], "presigned": false });
    let allocated = api.post(&format!("/flows/{flow}/storage"), &wanted).await.expect(201).json();
    let allocated = &allocated["media_objects"][0];
    assert_eq!(allocated["presigned"], json!(false));
    let url = allocated["put_url"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/objects/", api.base())), "{url}");
    let uploaded = upload(api, allocated, "bytes").await;
    assert!(matches!(uploaded.status, 200 | 201 | 204), "{uploaded}");
    let posted = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
    post_segments(api, &flow, &posted).await.expect(201);
    let urls = get_urls(api, &format!("{flow}/a b"), "").await;
    assert_eq!(download(api, &urls[0]).await.expect(200).body, "bytes");
}
