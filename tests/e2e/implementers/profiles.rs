//! Lines 76 to 79: profiles, and Flows that have their technical metadata from one.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::store::{new_id, pluck, put_flow, video_flow, with};

use super::store;

fn profile_path(id: &str) -> String {
    format!("/service/profiles/{id}")
}

/// What a Flow of this profile need not say.
fn technical() -> Value {
    let flow = video_flow(&new_id());
    json!({
        "format": flow["format"], "codec": flow["codec"], "container": flow["container"],
        "essence_parameters": flow["essence_parameters"], "avg_bit_rate": 5000,
    })
}

/// Stores a profile, and gives its id.
async fn create_profile(api: &Api) -> String {
    let id = new_id();
    api.post(&profile_path(&id), &json!({ "id": id, "flow_metadata": technical() })).await.expect(201);
    id
}

/// A Flow that has all that it can from a profile.
fn compact(profile: &str) -> Value {
    json!({ "id": new_id(), "source_id": new_id(), "profile_id": profile, "label": "compact" })
}

/// A profile is made once, by the client's id, never changed, and of one essence.
#[tokio::test]
async fn line_76_a_profile_is_created_once() {
    let api = &store().await;
    let id = new_id();
    let profile = json!({
        "id": id, "label": "a profile", "tags": { "k": "v" }, "created": "1999-01-01T00:00:00Z",
        "flow_metadata": technical(),
    });
    let created = api.post(&profile_path(&id), &profile).await.expect(201).json();
    assert_eq!(created, api.read(&profile_path(&id)).await);
    assert_ne!(created["created"], profile["created"], "the server knows when");
    for member in ["id", "label", "tags", "flow_metadata"] {
        assert_eq!(created[member], profile[member], "{member}");
    }
    api.post(&profile_path(&id), &profile).await.expect(400);
    api.post(&profile_path(&id), &with(profile.clone(), "label", json!("other"))).await.expect(400);
    assert_eq!(api.read(&profile_path(&id)).await, created);

    let other = new_id();
    let multi = json!({ "id": other, "flow_metadata": { "format": "urn:x-nmos:format:multi" } });
    let refused = api.post(&profile_path(&other), &multi).await.expect(400);
    assert!(refused.message().contains("format"), "{refused}");
    api.get(&profile_path(&other)).await.expect(404);
}

/// A Flow of a profile reads as if it had said everything itself.
#[tokio::test]
async fn line_77_a_flow_has_its_technical_metadata_from_its_profile() {
    let api = &store().await;
    let profile = create_profile(api).await;
    let flow = compact(&profile);
    let created = put_flow(api, &flow).await.expect(201).json();
    assert_eq!(created, api.read(&format!("/flows/{}", flow["id"].as_str().unwrap())).await);
    assert_eq!(created["profile_id"], json!(profile));
    for (member, value) in technical().as_object().unwrap() {
        assert_eq!(&created[member], value, "{member}");
    }
    let source = api.read(&format!("/sources/{}", flow["source_id"].as_str().unwrap())).await;
    assert_eq!(source["format"], technical()["format"]);

    for (member, value) in technical().as_object().unwrap() {
        let refused = put_flow(api, &with(compact(&profile), member, value.clone())).await.expect(400);
        assert!(refused.message().contains("profile"), "{refused}");
    }
    let refused = put_flow(api, &compact(&new_id())).await.expect(400);
    assert!(refused.message().contains("profile"), "{refused}");
}

async fn found(api: &Api, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows?{query}")).await.expect(200).list(), "id")
}

/// What a profile says cannot be said otherwise; filters see what it says.
#[tokio::test]
async fn line_78_flows_are_found_by_their_profile_and_what_it_says() {
    let api = &store().await;
    let profile = create_profile(api).await;
    let flow = compact(&profile);
    put_flow(api, &flow).await.expect(201);
    let id = flow["id"].as_str().unwrap();
    api.put(&format!("/flows/{id}/avg_bit_rate"), &json!(6000)).await.expect(400);
    api.delete(&format!("/flows/{id}/avg_bit_rate")).await.expect(400);
    assert_eq!(api.read(&format!("/flows/{id}/avg_bit_rate")).await, json!(5000));
    api.put(&format!("/flows/{id}/max_bit_rate"), &json!(7000)).await.expect(204);
    put_flow(api, &with(flow.clone(), "max_bit_rate", json!(8000))).await.expect(204);

    assert_eq!(found(api, &format!("profile_id={profile}")).await, [id]);
    assert_eq!(found(api, &format!("profile_id={profile}&codec=video/h264&frame_width=1920")).await, [id]);
    assert_eq!(found(api, &format!("profile_id={profile}&codec=video/h265")).await, Vec::<String>::new());
    assert_eq!(found(api, &format!("profile_id={}", new_id())).await, Vec::<String>::new());
}

/// A Flow leaves its profile by saying everything itself, and that it has none.
#[tokio::test]
async fn line_79_a_flow_leaves_its_profile() {
    let api = &store().await;
    let profile = create_profile(api).await;
    let flow = compact(&profile);
    put_flow(api, &flow).await.expect(201);
    let mut whole = flow.clone();
    whole.as_object_mut().unwrap().extend(technical().as_object().unwrap().clone());
    put_flow(api, &with(whole, "profile_id", json!(""))).await.expect(204);
    let stored = api.read(&format!("/flows/{}", flow["id"].as_str().unwrap())).await;
    assert_eq!(stored.get("profile_id"), None);
    assert_eq!(stored["codec"], technical()["codec"]);
    assert_eq!(found(api, &format!("profile_id={profile}")).await, Vec::<String>::new());
}
