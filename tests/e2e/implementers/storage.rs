//! Lines 61 to 70: allocation, objects and their instances, and init objects.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::store::{
    allocate, create_flow, deleted, init_flow, new_id, object_path, pluck, post_segments, put_flow, second, segment,
    upload, with,
};

use super::store;

/// Without a body, or with an empty one, the store chooses how many objects it allocates.
#[tokio::test]
async fn line_61_storage_is_allocated_with_and_without_a_body() {
    let api = &store().await;
    let path = format!("/flows/{}/storage", create_flow(api).await);
    for answer in [
        Answer::to(api.request(Method::POST, &path)).await,
        Answer::to(api.request(Method::POST, &path).header("content-type", "application/json")).await,
        api.post(&path, &json!({})).await,
    ] {
        let allocated = answer.expect(201).json();
        assert!(!allocated["media_objects"].as_array().unwrap().is_empty());
        assert_eq!(allocated.as_object().unwrap().len(), 1, "a closed object");
    }
    let three = api.post(&path, &json!({ "limit": 3 })).await.expect(201).json();
    assert_eq!(three["media_objects"].as_array().unwrap().len(), 3);
    let most = api.post(&path, &json!({ "limit": 1_000_000_000 })).await.expect(201).json();
    assert!(most["media_objects"].as_array().unwrap().len() < 1_000_000, "clamped");
}

/// Objects are named or counted, and named once: clients know the words `already exist`.
#[tokio::test]
async fn line_62_an_object_is_allocated_once() {
    let api = &store().await;
    let path = format!("/flows/{}/storage", create_flow(api).await);
    let ids = [format!("b/{}", new_id()), format!("a/ü/{}", new_id()), new_id()];
    let named = api.post(&path, &json!({ "object_ids": ids })).await.expect(201).json();
    assert_eq!(pluck(named["media_objects"].as_array().unwrap(), "object_id"), ids, "in this order");

    let new = new_id();
    for repeated in [json!([ids[0]]), json!([new, ids[0]])] {
        let again = api.post(&path, &json!({ "object_ids": repeated })).await.expect(400);
        assert!(again.message().contains("already exist"), "{again}");
    }
    api.post(&path, &json!({ "object_ids": [new] })).await.expect(201);
    for (body, field) in [
        (json!({ "limit": 1, "object_ids": [new_id()] }), "object_ids"),
        (json!({ "object_ids": ["x", "x"] }), "object_ids"),
        (json!({ "object_ids": [""] }), "object_ids"),
        (json!({ "limit": 0 }), "limit"),
        (json!({ "limit": -1 }), "limit"),
        (json!({ "limit": "3" }), "limit"),
    ] {
        let refused = api.post(&path, &body).await.expect(400);
        assert!(refused.message().contains(field), "{refused} does not name {field}");
    }
}

/// The backend has to be known; the type of an upload is told, that of the Flow unless another is asked for.
#[tokio::test]
async fn line_63_an_upload_has_the_type_that_was_told() {
    let api = &store().await;
    let flow = init_flow(&new_id());
    put_flow(api, &flow).await.expect(201);
    let path = format!("/flows/{}/storage", flow["id"].as_str().unwrap());
    let backend = api.read("/service/storage-backends").await[0]["id"].clone();
    for (body, content_type) in [
        (json!({}), &flow["container"]),
        (json!({ "storage_id": backend, "limit": 2 }), &flow["container"]),
        (json!({ "presigned": true }), &flow["container"]),
        (json!({ "content_type": "video/mp4", "limit": 2 }), &json!("video/mp4")),
    ] {
        let allocated = api.post(&path, &body).await.expect(201).json();
        for object in allocated["media_objects"].as_array().unwrap() {
            assert_eq!(&object["put_url"]["content-type"], content_type);
            assert!(object["put_url"]["url"].as_str().unwrap().starts_with("http"));
        }
    }
    for (body, field) in [
        (json!({ "storage_id": new_id() }), "storage_id"),
        (json!({ "storage_id": "x" }), "storage_id"),
        (json!({ "content_type": "nonsense" }), "content_type"),
    ] {
        let refused = api.post(&path, &body).await.expect(400);
        assert!(refused.message().contains(field), "{refused} does not name {field}");
    }
}

/// An object is there from its first segment on.
#[tokio::test]
async fn line_64_an_object_that_is_only_allocated_is_not_found() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let allocated = allocate(api, &flow, 1).await[0].clone();
    upload(api, &allocated, "bytes").await.expect(200);
    let id = allocated["object_id"].as_str().unwrap();
    let instances = object_path(id, "/instances");
    api.get(&object_path(id, "")).await.expect(404);
    api.post(&instances, &json!({ "url": "https://a.example", "label": "a" })).await.expect(404);
    api.delete(&format!("{instances}?label=x")).await.expect(404);
    post_segments(api, &flow, &json!({ "object_id": id, "timerange": second(0) })).await.expect(201);
    api.read(&object_path(id, "")).await;
}

