//! Profiles, beyond what the list of implementers says: their listing, and how strict they are.

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{audio_flow, new_id, pluck, put_flow, video_flow, with, without};

/// The technical part of a Flow.
fn technical(flow: &Value) -> Value {
    let members = ["format", "codec", "container", "essence_parameters"];
    members.iter().filter_map(|name| Some(((*name).to_owned(), flow.get(name)?.clone()))).collect()
}

async fn create(api: &Api, label: &str, flow_metadata: Value) -> String {
    let id = new_id();
    let profile = json!({ "id": id, "label": label, "flow_metadata": flow_metadata });
    api.post(&format!("/service/profiles/{id}"), &profile).await.expect(201);
    id
}

/// Their pages say no more than the specification has: no count, no order.
#[tokio::test]
async fn profiles_are_listed_in_pages_and_found_by_what_they_say() {
    let server = Server::start().await;
    let api = server.api();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(create(api, &format!("video {number}"), technical(&video_flow(&new_id()))).await);
    }
    let audio = create(api, "sound", technical(&audio_flow(&new_id()))).await;
    ids.push(audio.clone());

    let mut found = Vec::new();
    let mut next = Some("/service/profiles?limit=4".to_owned());
    while let Some(path) = next {
        let page = api.get(&path).await.expect(200);
        assert_eq!(page.header("x-paging-limit"), Some("4"));
        assert_eq!((page.header("x-paging-count"), page.header("x-paging-reverse-order")), (None, None));
        let head = api.head(&path).await.expect(200);
        assert_eq!(head.header("link"), page.header("link"));
        next = page.next();
        assert_eq!(page.header("x-paging-nextkey").is_some(), next.is_some());
        found.extend(pluck(&page.list(), "id"));
    }
    found.sort();
    ids.sort();
    assert_eq!(found, ids);

    for (query, expected) in [
        ("format=urn:x-nmos:format:audio", vec![audio.clone()]),
        ("codec=audio/aac&label=sound", vec![audio.clone()]),
        ("codec=audio/aac&format=urn:x-nmos:format:video", vec![]),
        ("label=soun", vec![]),
        ("format=urn:x-nmos:format:multi", vec![]),
    ] {
        let listed = api.read(&format!("/service/profiles?{query}")).await;
        assert_eq!(pluck(listed.as_array().unwrap(), "id"), expected, "{query}");
    }
    for (query, named) in [("format=audio", "format"), ("codec=aac", "codec"), ("limit=0", "limit"), ("page=!", "page")]
    {
        let refused = api.get(&format!("/service/profiles?{query}")).await.expect(400);
        assert!(refused.message().contains(named), "{refused}");
    }
}

/// A profile is as strict as the Flows that are made from it, and a refusal says where.
#[tokio::test]
async fn a_profile_that_no_flow_could_have_is_refused() {
    let server = Server::start().await;
    let api = server.api();
    let video = technical(&video_flow(&new_id()));
    let mut of_no_size = video.clone();
    of_no_size["essence_parameters"] = json!({ "frame_rate": { "numerator": 25 } });
    let id = new_id();
    let path = format!("/service/profiles/{id}");
    for (body, named) in [
        (json!({ "id": new_id(), "flow_metadata": video }), "id"),
        (json!({ "flow_metadata": video }), "id"),
        (json!({ "id": id }), "flow_metadata"),
        (json!({ "id": id, "flow_metadata": without(video.clone(), "codec") }), "flow_metadata.codec"),
        (json!({ "id": id, "flow_metadata": of_no_size }), "flow_metadata.essence_parameters"),
        (json!({ "id": id, "flow_metadata": video, "tags": { "a": 1 } }), "tags"),
    ] {
        let refused = api.post(&path, &body).await.expect(400);
        assert!(refused.message().contains(named), "{refused} does not name {named}");
    }
    api.get(&path).await.expect(404);
    api.post("/service/profiles/bad", &json!({})).await.expect(404);
}

/// 5.5 leaves open what a Flow is that says all by itself and nothing of its profile: it has to say that it leaves it.
#[tokio::test]
async fn a_linked_flow_is_not_unlinked_by_mistake() {
    let server = Server::start().await;
    let api = server.api();
    let flow = video_flow(&new_id());
    let profile = create(api, "a profile", technical(&flow)).await;
    let linked = json!({ "id": flow["id"], "source_id": flow["source_id"], "profile_id": profile });
    put_flow(api, &linked).await.expect(201);
    let refused = put_flow(api, &flow).await.expect(400);
    assert!(refused.message().contains("profile_id"), "{refused}");
    put_flow(api, &with(linked, "label", json!("still linked"))).await.expect(204);
    put_flow(api, &with(flow, "profile_id", json!(""))).await.expect(204);
}
