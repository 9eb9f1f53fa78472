//! Requests that are wrong, large or hostile: each is refused by a 4xx that names what is wrong, and writes nothing.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::server::Server;
use tapelog_tests::store::{create_flow, fill, new_id, second, segment_at, video_flow, with};
use tapelog_tests::{raw, shape};
use tokio::io::AsyncWriteExt as _;

/// Refused, with a body that clients can read, which names the field.
#[track_caller]
fn assert_refused(answer: &Answer, field: &str) {
    assert!((400..500).contains(&answer.status), "{answer}");
    shape::check_error(&answer.body).unwrap_or_else(|wrong| panic!("{answer}: {wrong}"));
    assert!(answer.message().contains(field), "{answer} does not name {field}");
}

/// A body sent as it is.
async fn send(api: &Api, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    Answer::to(api.request(method, path).body(body)).await
}

/// Nested to this depth at the member `tags`.
fn nested(depth: usize) -> String {
    format!("{{\"tags\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn bodies_that_are_too_large_too_deep_or_not_json_change_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let position = api.position().await;
    let targets = [
        (Method::PUT, format!("/flows/{flow}")),
        (Method::PUT, format!("/flows/{flow}/label")),
        (Method::PUT, format!("/flows/{flow}/tags/k")),
        (Method::PUT, format!("/flows/{flow}/flow_collection")),
        (Method::POST, format!("/flows/{flow}/segments")),
        (Method::POST, format!("/flows/{flow}/storage")),
        (Method::POST, "/service".to_owned()),
    ];
    for (method, path) in &targets {
        let large = send(api, method.clone(), path, vec![b' '; 64 << 20]).await;
        assert_eq!(large.status, 413, "{large}");
        assert_refused(&large, "body");
        let bodies: [(&str, Vec<u8>); 9] = [
            ("10,000 deep", nested(10_000).into_bytes()),
            ("10,000 open", "[".repeat(10_000).into_bytes()),
            ("1,000,000 open", "{\"a\":".repeat(150_000).into_bytes()),
            ("cut off", b"{\"label\": \"x".to_vec()),
            ("two values", b"{} {}".to_vec()),
            ("not UTF-8", b"\"\xff\xfe\"".to_vec()),
            ("half a surrogate", br#""\ud800""#.to_vec()),
            ("a control character", b"\"a\0b\"".to_vec()),
            ("not JSON", b"label=x".to_vec()),
        ];
        for (what, body) in bodies {
            let answer = send(api, method.clone(), path, body).await;
            assert!(answer.status == 400, "{what}: {answer}");
            assert_refused(&answer, "");
        }
    }
    let chunked = futures::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20])));
    let chunked = send(api, Method::PUT, &format!("/flows/{flow}"), reqwest::Body::wrap_stream(chunked)).await;
    assert_eq!(chunked.status, 413, "{chunked}");
    assert_eq!(api.position().await, position, "nothing was written");
}

/// A value of every JSON type, and numbers at the edges of theirs.
fn values() -> Vec<Value> {
    let mut values: Vec<Value> =
        ["null", "true", "-1", "1.5", "1e400", "18446744073709551616", "\"\"", "\"x\"", "[]", "[1]", "{}", "{\"a\":1}"]
            .iter()
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect();
    values.push(json!(u64::MAX));
    values.push(json!("x".repeat(100_000)));
    values
}

/// Every field of a Flow with every type: what is taken reads back, what is refused is named, and nothing fails.
#[tokio::test]
async fn every_field_of_a_flow_is_judged_by_its_type() {
    let server = Server::start().await;
    let api = server.api();
    let fields = [
        "id",
        "source_id",
        "label",
        "description",
        "created_by",
        "updated_by",
        "tags",
        "metadata_version",
        "generation",
        "status",
        "read_only",
        "max_bit_rate",
        "avg_bit_rate",
        "flow_collection",
        "format",
        "codec",
        "container",
        "segment_duration",
        "container_mapping",
        "essence_parameters",
    ];
    let essence = [
        "frame_width",
        "frame_height",
        "frame_rate",
        "bit_depth",
        "interlace_mode",
        "colorspace",
        "aspect_ratio",
        "vfr",
    ];
    let mut refused = 0;
    for field in fields.into_iter().chain(essence) {
        for value in values() {
            let id = new_id();
            let mut flow = video_flow(&id);
            if essence.contains(&field) {
                flow["essence_parameters"][field] = value.clone();
            } else {
                flow[field] = value.clone();
            }
            let answer = api.put(&format!("/flows/{id}"), &flow).await;
            let said = format!("{field} = {}: {answer}", value.to_string().chars().take(40).collect::<String>());
            match answer.status {
                201 => {
                    let stored = api.read(&format!("/flows/{id}")).await;
                    let kept =
                        if essence.contains(&field) { &stored["essence_parameters"][field] } else { &stored[field] };
                    // What a schema leaves open, the store need not keep.
                    let is_kept = kept == &value || value.is_null() || (kept == &json!({}) && value.is_object());
                    assert!(is_kept, "{said}: {kept}");
                    api.put(&format!("/flows/{id}/read_only"), &json!(false)).await.expect(204);
                    api.delete(&format!("/flows/{id}")).await.expect(204);
                }
                400 | 404 => {
                    assert!(answer.message().contains(field), "{said} does not name the field");
                    api.get(&format!("/flows/{id}")).await.expect(404);
                    refused += 1;
                }
                _ => panic!("{said}"),
            }
        }
    }
    assert!(refused > fields.len() * 6, "only {refused} were refused");
    assert_eq!(api.read("/flows").await, json!([]));
    assert_eq!(api.read("/sources").await, json!([]));
}

