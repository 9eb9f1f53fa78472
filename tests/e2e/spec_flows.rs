//! Flows and Sources as clients change and find them, beyond the list of things that implementers get wrong.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    audio_flow, check_invariants, create_flow, multi_flow, new_id, pluck, put_flow, video_flow, with,
};

/// The ids of a listing of Flows, in its order.
async fn listed(api: &Api, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows?{query}")).await.expect(200).list(), "id")
}

/// Section 10: a Source changes by itself, and a Flow not with it.
#[tokio::test]
async fn a_source_has_properties_and_a_date_of_its_own() {
    let server = Server::start().await;
    let api = server.api();
    let path = format!("/flows/{}", create_flow(api).await);
    let flow = api.read(&path).await;
    let source_path = format!("/sources/{}", flow["source_id"].as_str().unwrap());
    let source = api.read(&source_path).await;
    api.put(&format!("{source_path}/tags/k"), &json!(["a", "b"])).await.expect(204);
    api.put(&format!("{source_path}/description"), &json!("a place")).await.expect(204);
    api.delete(&format!("{source_path}/label")).await.expect(204);
    let changed = api.read(&source_path).await;
    assert_ne!(changed["updated"], source["updated"]);
    assert_eq!((&changed["tags"], &changed["description"]), (&json!({ "k": ["a", "b"] }), &json!("a place")));
    assert_eq!(changed["label"], Value::Null);
    assert_eq!(api.read(&path).await, flow, "a flow does not change with its source");
}

/// 2.7: what a property reads as, set and unset.
#[tokio::test]
async fn properties_are_set_and_removed_one_by_one() {
    let server = Server::start().await;
    let api = server.api();
    let path = format!("/flows/{}", create_flow(api).await);
    let member = json!([{ "id": create_flow(api).await }]);
    for (property, value) in [
        ("label", json!("l")),
        ("description", json!("d")),
        ("avg_bit_rate", json!(7)),
        ("max_bit_rate", json!(0)),
        ("flow_collection", member),
    ] {
        let path = format!("{path}/{property}");
        api.put(&path, &value).await.expect(204);
        assert_eq!(api.read(&path).await, value);
        api.delete(&path).await.expect(204);
        api.delete(&path).await.expect(204);
        api.get(&path).await.expect(404);
    }
    assert_eq!(api.read(&format!("{path}/read_only")).await, json!(false));
    assert_eq!(api.read(&format!("{path}/tags")).await, json!({}));
}

/// 2.4: filters, alone and together.
#[tokio::test]
async fn flows_are_found_by_what_they_are() {
    let server = Server::start().await;
    let api = server.api();
    let (a, b, c) = (new_id(), new_id(), new_id());
    put_flow(api, &video_flow(&a)).await.expect(201);
    put_flow(api, &with(video_flow(&b), "status", json!("ingesting"))).await.expect(201);
    let audio = with(with(audio_flow(&c), "label", json!("sound")), "tags", json!({ "k": ["bar", "baz"] }));
    put_flow(api, &audio).await.expect(201);
    let source = audio["source_id"].as_str().unwrap();
    for (query, expected) in [
        ("format=urn:x-nmos:format:audio", vec![&c]),
        ("codec=audio/aac", vec![&c]),
        (&format!("source_id={source}"), vec![&c]),
        ("label=sound", vec![&c]),
        ("status=ingesting", vec![&b]),
        ("frame_width=1920&frame_height=1080", vec![&b, &a]),
        ("frame_width=1921", vec![]),
        ("label=sound&status=ingesting", vec![]),
    ] {
        let found = listed(api, query).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let sources = api.get("/sources?format=urn:x-nmos:format:audio&tag.k=baz&label=sound").await.expect(200);
    assert_eq!(pluck(&sources.list(), "id"), [source]);
}

/// 1.7: newest first, unless asked otherwise.
#[tokio::test]
async fn listings_are_sorted_by_their_dates() {
    let server = Server::start().await;
    let api = server.api();
    let mut created = Vec::new();
    for label in ["b", "a", "c"] {
        let id = new_id();
        put_flow(api, &with(video_flow(&id), "label", json!(label))).await.expect(201);
        created.push(id);
    }
    assert_eq!(listed(api, "reverse_order=true").await, created, "oldest first");
    created.reverse();
    assert_eq!(listed(api, "").await, created, "newest first");
    assert_eq!(listed(api, "sort_by=created&reverse_order=false").await, created);
    let oldest = &created[2];
    api.put(&format!("/flows/{oldest}/description"), &json!("touched")).await.expect(204);
    assert_eq!(listed(api, "sort_by=metadata_updated&limit=1").await, std::slice::from_ref(oldest));
    assert_eq!(api.get("/sources?sort_by=label&limit=1").await.expect(200).list()[0]["label"], "a");
}

/// 5.3: every walk along collections ends.
#[tokio::test]
async fn a_collection_cannot_contain_itself() {
    let server = Server::start().await;
    let api = server.api();
    let (a, collector, outer) = (create_flow(api).await, new_id(), new_id());
    put_flow(api, &multi_flow(&collector, &[&a])).await.expect(201);
    put_flow(api, &multi_flow(&outer, &[&collector])).await.expect(201);
    for (flow, member) in [(&collector, &collector), (&a, &collector), (&a, &outer), (&collector, &outer)] {
        let refused = api.put(&format!("/flows/{flow}/flow_collection"), &json!([{ "id": member }])).await.expect(400);
        assert!(refused.message().contains("flow_collection"), "{refused}");
    }
    let own = new_id();
    put_flow(api, &multi_flow(&own, &[&own])).await.expect(400);
    let source_of = async |flow: &str| api.read(&format!("/flows/{flow}")).await["source_id"].clone();
    let moved = with(api.read(&format!("/flows/{a}")).await, "source_id", source_of(&collector).await);
    put_flow(api, &moved).await.expect(400);
    check_invariants(api).await;
}
