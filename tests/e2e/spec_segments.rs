//! Segments: registration, overlap, listing by time, deletion.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    allocate, create_flow, fill, new_id, object_path, pluck, post_segments, put_flow, second, segment, segment_at,
    segments, video_flow, with, without,
};

async fn ranges(api: &Api, flow: &str, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows/{flow}/segments?{query}")).await.expect(200).list(), "timerange")
}

/// Line 37.
#[tokio::test]
async fn a_flow_that_is_not_there_has_an_empty_list_and_takes_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let unknown = new_id();
    assert_eq!(api.read(&format!("/flows/{unknown}/segments")).await, json!([]));
    api.get("/flows/bad/segments").await.expect(404);
    post_segments(api, &unknown, &segment_at(0)).await.expect(404);
    api.delete(&format!("/flows/{unknown}/segments")).await.expect(404);
    api.post(&format!("/flows/{unknown}/storage"), &json!({})).await.expect(404);
}

/// Lines 38 to 40 and 3.4, with the forms that real clients send.
#[tokio::test]
async fn segments_are_found_by_time_to_the_nanosecond() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    for range in ["[2:0]", "[0:0_1:0)", "[1:0_2:0)"] {
        post_segments(api, &flow, &segment(&new_id(), range)).await.expect(201);
    }
    let (first, second, instant) = ("[0:0_1:0)", "[1:0_2:0)", "[2:0]");
    for (range, expected) in [
        ("_", vec![first, second, instant]),
        ("[1:0_2:0)", vec![second]),
        ("[1:0_2:0]", vec![second, instant]),
        ("[2:0]", vec![instant]),
        ("2:0", vec![instant]),
        ("(1:0_2:0)", vec![second]),
        ("_1:0)", vec![first]),
        ("[1:0_", vec![second, instant]),
        ("[1:0_)", vec![second, instant]),
        ("(1:999999999_", vec![instant]),
        ("[0:999999999_1:0)", vec![first]),
        ("[-5:0_0:0]", vec![first]),
        ("[-5:0_0:0)", vec![]),
        ("()", vec![]),
        ("[5:0_3:0)", vec![]),
        ("%5B1:0_2:0%29", vec![second]),
    ] {
        assert_eq!(ranges(api, &flow, &format!("timerange={range}")).await, expected, "{range}");
    }
    for bad in ["bad", "[0:0_1:0000000001)", "[0:0_1:1000000000)", "[00:0_1:0)", "[0_1)", "[1.5_2)"] {
        let refused = api.get(&format!("/flows/{flow}/segments?timerange={bad}")).await.expect(400);
        assert!(refused.message().contains("timerange"), "{refused}");
    }
    assert_eq!(ranges(api, &flow, "reverse_order=true").await, [instant, second, first]);
}

/// Line 41.
#[tokio::test]
async fn a_stored_range_is_finite_and_begins_with_its_first_sample() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    for bad in ["(0:0_1:0)", "_", "()", "[0:0_", "_1:0)", "[1:0_1:0)", "[2:0_1:0)", "", "(1:0)", "nonsense"] {
        let refused = post_segments(api, &flow, &segment(&new_id(), bad)).await.expect(400);
        assert!(refused.message().contains("timerange"), "{refused}");
    }
    assert_eq!(segments(api, &flow).await, Vec::<Value>::new());
    for good in ["[-1:0_-0:500000000)", "[3:0_4:0]", "[5:0]"] {
        post_segments(api, &flow, &segment(&new_id(), good)).await.expect(201);
    }
    let stored = ranges(api, &flow, "").await;
    assert_eq!(stored, ["[-1:0_-0:500000000)", "[3:0_4:0]", "[5:0]"], "as they were sent");
}

