//! Flows and Sources as clients change and find them.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    create_flow, fill, new_id, pluck, post_segments, put_flow, segment, segment_at, video_flow, with, without,
};

/// The ids of a listing of Flows, in its order.
async fn listed(api: &Api, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows?{query}")).await.expect(200).list(), "id")
}

/// Lines 11 to 13, 20, 95.
#[tokio::test]
async fn a_put_creates_or_replaces_and_brings_the_source() {
    let server = Server::start().await;
    let api = server.api();
    let id = new_id();
    let flow = with(video_flow(&id), "tags", json!({ "of": "both" }));
    let created = put_flow(api, &with(flow.clone(), "unknown", json!({ "deep": [1] }))).await.expect(201).json();
    assert_eq!(created, api.read(&format!("/flows/{id}")).await);
    let replaced = put_flow(api, &with(flow.clone(), "label", json!("new"))).await.expect(204);
    assert!(replaced.body.is_empty());

    let source_path = format!("/sources/{}", flow["source_id"].as_str().unwrap());
    let source = api.read(&source_path).await;
    assert_eq!(source["format"], flow["format"]);
    assert_eq!((&source["label"], &source["tags"]), (&flow["label"], &flow["tags"]), "as its first flow was");

    let audio = json!({
        "id": new_id(), "source_id": flow["source_id"], "format": "urn:x-nmos:format:audio", "codec": "audio/aac",
        "essence_parameters": { "sample_rate": 48000, "channels": 2 },
    });
    assert!(put_flow(api, &audio).await.expect(400).message().contains("format"));
    let other_path = new_id();
    let mismatch = api.put(&format!("/flows/{other_path}"), &flow).await;
    assert!(matches!(mismatch.status, 400 | 404), "{mismatch}");
    api.get(&format!("/flows/{other_path}")).await.expect(404);
}

/// Lines 14 to 16, 33, and "a PUT that changes nothing changes nothing".
#[tokio::test]
async fn what_a_flow_reads_as_can_be_put_back() {
    let server = Server::start().await;
    let api = server.api();
    let id = new_id();
    let path = format!("/flows/{id}");
    let forged = json!({
        "timerange": "[0:0_9:0)", "created": "1999-01-01T00:00:00Z", "metadata_updated": "1999-01-01T00:00:00Z",
        "segments_updated": "1999-01-01T00:00:00Z", "collected_by": [new_id()],
    });
    let mut flow = with(video_flow(&id), "tags", json!({ "k": "v" }));
    flow.as_object_mut().unwrap().extend(forged.as_object().unwrap().clone());
    put_flow(api, &flow).await.expect(201);
    let stored = api.read(&path).await;
    for (name, value) in forged.as_object().unwrap() {
        assert_ne!(&stored[name], value, "{name} is the server's");
    }
    assert_eq!(stored["timerange"], Value::Null, "only on demand");
    let ranged = api.read(&format!("{path}?include_timerange=true")).await;
    assert_eq!(ranged["timerange"], "()");

    fill(api, &id, 3..5).await;
    let ranged = api.read(&format!("{path}?include_timerange=true")).await;
    assert_eq!(ranged["timerange"], "[3:0_5:0)");
    let part = api.read(&format!("{path}?include_timerange=true&timerange=[4:0_9:0)")).await;
    assert_eq!(part["timerange"], "[4:0_5:0)");
    put_flow(api, &ranged).await.expect(204);
    assert_eq!(api.read(&format!("{path}?include_timerange=true")).await, ranged, "nothing has changed");

    put_flow(api, &without(ranged, "tags")).await.expect(204);
    assert_eq!(api.read(&format!("{path}/tags")).await, json!({}));
}

