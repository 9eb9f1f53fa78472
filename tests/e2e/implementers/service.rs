//! Lines 1 to 10: the service, and rules of the whole interface.

use reqwest::Method;
use serde_json::json;
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::server::Server;
use tapelog_tests::shape;
use tapelog_tests::store::{create_flow, fill, new_id, object_path, put_flow, video_flow};

use super::{protected, store};

/// The root names the collections that a client can go on to.
#[tokio::test]
async fn line_01_the_root_lists_what_there_is() {
    let api = &store().await;
    let paths = api.read("/").await;
    for path in ["service", "flows", "sources", "objects", "flow-delete-requests"] {
        assert!(paths.as_array().unwrap().contains(&json!(path)), "{path} is not in {paths}");
    }
}

/// The version is two numbers; allocations hold for five minutes at least, and no signed URL outlives them.
#[tokio::test]
async fn line_02_the_service_gives_its_version_and_its_times() {
    let api = &store().await;
    let service = api.read("/service").await;
    let (major, minor) = service["api_version"].as_str().unwrap().split_once('.').unwrap();
    assert!(major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok(), "{service}");
    let seconds = |name: &str| service[name].as_str().unwrap().split(':').next().unwrap().parse::<u64>().unwrap();
    assert!(seconds("min_object_timeout") >= 300);
    assert!((30..=seconds("min_object_timeout")).contains(&seconds("min_presigned_url_timeout")));
}

/// A name alone changes the name alone, for good.
#[tokio::test]
async fn line_03_the_service_is_renamed_without_losing_its_description() {
    let mut server = Server::start().await;
    server.api().post("/service", &json!({ "name": "first", "description": "d" })).await.expect(200);
    server.api().post("/service", &json!({ "name": "x" })).await.expect(200);
    for restart in [false, true] {
        if restart {
            server.stop().await;
            server.start_again().await;
        }
        let service = server.api().read("/service").await;
        assert_eq!((&service["name"], &service["description"]), (&json!("x"), &json!("d")), "restart: {restart}");
    }
}

/// The headers of an answer but those that differ from one to the next, or need not be told before the body comes:
/// whether it is worth compressing is seen by its length.
fn headers(answer: &Answer) -> Vec<(String, String)> {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .filter(|(name, _)| !matches!(name.as_str(), "content-length" | "date" | "vary" | "x-request-id"))
        .collect();
    headers.sort();
    headers
}

/// Paths of every kind that can be read, with some that are refused.
async fn readable(api: &Api) -> Vec<String> {
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned();
    for resource in [format!("/flows/{flow}"), format!("/sources/{source}")] {
        api.put(&format!("{resource}/tags/k"), &json!("v")).await.expect(204);
        api.put(&format!("{resource}/description"), &json!("d")).await.expect(204);
    }
    let object = api.read(&format!("/flows/{flow}/segments")).await[0]["object_id"].as_str().unwrap().to_owned();
    let profile = new_id();
    let metadata = json!({ "format": "urn:x-nmos:format:data", "codec": "application/json", "essence_parameters": {} });
    // Where there are no profiles or webhooks, GET and HEAD have to agree on that.
    api.post(&format!("/service/profiles/{profile}"), &json!({ "id": profile, "flow_metadata": metadata })).await;
    // One that is switched off: of another the server itself would say in the log that it has started.
    let webhook = json!({ "url": "https://a.example", "events": [], "status": "disabled" });
    let webhook = api.post("/service/webhooks", &webhook).await.json();
    vec![
        "/".to_owned(),
        "/service".to_owned(),
        "/service/storage-backends".to_owned(),
        "/service/profiles?limit=1".to_owned(),
        format!("/service/profiles/{profile}"),
        format!("/service/profiles/{}", new_id()),
        "/service/webhooks?limit=1".to_owned(),
        format!("/service/webhooks/{}", webhook["id"].as_str().unwrap_or("none")),
        format!("/service/webhooks/{}", new_id()),
        "/sources?limit=1".to_owned(),
        "/sources?limit=0".to_owned(),
        format!("/sources/{source}"),
        format!("/sources/{source}/tags"),
        format!("/sources/{source}/tags/k"),
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
        "/flow-delete-requests?limit=1".to_owned(),
        format!("/flow-delete-requests/{}", new_id()),
        "/nowhere".to_owned(),
    ]
}

/// Whatever can be read has a `HEAD` with the same status and headers, and nothing after them.
#[tokio::test]
async fn line_04_head_answers_as_get_does_without_a_body() {
    // Nobody else may write meanwhile: answers say where the log was.
    let server = Server::start().await;
    let api = server.api();
    for path in readable(api).await {
        let get = Answer::to(api.request(Method::GET, &path)).await;
        let head = api.head(&path).await;
        assert_eq!(head.status, get.status, "{head}");
        assert!(head.body.is_empty(), "{head}");
        assert_eq!(headers(&head), headers(&get), "{head}");
        let is_of_the_log = !matches!(path.as_str(), "/" | "/service/storage-backends");
        assert!(get.status != 200 || !is_of_the_log || !get.position().is_empty(), "{get} says where the log was");
    }
}

