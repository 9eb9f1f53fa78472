//! What goes beyond the specification: it works, and a client that knows only the specification never meets it.

mod batches;
mod collections;
mod contents;
mod tags;
mod trash;

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::server::Options;
use tapelog_tests::shared::SharedServer;
use tapelog_tests::store::{create_flow, new_id};

static SERVER: SharedServer = SharedServer::new(Options::default);

/// A request without a body, as those are sent that try out what a path allows.
async fn bare(api: &Api, method: Method, path: &str) -> Answer {
    Answer::to(api.request(method, path)).await
}

#[tokio::test]
async fn what_the_specification_does_not_declare_is_405_unless_it_is_asked_for_beyond_doubt() {
    let api = SERVER.visit().await;
    let flow = create_flow(&api).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned();
    for (method, path, allow) in [
        (Method::POST, "/flows".to_owned(), "GET, HEAD"),
        (Method::POST, "/sources".to_owned(), "GET, HEAD"),
        (Method::DELETE, format!("/sources/{source}"), "GET, HEAD"),
        (Method::PUT, format!("/flows/{flow}/tags"), "GET, HEAD"),
        (Method::DELETE, format!("/flows/{flow}/tags"), "GET, HEAD"),
        (Method::PUT, format!("/sources/{source}/tags"), "GET, HEAD"),
        (Method::DELETE, format!("/sources/{source}/tags"), "GET, HEAD"),
        (Method::DELETE, format!("/objects/{}", new_id()), "GET, HEAD"),
    ] {
        let answer = bare(&api, method, &path).await.expect(405);
        assert_eq!(answer.header("allow"), Some(allow), "{answer}");
    }
    api.get(&format!("/flows/{flow}")).await.expect(200);
}

/// The names of the members of an object.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().map(|members| members.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[tokio::test]
async fn cascade_false_refuses_to_delete_what_something_depends_on() {
    let api = SERVER.visit().await;
    let (member, empty) = (create_flow(&api).await, create_flow(&api).await);
    tapelog_tests::store::fill(&api, &member, 0..1).await;
    let refused = api.delete(&format!("/flows/{member}?cascade=false")).await.expect(409);
    assert!(refused.message().contains("segments"), "{refused}");
    let collector = tapelog_tests::store::multi_flow(&new_id(), &[&empty]);
    tapelog_tests::store::put_flow(&api, &collector).await.expect(201);
    api.delete(&format!("/flows/{empty}?cascade=false")).await.expect(409);
    let collector = collector["id"].as_str().unwrap();
    api.delete(&format!("/flows/{collector}?cascade=false")).await.expect(204);
    api.delete(&format!("/flows/{empty}?cascade=false")).await.expect(204);
    api.delete(&format!("/flows/{member}?cascade=maybe")).await.expect(400);
}

#[tokio::test]
async fn a_source_goes_with_all_its_flows_and_only_if_all_may_go() {
    let api = SERVER.visit().await;
    let first = create_flow(&api).await;
    let flow = api.read(&format!("/flows/{first}")).await;
    let (second, source) = (new_id(), flow["source_id"].as_str().unwrap().to_owned());
    let sibling = tapelog_tests::store::with(flow.clone(), "id", json!(second));
    api.put(&format!("/flows/{second}"), &sibling).await.expect(201);
    api.delete(&format!("/sources/{source}?cascade=false")).await.expect(409);
    api.put(&format!("/flows/{second}/read_only"), &json!(true)).await.expect(204);
    api.delete(&format!("/sources/{source}?cascade=true")).await.expect(403);
    api.get(&format!("/flows/{first}")).await.expect(200);
    api.put(&format!("/flows/{second}/read_only"), &json!(false)).await.expect(204);
    let whole = api.request(Method::DELETE, &format!("/sources/{source}?cascade=true"));
    Answer::to(whole.header("idempotency-key", "all flows, not only the first")).await.expect(204);
    for path in [format!("/sources/{source}"), format!("/flows/{first}"), format!("/flows/{second}")] {
        api.get(&path).await.expect(404);
    }
}
