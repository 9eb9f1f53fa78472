//! Lines 11 to 27: Flows as they are stored and changed, and the Sources that come with them.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::store::{
    audio_flow, create_flow, fill, new_id, pluck, post_segments, put_flow, segment_at, video_flow, with, without,
};

use super::store;

/// The first `PUT` of a Flow answers with it, the next ones with nothing.
#[tokio::test]
async fn line_11_a_put_creates_with_a_body_and_replaces_without() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let created = put_flow(api, &flow).await.expect(201).json();
    assert_eq!(created, api.read(&format!("/flows/{}", flow["id"].as_str().unwrap())).await);
    let replaced = put_flow(api, &flow).await.expect(204);
    assert!(replaced.body.is_empty());
}

/// A Flow brings its Source with it, which takes after it.
#[tokio::test]
async fn line_12_the_source_of_a_flow_exists() {
    let api = &store().await;
    let flow = with(video_flow(&new_id()), "tags", json!({ "of": "both" }));
    put_flow(api, &flow).await.expect(201);
    put_flow(api, &flow).await.expect(204);
    let source = api.read(&format!("/sources/{}", flow["source_id"].as_str().unwrap())).await;
    assert_eq!(source["format"], flow["format"]);
    // Optional, but clients of the best-known server build on it.
    assert_eq!((&source["label"], &source["tags"]), (&flow["label"], &flow["tags"]));
}

/// All Flows of a Source are of its format.
#[tokio::test]
async fn line_13_a_flow_of_another_format_than_its_source_is_refused() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    put_flow(api, &flow).await.expect(201);
    let other = with(audio_flow(&new_id()), "source_id", flow["source_id"].clone());
    let changed = with(other.clone(), "id", flow["id"].clone());
    for refused in [other, changed] {
        let refused = put_flow(api, &refused).await.expect(400);
        assert!(refused.message().contains("format"), "{refused}");
    }
}

/// What only the server can know may be sent, and is not believed, on creation and later.
#[tokio::test]
async fn line_14_what_the_server_keeps_of_a_flow_cannot_be_set() {
    let api = &store().await;
    let id = new_id();
    let forged = json!({
        "timerange": "[0:0_9:0)", "created": "1999-01-01T00:00:00Z", "metadata_updated": "1999-01-01T00:00:00Z",
        "segments_updated": "1999-01-01T00:00:00Z", "collected_by": [new_id()],
    });
    let mut flow = video_flow(&id);
    flow.as_object_mut().unwrap().extend(forged.as_object().unwrap().clone());
    for status in [201, 204] {
        put_flow(api, &flow).await.expect(status);
        let stored = api.read(&format!("/flows/{id}?include_timerange=true")).await;
        for (name, value) in forged.as_object().unwrap() {
            assert_ne!(&stored[name], value, "{name} is the server's");
        }
    }
}

/// What a Flow reads as can be sent back as it is; and since nothing changes by that, nothing does.
#[tokio::test]
async fn line_15_a_flow_can_be_put_back_as_it_was_read() {
    let api = &store().await;
    let path = format!("/flows/{}?include_timerange=true", create_flow(api).await);
    let member = api.read(&path).await;
    let collector = json!({
        "id": new_id(), "source_id": new_id(), "format": "urn:x-nmos:format:multi",
        "flow_collection": [{ "id": member["id"], "role": "picture" }],
    });
    put_flow(api, &collector).await.expect(201);
    fill(api, member["id"].as_str().unwrap(), 3..5).await;
    let collector = format!("/flows/{}?include_timerange=true", collector["id"].as_str().unwrap());
    for path in [path, collector] {
        let flow = api.read(&path).await;
        put_flow(api, &flow).await.expect(204);
        assert_eq!(api.read(&path).await, flow);
    }
}

/// A `PUT` replaces the whole: what it leaves out is gone.
#[tokio::test]
async fn line_16_a_put_without_tags_removes_them() {
    let api = &store().await;
    let flow = with(video_flow(&new_id()), "tags", json!({ "k": "v" }));
    let path = format!("/flows/{}/tags", flow["id"].as_str().unwrap());
    put_flow(api, &flow).await.expect(201);
    assert_eq!(api.read(&path).await, json!({ "k": "v" }));
    put_flow(api, &without(flow, "tags")).await.expect(204);
    assert_eq!(api.read(&path).await, json!({}));
}