#[tokio::test]
async fn every_field_of_a_segment_is_judged_by_its_type() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}/segments");
    let position = api.position().await;
    let fields = [
        "object_id",
        "timerange",
        "ts_offset",
        "last_duration",
        "object_timerange",
        "sample_offset",
        "sample_count",
        "key_frame_count",
        "get_urls",
    ];
    for field in fields {
        for value in [json!({ "a": 1 }), json!([1]), json!(true), json!(1.5), json!(""), json!("x".repeat(100_000))] {
            for body in [with(segment_at(0), field, value.clone()), json!([with(segment_at(0), field, value.clone())])]
            {
                let answer = api.post(&path, &body).await;
                if answer.status == 200 {
                    let failure = answer.json()["failed_segments"][0]["error"]["summary"].to_string();
                    assert!(failure.contains(field), "{answer} does not name {field}");
                } else {
                    assert_refused(&answer, field);
                }
            }
        }
    }
    for (field, value) in [
        ("timerange", "[281474976710656:0_281474976710657:0)"),
        ("timerange", "[99999999999999999999:0_99999999999999999999:1)"),
        ("timerange", "[-99999999999999999999999999999999999999999:0_0:0)"),
        ("ts_offset", "99999999999999999999:0"),
        ("ts_offset", "0:1000000000"),
        ("ts_offset", "+1:0"),
        ("last_duration", "-1:0"),
        ("object_timerange", "_"),
        ("object_timerange", "[281474976710656:0_281474976710657:0)"),
    ] {
        let answer = api.post(&path, &with(segment_at(0), field, json!(value))).await;
        let named = if field == "ts_offset" { "offset" } else { field };
        assert_refused(&answer, named);
    }
    let early = with(segment_at(0), "timerange", json!("[-281474976710655:0_-281474976710654:0)"));
    assert_refused(&api.post(&path, &with(early, "ts_offset", json!("281474976710655:0"))).await, "ts_offset");
    for body in [
        json!([1]),
        json!([segment_at(0), "x"]),
        json!("x"),
        json!(5),
        json!({}),
        json!(null),
        json!([[]]),
        json!([["x", "[0:0_1:0)"]]),
    ] {
        let answer = api.post(&path, &body).await;
        assert!(answer.status == 400 || answer.json()["failed_segments"].is_array(), "{body}: {answer}");
    }
    api.delete(&path).await.expect(204);
    let after = api.position().await;
    assert!(after == position || api.read(&path).await == json!([]), "nothing was written");
}

#[tokio::test]
async fn properties_have_their_limits() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let position = api.position().await;
    let path = format!("/flows/{flow}");
    let source = format!("/sources/{}", api.read(&path).await["source_id"].as_str().unwrap());
    let long = json!("x".repeat(500_000));
    for resource in [&path, &source] {
        for property in ["label", "description", "tags/k"] {
            let name = property.split('/').next().unwrap().trim_end_matches('s');
            assert_refused(&api.put(&format!("{resource}/{property}"), &long).await, name);
            assert_refused(&api.put(&format!("{resource}/{property}"), &json!({ "a": "b" })).await, name);
        }
        assert_refused(&api.put(&format!("{resource}/tags/{}", "n".repeat(5000)), &json!("v")).await, "tag");
        let many: Vec<_> = (0..50_000).map(|number| number.to_string()).collect();
        assert_refused(&api.put(&format!("{resource}/tags/k"), &json!(many)).await, "tag");
    }
    let tags: serde_json::Map<_, _> = (0..20_000).map(|number| (number.to_string(), json!("v"))).collect();
    assert_refused(&api.put(&path, &with(video_flow(&flow), "tags", Value::Object(tags))).await, "tags");
    let members: Vec<_> = (0..20_000).map(|_| json!({ "id": flow })).collect();
    assert_refused(&api.put(&format!("{path}/flow_collection"), &json!(members)).await, "");
    for number in ["1e30", "18446744073709551616", "-1", "1.0e0", "0x1", "NaN"] {
        assert_refused(&send(api, Method::PUT, &format!("{path}/max_bit_rate"), number).await, "");
    }
    assert_refused(&api.post("/service", &json!({ "name": long })).await, "name");
    assert_refused(&api.post("/service", &json!({ "name": 5 })).await, "name");
    let twice = format!("{{\"id\":\"{flow}\",\"label\":\"x\",\"label\":\"y\"}}");
    assert_refused(&send(api, Method::PUT, &path, twice).await, "label");
    let unnamed = Answer::to(
        api.request(Method::PUT, &format!("{path}/label")).json("x").header("idempotency-key", "k".repeat(5000)),
    );
    assert_refused(&unnamed.await, "Idempotency-Key");
    for position in ["", "x", "1.2", &format!("{}.1", new_id()), "99999999999999999999999.1"] {
        let read = api.request(Method::GET, "/flows").header("tams-min-position", position);
        assert_refused(&Answer::to(read).await, "osition");
    }
    assert_eq!(api.position().await, position, "nothing was written");
}

