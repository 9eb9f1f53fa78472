//! Rules of the whole interface: the service, `HEAD`, CORS, parameters, identifiers.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::Answer;
use tapelog_tests::server::Server;
use tapelog_tests::store::{allocate, create_flow, encoded, fill, new_id, object_path, post_segments, second};

/// Lines 1 to 3.
#[tokio::test]
async fn the_service_says_what_it_is_and_can_be_renamed() {
    let mut server = Server::start().await;
    let paths = server.api().read("/").await;
    for path in ["service", "flows", "sources", "objects"] {
        assert!(paths.as_array().unwrap().contains(&json!(path)), "{path} is not in {paths}");
    }
    let service = server.api().read("/service").await;
    let seconds = |name: &str| service[name].as_str().unwrap().split(':').next().unwrap().parse::<u64>().unwrap();
    assert!(seconds("min_object_timeout") >= 300);
    assert!((30..=seconds("min_object_timeout")).contains(&seconds("min_presigned_url_timeout")));

    server.api().post("/service", &json!({ "name": "x", "description": "d" })).await.expect(200);
    server.api().post("/service", &json!({ "name": "y" })).await.expect(200);
    server.stop().await;
    server.start_again().await;
    let service = server.api().read("/service").await;
    assert_eq!((&service["name"], &service["description"]), (&json!("y"), &json!("d")));

    let backends = server.api().read("/service/storage-backends").await;
    let defaults = backends.as_array().unwrap().iter().filter(|backend| backend["default_storage"] == true);
    assert_eq!(defaults.count(), 1, "{backends}");
}

/// Line 4.
#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned();
    api.put(&format!("/flows/{flow}/tags/k"), &json!("v")).await.expect(204);
    let object = api.read(&format!("/flows/{flow}/segments")).await[0]["object_id"].as_str().unwrap().to_owned();
    let paths = [
        "/".to_owned(),
        "/service".to_owned(),
        "/service/storage-backends".to_owned(),
        "/sources?limit=1".to_owned(),
        "/sources?limit=0".to_owned(),
        format!("/sources/{source}"),
        format!("/sources/{source}/tags"),
        format!("/sources/{source}/label"),
        format!("/sources/{source}/description"),
        format!("/sources/{}", new_id()),
        "/flows?limit=1".to_owned(),
        format!("/flows/{flow}?include_timerange=true"),
        format!("/flows/{flow}/tags"),
        format!("/flows/{flow}/tags/k"),
        format!("/flows/{flow}/tags/missing"),
        format!("/flows/{flow}/label"),
        format!("/flows/{flow}/description"),
        format!("/flows/{flow}/read_only"),
        format!("/flows/{flow}/flow_collection"),
        format!("/flows/{flow}/max_bit_rate"),
        format!("/flows/{flow}/avg_bit_rate"),
        format!("/flows/{flow}/segments?limit=2"),
        format!("/flows/{flow}/segments?limit=2&reverse_order=true"),
        format!("/flows/{flow}/segments?timerange=bad"),
        format!("/flows/{}/segments", new_id()),
        "/flows/bad/segments".to_owned(),
        object_path(&object, ""),
        object_path("missing", ""),
        "/nowhere".to_owned(),
    ];
    for path in paths {
        let get = Answer::to(api.request(Method::GET, &path)).await;
        let head = api.head(&path).await;
        assert_eq!(head.status, get.status, "{head}");
        assert!(head.body.is_empty(), "{head}");
        let is_of_the_log = !matches!(path.as_str(), "/" | "/service/storage-backends");
        assert!(get.status != 200 || !is_of_the_log || !get.position().is_empty(), "{get} says where the log was");
        let said = |answer: &Answer| {
            let mut headers: Vec<_> =
                answer.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            // The length of what would come need not be said, and moments and request ids are always new.
            headers.retain(|(name, _)| !matches!(name.as_str(), "content-length" | "date" | "x-request-id"));
            headers.sort_by_key(|(name, _)| name.to_string());
            headers
        };
        assert_eq!(said(&head), said(&get), "{head}");
    }
}

