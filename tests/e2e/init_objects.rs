//! Init objects, beyond what the list of implementers says: their bytes, and which of their URLs are told.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::server::Server;
use tapelog_tests::store::{allocate, init_flow, new_id, object_path, post_segments, put_flow, second, upload};

/// A Flow with one segment, whose object and init object hold these bytes.
async fn uploaded(api: &Api, media: &'static str, init: &'static str) -> (String, Value, Value) {
    let flow = new_id();
    put_flow(api, &init_flow(&flow)).await.expect(201);
    let wanted = json!({ "object_ids": [format!("{flow}/init")], "content_type": "video/mp4" });
    let allocated = api.post(&format!("/flows/{flow}/storage"), &wanted).await.expect(201).json();
    let of_init = allocated["media_objects"][0].clone();
    let of_media = allocate(api, &flow, 1).await[0].clone();
    assert_eq!(of_init["put_url"]["content-type"], "video/mp4");
    assert_eq!(of_media["put_url"]["content-type"], "video/iso.segment");
    upload(api, &of_init, init).await.expect(200);
    upload(api, &of_media, media).await.expect(200);
    let posted = json!({
        "object_id": of_media["object_id"], "timerange": second(0), "init_object_id": of_init["object_id"],
    });
    post_segments(api, &flow, &posted).await.expect(201);
    (flow, of_media["object_id"].clone(), of_init["object_id"].clone())
}

async fn bytes(api: &Api, of: &Value) -> String {
    let url = of["get_urls"][0]["url"].as_str().unwrap();
    let answer = Answer::to(api.request(Method::GET, url)).await.expect(200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// A player needs both, and finds both in one listing.
#[tokio::test]
async fn a_segment_leads_to_its_media_and_to_what_decodes_them() {
    let server = Server::start().await;
    let api = server.api();
    let (flow, media, init) = uploaded(api, "media", "what stands in front").await;
    let segment = api.read(&format!("/flows/{flow}/segments")).await[0].clone();
    assert_eq!(bytes(api, &segment).await, "media");
    assert_eq!(bytes(api, &segment["init_object"]).await, "what stands in front");
    let object = api.read(&object_path(media.as_str().unwrap(), "")).await;
    assert_eq!(bytes(api, &object["init_object"]).await, "what stands in front");
    let object = api.read(&object_path(init.as_str().unwrap(), "")).await;
    assert_eq!(bytes(api, &object).await, "what stands in front");
    assert_eq!(object["first_referenced_by_flow"], json!(flow));
}

/// 1.9: whatever chooses URLs of media chooses those of their init objects, too.
#[tokio::test]
async fn every_filter_of_urls_applies_to_init_objects() {
    let server = Server::start().await;
    let api = server.api();
    let (flow, media, init) = uploaded(api, "media", "init").await;
    let instances = object_path(init.as_str().unwrap(), "/instances");
    let outside = json!({ "url": "https://cdn.example/init.mp4", "label": "cdn" });
    api.post(&instances, &outside).await.expect(201);
    let backend = api.read("/service/storage-backends").await[0].clone();
    let id = backend["id"].as_str().unwrap();
    let other = new_id();
    for (query, expected) in [
        (String::new(), vec!["default", "cdn"]),
        ("accept_get_urls=".to_owned(), vec![]),
        ("accept_get_urls=cdn".to_owned(), vec!["cdn"]),
        (format!("accept_storage_ids={id}"), vec!["default"]),
        (format!("accept_storage_ids={other}"), vec![]),
        ("presigned=true".to_owned(), vec!["default"]),
        ("presigned=false".to_owned(), vec!["cdn"]),
        ("storage_backend_tag.k=v".to_owned(), vec![]),
        ("storage_backend_tag_exists.k=false".to_owned(), vec!["default", "cdn"]),
        ("verbose_storage=true&accept_get_urls=default".to_owned(), vec!["default"]),
    ] {
        let segments = api.read(&format!("/flows/{flow}/segments?{query}")).await;
        let object = api.read(&object_path(media.as_str().unwrap(), &format!("?{query}"))).await;
        for init_object in [&segments[0]["init_object"], &object["init_object"]] {
            let urls = init_object["get_urls"].as_array().unwrap();
            assert_eq!(urls.iter().map(|url| url["label"].clone()).collect::<Vec<_>>(), expected, "{query}");
            for url in urls.iter().filter(|url| url["label"] == "default") {
                assert_eq!(url.get("storage_id").is_some(), query.starts_with("verbose"), "{url}");
            }
        }
    }
}
