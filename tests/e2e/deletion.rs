//! Deletions that take longer than an answer may, beyond what the list of implementers says.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{
    all, create_flow, deleted, fill, multi_flow, new_id, pluck, post_segments, put_flow, segment_at, segments,
};

/// A server that deletes few segments at once.
async fn hasty() -> Server {
    Server::start_with(Options::default().and("TAPELOG_LIMITS__DELETE_AT_ONCE", 5)).await
}

async fn done(api: &Api, request: &Value) -> Value {
    let path = format!("/flow-delete-requests/{}", request["id"].as_str().unwrap());
    eventually("the request is done", PATIENCE, async || {
        let request = api.read(&path).await;
        (request["status"] == "done").then_some(request)
    })
    .await
}

#[tokio::test]
async fn the_limit_decides_whether_a_deletion_is_done_or_promised() {
    let server = hasty().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    api.delete(&format!("/flows/{flow}/segments")).await.expect(204);

    fill(api, &flow, 0..6).await;
    let proxied = api
        .request(Method::DELETE, &format!("/flows/{flow}/segments?timerange=[0:0_6:0)"))
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "tams.example")
        .header("x-forwarded-prefix", "/store");
    let accepted = Answer::to(proxied).await.expect(202);
    let request = accepted.json();
    let id = request["id"].as_str().unwrap();
    assert_eq!(
        accepted.header("location"),
        Some(format!("https://tams.example/store/flow-delete-requests/{id}").as_str())
    );
    assert_eq!((&request["flow_id"], &request["timerange_to_delete"]), (&json!(flow), &json!("[0:0_6:0)")));
    let request = done(api, &request).await;
    assert!(request["expiry"].is_string(), "{request}");
    assert_eq!(segments(api, &flow).await, Vec::<Value>::new());
    fill(api, &flow, 0..1).await;
}

/// The specification gives the listing no 400: what cannot be read is as good as absent.
#[tokio::test]
async fn requests_are_listed_in_order_and_in_pages() {
    let server = hasty().await;
    let api = server.api();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let flow = create_flow(api).await;
        fill(api, &flow, 0..12).await;
        let accepted = api.delete(&format!("/flows/{flow}")).await.expect(202).json();
        assert_eq!(accepted["delete_flow"], json!(true));
        done(api, &accepted).await;
        api.get(&format!("/flows/{flow}")).await.expect(404);
        ids.push(accepted["id"].as_str().unwrap().to_owned());
    }
    let newest_first: Vec<_> = ids.iter().rev().cloned().collect();
    for (query, expected) in [
        ("limit=2", &newest_first),
        ("limit=2&sort_by=expiry", &newest_first),
        ("limit=1&reverse_order=true", &ids),
        ("sort_by=size&limit=0&reverse_order=2", &newest_first),
    ] {
        assert_eq!(&pluck(&all(api, &format!("/flow-delete-requests?{query}")).await, "id"), expected, "{query}");
    }
    api.get(&format!("/flow-delete-requests/{}", new_id())).await.expect(404);
    api.get("/flow-delete-requests/bad").await.expect(404);
}

/// 9.2: after 202 the Flow takes no more writes, so that the deletion has an end.
#[tokio::test]
async fn a_flow_on_its_way_out_takes_no_writes() {
    let server = Server::start_with(Options::default().and("TAPELOG_LIMITS__DELETE_AT_ONCE", 1)).await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..2000).await;
    let accepted = api.delete(&format!("/flows/{flow}")).await.expect(202).json();
    let refused = post_segments(api, &flow, &segment_at(5000)).await;
    // Once it is gone there is nothing to write to.
    assert!(matches!(refused.status, 403 | 404), "{refused}");
    assert_eq!(done(api, &accepted).await["timerange_remaining"], "()");
    post_segments(api, &flow, &segment_at(5000)).await.expect(404);
}

/// Extension: `cascade=false` deletes only what nothing depends on.
#[tokio::test]
async fn without_cascade_nothing_goes_that_something_depends_on() {
    let server = Server::start().await;
    let api = server.api();
    let (member, collector) = (create_flow(api).await, new_id());
    put_flow(api, &multi_flow(&collector, &[&member])).await.expect(201);
    let path = format!("/flows/{member}");
    let refused = api.delete(&format!("{path}?cascade=false")).await.expect(409);
    assert!(refused.message().contains("cascade"), "{refused}");
    api.delete(&format!("{path}?cascade=perhaps")).await.expect(400);
    api.delete(&format!("{path}?soft_delete=perhaps")).await.expect(400);
    api.read(&path).await;
    deleted(api, &format!("/flows/{collector}")).await;
    deleted(api, &format!("{path}?cascade=false")).await;
    api.get(&path).await.expect(404);
}