#[tokio::test]
async fn requests_that_are_not_http_or_not_text_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..2).await;
    let position = api.position().await;
    let bomb: String = (0..2000).map(|number| format!("X-Bomb-{number}: {}\r\n", "b".repeat(1000))).collect();
    let heads = [
        ("an invalid percent sign in the path", raw::head("GET", "/flows/%zz")),
        ("a NUL in the path", raw::head("GET", "/objects/%00")),
        ("no UTF-8 in the path", raw::head("GET", "/objects/%ff%fe")),
        ("no UTF-8 in a tag's name", raw::head("DELETE", &format!("/flows/{flow}/tags/%ff"))),
        ("an invalid percent sign in the query", raw::head("GET", "/flows?label=%4")),
        ("no UTF-8 in the query", raw::head("GET", "/flows?label=%ff")),
        ("dots", raw::head("GET", "/flows/../../etc/passwd")),
        ("encoded dots", raw::head("GET", "/objects/..%2F..%2Fetc%2Fpasswd")),
        ("a long path", raw::head("GET", &format!("/objects/{}", "x".repeat(60_000)))),
        ("a path without end", raw::head("GET", &format!("/objects/{}", "x".repeat(2_000_000)))),
        ("a thousand parameters", raw::head("GET", &format!("/flows?{}", "tag.a=b&".repeat(1000)))),
        ("a header bomb", raw::head("GET", "/flows") + &bomb),
        ("a negative length", raw::head("PUT", &format!("/flows/{flow}/label")) + "Content-Length: -5\r\n"),
        (
            "two lengths",
            raw::head("PUT", &format!("/flows/{flow}/label")) + "Content-Length: 3\r\nContent-Length: 4\r\n",
        ),
        ("an unknown method", raw::head("BREW", "/flows")),
        ("no host and an old version", "GET /flows HTTP/0.9\r\n".to_owned()),
        ("no HTTP", "\u{16}\u{3}\u{1}hello".to_owned()),
    ];
    for (what, head) in heads {
        let answer = raw::send(api, format!("{head}\r\n").as_bytes()).await;
        assert!(answer.status.is_none_or(|status| (400..500).contains(&status)), "{what}: {}", answer.text);
        assert!(!answer.text.contains("root:"), "{what}: {}", answer.text);
    }
    let cut_off = raw::head("PUT", &format!("/flows/{flow}/label")) + "Content-Length: 100\r\n\r\n\"a label that en";
    let (_, mut connection) = raw::connect(api).await.into_split();
    connection.write_all(cut_off.as_bytes()).await.unwrap();
    drop(connection);
    let ambiguous = raw::head("PUT", &format!("/flows/{flow}/label"))
        + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\"x\"\r\n0\r\n\r\n";
    let answer = raw::send(api, ambiguous.as_bytes()).await;
    assert!(answer.status != Some(204) || api.read(&format!("/flows/{flow}/label")).await == "x", "{}", answer.text);
    if answer.status != Some(204) {
        assert_eq!(api.position().await, position, "nothing was written");
    }
}

/// Connections that never come to the point hold nobody up.
#[tokio::test]
async fn slow_clients_do_not_hurt_others() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut connection = raw::connect(api).await;
        let start = match number % 3 {
            0 => String::new(),
            1 => "GET /flows HTT".to_owned(),
            _ => raw::head("POST", &format!("/flows/{flow}/segments")) + "Content-Length: 8000000\r\n\r\n[",
        };
        connection.write_all(start.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    let started = Instant::now();
    for number in 0..20 {
        let posted = with(segment_at(0), "timerange", json!(second(number)));
        api.post(&format!("/flows/{flow}/segments"), &posted).await.expect(201);
    }
    assert_eq!(api.read(&format!("/flows/{flow}/segments")).await.as_array().unwrap().len(), 20);
    assert!(started.elapsed() < Duration::from_secs(10), "others wait: {:?}", started.elapsed());
    drop(slow);
}