/// Line 42.
#[tokio::test]
async fn segments_of_a_flow_do_not_overlap_by_a_nanosecond() {
    let server = Server::start().await;
    let api = server.api();
    let (flow, other) = (create_flow(api).await, create_flow(api).await);
    post_segments(api, &flow, &segment("first", "[10:0_20:0)")).await.expect(201);
    for overlapping in ["[9:0_10:0]", "[19:999999999_21:0)", "[12:0_13:0)", "[0:0_30:0)", "[10:0_20:0)", "[15:0]"] {
        let refused = post_segments(api, &flow, &segment(&new_id(), overlapping)).await.expect(400);
        assert!(refused.message().contains("overlap"), "{refused}");
    }
    for adjacent in ["[20:0_21:0)", "[9:0_10:0)"] {
        post_segments(api, &flow, &segment(&new_id(), adjacent)).await.expect(201);
    }
    post_segments(api, &other, &segment("first", "[10:0_20:0)")).await.expect(201);
}

/// Lines 43 to 45 and rule 2 of section 6: the first of two that overlap within one request wins.
#[tokio::test]
async fn a_list_succeeds_in_part_and_a_single_segment_does_not() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    post_segments(api, &flow, &json!([segment_at(0), segment_at(1)])).await.expect(201);
    let list = json!([segment("a", &second(2)), segment("b", &second(1)), segment("c", "[2:500000000_4:0)")]);
    let partly = post_segments(api, &flow, &list).await.expect(200).json();
    let failed = partly["failed_segments"].as_array().unwrap();
    assert_eq!(pluck(failed, "object_id"), ["b", "c"]);
    for failure in failed {
        for member in ["type", "summary", "time"] {
            assert!(failure["error"][member].is_string(), "{failure} has no {member}");
        }
    }
    assert_eq!(failed[0]["timerange"], second(1));
    assert_eq!(ranges(api, &flow, "").await, [second(0), second(1), second(2)]);

    post_segments(api, &flow, &json!([segment("d", &second(0))])).await.expect(200);
    post_segments(api, &flow, &segment("d", &second(0))).await.expect(400);
    post_segments(api, &flow, &json!([])).await.expect(201);

    let bare = without(video_flow(&new_id()), "container");
    put_flow(api, &bare).await.expect(201);
    let bare = bare["id"].as_str().unwrap();
    post_segments(api, bare, &segment_at(0)).await.expect(400);
    let refused =
        api.post(&format!("/flows/{bare}/storage"), &json!({ "content_type": "video/mp4" })).await.expect(400);
    assert!(refused.message().contains("container"), "{refused}");
}

/// Lines 46 to 51.
#[tokio::test]
async fn a_segment_fits_its_object() {
    let server = Server::start().await;
    let api = server.api();
    let (flow, other) = (create_flow(api).await, create_flow(api).await);
    let allocated = allocate(api, &flow, 1).await[0]["object_id"].clone();
    let of_allocated = json!({ "object_id": allocated, "timerange": second(0), "key_frame_count": 2 });
    post_segments(api, &other, &of_allocated).await.expect(400);
    post_segments(api, &flow, &of_allocated).await.expect(201);
    post_segments(api, &other, &of_allocated).await.expect(201);

    let unknown = post_segments(api, &flow, &json!({ "object_id": new_id(), "timerange": second(1) })).await;
    assert!(unknown.expect(400).message().contains("object_id"));
    let outside = segment("outside", &second(1));
    for urls in [
        json!([{ "url": "https://a.example/1" }]),
        json!([{ "url": "https://a.example/1", "label": "default" }]),
        json!([{ "url": "https://a.example/1", "label": "x" }, { "url": "https://a.example/2", "label": "x" }]),
    ] {
        let refused = post_segments(api, &flow, &with(outside.clone(), "get_urls", urls)).await.expect(400);
        assert!(refused.message().contains("label"), "{refused}");
    }
    post_segments(api, &flow, &outside).await.expect(201);

    let again = json!({ "object_id": allocated, "timerange": "[10:0_11:0)", "ts_offset": "10:0" });
    for (member, differs) in [("object_timerange", json!("[0:0_2:0)")), ("key_frame_count", json!(3))] {
        let refused = post_segments(api, &flow, &with(again.clone(), member, differs)).await.expect(400);
        assert!(refused.message().contains(member), "{refused}");
    }
    post_segments(api, &flow, &again).await.expect(201);

    let long = with(segment("long", "[165:0_166:0)"), "ts_offset", json!("145:0"));
    let long = with(long, "object_timerange", json!("[20:0_21:0)"));
    post_segments(api, &flow, &long).await.expect(201);
    post_segments(api, &other, &with(long, "timerange", json!("[165:500000000_166:500000000)"))).await.expect(400);
    let shifted = with(segment("shifted", "[30:0_40:0)"), "ts_offset", json!("4:0"));
    post_segments(api, &flow, &shifted).await.expect(201);
    assert_eq!(api.read(&object_path("shifted", "")).await["timerange"], "[26:0_36:0)");
}