/// Lines 17 to 19.
#[tokio::test]
async fn essence_parameters_are_those_of_the_format() {
    let server = Server::start().await;
    let api = server.api();
    let video = |parameters: Value| with(video_flow(&new_id()), "essence_parameters", parameters);
    let size = |more: Value| {
        let mut parameters = json!({ "frame_width": 2, "frame_height": 2 });
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parameters
    };
    let rate = json!({ "numerator": 25, "denominator": 1 });
    put_flow(api, &video(size(json!({})))).await.expect(400);
    put_flow(api, &video(size(json!({ "vfr": true, "frame_rate": rate })))).await.expect(400);
    put_flow(api, &video(size(json!({ "vfr": true })))).await.expect(201);
    put_flow(api, &video(size(json!({ "vfr": false, "frame_rate": rate })))).await.expect(201);
    put_flow(api, &video(size(json!({ "frame_rate": rate, "unknown": 1 })))).await.expect(400);
    put_flow(api, &video(json!({ "frame_width": 2, "frame_rate": rate }))).await.expect(400);

    let image = json!({
        "id": new_id(), "source_id": new_id(), "format": "urn:x-tam:format:image", "codec": "image/jpeg",
        "container": "image/jpeg", "essence_parameters": { "frame_width": 2, "frame_height": 2 },
    });
    put_flow(api, &image).await.expect(201);
    let image = with(with(image, "id", json!(new_id())), "source_id", json!(new_id()));
    put_flow(api, &with(image, "format", json!("urn:x-nmos:format:image"))).await.expect(400);
}

/// Lines 21, 22 and the matrix of section 10.
#[tokio::test]
async fn metadata_and_segments_have_dates_of_their_own() {
    let server = Server::start().await;
    let api = server.api();
    let id = new_id();
    let path = format!("/flows/{id}");
    put_flow(api, &with(video_flow(&id), "metadata_version", json!("mine"))).await.expect(201);
    let created = api.read(&path).await;
    assert_eq!(created["metadata_version"], "mine");

    api.put(&format!("{path}/label"), &json!("new")).await.expect(204);
    let labelled = api.read(&path).await;
    assert_ne!(labelled["metadata_version"], "mine");
    assert_ne!(labelled["metadata_updated"], created["metadata_updated"]);
    assert_eq!(labelled["segments_updated"], created["segments_updated"]);
    assert_eq!(labelled["created"], created["created"]);

    fill(api, &id, 0..1).await;
    let filled = api.read(&path).await;
    assert_ne!(filled["segments_updated"], labelled["segments_updated"]);
    assert_eq!(filled["metadata_updated"], labelled["metadata_updated"]);
    assert_eq!(filled["metadata_version"], labelled["metadata_version"]);

    let source_path = format!("/sources/{}", created["source_id"].as_str().unwrap());
    let source = api.read(&source_path).await;
    api.put(&format!("{source_path}/tags/k"), &json!(["a", "b"])).await.expect(204);
    api.put(&format!("{source_path}/description"), &json!("a place")).await.expect(204);
    api.delete(&format!("{source_path}/label")).await.expect(204);
    let changed = api.read(&source_path).await;
    assert_ne!(changed["updated"], source["updated"]);
    assert_eq!((&changed["tags"], &changed["description"]), (&json!({ "k": ["a", "b"] }), &json!("a place")));
    assert_eq!(changed["label"], Value::Null);
    assert_eq!(api.read(&path).await, filled, "a flow does not change with its source");
}