/// A video Flow with a size of two by two and these essence parameters.
fn video(more: &Value) -> Value {
    let mut flow = video_flow(&new_id());
    flow["essence_parameters"] = json!({ "frame_width": 2, "frame_height": 2 });
    flow["essence_parameters"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    flow
}

/// Video has a frame rate, unless it says that the rate varies: then it has none.
#[tokio::test]
async fn line_17_video_has_a_frame_rate_or_a_variable_one() {
    let api = &store().await;
    let rate = json!({ "numerator": 25, "denominator": 1 });
    for (parameters, status) in [
        (json!({}), 400),
        (json!({ "vfr": true, "frame_rate": rate }), 400),
        (json!({ "vfr": true }), 201),
        (json!({ "vfr": false }), 400),
        (json!({ "vfr": false, "frame_rate": rate }), 201),
        (json!({ "frame_rate": rate }), 201),
    ] {
        put_flow(api, &video(&parameters)).await.expect(status);
    }
}

/// Essence parameters are a closed list in every format.
#[tokio::test]
async fn line_18_an_unknown_essence_parameter_is_refused() {
    let api = &store().await;
    let refused = put_flow(api, &video(&json!({ "vfr": true, "unknown": 1 }))).await.expect(400);
    assert!(refused.message().contains("unknown"), "{refused}");
    let mut audio = audio_flow(&new_id());
    audio["essence_parameters"]["frame_width"] = json!(2);
    let refused = put_flow(api, &audio).await.expect(400);
    assert!(refused.message().contains("frame_width"), "{refused}");
}

/// The one format whose name is in the space of TAMS, and not of NMOS.
#[tokio::test]
async fn line_19_images_have_a_format_of_tams_own() {
    let api = &store().await;
    for (urn, status) in
        [("urn:x-tam:format:image", 201), ("urn:x-nmos:format:image", 400), ("urn:x-tams:format:image", 400)]
    {
        let image = json!({
            "id": new_id(), "source_id": new_id(), "format": urn, "codec": "image/jpeg", "container": "image/jpeg",
            "essence_parameters": { "frame_width": 2, "frame_height": 2 },
        });
        put_flow(api, &image).await.expect(status);
    }
}

/// A body that names another Flow than its path is stored under neither. Of 400 and 404 it is 400, since the path is
/// right by itself.
#[tokio::test]
async fn line_20_the_ids_of_path_and_body_agree() {
    let api = &store().await;
    let flow = video_flow(&new_id());
    let other = new_id();
    let refused = api.put(&format!("/flows/{other}"), &flow).await.expect(400);
    assert!(refused.message().contains("id"), "{refused}");
    for id in [&other, flow["id"].as_str().unwrap()] {
        api.get(&format!("/flows/{id}")).await.expect(404);
    }
    api.get(&format!("/sources/{}", flow["source_id"].as_str().unwrap())).await.expect(404);
}

/// A client may name the first version of the metadata; each change makes another, and moves the date of the metadata
/// but not that of the segments.
#[tokio::test]
async fn line_21_a_change_of_metadata_has_a_version_and_a_date() {
    let api = &store().await;
    let id = new_id();
    let path = format!("/flows/{id}");
    put_flow(api, &with(video_flow(&id), "metadata_version", json!("mine"))).await.expect(201);
    fill(api, &id, 0..1).await;
    let created = api.read(&path).await;
    assert_eq!(created["metadata_version"], "mine");
    api.put(&format!("{path}/label"), &json!("new")).await.expect(204);
    let labelled = api.read(&path).await;
    assert_ne!(labelled["metadata_version"], "mine");
    assert_ne!(labelled["metadata_updated"], created["metadata_updated"]);
    assert_eq!(labelled["segments_updated"], created["segments_updated"]);
    assert_eq!(labelled["created"], created["created"]);
}

/// Segments have a date of their own.
#[tokio::test]
async fn line_22_a_segment_does_not_touch_the_metadata() {
    let api = &store().await;
    let path = format!("/flows/{}", create_flow(api).await);
    let mut before = api.read(&path).await;
    for number in 0..2 {
        post_segments(api, before["id"].as_str().unwrap(), &segment_at(number)).await.expect(201);
        let after = api.read(&path).await;
        assert_ne!(after["segments_updated"], before["segments_updated"]);
        assert_eq!(after["metadata_updated"], before["metadata_updated"]);
        assert_eq!(after["metadata_version"], before["metadata_version"]);
        before = after;
    }
}

/// A read-only Flow takes nothing but that it be read-only no longer.
#[tokio::test]
async fn line_23_a_read_only_flow_changes_in_nothing_but_that() {
    let api = &store().await;
    let id = create_flow(api).await;
    fill(api, &id, 0..1).await;
    let path = format!("/flows/{id}");
    api.put(&format!("{path}/tags/k"), &json!("v")).await.expect(204);
    api.put(&format!("{path}/read_only"), &json!(true)).await.expect(204);
    let before = api.read(&path).await;
    let refused = [
        // Nor does a whole Flow unlock itself: all but the property is refused.
        api.put(&path, &with(before.clone(), "read_only", json!(false))).await,
        api.put(&format!("{path}/label"), &json!("new")).await,
        api.delete(&format!("{path}/label")).await,
        api.put(&format!("{path}/max_bit_rate"), &json!(1)).await,
        api.put(&format!("{path}/flow_collection"), &json!([])).await,
        api.put(&format!("{path}/tags/k"), &json!("new")).await,
        api.delete(&format!("{path}/tags/k")).await,
        api.post(&format!("{path}/storage"), &json!({})).await,
        post_segments(api, &id, &segment_at(1)).await,
        post_segments(api, &id, &json!([segment_at(1)])).await,
        api.delete(&format!("{path}/segments")).await,
        api.delete(&path).await,
    ];
    for answer in refused {
        answer.expect(403);
    }
    assert_eq!(api.read(&path).await, before);
    api.put(&format!("{path}/read_only"), &json!(false)).await.expect(204);
    api.delete(&path).await.expect(204);
}

/// A property set by itself is held to its type, by name.
#[tokio::test]
async fn line_24_properties_are_of_their_type() {
    let api = &store().await;
    let path = format!("/flows/{}", create_flow(api).await);
    for (property, bad) in [
        ("read_only", json!("true")),
        ("read_only", json!(null)),
        ("max_bit_rate", json!(-1)),
        ("max_bit_rate", json!("5")),
        ("max_bit_rate", json!(1.5)),
        ("avg_bit_rate", json!(true)),
        ("label", json!(5)),
        ("description", json!(["a"])),
        ("tags/x", json!({ "a": 1 })),
        ("tags/x", json!([1])),
        ("flow_collection", json!("none")),
    ] {
        let answer = api.put(&format!("{path}/{property}"), &bad).await.expect(400);
        let name = property.split('/').next().unwrap().trim_end_matches('s');
        assert!(answer.message().contains(name), "{answer} does not name {name}");
    }
}

/// The name of a tag may hold what separates paths.
#[tokio::test]
async fn line_25_a_tag_has_any_name() {
    let api = &store().await;
    let id = create_flow(api).await;
    let path = format!("/flows/{id}/tags/a%2Fb%20c");
    api.put(&path, &json!(["x", "y"])).await.expect(204);
    assert_eq!(api.read(&path).await, json!(["x", "y"]));
    assert_eq!(api.read(&format!("/flows/{id}/tags")).await, json!({ "a/b c": ["x", "y"] }));
    assert_eq!(tagged(api, "tag.a%2Fb%20c=y").await, [id]);
}

/// The ids of the Flows that a query finds, in order of their ids.
async fn tagged(api: &Api, query: &str) -> Vec<String> {
    let mut ids = pluck(&api.get(&format!("/flows?{query}")).await.expect(200).list(), "id");
    ids.sort();
    ids
}

/// A tag is matched as a whole, by any of the values, and together with whatever else is asked.
#[tokio::test]
async fn line_26_tags_are_matched_as_a_whole() {
    let api = &store().await;
    let (a, b, c, group) = (new_id(), new_id(), new_id(), new_id());
    let tags = [
        (&a, json!({ "k": "foobar", "z": "1", "of": group })),
        (&b, json!({ "k": "foo", "of": group })),
        (&c, json!({ "k": ["bar", "baz"], "z": "1", "of": group })),
    ];
    for (id, tags) in tags {
        put_flow(api, &with(video_flow(id), "tags", tags)).await.expect(201);
    }
    for (query, expected) in [
        ("tag.k=foo", vec![&b]),
        ("tag.k=foo,bar", vec![&b, &c]),
        ("tag.k=FOO", vec![]),
        ("tag.k=foo&tag_exists.z=false", vec![&b]),
        ("tag.k=foo,bar&tag_exists.z=false", vec![&b]),
        ("tag.k=foo&tag_exists.z=true", vec![]),
        ("tag_exists.z=true", vec![&a, &c]),
        ("tag_exists.z=true&tag_exists.k=true&tag.k=baz", vec![&c]),
    ] {
        let mut expected: Vec<_> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(tagged(api, &format!("tag.of={group}&{query}")).await, expected, "{query}");
    }
}

/// A tag that is not there can neither be read nor removed.
#[tokio::test]
async fn line_27_a_missing_tag_is_not_found() {
    let api = &store().await;
    let flow = api.read(&format!("/flows/{}", create_flow(api).await)).await;
    let (id, source) = (flow["id"].as_str().unwrap(), flow["source_id"].as_str().unwrap());
    for path in [format!("/flows/{id}/tags/missing"), format!("/sources/{source}/tags/missing")] {
        api.delete(&path).await.expect(404);
        api.get(&path).await.expect(404);
    }
}