/// Line 52.
#[tokio::test]
async fn a_segment_reads_as_it_was_posted() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let posted = json!({
        "object_id": "everything", "timerange": "[100:0_101:0)", "ts_offset": "-5:500000000", "last_duration": "0:40000000",
        "object_timerange": "[100:0_200:0)", "sample_offset": 3, "sample_count": 25, "key_frame_count": 1,
        "get_urls": [{ "url": "https://a.example/1", "label": "a" }],
    });
    post_segments(api, &flow, &posted).await.expect(201);
    let read = |query: &'static str| {
        let path = format!("/flows/{flow}/segments?{query}");
        async move { api.read(&path).await[0].clone() }
    };
    let mut stored = read("include_object_timerange=true").await;
    assert_eq!(stored["get_urls"], json!([{ "url": "https://a.example/1", "label": "a", "presigned": false }]));
    stored["get_urls"] = posted["get_urls"].clone();
    assert_eq!(stored, posted);
    assert_eq!(read("").await["object_timerange"], Value::Null, "only on demand");
}

/// Line 60 and 71, 72, 75.
#[tokio::test]
async fn deleting_takes_the_segments_that_lie_inside() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}/segments");
    fill(api, &flow, 0..5).await;
    post_segments(api, &flow, &segment("o", &second(5))).await.expect(201);
    assert_eq!(ranges(api, &flow, "object_id=o&timerange=[0:0_9:0)").await, [second(5)]);
    assert_eq!(ranges(api, &flow, "object_id=o&timerange=[0:0_5:0)").await, Vec::<String>::new());

    for nothing in ["timerange=()", "timerange=[0:500000000_1:500000000)", "timerange=[50:0_60:0)", "object_id=unknown"]
    {
        api.delete(&format!("{path}?{nothing}")).await.expect(204);
    }
    assert_eq!(ranges(api, &flow, "").await.len(), 6);
    api.delete(&format!("{path}?timerange=[0:500000000_2:0)")).await.expect(204);
    assert_eq!(ranges(api, &flow, "timerange=[0:0_3:0)").await, [second(0), second(2)]);
    api.delete(&format!("{path}?timerange=_3:0)")).await.expect(204);
    api.delete(&format!("{path}?timerange=[0:0_4:0]&object_id=o")).await.expect(204);
    assert_eq!(ranges(api, &flow, "").await, [second(3), second(4), second(5)]);
    let refused = api.delete(&format!("{path}?timerange=bad")).await.expect(400);
    assert!(refused.message().contains("timerange"), "{refused}");

    api.delete(&path).await.expect(204);
    assert_eq!(ranges(api, &flow, "").await, Vec::<String>::new());
    api.read(&format!("/flows/{flow}")).await;
    fill(api, &flow, 0..5).await;
}

