//! What a client of a TAMS store does most: Flows, objects, segments.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Answer, Api};
use crate::eventually;
use crate::server::PATIENCE;

/// A fresh id in the form that TAMS asks for.
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// A video Flow with a container, of a new Source.
pub fn video_flow(id: &str) -> Value {
    json!({
        "id": id,
        "source_id": new_id(),
        "label": "a camera",
        "format": "urn:x-nmos:format:video",
        "codec": "video/h264",
        "container": "video/mp2t",
        "essence_parameters": {
            "frame_width": 1920,
            "frame_height": 1080,
            "frame_rate": { "numerator": 25 },
        },
    })
}

/// A video Flow whose objects each need what stands in an init object.
pub fn init_flow(id: &str) -> Value {
    let mut flow = with(video_flow(id), "container", json!("video/iso.segment"));
    flow["essence_parameters"]["init_segments"] = json!(true);
    flow
}

/// An audio Flow without a container, of a new Source.
pub fn audio_flow(id: &str) -> Value {
    json!({
        "id": id,
        "source_id": new_id(),
        "format": "urn:x-nmos:format:audio",
        "codec": "audio/aac",
        "essence_parameters": { "sample_rate": 48000, "channels": 2 },
    })
}

/// A Flow of several others, without media of its own.
pub fn multi_flow(id: &str, members: &[&str]) -> Value {
    let members: Vec<_> = members.iter().map(|id| json!({ "id": id })).collect();
    json!({ "id": id, "source_id": new_id(), "format": "urn:x-nmos:format:multi", "flow_collection": members })
}

/// The value with one member set.
pub fn with(mut value: Value, member: &str, to: Value) -> Value {
    value[member] = to;
    value
}

/// The value without one member.
pub fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().expect("an object").remove(member);
    value
}

/// Stores a new video Flow, and gives its id.
pub async fn create_flow(api: &Api) -> String {
    let id = new_id();
    put_flow(api, &video_flow(&id)).await.expect(201);
    id
}

/// Stores a Flow.
pub async fn put_flow(api: &Api, flow: &Value) -> Answer {
    let id = flow["id"].as_str().expect("a flow has an id");
    api.put(&format!("/flows/{id}"), flow).await
}

/// A segment of an object that lies outside of the store: it needs no allocation.
pub fn segment(object_id: &str, timerange: &str) -> Value {
    json!({
        "object_id": object_id,
        "timerange": timerange,
        "get_urls": [{ "url": "https://elsewhere.example/media", "label": "elsewhere" }],
    })
}

/// The range of the n-th of segments that are one second long.
pub fn second(number: usize) -> String {
    format!("[{number}:0_{}:0)", number + 1)
}

/// A segment of a new object at the n-th second.
pub fn segment_at(number: usize) -> Value {
    segment(&new_id(), &second(number))
}

/// Registers one segment, or several.
pub async fn post_segments(api: &Api, flow: &str, segments: &Value) -> Answer {
    api.post(&format!("/flows/{flow}/segments"), segments).await
}

/// Registers a segment for each of the seconds.
pub async fn fill(api: &Api, flow: &str, seconds: std::ops::Range<usize>) {
    let segments: Vec<_> = seconds.map(segment_at).collect();
    post_segments(api, flow, &Value::Array(segments)).await.expect(201);
}

/// Allocates this many objects for a Flow.
pub async fn allocate(api: &Api, flow: &str, limit: usize) -> Vec<Value> {
    let answer = api.post(&format!("/flows/{flow}/storage"), &json!({ "limit": limit })).await.expect(201);
    answer.json()["media_objects"].as_array().expect("media_objects is a list").clone()
}

/// Uploads bytes to where an allocation says.
pub async fn upload(api: &Api, allocated: &Value, bytes: impl Into<reqwest::Body>) -> Answer {
    let put = &allocated["put_url"];
    let request = api.request(Method::PUT, put["url"].as_str().expect("an allocation has a URL"));
    let request = match put["content-type"].as_str() {
        Some(content_type) => request.header("content-type", content_type),
        None => request,
    };
    Answer::to(request.body(bytes.into())).await
}

/// Deletes something, and waits until that is done, however the server chooses to do it (9.1).
///
/// # Panics
/// When it is refused, fails, or does not end in time.
pub async fn deleted(api: &Api, path: &str) {
    let answer = api.delete(path).await;
    if answer.status == 204 {
        return;
    }
    let request = answer.expect(202).header("location").expect("202 says where to look").to_owned();
    eventually("the deletion is done", PATIENCE, async || {
        let request = api.read(&request).await;
        assert_ne!(request["status"], "error", "{request}");
        (request["status"] == "done").then_some(())
    })
    .await;
}

