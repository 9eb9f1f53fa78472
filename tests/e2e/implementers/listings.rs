//! Lines 33 to 36: Flows by the time of their segments and in order.

use serde_json::json;
use tapelog_tests::api::Api;
use tapelog_tests::store::{all, create_flow, fill, init_flow, new_id, pluck, put_flow, video_flow, with, without};

use super::store;

/// The ids of a listing of Flows, in its order.
async fn listed(api: &Api, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows?{query}")).await.expect(200).list(), "id")
}

/// The range of a Flow is told to those who ask for it.
#[tokio::test]
async fn line_33_a_flow_tells_its_timerange_on_demand() {
    let api = &store().await;
    let id = create_flow(api).await;
    let path = format!("/flows/{id}");
    for plain in [path.clone(), format!("{path}?include_timerange=false")] {
        assert!(api.read(&plain).await.get("timerange").is_none(), "{plain}");
    }
    let ranged =
        async |query: &str| api.read(&format!("{path}?include_timerange=true{query}")).await["timerange"].clone();
    assert_eq!(ranged("").await, "()");
    fill(api, &id, 3..5).await;
    assert_eq!(ranged("").await, "[3:0_5:0)");
    assert_eq!(ranged("&timerange=[4:0_9:0)").await, "[4:0_5:0)");
    assert_eq!(ranged("&timerange=[7:0_9:0)").await, "()");
}

/// Without a range all Flows are listed; with the empty one those that are empty; else those with segments in it, and a
/// gap between segments is none (3.5).
#[tokio::test]
async fn line_34_flows_are_found_by_the_time_of_their_segments() {
    let api = &store().await;
    let group = new_id();
    let (empty, gappy) = (new_id(), new_id());
    for id in [&empty, &gappy] {
        put_flow(api, &with(video_flow(id), "label", json!(group))).await.expect(201);
    }
    fill(api, &gappy, 0..10).await;
    fill(api, &gappy, 100..110).await;
    for (timerange, expected) in [
        ("timerange=()", vec![&empty]),
        ("", vec![&gappy, &empty]),
        ("timerange=_", vec![&gappy, &empty]),
        ("timerange=[5:0_6:0)", vec![&gappy]),
        ("timerange=[109:0_", vec![&gappy]),
        ("timerange=[50:0_60:0)", vec![]),
        ("timerange=[110:0_", vec![]),
    ] {
        let found = listed(api, &format!("label={group}&{timerange}")).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{timerange}");
    }
}

/// What has no label stands last, or first in reverse; equals are in order of their ids, so that pages fit together.
#[tokio::test]
async fn line_35_flows_without_a_label_come_after_the_others() {
    let api = &store().await;
    let group = new_id();
    let mut flows = Vec::new();
    for label in ["b", "", "a", "", "c"] {
        let id = new_id();
        let flow = with(video_flow(&id), "tags", json!({ "of": group }));
        let flow = if label.is_empty() { without(flow, "label") } else { with(flow, "label", json!(label)) };
        put_flow(api, &flow).await.expect(201);
        flows.push((label.is_empty(), label, id));
    }
    flows.sort();
    let mut ids: Vec<_> = flows.into_iter().map(|(_, _, id)| id).collect();
    for reverse in [false, true] {
        let query = format!("tag.of={group}&sort_by=label&reverse_order={reverse}");
        assert_eq!(listed(api, &query).await, ids, "{query}");
        assert_eq!(pluck(&all(api, &format!("/flows?{query}&limit=2")).await, "id"), ids, "{query}");
        ids.reverse();
    }
}

/// Who never said anything of init segments has none.
#[tokio::test]
async fn line_36_flows_without_init_segments_need_not_say_so() {
    let api = &store().await;
    let group = new_id();
    let (silent, denying, with_init) = (video_flow(&new_id()), video_flow(&new_id()), init_flow(&new_id()));
    let mut denying = denying;
    denying["essence_parameters"]["init_segments"] = json!(false);
    for flow in [&silent, &denying, &with_init] {
        put_flow(api, &with(flow.clone(), "label", json!(group))).await.expect(201);
    }
    let found = async |value: &str| listed(api, &format!("label={group}&init_segments={value}")).await;
    let ids = |flows: [&serde_json::Value; 1]| flows.map(|flow| flow["id"].as_str().unwrap().to_owned());
    assert_eq!(found("true").await, ids([&with_init]));
    assert_eq!(found("false").await, [ids([&denying]), ids([&silent])].concat(), "newest first");
}
