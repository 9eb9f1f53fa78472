//! Tags as a whole, of single segments, and across the store.

use serde_json::json;
use tapelog_tests::store::{create_flow, encoded, fill, new_id, pluck, post_segments, second, segment};

use super::{SERVER, bare, members};

#[tokio::test]
async fn all_tags_of_a_resource_are_replaced_and_deleted_at_once() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned();
    for resource in [format!("/flows/{flow}"), format!("/sources/{source}")] {
        api.put(&format!("{resource}/tags/old"), &json!("x")).await.expect(204);
        api.put(&format!("{resource}/tags"), &json!({ "a": "1", "b": ["2", "3"] })).await.expect(204);
        assert_eq!(api.read(&format!("{resource}/tags")).await, json!({ "a": "1", "b": ["2", "3"] }));
        api.put(&format!("{resource}/tags"), &json!({ "a": 1 })).await.expect(400);
        api.delete(&format!("{resource}/tags?confirm=true")).await.expect(204);
        assert_eq!(api.read(&format!("{resource}/tags")).await, json!({}));
    }
}

#[tokio::test]
async fn a_segment_has_tags_of_its_own_that_listings_filter_by() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    fill(&api, &flow, 0..5).await;
    let updated = api.read(&format!("/flows/{flow}")).await["segments_updated"].clone();
    let tags = format!("/flows/{flow}/segments/{}/tags", encoded(&second(2)));
    assert_eq!(api.get(&tags).await.expect(200).json(), json!({}));
    api.put(&format!("{tags}/goal"), &json!("1:0")).await.expect(204);
    api.put(&format!("{tags}/people"), &json!(["ann", "bob"])).await.expect(204);
    assert_eq!(api.get(&format!("{tags}/people")).await.expect(200).json(), json!(["ann", "bob"]));

    let listed = async |filter: &str| {
        let listing = api.get(&format!("/flows/{flow}/segments?accept_get_urls=&{filter}")).await.expect(200);
        pluck(&listing.list(), "timerange")
    };
    assert_eq!(listed("tag.people=bob,eve").await, [second(2)]);
    let with_tags = format!("/flows/{flow}/segments?tag_exists.goal=true&include_tags=true");
    let shown = bare(&api, reqwest::Method::GET, &with_tags).await.list();
    assert_eq!(shown[0]["tags"], json!({ "goal": "1:0", "people": ["ann", "bob"] }));
    assert_eq!(listed("tag_exists.goal=true&timerange=[3:0_9:0)").await, [""; 0]);
    assert_eq!(listed("tag_exists.goal=false&limit=2").await, [second(0), second(1)]);
    assert_eq!(api.read(&format!("/flows/{flow}")).await["segments_updated"], updated, "no segment has come or gone");
    let unasked = api.get(&format!("/flows/{flow}/segments?accept_get_urls=&tag_exists.goal=true")).await.list();
    assert_eq!(members(&unasked[0]), ["get_urls", "object_id", "timerange"], "a strict client meets nothing new");

    api.delete(&format!("{tags}/goal")).await.expect(204);
    api.delete(&format!("{tags}/goal")).await.expect(404);
    api.delete(&tags).await.expect(204);
    assert_eq!(listed("tag_exists.people=true").await, [""; 0]);
}

#[tokio::test]
async fn a_segment_is_named_by_its_object_where_that_is_used_once() {
    let api = SERVER.visit().await;
    let (flow, object) = (create_flow(&api).await, new_id());
    post_segments(&api, &flow, &segment(&object, "[0:0_10:0)")).await.expect(201);
    let tags = format!("/flows/{flow}/segments/{object}/tags");
    api.put(&tags, &json!({ "take": "1" })).await.expect(204);
    let again = json!({ "object_id": object, "timerange": "[10:0_20:0)", "ts_offset": "10:0" });
    post_segments(&api, &flow, &again).await.expect(201);
    let ambiguous = api.put(&tags, &json!({})).await.expect(400);
    assert!(ambiguous.message().contains("timerange"), "{ambiguous}");
    api.get(&format!("/flows/{flow}/segments/{}/tags", new_id())).await.expect(404);
}

#[tokio::test]
async fn tags_are_counted_across_the_store() {
    let api = SERVER.visit().await;
    let name = format!("count-{}", new_id());
    let flows = [create_flow(&api).await, create_flow(&api).await];
    for (flow, value) in flows.iter().zip([json!("red"), json!(["red", "blue"])]) {
        api.put(&format!("/flows/{flow}/tags/{name}"), &value).await.expect(204);
    }
    let names = api.get(&format!("/tags?prefix={name}")).await.expect(200).json();
    assert_eq!(names, json!([{ "name": name, "flows": 2, "sources": 0, "segments": 0, "values": 2 }]));
    let values = api.get(&format!("/tags/{name}?reverse_order=true")).await.expect(200).json();
    assert_eq!(
        values,
        json!([
            { "value": "red", "flows": 2, "sources": 0, "segments": 0 },
            { "value": "blue", "flows": 1, "sources": 0, "segments": 0 },
        ])
    );
    api.delete(&format!("/flows/{}", flows[1])).await.expect(204);
    let page = api.get(&format!("/tags/{name}?limit=1")).await.expect(200);
    assert_eq!((page.list().len(), page.next()), (1, None));
    bare(&api, reqwest::Method::POST, "/tags").await.expect(405);
}
