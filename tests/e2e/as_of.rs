//! The store as it was: `as_of`, by position and by time.

use std::time::SystemTime;

use serde_json::{Value, json};
use tapelog_events::Instant;
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    all, allocate, check_invariants, create_flow, multi_flow, new_id, object_path, pluck, post_segments, put_flow,
    segment, upload, video_flow, with,
};

/// What is told of the store: answers by path.
type Told = Vec<(String, Value)>;

/// A path with one parameter more.
fn asking(path: &str, parameter: &str) -> String {
    format!("{path}{}{parameter}", if path.contains('?') { "&" } else { "?" })
}

/// Addresses as they are before they are signed: those of the past are signed at present.
fn unsigned(mut told: Value) -> Value {
    match &mut told {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = unsigned(item.take())),
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| {
            *member = match (name.as_str(), member.as_str()) {
                ("url", Some(url)) => json!(url.split('?').next()),
                _ => unsigned(member.take()),
            };
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    told
}

/// What a server tells on these paths, at present or at a moment; a status where it is not 200.
async fn told(api: &Api, paths: &[String], moment: Option<&str>) -> Told {
    let mut told = Vec::new();
    for path in paths {
        let asked = moment.map_or_else(|| path.clone(), |moment| asking(path, &format!("as_of={moment}")));
        let answer = api.get(&asked).await;
        let value = match answer.status {
            200 if answer.json().is_array() && answer.header("x-paging-limit").is_some() => {
                json!(all(api, &asked).await)
            }
            200 => answer.json(),
            status => json!(status),
        };
        told.push((path.clone(), unsigned(value)));
    }
    told
}

/// The time on the clock, with which whatever was acknowledged has happened.
fn now() -> String {
    Instant::from(SystemTime::now()).to_string()
}

/// What was told, and the moment by position and by time.
struct Remembered {
    told: Told,
    position: String,
    time: String,
}

async fn remember(api: &Api, paths: &[String]) -> Remembered {
    let told = told(api, paths, None).await;
    Remembered { told, position: api.position().await, time: now() }
}

#[tokio::test]
async fn what_was_told_is_told_again_of_that_moment_whatever_happened_since() {
    let server = Server::start().await;
    let api = server.api();
    let began = now();
    let flow = video_flow(&new_id());
    let (id, source) = (flow["id"].as_str().unwrap(), flow["source_id"].as_str().unwrap());
    put_flow(api, &flow).await.expect(201);
    let multi = multi_flow(&new_id(), &[id]);
    let multi_id = multi["id"].as_str().unwrap();
    put_flow(api, &multi).await.expect(201);
    let stored = allocate(api, id, 1).await.remove(0);
    let stored_id = stored["object_id"].as_str().unwrap();
    upload(api, &stored, "bytes").await.expect(200);
    post_segments(api, id, &json!({ "object_id": stored_id, "timerange": "[0:0_1:0)" })).await.expect(201);
    let others: Vec<_> = (1..6).map(|_| new_id()).collect();
    for (number, object) in others.iter().enumerate() {
        let range = format!("[{}:0_{}:0)", number + 1, number + 2);
        post_segments(api, id, &segment(object, &range)).await.expect(201);
    }
    api.put(&format!("/flows/{id}/tags/k"), &json!(["a", "b"])).await.expect(204);
    api.put(&format!("/sources/{source}/description"), &json!("first")).await.expect(204);
    api.put(&format!("/flows/{id}/segments/{}/tags", others[0]), &json!({ "take": "1" })).await.expect(204);

    let paths = [
        format!("/flows/{id}?include_timerange=true"),
        format!("/flows/{id}?include_timerange=true&timerange=[1:500000000_3:0)"),
        format!("/flows/{id}/tags"),
        format!("/flows/{id}/tags/k"),
        format!("/flows/{id}/label"),
        format!("/flows/{id}/description"),
        format!("/flows/{id}/read_only"),
        format!("/flows/{id}/max_bit_rate"),
        format!("/flows/{id}/avg_bit_rate"),
        format!("/flows/{multi_id}"),
        format!("/flows/{multi_id}/flow_collection"),
        "/flows?sort_by=label&limit=1".to_owned(),
        "/flows?timerange=[5:0_7:0)".to_owned(),
        "/flows?timerange=()".to_owned(),
        "/flows?tag.k=b".to_owned(),
        "/sources?limit=1".to_owned(),
        format!("/sources/{source}"),
        format!("/sources/{source}/tags"),
        format!("/sources/{source}/label"),
        format!("/sources/{source}/description"),
        format!("/flows/{id}/segments?limit=2&include_object_timerange=true"),
        format!("/flows/{id}/segments?limit=4&reverse_order=true"),
        format!("/flows/{id}/segments?timerange=[1:500000000_3:0)"),
        format!("/flows/{id}/segments?object_id={}", others[3]),
        format!("/flows/{id}/segments?tag.take=1"),
        format!("/flows/{id}/segments/{}/tags", others[0]),
        object_path(stored_id, ""),
        object_path(&others[0], ""),
        "/collections".to_owned(),
        format!("/collections/{multi_id}"),
    ];
    let first = remember(api, &paths).await;

    let instance = json!({ "url": "https://elsewhere.example/copy", "label": "copy" });
    api.post(&object_path(stored_id, "/instances"), &instance).await.expect(201);
    api.delete(&format!("/flows/{id}/segments?timerange=[2:0_4:0)")).await.expect(204);
    post_segments(api, id, &segment(&others[2], "[3:0_4:0)")).await.expect(201);
    post_segments(api, id, &segment(&new_id(), "[9:0_10:0)")).await.expect(201);
    api.put(&format!("/flows/{id}/segments/{}/tags", others[0]), &json!({})).await.expect(204);
    put_flow(api, &with(flow.clone(), "label", json!("another"))).await.expect(204);
    api.put(&format!("/flows/{multi_id}/flow_collection"), &json!([])).await.expect(204);
    api.delete(&format!("/sources/{source}/description")).await.expect(204);
    create_flow(api).await;
    let second = remember(api, &paths).await;

    api.delete(&format!("/flows/{id}?soft_delete=true")).await.expect(204);
    let third = remember(api, &paths).await;
    api.post(&format!("/flows/{id}/restore"), &json!({})).await.expect(204);
    let fourth = remember(api, &paths).await;
    api.delete(&format!("/flows/{multi_id}")).await.expect(204);
    api.delete(&format!("/flows/{id}")).await.expect(204);
    check_invariants(api).await;

    for remembered in [&first, &second, &third, &fourth] {
        assert_eq!(told(api, &paths, Some(&remembered.position)).await, remembered.told, "{}", remembered.position);
        assert_eq!(told(api, &paths, Some(&remembered.time)).await, remembered.told, "{}", remembered.time);
    }
    assert_ne!(first.told, second.told);
    let then = api.get(&format!("/flows/{id}?as_of={}", first.position)).await;
    assert_eq!(then.position(), first.position, "the answer says of which moment it is");
    let page = api.get(&format!("/flows/{id}/segments?limit=2&as_of={}", first.time)).await;
    assert!(page.next().is_some_and(|next| next.contains(&format!("as_of={}", first.position))), "{page}");
    assert_eq!(api.head(&format!("/flows/{id}?as_of={}", first.position)).await.status, 200);
    assert!(api.read(&format!("/flows?as_of={began}")).await.as_array().unwrap().is_empty());
    assert!(api.read("/flows?as_of=1970-01-01T00:00:00Z").await.as_array().unwrap().is_empty());
    api.get(&format!("/flows/{id}?as_of={began}")).await.expect(404);
}

#[tokio::test]
async fn a_moment_that_is_none_of_the_store_or_of_what_is_asked_is_refused_by_name() {
    let server = Server::start().await;
    let api = server.api();
    let id = create_flow(api).await;
    let position = api.position().await;
    let (incarnation, seq) = position.split_once('.').unwrap();
    let beyond = format!("{incarnation}.{}", seq.parse::<u64>().unwrap() + 1);
    let elsewhere = format!("{}.1", new_id());
    for moment in ["2999-01-01T00:00:00Z", "yesterday", "", "1", &beyond, &elsewhere, "%ff"] {
        let refused = api.get(&format!("/flows/{id}?as_of={moment}")).await.expect(400);
        assert!(refused.message().contains("as_of"), "{refused}");
    }
    for path in ["/service", "/tags", "/trash", "/flow-delete-requests"] {
        let refused = api.get(&format!("{path}?as_of={position}")).await.expect(400);
        assert!(refused.message().contains("as_of"), "{refused}");
    }
    let refused = api.put(&format!("/flows/{id}/label?as_of={position}"), &json!("x")).await.expect(400);
    assert!(refused.message().contains("as_of"), "{refused}");
    let refused = api.delete(&format!("/flows/{id}?as_of={position}")).await.expect(400);
    assert!(refused.message().contains("as_of"), "{refused}");
    assert_eq!(pluck(&all(api, &format!("/flows?as_of={position}.1")).await, "id"), [id]);
}