/// Lines 53 to 56 and 1.9.
#[tokio::test]
async fn urls_are_chosen_by_the_reader() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let object = allocate(api, &flow, 1).await[0]["object_id"].clone();
    let stored = json!({
        "object_id": object, "timerange": second(0), "get_urls": [{ "url": "https://a.example/1", "label": "mine" }],
    });
    post_segments(api, &flow, &stored).await.expect(201);
    let backend = api.read("/service/storage-backends").await[0].clone();
    let (label, storage_id) = (backend["label"].as_str().unwrap(), backend["id"].as_str().unwrap());
    let paths = [format!("/flows/{flow}/segments"), object_path(object.as_str().unwrap(), "")];
    for path in &paths {
        let urls = async |query: &str| {
            let body = api.read(&format!("{path}?{query}")).await;
            let holder = if body.is_array() { body[0].clone() } else { body };
            holder["get_urls"].as_array().cloned().unwrap_or_default()
        };
        let labels = async |query: &str| pluck(&urls(query).await, "label");
        assert_eq!(labels("").await, [label, "mine"], "the store's own comes first");
        assert_eq!(labels("accept_get_urls=").await, Vec::<String>::new());
        assert_eq!(labels("accept_get_urls=nosuch").await, Vec::<String>::new());
        assert_eq!(labels("accept_get_urls=mine,nosuch").await, ["mine"]);
        assert_eq!(labels("accept_storage_ids=").await, [label, "mine"]);
        assert_eq!(labels(&format!("accept_storage_ids={storage_id}")).await, [label]);
        assert_eq!(labels(&format!("accept_storage_ids={}", new_id())).await, Vec::<String>::new());
        assert_eq!(labels("presigned=true").await, [label]);
        assert_eq!(labels("presigned=false").await, ["mine"]);
        assert_eq!(labels("presigned=false&accept_get_urls=default").await, Vec::<String>::new());
        let plain = urls("presigned=true").await[0].clone();
        let mut members: Vec<_> = plain.as_object().unwrap().keys().cloned().collect();
        members.sort();
        assert_eq!(members, ["label", "presigned", "url"]);
        let verbose = urls("verbose_storage=true").await;
        for member in ["storage_id", "store_type", "provider", "store_product"] {
            let named = if member == "storage_id" { &backend["id"] } else { &backend[member] };
            assert_eq!(&verbose[0][member], named, "{member}");
        }
        assert_eq!((&verbose[0]["controlled"], &verbose[1]["controlled"]), (&json!(true), &json!(false)));
        api.get(&format!("{path}?accept_storage_ids=bad")).await.expect(400);
        api.get(&format!("{path}?presigned=maybe")).await.expect(400);
    }
}

/// Line 58.
#[tokio::test]
async fn a_page_says_what_it_covers() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    for (query, count, covered, reverse) in [
        ("limit=2", "2", "[0:0_2:0)", "false"),
        ("limit=2&reverse_order=true", "2", "[3:0_5:0)", "true"),
        ("timerange=[1:500000000_3:500000000)", "3", "[1:0_4:0)", "false"),
        ("timerange=[9:0_", "0", "()", "false"),
    ] {
        let page = api.get(&format!("/flows/{flow}/segments?{query}")).await.expect(200);
        assert_eq!(page.header("x-paging-count"), Some(count), "{query}");
        assert_eq!(page.header("x-paging-timerange"), Some(covered), "{query}");
        assert_eq!(page.header("x-paging-reverse-order"), Some(reverse), "{query}");
    }
}

/// Line 69, as far as it goes: init objects are refused, by name.
#[tokio::test]
async fn init_objects_are_refused_with_a_reason() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let refused = post_segments(api, &flow, &with(segment_at(0), "init_object_id", json!("i"))).await.expect(400);
    assert!(refused.message().contains("init_object_id"), "{refused}");
    let mut init_flow = video_flow(&new_id());
    init_flow["essence_parameters"]["init_segments"] = json!(true);
    put_flow(api, &init_flow).await.expect(201);
    let refused = post_segments(api, init_flow["id"].as_str().unwrap(), &segment_at(0)).await.expect(400);
    assert!(refused.message().contains("init_object_id"), "{refused}");
}