/// The id of an object may hold what separates paths.
#[tokio::test]
async fn line_65_an_object_id_may_hold_a_slash() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let name = new_id();
    post_segments(api, &flow, &segment(&format!("a/{name}"), &second(0))).await.expect(201);
    assert_eq!(api.read(&format!("/objects/a%2F{name}")).await["id"], format!("a/{name}"));
}

fn sorted(ids: &Value) -> Vec<String> {
    let mut ids: Vec<_> = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// An object lists the Flows that use it, once each, however often they do; filters choose among them.
#[tokio::test]
async fn line_66_an_object_lists_each_of_its_flows_once() {
    let api = &store().await;
    let (first, other, object) = (create_flow(api).await, create_flow(api).await, new_id());
    api.put(&format!("/flows/{other}/tags/k"), &json!("v")).await.expect(204);
    post_segments(api, &first, &segment(&object, &second(0))).await.expect(201);
    let again = json!({ "object_id": object, "timerange": second(1), "ts_offset": "1:0" });
    for flow in [&first, &other] {
        post_segments(api, flow, &again).await.expect(201);
    }
    let read = api.read(&object_path(&object, "")).await;
    let mut both = vec![first.clone(), other.clone()];
    both.sort();
    assert_eq!(sorted(&read["referenced_by_flows"]), both);
    assert_eq!(read["first_referenced_by_flow"], json!(first));
    let filtered = async |query: &str| api.read(&object_path(&object, query)).await["referenced_by_flows"].clone();
    assert_eq!(filtered("?flow_tag.k=v").await, json!([other]));
    assert_eq!(filtered("?flow_tag_exists.k=false").await, json!([first]));
    assert_eq!(filtered("?flow_tag.k=w").await, json!([]));

    let page = api.get(&object_path(&object, "?limit=1")).await.expect(200);
    assert_eq!(page.header("x-paging-limit"), Some("1"));
    let rest = api.get(&page.next().unwrap()).await.expect(200);
    assert_eq!(rest.next(), None);
    let [page, rest] = [page, rest].map(|page| sorted(&page.json()["referenced_by_flows"]));
    let mut seen = [page, rest].concat();
    seen.sort();
    assert_eq!(seen, both);
}

/// What one Flow lets go of, another keeps, whole.
#[tokio::test]
async fn line_67_an_object_stays_while_any_flow_uses_it() {
    let api = &store().await;
    for path_of_first in ["segments", ""] {
        let (first, other) = (create_flow(api).await, create_flow(api).await);
        let allocated = allocate(api, &first, 1).await[0].clone();
        upload(api, &allocated, "the bytes").await.expect(200);
        let used = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
        post_segments(api, &first, &used).await.expect(201);
        post_segments(api, &other, &used).await.expect(201);
        let path = object_path(allocated["object_id"].as_str().unwrap(), "");

        deleted(api, format!("/flows/{first}/{path_of_first}").trim_end_matches('/')).await;
        let object = api.read(&path).await;
        assert_eq!(object["referenced_by_flows"], json!([other]));
        let url = object["get_urls"][0]["url"].as_str().unwrap();
        assert_eq!(Answer::to(api.request(Method::GET, url)).await.expect(200).body, "the bytes");
        deleted(api, &format!("/flows/{other}/segments")).await;
        api.get(&path).await.expect(404);
    }
}

/// Copies of an object elsewhere come and go, but for the last. Of 400 and 403 it is 400: no permission would help.
#[tokio::test]
async fn line_68_instances_come_and_go_but_for_the_last() {
    let api = &store().await;
    let (flow, object) = (create_flow(api).await, new_id());
    post_segments(api, &flow, &segment(&object, &second(0))).await.expect(201);
    let instances = object_path(&object, "/instances");
    let labels = async || {
        let listed = api.read(&format!("/flows/{flow}/segments")).await;
        pluck(listed[0]["get_urls"].as_array().unwrap(), "label")
    };
    let url = json!("https://b.example/1");
    let backend = api.read("/service/storage-backends").await[0].clone();
    for bad in [
        json!({}),
        json!({ "url": url }),
        json!({ "label": "b" }),
        json!({ "url": url, "label": "b", "storage_id": backend["id"] }),
        json!({ "url": url, "label": backend["label"] }),
        json!({ "url": url, "label": "elsewhere" }),
        json!({ "storage_id": new_id() }),
    ] {
        api.post(&instances, &bad).await.expect(400);
    }
    assert_eq!(labels().await, ["elsewhere"]);
    api.post(&instances, &json!({ "url": url, "label": "b" })).await.expect(201);
    assert_eq!(labels().await, ["elsewhere", "b"]);
    let object = api.read(&object_path(&object, "")).await;
    assert_eq!(pluck(object["get_urls"].as_array().unwrap(), "label"), ["elsewhere", "b"]);

    api.delete(&instances).await.expect(400);
    api.delete(&format!("{instances}?label=nosuch")).await.expect(404);
    api.delete(&format!("{instances}?label=elsewhere")).await.expect(204);
    assert_eq!(labels().await, ["b"]);
    api.delete(&format!("{instances}?label=b")).await.expect(400);
    assert_eq!(labels().await, ["b"]);
}

/// A Flow whose objects need init objects, an init object of it, and that many media objects.
async fn with_init(api: &Api, media: usize) -> (String, String, Vec<String>) {
    let flow = new_id();
    put_flow(api, &init_flow(&flow)).await.expect(201);
    let wanted = json!({ "limit": 1, "content_type": "video/mp4" });
    let init = api.post(&format!("/flows/{flow}/storage"), &wanted).await.expect(201).json();
    let init = init["media_objects"][0]["object_id"].as_str().unwrap().to_owned();
    let media = pluck(&allocate(api, &flow, media).await, "object_id");
    (flow, init, media)
}

/// Either every object of a Flow has an init object or none has; and what is one stays one.
#[tokio::test]
async fn line_69_init_objects_are_for_flows_that_have_them() {
    let api = &store().await;
    let (flow, init, media) = with_init(api, 3).await;
    let plain = create_flow(api).await;
    let of_plain = with(segment(&new_id(), &second(0)), "init_object_id", json!(init));
    let posted = json!({ "object_id": media[0], "timerange": second(0) });
    for (flow, refused) in [(&plain, &of_plain), (&flow, &posted), (&flow, &segment(&new_id(), &second(0)))] {
        let refused = post_segments(api, flow, refused).await.expect(400);
        assert!(refused.message().contains("init_object_id"), "{refused}");
    }
    let posted = with(posted, "init_object_id", json!(init));
    post_segments(api, &flow, &posted).await.expect(201);

    let listed = api.read(&format!("/flows/{flow}/segments")).await;
    assert_eq!(listed[0]["init_object"]["object_id"], json!(init));
    assert_eq!(listed[0]["init_object"].get("id"), None);
    let object = api.read(&object_path(&media[0], "")).await;
    assert_eq!(object["init_object"]["id"], json!(init));
    assert_eq!(object["init_object"].get("object_id"), None);
    assert_eq!(object["timerange"], second(0));
    let object = api.read(&object_path(&init, "")).await;
    assert_eq!((object.get("timerange"), object.get("init_object")), (None, None));
    assert_eq!(object["referenced_by_flows"], json!([flow]));

    let with_other = json!({ "timerange": second(5), "object_id": media[1], "init_object_id": media[0] });
    let as_media = with(with_other.clone(), "object_id", json!(init));
    for refused in [with_other, as_media.clone(), with(as_media, "init_object_id", json!(media[1]))] {
        post_segments(api, &flow, &refused).await.expect(400);
    }

    // What is known of an object need not be said again, nor be said otherwise; and it does not fit other Flows.
    let again = json!({ "object_id": media[0], "timerange": second(7), "ts_offset": "7:0" });
    post_segments(api, &plain, &again).await.expect(400);
    post_segments(api, &flow, &with(again.clone(), "init_object_id", json!(media[2]))).await.expect(400);
    post_segments(api, &flow, &again).await.expect(201);
    let listed = api.read(&format!("/flows/{flow}/segments?timerange={}", second(7))).await;
    assert_eq!(listed[0]["init_object"]["object_id"], json!(init));
}

/// An init object stays for as long as media need it, in whatever Flow.
#[tokio::test]
async fn line_70_an_init_object_goes_with_the_last_that_needs_it() {
    let api = &store().await;
    let (first, init, media) = with_init(api, 1).await;
    let (other, _, media_of_other) = with_init(api, 1).await;
    for (flow, media) in [(&first, &media[0]), (&other, &media_of_other[0])] {
        let posted = json!({ "object_id": media, "timerange": second(0), "init_object_id": init });
        post_segments(api, flow, &posted).await.expect(201);
    }
    let path = object_path(&init, "");
    deleted(api, &format!("/flows/{first}/segments")).await;
    assert_eq!(api.read(&path).await["referenced_by_flows"], json!([other]));
    deleted(api, &format!("/flows/{other}/segments")).await;
    api.get(&path).await.expect(404);
}