/// Line 23.
#[tokio::test]
async fn a_read_only_flow_changes_in_nothing_but_that() {
    let server = Server::start().await;
    let api = server.api();
    let id = create_flow(api).await;
    fill(api, &id, 0..1).await;
    let path = format!("/flows/{id}");
    api.put(&format!("{path}/tags/k"), &json!("v")).await.expect(204);
    api.put(&format!("{path}/read_only"), &json!(true)).await.expect(204);
    let before = api.read(&path).await;
    let refused = [
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

/// Lines 24, 25, 27 and 2.7.
#[tokio::test]
async fn properties_are_changed_one_by_one() {
    let server = Server::start().await;
    let api = server.api();
    let id = create_flow(api).await;
    let path = format!("/flows/{id}");
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
    for (property, value) in [("label", json!("l")), ("description", json!("d")), ("avg_bit_rate", json!(7))] {
        let path = format!("{path}/{property}");
        api.put(&path, &value).await.expect(204);
        assert_eq!(api.read(&path).await, value);
        api.delete(&path).await.expect(204);
        api.delete(&path).await.expect(204);
        api.get(&path).await.expect(404);
    }
    api.get(&format!("{path}/flow_collection")).await.expect(404);
    assert_eq!(api.read(&format!("{path}/read_only")).await, json!(false));

    api.put(&format!("{path}/tags/a%2Fb%20c"), &json!(["x", "y"])).await.expect(204);
    assert_eq!(api.read(&format!("{path}/tags/a%2Fb%20c")).await, json!(["x", "y"]));
    assert_eq!(listed(api, "tag.a%2Fb%20c=y").await, [id.as_str()]);
    api.delete(&format!("{path}/tags/missing")).await.expect(404);
    api.get(&format!("{path}/tags/missing")).await.expect(404);
    api.delete(&format!("{path}/tags/a%2Fb%20c")).await.expect(204);
    assert_eq!(api.read(&format!("{path}/tags")).await, json!({}));
}

/// Line 26, and the other filters of 2.4.
#[tokio::test]
async fn flows_are_found_by_what_they_are() {
    let server = Server::start().await;
    let api = server.api();
    let (a, b, c) = (new_id(), new_id(), new_id());
    let tagged = |id: &str, tags: Value| with(video_flow(id), "tags", tags);
    put_flow(api, &tagged(&a, json!({ "k": "foobar", "z": "1" }))).await.expect(201);
    put_flow(api, &with(tagged(&b, json!({ "k": "foo" })), "status", json!("ingesting"))).await.expect(201);
    let audio = json!({
        "id": c, "source_id": new_id(), "format": "urn:x-nmos:format:audio", "codec": "audio/aac", "label": "sound",
        "tags": { "k": ["bar", "baz"], "z": "1" },
        "essence_parameters": { "sample_rate": 48000, "channels": 2 },
    });
    put_flow(api, &audio).await.expect(201);
    let source = audio["source_id"].as_str().unwrap();
    for (query, expected) in [
        ("tag.k=foo", vec![&b]),
        ("tag.k=foo,bar", vec![&b, &c]),
        ("tag.k=FOO", vec![]),
        ("tag.k=foo,bar&tag_exists.z=false", vec![&b]),
        ("tag_exists.z=true", vec![&a, &c]),
        ("tag_exists.z=true&tag_exists.k=true&tag.k=baz", vec![&c]),
        ("format=urn:x-nmos:format:audio", vec![&c]),
        ("codec=audio/aac", vec![&c]),
        (&format!("source_id={source}"), vec![&c]),
        ("label=sound", vec![&c]),
        ("status=ingesting", vec![&b]),
        ("frame_width=1920&frame_height=1080", vec![&a, &b]),
        ("frame_width=1921", vec![]),
        ("label=sound&status=ingesting", vec![]),
        // Line 36.
        ("init_segments=false", vec![&a, &b, &c]),
        ("init_segments=true", vec![]),
    ] {
        let mut found = listed(api, query).await;
        found.sort();
        let mut expected: Vec<_> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(found, expected, "{query}");
    }
    let sources = api.get("/sources?format=urn:x-nmos:format:audio&tag.k=baz&label=sound").await.expect(200);
    assert_eq!(pluck(&sources.list(), "id"), [source]);
}

/// Line 34 and 3.5.
#[tokio::test]
async fn flows_are_found_by_the_time_of_their_segments() {
    let server = Server::start().await;
    let api = server.api();
    let (empty, gappy) = (create_flow(api).await, create_flow(api).await);
    fill(api, &gappy, 0..10).await;
    fill(api, &gappy, 100..110).await;
    assert_eq!(listed(api, "timerange=()").await, [empty]);
    assert_eq!(listed(api, "").await.len(), 2, "empty flows are flows");
    assert_eq!(listed(api, "timerange=_").await.len(), 2);
    assert_eq!(listed(api, "timerange=[5:0_6:0)").await, [gappy.as_str()]);
    assert_eq!(listed(api, "timerange=[109:0_").await, [gappy]);
    assert_eq!(listed(api, "timerange=[50:0_60:0)").await, Vec::<String>::new(), "a gap is not content");
    assert_eq!(listed(api, "timerange=[110:0_").await, Vec::<String>::new());
}

/// Line 35 and 1.7: a total order, whole across pages.
#[tokio::test]
async fn listings_are_sorted_and_resources_without_the_property_come_last() {
    let server = Server::start().await;
    let api = server.api();
    let mut created = Vec::new();
    for label in ["b", "", "a", "", "c"] {
        let id = new_id();
        let flow = if label.is_empty() {
            without(video_flow(&id), "label")
        } else {
            with(video_flow(&id), "label", json!(label))
        };
        put_flow(api, &flow).await.expect(201);
        created.push((label, id));
    }
    let mut by_label = created.clone();
    by_label.sort_by_key(|(label, id)| (label.is_empty(), (*label).to_owned(), id.clone()));
    let ids = |of: &[(&str, String)]| of.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    assert_eq!(listed(api, "sort_by=label").await, ids(&by_label));
    by_label.reverse();
    assert_eq!(listed(api, "sort_by=label&reverse_order=true").await, ids(&by_label));
    assert_eq!(listed(api, "reverse_order=true").await, ids(&created), "oldest first");
    created.reverse();
    assert_eq!(listed(api, "").await, ids(&created), "newest first");
    assert_eq!(listed(api, "sort_by=created&reverse_order=false").await, ids(&created));

    api.put(&format!("/flows/{}/description", created[4].1), &json!("touched")).await.expect(204);
    assert_eq!(listed(api, "sort_by=metadata_updated&limit=1").await, [created[4].1.clone()]);
    let paged = tapelog_tests::store::all(api, "/flows?sort_by=label&reverse_order=true&limit=2").await;
    assert_eq!(pluck(&paged, "id"), ids(&by_label));
    assert_eq!(api.get("/sources?sort_by=label&limit=1").await.expect(200).list()[0]["label"], "a");
}

/// Line 32 and 74.
#[tokio::test]
async fn a_source_goes_with_its_last_flow() {
    let server = Server::start().await;
    let api = server.api();
    let (first, second) = (video_flow(&new_id()), video_flow(&new_id()));
    let second = with(second, "source_id", first["source_id"].clone());
    put_flow(api, &first).await.expect(201);
    put_flow(api, &second).await.expect(201);
    let source = format!("/sources/{}", first["source_id"].as_str().unwrap());
    for answer in [api.delete(&source).await, api.put(&source, &json!({})).await] {
        assert!(matches!(answer.status, 404 | 405), "{answer}");
    }
    let flow = format!("/flows/{}", first["id"].as_str().unwrap());
    post_segments(api, first["id"].as_str().unwrap(), &segment("o", "[0:0_1:0)")).await.expect(201);
    api.delete(&flow).await.expect(204);
    api.get(&flow).await.expect(404);
    assert_eq!(api.read(&format!("{flow}/segments")).await, json!([]));
    api.delete(&flow).await.expect(404);
    api.read(&source).await;
    api.delete(&format!("/flows/{}", second["id"].as_str().unwrap())).await.expect(204);
    api.get(&source).await.expect(404);

    put_flow(api, &first).await.expect(201);
    put_flow(api, &with(first.clone(), "source_id", json!(new_id()))).await.expect(204);
    api.get(&source).await.expect(404);
}
