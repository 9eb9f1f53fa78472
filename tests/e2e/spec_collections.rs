//! Collections of Flows, and those of their Sources that follow from them.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{check_invariants, create_flow, multi_flow, new_id, pluck, put_flow, with};

async fn source_of(api: &Api, flow: &str) -> String {
    api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned()
}

/// A collector with two members.
async fn collection(api: &Api) -> (String, String, String) {
    let (a, b, collector) = (create_flow(api).await, create_flow(api).await, new_id());
    put_flow(api, &multi_flow(&collector, &[&a, &b])).await.expect(201);
    (a, b, collector)
}

/// Lines 29, 30.
#[tokio::test]
async fn a_collection_is_ordered_and_shows_on_members_and_sources() {
    let server = Server::start().await;
    let api = server.api();
    let (a, b, collector) = collection(api).await;
    let path = format!("/flows/{collector}/flow_collection");
    let unknown = api.put(&path, &json!([{ "id": new_id() }])).await.expect(400);
    assert!(unknown.message().contains("flow_collection"), "{unknown}");

    let items = json!([{ "id": b, "role": "sound", "container_mapping": { "track_index": 1 } }, { "id": a }]);
    api.put(&path, &items).await.expect(204);
    assert_eq!(api.read(&path).await, items);
    assert_eq!(api.read(&format!("/flows/{a}")).await["collected_by"], json!([collector]));

    let (of_a, of_b, of_collector) =
        (source_of(api, &a).await, source_of(api, &b).await, source_of(api, &collector).await);
    let source = api.read(&format!("/sources/{of_collector}")).await;
    let mut members = pluck(source["source_collection"].as_array().unwrap(), "id");
    members.sort();
    let mut expected = [of_a.clone(), of_b.clone()];
    expected.sort();
    assert_eq!(members, expected);
    assert!(source["source_collection"].as_array().unwrap().contains(&json!({ "id": of_b, "role": "sound" })));
    assert_eq!(api.read(&format!("/sources/{of_a}")).await["collected_by"], json!([of_collector]));

    api.delete(&path).await.expect(204);
    api.get(&path).await.expect(404);
    check_invariants(api).await;
}

/// Line 28.
#[tokio::test]
async fn flows_and_sources_are_found_by_their_collectors() {
    let server = Server::start().await;
    let api = server.api();
    let (a, b, collector) = collection(api).await;
    let found = async |path: String| {
        let mut ids = pluck(&api.get(&path).await.expect(200).list(), "id");
        ids.sort();
        ids
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(found("/flows?collected_by_ids=".to_owned()).await, [collector.as_str()]);
    let members = sorted(vec![a.clone(), b.clone()]);
    assert_eq!(found(format!("/flows?collected_by_ids={collector}")).await, members);
    assert_eq!(found(format!("/flows?collected_by_ids={},{collector}", new_id())).await, members);
    let source = source_of(api, &collector).await;
    let members = sorted(vec![source_of(api, &a).await, source_of(api, &b).await]);
    assert_eq!(found(format!("/sources?collected_by_ids={source}")).await, members);
    assert_eq!(found("/sources?collected_by_ids=".to_owned()).await, [source]);
}

/// Line 31.
#[tokio::test]
async fn a_deleted_flow_leaves_its_collections_and_its_members() {
    let server = Server::start().await;
    let api = server.api();
    let (a, b, collector) = collection(api).await;
    api.delete(&format!("/flows/{a}")).await.expect(204);
    assert_eq!(api.read(&format!("/flows/{collector}/flow_collection")).await, json!([{ "id": b }]));
    check_invariants(api).await;
    api.delete(&format!("/flows/{collector}")).await.expect(204);
    let collected_by = api.read(&format!("/flows/{b}")).await["collected_by"].clone();
    assert!(collected_by == Value::Null || collected_by == json!([]), "{collected_by}");
    check_invariants(api).await;
}

/// 5.3: every walk along collections ends.
#[tokio::test]
async fn a_collection_cannot_contain_itself() {
    let server = Server::start().await;
    let api = server.api();
    let (a, _, collector) = collection(api).await;
    let outer = new_id();
    put_flow(api, &multi_flow(&outer, &[&collector])).await.expect(201);
    for (flow, member) in [(&collector, &collector), (&a, &collector), (&a, &outer), (&collector, &outer)] {
        let refused = api.put(&format!("/flows/{flow}/flow_collection"), &json!([{ "id": member }])).await.expect(400);
        assert!(refused.message().contains("flow_collection"), "{refused}");
    }
    let own = new_id();
    put_flow(api, &multi_flow(&own, &[&own])).await.expect(400);
    let moved = with(api.read(&format!("/flows/{a}")).await, "source_id", json!(source_of(api, &collector).await));
    put_flow(api, &moved).await.expect(400);
    check_invariants(api).await;
}
