//! Allocation of storage, and objects as the store knows them.

use serde_json::{Value, json};
use tapelog_tests::api::Answer;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    allocate, create_flow, encoded, new_id, object_path, post_segments, put_flow, second, segment, upload, video_flow,
    with,
};

/// Lines 61 to 63 and section 7.
#[tokio::test]
async fn objects_are_allocated_once() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}/storage");
    for body in [json!({}), json!({ "presigned": true })] {
        let allocated = api.post(&path, &body).await.expect(201).json();
        assert!(!allocated["media_objects"].as_array().unwrap().is_empty());
        assert_eq!(allocated.as_object().unwrap().len(), 1, "a closed object");
    }
    let three = allocate(api, &flow, 3).await;
    assert_eq!(three.len(), 3);
    for object in &three {
        assert_eq!(object["put_url"]["content-type"], "video/mp2t");
        assert!(object["put_url"]["url"].as_str().unwrap().starts_with("http"));
    }
    let ids = ["b", "a/ü", "c d"];
    let named = api.post(&path, &json!({ "object_ids": ids, "content_type": "video/mp4" })).await.expect(201).json();
    let named = named["media_objects"].as_array().unwrap();
    assert_eq!(tapelog_tests::store::pluck(named, "object_id"), ids);
    assert_eq!(named[0]["put_url"]["content-type"], "video/mp4");

    let again = api.post(&path, &json!({ "object_ids": ["new", "b"] })).await.expect(400);
    assert!(again.message().contains("already exist"), "{again}");
    api.post(&path, &json!({ "object_ids": ["new"] })).await.expect(201);
    for (body, field) in [
        (json!({ "limit": 1, "object_ids": ["x"] }), "object_ids"),
        (json!({ "object_ids": ["x", "x"] }), "object_ids"),
        (json!({ "limit": 0 }), "limit"),
        (json!({ "limit": -1 }), "limit"),
        (json!({ "limit": "3" }), "limit"),
        (json!({ "storage_id": new_id() }), "storage_id"),
        (json!({ "storage_id": "x" }), "storage_id"),
        (json!({ "content_type": "nonsense" }), "content_type"),
        (json!({ "object_ids": [""] }), "object_ids"),
    ] {
        let refused = api.post(&path, &body).await.expect(400);
        assert!(refused.message().contains(field), "{refused} does not name {field}");
    }
    let most = api.post(&path, &json!({ "limit": 1_000_000_000 })).await.expect(201).json();
    assert!(most["media_objects"].as_array().unwrap().len() < 1_000_000, "clamped");
}

/// Line 64: allocated is not yet known.
#[tokio::test]
async fn an_object_is_there_from_its_first_segment_to_its_last() {
    let server = Server::start().await;
    let api = server.api();
    let (first, other) = (create_flow(api).await, create_flow(api).await);
    api.put(&format!("/flows/{other}/tags/k"), &json!("v")).await.expect(204);
    let allocated = allocate(api, &first, 1).await[0].clone();
    let id = allocated["object_id"].as_str().unwrap();
    api.get(&object_path(id, "")).await.expect(404);
    api.post(&object_path(id, "/instances"), &json!({ "url": "https://a.example", "label": "a" })).await.expect(404);

    upload(api, &allocated, "the bytes").await.expect(200);
    for flow in [&first, &other] {
        post_segments(api, flow, &json!({ "object_id": id, "timerange": second(0) })).await.expect(201);
    }
    post_segments(api, &first, &json!({ "object_id": id, "timerange": second(1), "ts_offset": "1:0" }))
        .await
        .expect(201);
    let object = api.read(&object_path(id, "")).await;
    let mut users = object["referenced_by_flows"].as_array().unwrap().clone();
    users.sort_by_key(Value::to_string);
    let mut both = vec![json!(first), json!(other)];
    both.sort_by_key(Value::to_string);
    assert_eq!(users, both, "each once");
    assert_eq!(object["first_referenced_by_flow"], json!(first));
    let filtered = async |query: &str| api.read(&object_path(id, query)).await["referenced_by_flows"].clone();
    assert_eq!(filtered("?flow_tag.k=v").await, json!([other]));
    assert_eq!(filtered("?flow_tag_exists.k=false").await, json!([first]));
    assert_eq!(filtered("?flow_tag.k=w").await, json!([]));
    let page = api.get(&object_path(id, "?limit=1")).await.expect(200);
    assert_eq!(page.header("x-paging-limit"), Some("1"));
    let rest = api.get(&page.next().unwrap()).await.expect(200);
    assert_eq!(rest.next(), None);
    assert_ne!(rest.json()["referenced_by_flows"], page.json()["referenced_by_flows"]);

    let url = object["get_urls"][0]["url"].as_str().unwrap().to_owned();
    api.delete(&format!("/flows/{first}/segments")).await.expect(204);
    assert_eq!(filtered("").await, json!([other]));
    assert_eq!(Answer::to(api.request(reqwest::Method::GET, &url)).await.expect(200).body, "the bytes");
    api.delete(&format!("/flows/{other}")).await.expect(204);
    api.get(&object_path(id, "")).await.expect(404);
}

