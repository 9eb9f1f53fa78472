//! Lines 71 to 75: deletion, at once and on request.

use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{all, create_flow, deleted, fill, pluck, post_segments, second, segment, segments};

use super::store;

async fn ranges(api: &Api, flow: &str) -> Vec<String> {
    pluck(&segments(api, flow).await, "timerange")
}

/// Of a server that lets clients wait for few segments only.
fn impatient() -> Options {
    Options::default().and("TAPELOG_LIMITS__DELETE_AT_ONCE", 10)
}

/// Many more.
const MANY: usize = 1000;

/// The request that a deletion was answered with, and where it is.
async fn request(api: &Api, answer: Answer) -> (Value, String) {
    let answer = answer.expect(202);
    let location = answer.header("location").expect("202 says where to look").to_owned();
    assert!(location.starts_with(&format!("{}/flow-delete-requests/", api.base())), "{location}");
    (answer.json(), location)
}

/// Waits until a request has done what it is to do.
async fn done(api: &Api, location: &str) -> Value {
    eventually("the request is done", PATIENCE, async || {
        let request = api.read(location).await;
        assert_ne!(request["status"], "error", "{request}");
        (request["status"] == "done").then_some(request)
    })
    .await
}

/// Only what lies wholly inside the range goes.
#[tokio::test]
async fn line_71_deleting_takes_the_segments_that_lie_inside() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}/segments");
    fill(api, &flow, 0..5).await;
    let object = format!("{flow}/o");
    post_segments(api, &flow, &segment(&object, &second(5))).await.expect(201);
    for nothing in ["timerange=()", "timerange=[0:500000000_1:500000000)", "timerange=[50:0_60:0)", "object_id=unknown"]
    {
        api.delete(&format!("{path}?{nothing}")).await.expect(204);
    }
    assert_eq!(ranges(api, &flow).await.len(), 6);
    deleted(api, &format!("{path}?timerange=[0:500000000_2:0)")).await;
    assert_eq!(ranges(api, &flow).await, [second(0), second(2), second(3), second(4), second(5)]);
    deleted(api, &format!("{path}?timerange=_3:0)")).await;
    deleted(api, &format!("{path}?timerange=[0:0_4:0]&object_id={object}")).await;
    assert_eq!(ranges(api, &flow).await, [second(3), second(4), second(5)]);
    deleted(api, &format!("{path}?timerange=[0:0_9:0]&object_id={object}")).await;
    assert_eq!(ranges(api, &flow).await, [second(3), second(4)]);
}

/// Without a range all segments go, and the Flow stays. What is quick is done by the time of the answer.
#[tokio::test]
async fn line_72_deleting_without_a_range_empties_the_flow() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}/segments");
    fill(api, &flow, 0..5).await;
    let answer = api.delete(&path).await.expect(204);
    assert!(answer.body.is_empty());
    assert_eq!(ranges(api, &flow).await, Vec::<String>::new());
    assert_eq!(api.read(&format!("/flows/{flow}?include_timerange=true")).await["timerange"], "()");
    fill(api, &flow, 0..5).await;
}

/// What takes long is a request that can be watched, and that tells what is left.
#[tokio::test]
async fn line_73_a_long_deletion_is_a_request_that_ends() {
    let server = Server::start_with(impatient()).await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..MANY).await;
    let (accepted, location) = request(api, api.delete(&format!("/flows/{flow}/segments")).await).await;
    let whole = format!("[0:0_{MANY}:0)");
    assert_eq!((&accepted["flow_id"], &accepted["delete_flow"]), (&json!(flow), &json!(false)));
    assert!([json!("_"), json!(whole)].contains(&accepted["timerange_to_delete"]), "{accepted}");
    assert!(matches!(accepted["status"].as_str(), Some("created" | "started" | "done")), "{accepted}");
    let id = accepted["id"].as_str().unwrap();
    assert!(location.ends_with(id), "{location} is not of {id}");

    let request = done(api, &location).await;
    assert_eq!(request["timerange_remaining"], "()");
    for member in ["id", "flow_id", "timerange_to_delete", "delete_flow", "created"] {
        assert_eq!(request[member], accepted[member], "{member}");
    }
    assert_eq!(ranges(api, &flow).await, Vec::<String>::new());
    api.read(&format!("/flows/{flow}")).await;
    assert!(pluck(&all(api, "/flow-delete-requests?limit=2").await, "id").contains(&id.to_owned()));
}

/// A deleted Flow is gone for good; a deletion that was promised is kept by a server that starts anew.
#[tokio::test]
async fn line_74_a_flow_is_deleted_even_across_a_restart() {
    let mut server = Server::start_with(impatient()).await;
    let api = server.api().clone();
    let flow = create_flow(&api).await;
    fill(&api, &flow, 0..5).await;
    let path = format!("/flows/{flow}");
    api.delete(&path).await.expect(204);
    api.get(&path).await.expect(404);
    assert_eq!(api.read(&format!("{path}/segments")).await, json!([]));
    api.delete(&path).await.expect(404);

    let flow = create_flow(&api).await;
    fill(&api, &flow, 0..MANY).await;
    let path = format!("/flows/{flow}");
    let (accepted, _) = request(&api, api.delete(&path).await).await;
    assert_eq!(accepted["delete_flow"], json!(true));
    server.kill();
    server.start_again().await;
    let api = server.api();
    let request = done(api, &format!("/flow-delete-requests/{}", accepted["id"].as_str().unwrap())).await;
    assert_eq!(request["timerange_remaining"], "()");
    api.get(&path).await.expect(404);
    assert_eq!(api.read(&format!("{path}/segments")).await, json!([]));
    api.delete(&path).await.expect(404);
}

/// A range that cannot be read deletes nothing.
#[tokio::test]
async fn line_75_a_bad_range_deletes_nothing() {
    let api = &store().await;
    let flow = create_flow(api).await;
    fill(api, &flow, 0..2).await;
    let refused = api.delete(&format!("/flows/{flow}/segments?timerange=bad")).await.expect(400);
    assert!(refused.message().contains("timerange"), "{refused}");
    assert_eq!(ranges(api, &flow).await.len(), 2);
}
