//! Rules of the whole interface, beyond the list of things that implementers get wrong.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::Answer;
use tapelog_tests::server::Server;
use tapelog_tests::store::{allocate, create_flow, encoded, fill, post_segments, second};

/// Section 13: who does not name a backend gets this one.
#[tokio::test]
async fn one_storage_backend_is_the_default() {
    let server = Server::start().await;
    let backends = server.api().read("/service/storage-backends").await;
    let defaults = backends.as_array().unwrap().iter().filter(|backend| backend["default_storage"] == true);
    assert_eq!(defaults.count(), 1, "{backends}");
}

/// 1.12: what real clients send.
#[tokio::test]
async fn requests_of_real_clients_are_understood() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}");
    Answer::to(api.request(Method::PUT, &format!("{path}/label")).body("\"no content type\"")).await.expect(204);
    assert_eq!(api.read(&format!("{path}/label")).await, "no content type");
    for (property, value) in [("label", json!("l")), ("read_only", json!(false)), ("max_bit_rate", json!(5000))] {
        api.put(&format!("{path}/{property}"), &value).await.expect(204);
        assert_eq!(api.read(&format!("{path}/{property}")).await, value);
    }
    api.get("/flows?unknown_parameter=1").await.expect(200);
}

/// 1.5: what cannot be read is refused by name.
#[tokio::test]
async fn bad_parameters_and_methods_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    for query in [
        "codec=h264",
        "status=finished",
        "sort_by=size",
        "reverse_order=maybe",
        "timerange=bad",
        "tag_exists.x=1",
        "frame_width=wide",
        "init_segments=2",
        "collected_by_ids=x",
        "page=not-a-page",
    ] {
        let answer = api.get(&format!("/flows?{query}")).await.expect(400);
        let name = query.split('=').next().unwrap();
        assert!(answer.message().contains(name), "{answer} does not name {name}");
    }
    for (method, path) in [(Method::PUT, "/sources"), (Method::PATCH, "/flows"), (Method::DELETE, "/service")] {
        let answer = Answer::to(api.request(method, path)).await;
        assert!(matches!(answer.status, 404 | 405), "{answer}");
    }
}

/// 1.6: also behind a proxy that names itself.
#[tokio::test]
async fn a_link_has_the_address_that_the_client_knows() {
    let server = Server::start().await;
    let api = server.api();
    for _ in 0..3 {
        create_flow(api).await;
    }
    let page = api.get("/flows?limit=1&tag_exists.a,b=false&label=a%20camera").await.expect(200);
    let next = page.next().unwrap();
    assert!(next.starts_with(api.base()), "{next}");
    for parameter in ["limit=1", "tag_exists.a%2Cb=false", "label=a%20camera"] {
        assert!(next.contains(parameter), "{next} has lost {parameter}");
    }
    assert_eq!(page.header("x-paging-limit"), Some("1"));
    let key = page.header("x-paging-nextkey").unwrap();
    let by_key = api.get(&format!("/flows?limit=1&label=a%20camera&page={}", encoded(key))).await.expect(200);
    let by_link = api.get(&next).await.expect(200);
    assert_eq!(by_link.json(), by_key.json());
    assert_ne!(by_link.json(), page.json());

    let proxied = api
        .request(Method::GET, "/flows?limit=1")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "tams.example")
        .header("x-forwarded-prefix", "/store");
    let next = Answer::to(proxied).await.expect(200).next().unwrap();
    assert!(next.starts_with("https://tams.example/store/flows?"), "{next}");
}

/// 1.2: what clients of other servers read.
#[tokio::test]
async fn every_refusal_has_a_body_that_clients_can_read() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..1).await;
    let allocated = allocate(api, &flow, 1).await;
    let overlapping = json!({ "object_id": allocated[0]["object_id"], "timerange": second(0) });
    let refusals: [Answer; 6] = [
        api.get("/flows/bad").await.expect(404),
        api.get("/nowhere").await.expect(404),
        api.get("/flows?limit=0").await.expect(400),
        api.put(&format!("/flows/{flow}"), &Value::Null).await.expect(400),
        post_segments(api, &flow, &overlapping).await.expect(400),
        Answer::to(api.request(Method::PATCH, "/flows")).await,
    ];
    for refusal in refusals {
        tapelog_tests::shape::check_error(&refusal.body).unwrap_or_else(|wrong| panic!("{refusal}: {wrong}"));
        assert_eq!(refusal.header("content-type"), Some("application/json"), "{refusal}");
        assert_eq!(refusal.json()["status"], refusal.status, "{refusal}");
    }
}
