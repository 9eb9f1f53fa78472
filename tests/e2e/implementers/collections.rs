//! Lines 28 to 32: collections of Flows, and the Sources that come and go with Flows.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::store::{create_flow, deleted, multi_flow, new_id, pluck, put_flow, video_flow, with};

use super::store;

async fn source_of(api: &Api, flow: &str) -> String {
    api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned()
}

/// A collector with two members.
async fn collection(api: &Api) -> (String, String, String) {
    let (a, b, collector) = (create_flow(api).await, create_flow(api).await, new_id());
    put_flow(api, &multi_flow(&collector, &[&a, &b])).await.expect(201);
    (a, b, collector)
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// What is in a collection is found by that, and what is in none by asking for none.
#[tokio::test]
async fn line_28_members_are_found_by_their_collectors() {
    let api = &store().await;
    let group = new_id();
    let (a, b, collector) = (new_id(), new_id(), new_id());
    for flow in [video_flow(&a), video_flow(&b), multi_flow(&collector, &[&a, &b])] {
        put_flow(api, &with(flow, "label", json!(group))).await.expect(201);
    }
    let found = async |path: String| sorted(pluck(&api.get(&path).await.expect(200).list(), "id"));
    assert_eq!(found(format!("/flows?label={group}&collected_by_ids=")).await, [collector.as_str()]);
    let members = sorted(vec![a.clone(), b.clone()]);
    assert_eq!(found(format!("/flows?collected_by_ids={collector}")).await, members);
    assert_eq!(found(format!("/flows?collected_by_ids={},{collector}", new_id())).await, members);

    let source = source_of(api, &collector).await;
    let members = sorted(vec![source_of(api, &a).await, source_of(api, &b).await]);
    assert_eq!(found(format!("/sources?collected_by_ids={source}")).await, members);
    assert_eq!(found(format!("/sources?label={group}&collected_by_ids=")).await, [source]);
}

/// A collection keeps its order, has only members that exist, and shows on them and on the Sources of all.
#[tokio::test]
async fn line_29_a_collection_is_ordered_and_shows_on_members_and_sources() {
    let api = &store().await;
    let (a, b, collector) = collection(api).await;
    let path = format!("/flows/{collector}/flow_collection");
    assert_eq!(api.read(&path).await, json!([{ "id": a }, { "id": b }]));
    let unknown = api.put(&path, &json!([{ "id": a }, { "id": new_id() }])).await.expect(400);
    assert!(unknown.message().contains("flow_collection"), "{unknown}");
    put_flow(api, &multi_flow(&new_id(), &[&new_id()])).await.expect(400);

    let items = json!([{ "id": b, "role": "sound", "container_mapping": { "track_index": 1 } }, { "id": a }]);
    api.put(&path, &items).await.expect(204);
    assert_eq!(api.read(&path).await, items);
    assert_eq!(api.read(&format!("/flows/{collector}")).await["flow_collection"], items);
    assert_eq!(api.read(&format!("/flows/{a}")).await["collected_by"], json!([collector]));

    let (of_a, of_b) = (source_of(api, &a).await, source_of(api, &b).await);
    let of_collector = source_of(api, &collector).await;
    let source = api.read(&format!("/sources/{of_collector}")).await;
    let members = source["source_collection"].as_array().unwrap();
    assert_eq!(sorted(pluck(members, "id")), sorted(vec![of_a.clone(), of_b.clone()]));
    assert!(members.contains(&json!({ "id": of_b, "role": "sound" })), "{source}");
    assert_eq!(api.read(&format!("/sources/{of_a}")).await["collected_by"], json!([of_collector]));
}

/// Members need no role since 8.2.
#[tokio::test]
async fn line_30_a_member_needs_no_role() {
    let api = &store().await;
    let (a, b, collector) = collection(api).await;
    let path = format!("/flows/{collector}/flow_collection");
    let items = json!([{ "id": a, "role": "picture" }, { "id": b }]);
    api.put(&path, &items).await.expect(204);
    assert_eq!(api.read(&path).await, items);
}

/// A Flow that goes leaves the collections that it is in, and frees the members that it has.
#[tokio::test]
async fn line_31_a_deleted_flow_leaves_its_collections_and_its_members() {
    let api = &store().await;
    let (a, b, collector) = collection(api).await;
    let (of_b, of_collector) = (source_of(api, &b).await, source_of(api, &collector).await);
    deleted(api, &format!("/flows/{a}")).await;
    assert_eq!(api.read(&format!("/flows/{collector}/flow_collection")).await, json!([{ "id": b }]));
    assert_eq!(api.read(&format!("/sources/{of_collector}")).await["source_collection"], json!([{ "id": of_b }]));
    deleted(api, &format!("/flows/{collector}")).await;
    for path in [format!("/flows/{b}"), format!("/sources/{of_b}")] {
        let collected_by = api.read(&path).await["collected_by"].clone();
        assert!(collected_by == Value::Null || collected_by == json!([]), "{collected_by}");
    }
}

/// A Source is there for as long as it has Flows, and is neither made nor removed by itself. (Ours is, when the request
/// says by our own parameter what is to become of its Flows; without it, the method is none of the path's.)
#[tokio::test]
async fn line_32_a_source_goes_with_its_last_flow() {
    let api = &store().await;
    let (first, second) = (video_flow(&new_id()), video_flow(&new_id()));
    let second = with(second, "source_id", first["source_id"].clone());
    put_flow(api, &first).await.expect(201);
    put_flow(api, &second).await.expect(201);
    let source = format!("/sources/{}", first["source_id"].as_str().unwrap());
    for method in [Method::DELETE, Method::PUT, Method::POST] {
        Answer::to(api.request(method, &source).json(&json!({}))).await.expect(405);
    }
    deleted(api, &format!("/flows/{}", first["id"].as_str().unwrap())).await;
    api.read(&source).await;
    deleted(api, &format!("/flows/{}", second["id"].as_str().unwrap())).await;
    api.get(&source).await.expect(404);

    put_flow(api, &first).await.expect(201);
    put_flow(api, &with(first.clone(), "source_id", json!(new_id()))).await.expect(204);
    api.get(&source).await.expect(404);
}
