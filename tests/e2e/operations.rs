//! How a server is run and watched: what it costs its clients and itself, and what it tells of itself.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, IF_NONE_MATCH};
use reqwest::{Method, Version};
use rustix::process::Signal;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::server::{Options, PATIENCE, Server, signal_process};
use tapelog_tests::store::{create_flow, fill, new_id, video_flow};
use tapelog_tests::{eventually, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

async fn tag_of(api: &Api, method: Method, path: &str) -> String {
    let answer = Answer::to(api.request(method, path)).await.expect(200);
    answer.header("etag").unwrap_or_else(|| panic!("{answer}: no ETag")).to_owned()
}

async fn get_unless(api: &Api, path: &str, tag: &str) -> Answer {
    Answer::to(api.request(Method::GET, path).header(IF_NONE_MATCH, tag)).await
}

#[tokio::test]
async fn what_a_client_has_already_it_is_not_sent_again() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    let segments = format!("/flows/{flow}/segments");
    let object = api.read(&segments).await[0]["object_id"].as_str().unwrap().to_owned();
    let listings = ["/flows?limit=2", "/sources", &segments, "/service/storage-backends"];
    let documents = [format!("/flows/{flow}"), format!("/flows/{flow}/label"), format!("/objects/{object}")];
    for path in listings.into_iter().chain(documents.iter().map(String::as_str)).chain(["/", "/service"]) {
        let tag = tag_of(api, Method::GET, path).await;
        assert_eq!(tag_of(api, Method::HEAD, path).await, tag, "{path}");
        let known = format!("\"other\", {tag}");
        let unchanged = get_unless(api, path, &known).await.expect(304);
        assert!(unchanged.body.is_empty(), "{unchanged}");
        assert_eq!(unchanged.header("etag"), Some(&*tag), "{path}");
        assert_eq!(unchanged.header("access-control-allow-origin"), Some("*"), "{path}");
        get_unless(api, path, "\"other\"").await.expect(200);
        if path != "/" && path != "/service/storage-backends" {
            unchanged.position();
        }
    }

    let tags = [tag_of(api, Method::GET, "/flows").await, tag_of(api, Method::GET, &segments).await];
    api.put(&format!("/flows/{flow}/label"), &json!("another")).await.expect(204);
    get_unless(api, "/flows", &tags[0]).await.expect(200);
    get_unless(api, &segments, &tags[1]).await.expect(304);
    fill(api, &flow, 5..6).await;
    get_unless(api, &segments, &tags[1]).await.expect(200);
    assert_ne!(tag_of(api, Method::GET, "/flows").await, tag_of(api, Method::GET, "/flows?limit=1").await);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn bodies_are_compressed_both_ways_for_those_who_want_it() {
    let server = Server::start().await;
    let api = server.api();
    for _ in 0..5 {
        create_flow(api).await;
    }
    let plain = api.get("/flows").await.expect(200);
    assert!(plain.header("content-encoding").is_none(), "nobody asked for it");
    let request = api.request(Method::GET, "/flows").header(ACCEPT_ENCODING, "br, gzip");
    let small = Answer::to(request).await.expect(200);
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.header("vary").is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding")), "{small}");
    assert_eq!(small.header("etag"), plain.header("etag"));
    let mut text = Vec::new();
    GzDecoder::new(&*small.body).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    let tiny = Answer::to(api.request(Method::GET, "/").header(ACCEPT_ENCODING, "gzip")).await;
    assert!(tiny.header("content-encoding").is_none(), "it would not get smaller");

    let flow = video_flow(&new_id());
    let path = format!("/flows/{}", flow["id"].as_str().unwrap());
    let put = |encoding: &str, body: Vec<u8>| {
        Answer::to(api.request(Method::PUT, &path).header(CONTENT_ENCODING, encoding).body(body))
    };
    put("gzip", gzip(flow.to_string().as_bytes())).await.expect(201);
    let refused = put("br", b"whatever".to_vec()).await.expect(415);
    assert!(refused.message().contains("Content-Encoding"), "{refused}");
    put("gzip", b"this is no gzip".to_vec()).await.expect(400);
    let bomb = gzip(&vec![b' '; 8 << 20]);
    assert!(bomb.len() < 1 << 16);
    put("gzip", bomb).await.expect(413);
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let server = Server::start().await;
    let url = format!("{}/service", server.api().base());
    let old = reqwest::Client::builder().no_proxy().http1_only().build().unwrap();
    assert_eq!(old.get(&url).send().await.unwrap().version(), Version::HTTP_11);
    let new = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let answers = futures::future::join_all((0..20).map(|_| new.get(&url).send())).await;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, 200));
    }
    // HTTP/2 has no header Host, and links lead back to the same server all the same.
    for _ in 0..2 {
        create_flow(server.api()).await;
    }
    let flows = format!("{}/flows?limit=1", server.api().base());
    for client in [old, new] {
        let answer = client.get(&flows).send().await.unwrap();
        let link = answer.headers()["link"].to_str().unwrap().to_owned();
        assert!(link.starts_with(&format!("<{flows}&page=")), "{:?}: {link}", answer.version());
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_the_server_stays_usable() {
    let options = Options::default()
        .and("TAPELOG_LIMITS__REQUESTS", 1)
        .and("TAPELOG_LIMITS__HEAD_SECONDS", 1)
        .and("TAPELOG_LIMITS__HEAD_BYTES", 8192)
        .and("TAPELOG_LIMITS__BODY_BYTES", 2048)
        .and("TAPELOG_LIMITS__PAGE_DEFAULT", 2)
        .and("TAPELOG_LIMITS__PAGE_MAX", 3);
    let server = Server::start_with(options).await;
    let api = server.api();
    for _ in 0..4 {
        create_flow(api).await;
    }
    assert_eq!(api.get("/flows").await.list().len(), 2);
    assert_eq!(api.get("/flows?limit=100").await.list().len(), 3);

    let padding = "x".repeat(20_000);
    let head = format!("{}X-Padding: {padding}\r\n\r\n", raw::head("GET", "/flows"));
    assert_eq!(raw::send(api, head.as_bytes()).await.status, Some(431));
    let path = format!("/flows/{}/description", new_id());
    api.put(&path, &json!(padding)).await.expect(413);
    // Neither says which version it speaks, nor anything else.
    for beginning in ["", "PRI * HT", "GET /flows HTTP/1.1\r\n"] {
        let ended = raw::send(api, beginning.as_bytes()).await;
        assert!(ended.status.is_none_or(|status| status == 408), "{beginning:?}: {}", ended.text);
    }

    // A request for a position that is not there waits for it, and takes the only place meanwhile.
    let position = api.position().await;
    let (incarnation, _) = position.split_once('.').unwrap();
    let waiting = api.request(Method::GET, "/service").header("TAMS-Min-Position", format!("{incarnation}.999999"));
    let waiting = tokio::spawn(Answer::to(waiting));
    let refused = eventually("the place is taken", PATIENCE, async || {
        let answer = api.get("/service").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused}");
    assert_eq!(refused.json()["type"], "overloaded");
    for path in ["/healthz", "/readyz", "/metrics"] {
        api.get(path).await.expect(200);
    }
    assert_eq!(waiting.await.unwrap().expect(503).json()["type"], "position_not_reached");
    api.get("/service").await.expect(200);
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_not_said_to_have_failed() {
    let server = Server::start_with(Options::default().and("TAPELOG_LIMITS__REQUEST_SECONDS", 1)).await;
    let api = server.api();
    let flow = create_flow(api).await;
    let nats = server.nats_pid().unwrap();
    signal_process(nats, Signal::STOP);
    let answer = api.put(&format!("/flows/{flow}/label"), &json!("late")).await;
    let ready = api.get("/readyz").await;
    signal_process(nats, Signal::CONT);
    assert_eq!(answer.expect(500).json()["type"], "outcome_unknown");
    assert_eq!(ready.status, 503, "{ready}");
    eventually("the write is there in the end", PATIENCE, async || {
        (api.read(&format!("/flows/{flow}")).await["label"] == "late").then_some(())
    })
    .await;
}

/// The value of a metric without labels, or with these.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("{name} is not in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn metrics_say_what_happened_and_name_nobody() {
    let server = Server::start_with(Options::checkpoint_every(1)).await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 0..3).await;
    api.get(&format!("/flows/{flow}")).await.expect(200);
    api.get(&format!("/flows/{}", new_id())).await.expect(404);
    api.get("/nowhere/at/all").await.expect(404);
    let text = eventually("a checkpoint is written", PATIENCE, async || {
        let answer = api.get("/metrics").await.expect(200);
        assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"), "{answer}");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        text.contains("tapelog_checkpoint_age_seconds").then_some(text)
    })
    .await;
    let get = r#"route="/flows/{flowId}",method="GET",status"#;
    assert_eq!(metric(&text, &format!("tapelog_http_request_seconds_count{{{get}=\"2xx\"}}")), 1.0);
    assert_eq!(metric(&text, &format!("tapelog_http_request_seconds_count{{{get}=\"4xx\"}}")), 1.0);
    assert_eq!(metric(&text, "tapelog_tables_rows{table=\"segments\"}"), 3.0);
    assert_eq!(metric(&text, "tapelog_tables_events_applied_total{kind=\"flow_created\"}"), 1.0);
    assert_eq!(metric(&text, "tapelog_tables_lag"), 0.0);
    assert_eq!(metric(&text, "tapelog_log_tip"), metric(&text, "tapelog_tables_position"));
    assert!(metric(&text, "tapelog_log_commits_appended_total") >= 2.0);
    assert!(metric(&text, "tapelog_log_append_seconds_count") >= 1.0);
    assert!(metric(&text, "tapelog_http_connections") >= 1.0);
    assert!(metric(&text, "tapelog_process_resident_memory_bytes") > 1e6);
    assert!(text.contains("tapelog_storage_request_seconds_count{bucket="), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains(&flow) && !text.contains("nowhere"), "{text}");
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request_and_no_token_in_it() {
    let options = Options::default().and("TAPELOG_LOG__FORMAT", "json").and("TAPELOG_LOG__ACCESS", "all");
    let mut server = Server::start_with(options).await;
    let api = server.api();
    let flow = create_flow(api).await;
    let path = format!("/flows/{flow}?include_timerange=true&access_token=very-secret");
    let request = api.request(Method::GET, &path).header("X-Request-Id", "request-1");
    let answer = Answer::to(request).await.expect(200);
    assert_eq!(answer.header("x-request-id"), Some("request-1"));
    server.stop().await;

    let log = server.log();
    assert!(!log.contains("very-secret"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let line = lines.iter().find(|line| line["request_id"] == "request-1").expect("there is a line");
    assert_eq!(line["target"], "tapelog::access");
    assert_eq!((&line["method"], &line["status"]), (&json!("GET"), &json!(200)), "{line}");
    assert_eq!(line["route"], "/flows/{flowId}");
    assert_eq!(line["path"], format!("/flows/{flow}?include_timerange=true"));
    assert_eq!(line["principal"], "anonymous");
    assert!(line["remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["bytes"], answer.headers[CONTENT_LENGTH].to_str().unwrap().parse::<u64>().unwrap());
    assert!(line["elapsed_ms"].as_f64().unwrap() > 0.0, "{line}");
}

#[tokio::test]
async fn a_request_is_traced_as_part_of_its_clients_trace() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let mut server = Server::start_with(Options::default().and("TAPELOG_TRACES__ENDPOINT", &endpoint)).await;
    let request = server.api().request(Method::GET, "/service");
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    Answer::to(request).await.expect(200);

    let trace: Vec<u8> = TRACE
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let received = async {
        loop {
            let (mut connection, _) = collector.accept().await.unwrap();
            let mut received = Vec::new();
            let mut chunk = [0; 4096];
            while let Ok(Ok(count @ 1..)) =
                tokio::time::timeout(Duration::from_secs(1), connection.read(&mut chunk)).await
            {
                received.extend_from_slice(&chunk[..count]);
            }
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
            let has = |wanted: &[u8]| received.windows(wanted.len()).any(|window| window == wanted);
            if has(&trace) {
                assert!(has(b"POST /v1/traces ") && has(b"/service"), "{}", String::from_utf8_lossy(&received));
                return;
            }
        }
    };
    let (received, ()) = tokio::join!(tokio::time::timeout(PATIENCE, received), server.stop());
    received.expect("the trace is sent");
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let mut server = Server::start().await;
    let beside = server.run("doctor").await;
    let text = String::from_utf8_lossy(&beside.stdout);
    assert!(beside.status.success(), "{text}");
    assert!(text.lines().any(|line| line.starts_with("ok") && line.contains(server.api().base())), "{text}");
    for check in ["disk", "free space", "nats-server", "object storage", "TLS"] {
        assert!(text.lines().any(|line| line.get(6..).is_some_and(|rest| rest.starts_with(check))), "{check}: {text}");
    }
    server.stop().await;
    let alone = server.run("doctor").await;
    assert!(String::from_utf8_lossy(&alone.stdout).contains("none runs on the data folder"), "{alone:?}");

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options::on("nats://127.0.0.1:9")
        .and("TAPELOG_LISTEN", taken.local_addr().unwrap())
        .and("TAPELOG_PUBLIC_URL", "nonsense");
    let broken = Server::prepare(options).run("doctor").await;
    let text = String::from_utf8_lossy(&broken.stdout);
    assert!(!broken.status.success(), "{text}");
    for check in ["listen", "NATS", "public_url"] {
        let line = text.lines().find(|line| line.starts_with(&format!("FAIL  {check}: ")));
        assert!(line.is_some_and(|line| line.contains(" - ")), "{check}: {text}");
    }
}