/// Every item of a listing, page by page. No page may be empty but an only one.
pub async fn all(api: &Api, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(url) = next {
        let page = api.get(&url).await.expect(200);
        let of_page = page.list();
        assert_eq!(page.header("x-paging-count"), Some(of_page.len().to_string().as_str()), "{page}");
        next = page.next();
        assert!(!of_page.is_empty() || (next.is_none() && items.is_empty()), "an empty page: {page}");
        items.extend(of_page);
    }
    items
}

/// Every segment of a Flow without URLs, in order.
pub async fn segments(api: &Api, flow: &str) -> Vec<Value> {
    all(api, &format!("/flows/{flow}/segments?limit=1000&accept_get_urls=")).await
}

/// Members of this name of all items.
pub fn pluck(items: &[Value], member: &str) -> Vec<String> {
    items.iter().map(|item| item[member].as_str().unwrap_or_default().to_owned()).collect()
}

/// All that a client can read of a store, in a form that can be compared: every Flow with its segments, every Source,
/// every object. URLs are left out, since each is signed anew.
pub async fn contents(api: &Api) -> BTreeMap<String, Value> {
    let mut contents = BTreeMap::new();
    for source in all(api, "/sources?limit=1000").await {
        contents.insert(format!("source {}", source["id"]), source);
    }
    let service = api.read("/service").await;
    contents.insert("service".to_owned(), json!([service["name"], service["description"]]));
    for flow in all(api, "/flows?limit=1000").await {
        let id = flow["id"].as_str().expect("a flow has an id");
        let path = format!("/flows/{id}/segments?limit=1000&accept_get_urls=&include_object_timerange=true");
        let segments = all(api, &path).await;
        for object in segments.iter().filter_map(|segment| segment["object_id"].as_str()) {
            let object = api.read(&object_path(object, "?accept_get_urls=")).await;
            contents.insert(format!("object {}", object["id"]), object);
        }
        contents.insert(format!("segments {id}"), Value::Array(segments));
        let flow = api.read(&format!("/flows/{id}?include_timerange=true")).await;
        contents.insert(format!("flow {id}"), flow);
    }
    contents
}

/// The path of an object, whose id may hold anything.
pub fn object_path(id: &str, query: &str) -> String {
    format!("/objects/{}{query}", encoded(id))
}

/// Text as it may stand anywhere in a URL.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Checks what holds in every store: no overlap (L6), referenced objects exist (L7), Sources are those of Flows (L8),
/// collections and their inverse (L9).
///
/// # Panics
/// When one does not hold.
pub async fn check_invariants(api: &Api) {
    let flows = all(api, "/flows?limit=1000").await;
    let mut sources = pluck(&flows, "source_id");
    sources.sort();
    sources.dedup();
    let mut listed = pluck(&all(api, "/sources?limit=1000").await, "id");
    listed.sort();
    assert_eq!(listed, sources, "L8: a source exists if and only if it has a flow");

    let mut collected_by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for collector in &flows {
        for member in collector["flow_collection"].as_array().into_iter().flatten() {
            let member = member["id"].as_str().expect("a member has an id").to_owned();
            let collectors = collected_by.entry(member).or_default();
            collectors.push(collector["id"].as_str().expect("a flow has an id").to_owned());
        }
    }
    for flow in &flows {
        let id = flow["id"].as_str().expect("a flow has an id");
        let mut said: Vec<_> = flow["collected_by"].as_array().into_iter().flatten().cloned().collect();
        said.sort_by_key(Value::to_string);
        let mut expected = collected_by.remove(id).unwrap_or_default();
        expected.sort();
        expected.dedup();
        assert_eq!(json!(said), json!(expected), "L9: collected_by of {id} is the inverse of flow_collection");

        let segments = segments(api, id).await;
        let ranges: Vec<tapelog_events::TimeRange> =
            pluck(&segments, "timerange").iter().map(|range| range.parse().expect("a range")).collect();
        for pair in ranges.windows(2) {
            assert!(pair[0].half_open_nanos().1 <= pair[1].half_open_nanos().0, "L6: {pair:?} of {id} overlap");
        }
        for object in pluck(&segments, "object_id").iter().take(20) {
            let object = api.read(&object_path(object, "?accept_get_urls=&limit=1000")).await;
            let users = object["referenced_by_flows"].as_array().expect("a list of flows");
            assert!(users.contains(&json!(id)), "L7: {object} is referenced by {id}");
        }
    }
    assert!(collected_by.is_empty(), "L9: collections name flows that do not exist: {collected_by:?}");
}