/// Without credentials nothing is told, not even what there is: 401, with what would be accepted.
#[tokio::test]
async fn line_05_a_call_without_credentials_is_401() {
    let api = &protected().await;
    let id = new_id();
    for path in [
        "/".to_owned(),
        "/service".to_owned(),
        "/service/storage-backends".to_owned(),
        "/service/profiles".to_owned(),
        "/service/webhooks".to_owned(),
        "/sources".to_owned(),
        format!("/sources/{id}/tags/k"),
        "/flows?limit=0".to_owned(),
        format!("/flows/{id}"),
        format!("/flows/{id}/segments"),
        "/flows/bad".to_owned(),
        object_path("o", ""),
        "/flow-delete-requests".to_owned(),
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE] {
            let answer = Answer::to(api.request(method.clone(), &path)).await;
            // A method that a path does not have may be refused for that.
            if answer.status == 405 && !matches!(method, Method::GET | Method::HEAD) {
                continue;
            }
            assert_eq!(answer.status, 401, "{answer}");
            assert!(answer.header("www-authenticate").is_some(), "{answer} does not say what it asks for");
            if method == Method::HEAD {
                assert!(answer.body.is_empty(), "{answer}");
            } else {
                shape::check_error(&answer.body).unwrap_or_else(|wrong| panic!("{answer}: {wrong}"));
            }
        }
    }
    put_flow(api, &video_flow(&id)).await.expect(401);
    Answer::to(api.request(Method::GET, "/flows").bearer_auth("not.a.token")).await.expect(401);
    Answer::to(api.request(Method::GET, "/flows?access_token=not.a.token")).await.expect(401);
    Answer::to(api.request(Method::GET, "/flows").basic_auth("nobody", Some("x"))).await.expect(401);
}

/// Some clients say the type of a body that they do not send.
#[tokio::test]
async fn line_06_a_content_type_without_a_body_does_no_harm() {
    let api = &store().await;
    let tag = format!("/flows/{}/tags/k", create_flow(api).await);
    api.put(&tag, &json!("v")).await.expect(204);
    let of_json = |method, path: &str| api.request(method, path).header("content-type", "application/json");
    Answer::to(of_json(Method::GET, "/flows")).await.expect(200);
    Answer::to(of_json(Method::DELETE, &tag)).await.expect(204);
}

/// A browser asks first, and asks without credentials, wherever it will call; and it has to be told which headers a page
/// may see, on refusals too.
#[tokio::test]
async fn line_07_browsers_may_ask_without_credentials_and_read_the_headers() {
    let api = &protected().await;
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
    let open = store().await;
    let missing_tag = format!("/flows/{}/tags/missing", create_flow(&open).await);
    for (api, path) in [(&open, "/flows"), (&open, "/flows?limit=0"), (&open, &missing_tag), (api, "/flows")] {
        let answer = Answer::to(api.request(Method::GET, path).header("origin", "https://player.example")).await;
        let origin = answer.header("access-control-allow-origin");
        assert!(matches!(origin, Some("*" | "https://player.example")), "{answer}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
        for header in [
            "link",
            "location",
            "x-paging-limit",
            "x-paging-count",
            "x-paging-nextkey",
            "x-paging-timerange",
            "x-paging-reverse-order",
            "etag",
            "content-range",
            "accept-ranges",
        ] {
            assert!(exposed.contains(header), "{answer} does not expose {header}");
        }
    }
}

/// A page has one item at least. Who asks for too many gets as many as there may be, and is told so.
#[tokio::test]
async fn line_08_a_limit_is_a_positive_number_and_is_clamped() {
    let api = &store().await;
    for limit in ["0", "abc", "-1"] {
        let refused = api.get(&format!("/flows?limit={limit}")).await.expect(400);
        assert!(refused.message().contains("limit"), "{refused}");
    }
    let many = api.get("/flows?limit=1000000").await.expect(200);
    assert!(many.header("x-paging-limit").unwrap().parse::<u64>().unwrap() < 1_000_000);
}

/// A path with an id that cannot be one leads nowhere. Ids are in lower case.
#[tokio::test]
async fn line_09_a_malformed_id_in_a_path_is_not_found() {
    let api = &store().await;
    let upper = create_flow(api).await.to_uppercase();
    // TAMS knows the versions 1 to 5 only (1.4).
    let version_7 = "018f2f6e-7d9c-7b6a-9d3e-000000000000";
    for path in [
        "/sources/not-a-uuid".to_owned(),
        format!("/flows/{upper}"),
        format!("/flows/{version_7}"),
        format!("/flows/{upper}/segments"),
    ] {
        api.get(&path).await.expect(404);
    }
    put_flow(api, &video_flow(version_7)).await.expect(404);
}

/// A filter that can match nothing, since it is no value of its kind, is a mistake worth telling.
#[tokio::test]
async fn line_10_a_filter_of_the_wrong_form_is_refused() {
    let api = &store().await;
    for query in ["format=video", "source_id=xyz"] {
        let refused = api.get(&format!("/flows?{query}")).await.expect(400);
        assert!(refused.message().contains(query.split('=').next().unwrap()), "{refused}");
    }
}
