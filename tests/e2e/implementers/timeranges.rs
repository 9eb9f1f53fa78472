//! Lines 37 to 45: when segments are, and how they are registered.

use futures::future::join_all;
use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::store::{
    create_flow, new_id, pluck, post_segments, put_flow, second, segment, segment_at, segments, video_flow, without,
};

use super::store;

async fn ranges(api: &Api, flow: &str, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows/{flow}/segments?{query}")).await.expect(200).list(), "timerange")
}

/// A Flow that is not there has no segments, and takes none; a path without a Flow's id is no path.
#[tokio::test]
async fn line_37_an_unknown_flow_has_an_empty_list_and_takes_nothing() {
    let api = &store().await;
    let unknown = new_id();
    assert_eq!(api.read(&format!("/flows/{unknown}/segments")).await, json!([]));
    api.get("/flows/bad/segments").await.expect(404);
    post_segments(api, &unknown, &segment_at(0)).await.expect(404);
    api.delete(&format!("/flows/{unknown}/segments")).await.expect(404);
    api.post(&format!("/flows/{unknown}/storage"), &json!({})).await.expect(404);
}

const FIRST: &str = "[0:0_1:0)";
const SECOND: &str = "[1:0_2:0)";
const INSTANT: &str = "[2:0]";

/// However segments arrive, they are listed in the order of time, an instant too.
#[tokio::test]
async fn line_38_segments_arrive_in_any_order_and_are_listed_in_time() {
    let api = &store().await;
    for arrival in [
        [FIRST, SECOND, INSTANT],
        [FIRST, INSTANT, SECOND],
        [SECOND, FIRST, INSTANT],
        [SECOND, INSTANT, FIRST],
        [INSTANT, FIRST, SECOND],
        [INSTANT, SECOND, FIRST],
    ] {
        let flow = create_flow(api).await;
        for range in arrival {
            post_segments(api, &flow, &segment(&new_id(), range)).await.expect(201);
        }
        assert_eq!(ranges(api, &flow, "").await, [FIRST, SECOND, INSTANT]);
        assert_eq!(ranges(api, &flow, "reverse_order=true").await, [INSTANT, SECOND, FIRST]);
    }
}

/// Whether an end belongs to a range decides about what begins there; every way to write a range is understood.
#[tokio::test]
async fn line_39_segments_are_found_by_time_to_the_nanosecond() {
    let api = &store().await;
    let flow = create_flow(api).await;
    for range in [INSTANT, FIRST, SECOND] {
        post_segments(api, &flow, &segment(&new_id(), range)).await.expect(201);
    }
    for (range, expected) in [
        ("_", vec![FIRST, SECOND, INSTANT]),
        ("[1:0_2:0)", vec![SECOND]),
        ("[1:0_2:0]", vec![SECOND, INSTANT]),
        ("[2:0]", vec![INSTANT]),
        ("2:0", vec![INSTANT]),
        ("(1:0_2:0)", vec![SECOND]),
        ("_1:0)", vec![FIRST]),
        ("[1:0_", vec![SECOND, INSTANT]),
        ("[1:0_)", vec![SECOND, INSTANT]),
        ("(1:999999999_", vec![INSTANT]),
        ("[0:999999999_1:0)", vec![FIRST]),
        ("[-5:0_0:0]", vec![FIRST]),
        ("[-5:0_0:0)", vec![]),
        ("()", vec![]),
        ("%5B1:0_2:0%29", vec![SECOND]),
    ] {
        assert_eq!(ranges(api, &flow, &format!("timerange={range}")).await, expected, "{range}");
    }
}

/// A range that ends before it begins is empty, which is no mistake; one that cannot be read is.
#[tokio::test]
async fn line_40_a_backward_range_is_empty_and_a_bad_one_is_refused() {
    let api = &store().await;
    let flow = create_flow(api).await;
    post_segments(api, &flow, &segment(&new_id(), "[0:0_10:0)")).await.expect(201);
    assert_eq!(ranges(api, &flow, "timerange=[5:0_3:0)").await, Vec::<String>::new());
    for bad in ["bad", "[0:0_1:0000000001)", "[0:0_1:1000000000)", "[00:0_1:0)", "[0_1)", "[1.5_2)"] {
        let refused = api.get(&format!("/flows/{flow}/segments?timerange={bad}")).await.expect(400);
        assert!(refused.message().contains("timerange"), "{refused}");
    }
}