/// Line 65, and 1.4: an object id is any text.
#[tokio::test]
async fn object_ids_may_hold_anything_but_control_characters() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let longest = "x".repeat(1024);
    let ids = ["a/b", "../../etc/passwd", "ü 日本 🎞", "a%2Fb", "a?b#c&d=e", "a,b;c", "\"'\\", &longest];
    let body = json!({ "object_ids": ids });
    let allocated = api.post(&format!("/flows/{flow}/storage"), &body).await.expect(201).json();
    for (second_number, (id, allocated)) in ids.iter().zip(allocated["media_objects"].as_array().unwrap()).enumerate() {
        upload(api, allocated, format!("bytes of {id}")).await.expect(200);
        let posted = json!({ "object_id": id, "timerange": second(second_number) });
        post_segments(api, &flow, &posted).await.expect(201);
        let object = api.read(&object_path(id, "")).await;
        assert_eq!(object["id"], *id);
        let url = object["get_urls"][0]["url"].as_str().unwrap();
        let media = Answer::to(api.request(reqwest::Method::GET, url)).await.expect(200);
        assert_eq!(media.body, format!("bytes of {id}"), "each has bytes of its own");
        let listed = api.get(&format!("/flows/{flow}/segments?object_id={}", encoded(id))).await.expect(200);
        assert_eq!(listed.list().len(), 1, "{id}");
    }
    for bad in ["", "a\0b", "a\nb", &"x".repeat(1025)] {
        let refused = post_segments(api, &flow, &segment(bad, &second(100))).await.expect(400);
        assert!(refused.message().contains("object_id"), "{refused}");
    }
}

/// Line 67: one Flow's deletions leave another's objects alone.
#[tokio::test]
async fn bytes_stay_while_any_flow_uses_them() {
    let server = Server::start().await;
    let api = server.api();
    let (first, other) = (create_flow(api).await, create_flow(api).await);
    let allocated = allocate(api, &first, 1).await[0].clone();
    upload(api, &allocated, "bytes").await.expect(200);
    let used = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
    post_segments(api, &first, &used).await.expect(201);
    post_segments(api, &other, &used).await.expect(201);
    api.delete(&format!("/flows/{first}")).await.expect(204);
    let path = object_path(allocated["object_id"].as_str().unwrap(), "");
    let url = api.read(&path).await["get_urls"][0]["url"].as_str().unwrap().to_owned();
    Answer::to(api.request(reqwest::Method::GET, &url)).await.expect(200);
    api.delete(&format!("/flows/{other}/segments")).await.expect(204);
    api.get(&path).await.expect(404);
}

/// Line 68 and 76, as far as they go: what is not there yet answers so, and changes nothing.
#[tokio::test]
async fn what_is_not_built_yet_says_so() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    post_segments(api, &flow, &segment("o", &second(0))).await.expect(201);
    let position = api.position().await;
    let instances = object_path("o", "/instances");
    let profile = with(video_flow(&new_id()), "profile_id", json!(new_id()));
    let answers = [
        api.post(&instances, &json!({ "url": "https://a.example", "label": "a" })).await,
        api.delete(&format!("{instances}?label=a")).await,
        api.get(&format!("/service/profiles/{}", new_id())).await,
        api.post("/service/webhooks", &json!({ "url": "https://a.example", "events": [] })).await,
        put_flow(api, &profile).await,
    ];
    for answer in answers {
        assert!((400..500).contains(&answer.status) || answer.status == 501, "{answer}");
    }
    assert_eq!(api.position().await, position);
}
