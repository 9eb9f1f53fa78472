//! Lines 92 to 95: the ends of time, the end of a process, much at once, and more than was asked for.

use serde_json::json;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    allocate, create_flow, fill, new_id, object_path, pluck, post_segments, put_flow, second, segment_at, upload,
    video_flow, with,
};

use super::store;

/// The ends of time are times; what lies beyond is none.
#[tokio::test]
async fn line_92_the_greatest_timestamps_are_kept_exactly() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}/segments");
    let last = "[281474976710655:999999998_281474976710655:999999999]";
    let first = "[-281474976710655:999999999_-281474976710655:0)";
    for range in [last, first] {
        api.post(&path, &with(segment_at(0), "timerange", json!(range))).await.expect(201);
    }
    assert_eq!(pluck(&api.get(&path).await.list(), "timerange"), [first, last]);
    let flow = api.read(&format!("/flows/{flow}?include_timerange=true")).await;
    assert_eq!(flow["timerange"], "[-281474976710655:999999999_281474976710655:999999999]");
    for range in ["[281474976710656:0_", "99999999999999999999:0", "_-99999999999999999999:0)"] {
        let refused = api.get(&format!("{path}?timerange={range}")).await.expect(400);
        assert!(refused.message().contains("timerange"), "{refused}");
    }
    let beyond = "[99999999999999999999:0_99999999999999999999:1)";
    api.post(&path, &with(segment_at(0), "timerange", json!(beyond))).await.expect(400);
}

/// What was acknowledged outlives the process. (The event for webhooks does too, with the issue about subscribers.)
#[tokio::test]
async fn line_93_what_was_acknowledged_survives_a_kill() {
    let mut server = Server::start().await;
    let api = server.api().clone();
    let flow = create_flow(&api).await;
    let allocated = allocate(&api, &flow, 1).await[0].clone();
    upload(&api, &allocated, "the bytes").await.expect(200);
    let posted = json!({ "object_id": allocated["object_id"], "timerange": second(3) });
    post_segments(&api, &flow, &posted).await.expect(201);
    server.kill();
    server.start_again().await;
    let api = server.api();
    let listed = api.read(&format!("/flows/{flow}/segments")).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    for (member, value) in posted.as_object().unwrap() {
        assert_eq!(&listed[0][member], value, "{member}");
    }
    let object = api.read(&object_path(allocated["object_id"].as_str().unwrap(), "")).await;
    assert_eq!(object["referenced_by_flows"], json!([flow]));
    let url = object["get_urls"][0]["url"].as_str().unwrap();
    let bytes = tapelog_tests::api::Answer::to(api.request(reqwest::Method::GET, url)).await.expect(200).body;
    assert_eq!(bytes, "the bytes");
    let flow = api.read(&format!("/flows/{flow}?include_timerange=true")).await;
    assert_eq!(flow["timerange"], second(3));
}

/// A Flow with a hundred thousand segments is read as any other is: at its ends, in its midst, as a whole. (How soon is
/// for the bench to say.)
#[tokio::test]
async fn line_94_a_hundred_thousand_segments_are_found_by_time() {
    let api = &store().await;
    let flow = create_flow(api).await;
    for start in (0..100_000).step_by(10_000) {
        fill(api, &flow, start..start + 10_000).await;
    }
    let listed = async |query: &str| {
        let page = api.get(&format!("/flows/{flow}/segments?accept_get_urls=&{query}")).await.expect(200);
        (pluck(&page.list(), "timerange"), page.next().is_some())
    };
    assert_eq!(listed("limit=2").await, (vec![second(0), second(1)], true));
    assert_eq!(listed("limit=2&reverse_order=true").await, (vec![second(99_999), second(99_998)], true));
    for middle in [1, 9_999, 10_000, 49_999, 77_777, 99_998] {
        let range = format!("timerange=[{middle}:500000000_{}:0]", middle + 1);
        assert_eq!(listed(&range).await, (vec![second(middle), second(middle + 1)], false));
        let instant = format!("timerange={middle}:1&limit=1");
        assert_eq!(listed(&instant).await, (vec![second(middle)], false));
        let onwards = format!("timerange=[{middle}:0_&limit=1");
        assert_eq!(listed(&onwards).await, (vec![second(middle)], true));
    }
    let ranged = api.read(&format!("/flows/{flow}?include_timerange=true")).await;
    assert_eq!(ranged["timerange"], "[0:0_100000:0)");
    let part = api.read(&format!("/flows/{flow}?include_timerange=true&timerange=[300:0_70000:0)")).await;
    assert_eq!(part["timerange"], "[300:0_70000:0)");
}

/// What a body says beyond what is known is no fault: it is left out.
#[tokio::test]
async fn line_95_unknown_properties_do_no_harm() {
    let api = &store().await;
    let unknown = json!({ "deep": [1] });
    let flow = video_flow(&new_id());
    let path = format!("/flows/{}", flow["id"].as_str().unwrap());
    for status in [201, 204] {
        put_flow(api, &with(flow.clone(), "unknown", unknown.clone())).await.expect(status);
        assert_eq!(api.read(&path).await.get("unknown"), None);
    }
    api.post("/service", &json!({ "unknown": unknown })).await.expect(200);
    assert_eq!(api.read("/service").await.get("unknown"), None);
    let webhook = json!({ "url": "https://receiver.example", "events": [], "unknown": unknown });
    let created = api.post("/service/webhooks", &webhook).await.expect(201).json();
    assert_eq!(created.get("unknown"), None);
}