/// Line 6, and 1.12: what real clients send.
#[tokio::test]
async fn requests_of_real_clients_are_understood() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}");
    api.put(&format!("{path}/tags/k"), &json!("v")).await.expect(204);
    let json_type = |method, path: &str| api.request(method, path).header("content-type", "application/json");
    Answer::to(json_type(Method::GET, "/flows")).await.expect(200);
    Answer::to(json_type(Method::DELETE, &format!("{path}/tags/k"))).await.expect(204);
    Answer::to(api.request(Method::POST, &format!("{path}/storage"))).await.expect(201);
    Answer::to(json_type(Method::POST, &format!("{path}/storage"))).await.expect(201);
    Answer::to(api.request(Method::PUT, &format!("{path}/label")).body("\"no content type\"")).await.expect(204);
    assert_eq!(api.read(&format!("{path}/label")).await, "no content type");
    for (property, value) in [("label", json!("l")), ("read_only", json!(false)), ("max_bit_rate", json!(5000))] {
        api.put(&format!("{path}/{property}"), &value).await.expect(204);
        assert_eq!(api.read(&format!("{path}/{property}")).await, value);
    }
    api.get("/flows?unknown_parameter=1").await.expect(200);
}

/// Line 7, and 1.11: also where nothing is found, and on errors.
#[tokio::test]
async fn browsers_may_call_every_path_and_read_its_headers() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    for path in ["/flows", "/service", "/flows/bad", "/objects/a%2Fb", "/nowhere"] {
        for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
            let preflight = api
                .request(Method::OPTIONS, path)
                .header("origin", "https://player.example")
                .header("access-control-request-method", method)
                .header("access-control-request-headers", "authorization, content-type, range");
            let answer = Answer::to(preflight).await;
            assert!((200..300).contains(&answer.status), "{answer}");
            let allows = |header: &str, what: &str| {
                let allowed = answer.header(header).unwrap_or_default().to_lowercase();
                assert!(allowed.contains(&what.to_lowercase()), "{answer} does not allow {what}: {:?}", answer.headers);
            };
            allows("access-control-allow-methods", method);
            for header in ["authorization", "content-type", "range"] {
                allows("access-control-allow-headers", header);
            }
        }
    }
    for path in ["/flows".to_owned(), "/flows?limit=0".to_owned(), format!("/flows/{flow}/tags/missing")] {
        let answer = Answer::to(api.request(Method::GET, &path).header("origin", "https://player.example")).await;
        let origin = answer.header("access-control-allow-origin");
        assert!(matches!(origin, Some("*" | "https://player.example")), "{answer}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
        for header in ["link", "location", "x-paging-nextkey", "x-paging-timerange", "x-paging-count", "etag"] {
            assert!(exposed.contains(header), "{answer} does not expose {header}");
        }
    }
}

/// Lines 8 to 10 and 1.5.
#[tokio::test]
async fn bad_parameters_and_identifiers_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    for query in [
        "limit=0",
        "limit=abc",
        "limit=-1",
        "format=video",
        "source_id=xyz",
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
    let many = api.get("/flows?limit=1000000").await.expect(200);
    assert!(many.header("x-paging-limit").unwrap().parse::<u64>().unwrap() < 1_000_000);

    let upper = flow.to_uppercase();
    let version_7 = "018f2f6e-7d9c-7b6a-9d3e-000000000000";
    let paths = ["/sources/not-a-uuid".to_owned(), format!("/flows/{upper}"), format!("/flows/{version_7}")];
    for path in paths.into_iter().chain(["/flows/bad/segments".to_owned(), format!("/flows/{}", new_id())]) {
        api.get(&path).await.expect(404);
    }
    for (method, path) in [(Method::PUT, "/sources"), (Method::PATCH, "/flows"), (Method::DELETE, "/service")] {
        let answer = Answer::to(api.request(method, path)).await;
        assert!(matches!(answer.status, 404 | 405), "{answer}");
    }
}

/// Line 59 and 1.6: behind a proxy that names itself, too.
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