/// A segment begins with its first sample and ends; it may lie before zero. It reads as it was written.
#[tokio::test]
async fn line_41_a_stored_range_is_finite_and_begins_with_its_first_sample() {
    let api = &store().await;
    let flow = create_flow(api).await;
    for bad in ["(0:0_1:0)", "_", "()", "[0:0_", "_1:0)", "[1:0_1:0)", "[2:0_1:0)", "", "(1:0)", "nonsense"] {
        let refused = post_segments(api, &flow, &segment(&new_id(), bad)).await.expect(400);
        assert!(refused.message().contains("timerange"), "{refused}");
    }
    assert_eq!(segments(api, &flow).await, Vec::<Value>::new());
    let good = ["[-1:0_-0:500000000)", "[3:0_4:0]", "[5:0]"];
    for good in good {
        post_segments(api, &flow, &segment(&new_id(), good)).await.expect(201);
    }
    assert_eq!(ranges(api, &flow, "").await, good);
}

/// Segments of one Flow touch and do not overlap, however many clients try it at once.
#[tokio::test]
async fn line_42_of_overlapping_segments_one_is_taken() {
    let api = &store().await;
    let (flow, other) = (create_flow(api).await, create_flow(api).await);
    let object = new_id();
    post_segments(api, &flow, &segment(&object, "[10:0_20:0)")).await.expect(201);
    for overlapping in ["[9:0_10:0]", "[19:999999999_21:0)", "[12:0_13:0)", "[0:0_30:0)", "[10:0_20:0)", "[15:0]"] {
        let refused = post_segments(api, &flow, &segment(&new_id(), overlapping)).await.expect(400);
        assert!(refused.message().contains("overlap"), "{refused}");
    }
    for adjacent in ["[20:0_21:0)", "[9:0_10:0)"] {
        post_segments(api, &flow, &segment(&new_id(), adjacent)).await.expect(201);
    }
    post_segments(api, &other, &segment(&object, "[10:0_20:0)")).await.expect(201);

    for round in 100..130 {
        let posted: Vec<_> = (0..8).map(|_| segment(&new_id(), &second(round))).collect();
        let answers = join_all(posted.iter().map(|posted| post_segments(api, &flow, posted))).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 7, "{statuses:?}");
        let winner = statuses.iter().position(|status| *status == 201).unwrap();
        let stored = api.read(&format!("/flows/{flow}/segments?timerange={}", second(round))).await;
        assert_eq!(stored[0]["object_id"], posted[winner]["object_id"], "the one that was told so");
    }
}

/// Each item of a list stands for itself, and those that are refused are told. Of two that overlap the first wins.
#[tokio::test]
async fn line_43_a_list_succeeds_in_part() {
    let api = &store().await;
    let flow = create_flow(api).await;
    post_segments(api, &flow, &json!([segment_at(0), segment_at(1)])).await.expect(201);
    let (a, b, c) = (new_id(), new_id(), new_id());
    let list = json!([segment(&a, &second(2)), segment(&b, &second(1)), segment(&c, "[2:500000000_4:0)")]);
    let partly = post_segments(api, &flow, &list).await.expect(200).json();
    let failed = partly["failed_segments"].as_array().unwrap();
    assert_eq!(pluck(failed, "object_id"), [b, c]);
    assert_eq!(pluck(failed, "timerange"), [second(1).as_str(), "[2:500000000_4:0)"]);
    for failure in failed {
        for member in ["type", "summary", "time"] {
            assert!(failure["error"][member].is_string(), "{failure} has no {member}");
        }
    }
    assert_eq!(ranges(api, &flow, "").await, [second(0), second(1), second(2)]);

    let none = post_segments(api, &flow, &json!([segment_at(0), segment_at(1)])).await.expect(200).json();
    assert_eq!(none["failed_segments"].as_array().unwrap().len(), 2);
    // Undefined: a list without items has none that was refused.
    post_segments(api, &flow, &json!([])).await.expect(201);
}

/// A segment by itself is taken or refused.
#[tokio::test]
async fn line_44_a_single_bad_segment_is_refused() {
    let api = &store().await;
    let flow = create_flow(api).await;
    post_segments(api, &flow, &segment_at(0)).await.expect(201);
    post_segments(api, &flow, &segment_at(0)).await.expect(400);
    post_segments(api, &flow, &segment(&new_id(), "nonsense")).await.expect(400);
}

/// A Flow without a container has no media of its own.
#[tokio::test]
async fn line_45_a_flow_without_a_container_takes_no_media() {
    let api = &store().await;
    let bare = without(video_flow(&new_id()), "container");
    put_flow(api, &bare).await.expect(201);
    let id = bare["id"].as_str().unwrap();
    let storage = format!("/flows/{id}/storage");
    for refused in [
        post_segments(api, id, &segment_at(0)).await,
        post_segments(api, id, &json!([segment_at(0)])).await,
        api.post(&storage, &json!({})).await,
        api.post(&storage, &json!({ "content_type": "video/mp4" })).await,
    ] {
        let refused = refused.expect(400);
        assert!(refused.message().contains("container"), "{refused}");
    }
}
