//! Media in and out through the URLs that the store gives, and what a client can rely on from one request to the next.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::Answer;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    allocate, contents, create_flow, encoded, new_id, object_path, pluck, post_segments, put_flow, second, segment,
    segment_at, segments, upload, video_flow,
};

/// A player's way to the bytes: by a URL that the API gave, without credentials.
#[tokio::test]
async fn media_go_in_and_out_by_signed_urls() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let allocated = allocate(api, &flow, 1).await[0].clone();
    let media: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let uploaded = upload(api, &allocated, media.clone()).await.expect(200);
    assert!(uploaded.header("etag").is_some(), "{:?}", uploaded.headers);
    let posted = json!({ "object_id": allocated["object_id"], "timerange": second(0) });
    post_segments(api, &flow, &posted).await.expect(201);
    let listed = api.read(&format!("/flows/{flow}/segments")).await;
    let url = listed[0]["get_urls"][0]["url"].as_str().unwrap().to_owned();

    let whole = Answer::to(api.request(Method::GET, &url)).await.expect(200);
    assert_eq!(whole.body, media);
    assert_eq!(whole.header("content-type"), Some("video/mp2t"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    for (range, from, to) in
        [("bytes=0-99", 0, 100), ("bytes=299990-", 299_990, 300_000), ("bytes=-10", 299_990, 300_000)]
    {
        let part = Answer::to(api.request(Method::GET, &url).header("range", range)).await.expect(206);
        assert_eq!(part.body, media[from..to], "{range}");
        let covered = format!("bytes {from}-{}/300000", to - 1);
        assert_eq!(part.header("content-range"), Some(covered.as_str()));
    }
    Answer::to(api.request(Method::GET, &url).header("range", "bytes=300000-")).await.expect(416);

    let preflight = api
        .request(Method::OPTIONS, &url)
        .header("origin", "https://player.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range");
    let preflight = Answer::to(preflight).await;
    assert!((200..300).contains(&preflight.status), "{preflight}");
    let from_browser = api.request(Method::GET, &url).header("origin", "https://player.example");
    let from_browser = Answer::to(from_browser).await.expect(200);
    assert!(from_browser.header("access-control-allow-origin").is_some(), "{:?}", from_browser.headers);

    let (unsigned, _) = url.split_once('?').unwrap();
    for forged in [unsigned.to_owned(), url.replace("Signature=", "Signature=0"), url.replace("mp2t", "mp4") + "&x=y"] {
        let answer = Answer::to(api.request(Method::GET, &forged)).await;
        assert!(matches!(answer.status, 400 | 403), "{answer}");
    }
    let put = allocated["put_url"]["url"].as_str().unwrap();
    let stolen = Answer::to(api.request(Method::GET, put)).await;
    assert!(matches!(stolen.status, 400 | 403), "a URL to write is none to read: {stolen}");
}

/// 1.12, section 7: exactly the advertised type, by length or in chunks.
#[tokio::test]
async fn uploads_may_be_chunked_and_media_survive_a_restart() {
    let mut server = Server::start().await;
    let flow = create_flow(server.api()).await;
    let allocated = allocate(server.api(), &flow, 2).await;
    let chunks = futures::stream::iter((0..50).map(|number| Ok::<_, std::io::Error>(vec![number; 1000])));
    let by_chunks = upload(server.api(), &allocated[0], reqwest::Body::wrap_stream(chunks)).await;
    // S3 itself asks for a length; a store may be kinder.
    assert!(matches!(by_chunks.status, 200 | 411), "{by_chunks}");
    upload(server.api(), &allocated[1], vec![7_u8; 5_000_000]).await.expect(200);
    let posted = json!({ "object_id": allocated[1]["object_id"], "timerange": second(0) });
    post_segments(server.api(), &flow, &posted).await.expect(201);
    server.kill();
    server.start_again().await;
    let listed = server.api().read(&format!("/flows/{flow}/segments?presigned=true")).await;
    let url = listed[0]["get_urls"][0]["url"].as_str().unwrap();
    let media = Answer::to(server.api().request(Method::GET, url)).await.expect(200);
    assert_eq!(media.body, vec![7_u8; 5_000_000]);
}

/// Whoever was told of a write reads it, in every form in which it can be read.
#[tokio::test]
async fn a_client_reads_its_own_writes_at_once() {
    let server = Server::start().await;
    let api = server.api();
    let workers = (0..4).map(|worker| async move {
        let flow = new_id();
        for round in 0..50 {
            let mut body = video_flow(&flow);
            body["source_id"] = json!(flow);
            body["label"] = json!(format!("{worker}/{round}"));
            let put = put_flow(api, &body).await;
            assert!(matches!(put.status, 201 | 204), "{put}");
            assert_eq!(api.read(&format!("/flows/{flow}")).await["label"], body["label"]);
            let found = api.read(&format!("/flows?label={worker}/{round}")).await;
            assert_eq!(found.as_array().unwrap().len(), 1);
            let object = new_id();
            post_segments(api, &flow, &segment(&object, &second(round))).await.expect(201);
            let read = api.read(&format!("/flows/{flow}/segments?timerange={}", second(round))).await;
            assert_eq!(read[0]["object_id"], json!(object));
            api.get(&format!("/objects/{object}")).await.expect(200);
            let ranged = api.read(&format!("/flows/{flow}?include_timerange=true")).await;
            assert_eq!(ranged["timerange"], format!("[0:0_{}:0)", round + 1));
        }
        api.delete(&format!("/flows/{flow}")).await.expect(204);
        api.get(&format!("/sources/{flow}")).await.expect(404);
    });
    join_all(workers).await;
}

/// Section 7: of clients that choose the same id, one gets it.
#[tokio::test]
async fn of_concurrent_allocations_of_one_id_exactly_one_is_taken() {
    let server = Server::start().await;
    let api = server.api();
    let path = format!("/flows/{}/storage", create_flow(api).await);
    let ids = json!({ "object_ids": [new_id()] });
    let allocations = join_all((0..8).map(|_| api.post(&path, &ids))).await;
    assert_eq!(allocations.iter().filter(|answer| answer.status == 201).count(), 1, "{allocations:?}");
}

/// A repeated request gets the first one's answer, also after a restart, and does nothing a second time.
#[tokio::test]
async fn an_idempotency_key_replays_the_first_answer() {
    let mut server = Server::start().await;
    let flow = create_flow(server.api()).await;
    let (path, storage) = (format!("/flows/{flow}/segments"), format!("/flows/{flow}/storage"));
    fn keyed(server: &Server, method: Method, path: &str, body: &Value, key: &str) -> impl Future<Output = Answer> {
        Answer::to(server.api().request(method, path).json(body).header("idempotency-key", key))
    }
    let overlapping = json!([segment("a", &second(0)), segment("b", &second(0)), segment("c", &second(1))]);
    let single = segment("single", &second(5));
    let first = [
        keyed(&server, Method::POST, &path, &overlapping, "list").await.expect(200),
        keyed(&server, Method::POST, &path, &single, "single").await.expect(201),
        keyed(&server, Method::POST, &storage, &json!({ "limit": 3 }), "storage").await.expect(201),
        keyed(&server, Method::PUT, &format!("/flows/{flow}/label"), &json!("first"), "label").await.expect(204),
    ];
    server.api().put(&format!("/flows/{flow}/label"), &json!("second")).await.expect(204);
    let before = contents(server.api()).await;
    for restart in [false, true] {
        if restart {
            server.kill();
            server.start_again().await;
        }
        let again = [
            keyed(&server, Method::POST, &path, &overlapping, "list").await,
            keyed(&server, Method::POST, &path, &single, "single").await,
            keyed(&server, Method::POST, &storage, &json!({ "limit": 3 }), "storage").await,
            keyed(&server, Method::PUT, &format!("/flows/{flow}/label"), &json!("first"), "label").await,
        ];
        for (first, again) in first.iter().zip(&again) {
            assert_eq!(again.status, first.status, "{again}");
        }
        let refused = |answer: &Answer| pluck(answer.json()["failed_segments"].as_array().unwrap(), "object_id");
        assert_eq!(refused(&again[0]), refused(&first[0]));
        let ids = |answer: &Answer| pluck(answer.json()["media_objects"].as_array().unwrap(), "object_id");
        assert_eq!(ids(&again[2]), ids(&first[2]));
        assert_eq!(contents(server.api()).await, before, "restart: {restart}");
        let other = keyed(&server, Method::POST, &path, &segment_at(9), "single").await;
        assert!(matches!(other.status, 400 | 409 | 422), "a key is for one request: {other}");
    }
}

/// 1.4: an object id is any text.
#[tokio::test]
async fn object_ids_may_hold_anything_but_control_characters() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let longest = "x".repeat(1024);
    let ids = ["a/b", "../../etc/passwd", "ü 日本 🎞", "a%2Fb", "a?b#c&d=e", "a,b;c", "\"'\\", &longest];
    let body = json!({ "object_ids": ids });
    let allocated = api.post(&format!("/flows/{flow}/storage"), &body).await.expect(201).json();
    for (second_number, (id, allocated)) in ids.iter().zip(allocated["media_objects"].as_array().unwrap()).enumerate() {
        upload(api, allocated, format!("bytes of {id}")).await.expect(200);
        let posted = json!({ "object_id": id, "timerange": second(second_number) });
        post_segments(api, &flow, &posted).await.expect(201);
        let object = api.read(&object_path(id, "")).await;
        assert_eq!(object["id"], *id);
        let url = object["get_urls"][0]["url"].as_str().unwrap();
        let media = Answer::to(api.request(Method::GET, url)).await.expect(200);
        assert_eq!(media.body, format!("bytes of {id}"), "each has bytes of its own");
        let listed = api.get(&format!("/flows/{flow}/segments?object_id={}", encoded(id))).await.expect(200);
        assert_eq!(listed.list().len(), 1, "{id}");
    }
    for bad in ["", "a\0b", "a\nb", &"x".repeat(1025)] {
        let refused = post_segments(api, &flow, &segment(bad, &second(100))).await.expect(400);
        assert!(refused.message().contains("object_id"), "{refused}");
    }
}

/// Bodies as large as real clients send are taken as one.
#[tokio::test]
async fn ten_thousand_segments_are_one_request() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let url = format!("https://elsewhere.example/{}", "p".repeat(700));
    let list: Vec<_> = (0..10_000)
        .map(|number| {
            json!({
                "object_id": format!("{flow}/{number}"), "timerange": second(number),
                "get_urls": [{ "url": url, "label": "elsewhere" }],
            })
        })
        .collect();
    let body = Value::Array(list);
    assert!(body.to_string().len() > 8 << 20);
    let before = api.position().await;
    post_segments(api, &flow, &body).await.expect(201);
    let after = api.position().await;
    let number = |position: &str| position.rsplit_once('.').unwrap().1.parse::<u64>().unwrap();
    assert_eq!(number(&after), number(&before) + 1, "in one record");
    assert_eq!(segments(api, &flow).await.len(), 10_000);
}

/// Several servers on one machine share nothing.
#[tokio::test]
async fn servers_run_side_by_side_without_meeting() {
    let [first, second_server, third] = [Server::start().await, Server::start().await, Server::start().await];
    let flow = create_flow(first.api()).await;
    for other in [&second_server, &third] {
        other.api().get(&format!("/flows/{flow}")).await.expect(404);
        create_flow(other.api()).await;
    }
    let incarnation = |position: String| position.split('.').next().unwrap().to_owned();
    let mut incarnations = Vec::new();
    for server in [&first, &second_server, &third] {
        incarnations.push(incarnation(server.api().position().await));
    }
    incarnations.sort();
    incarnations.dedup();
    assert_eq!(incarnations.len(), 3, "a position of one means nothing to another");
    let foreign = first.api().position().await;
    let read = second_server.api().request(Method::GET, "/flows").header("tams-min-position", foreign);
    let refused = Answer::to(read).await;
    assert!((400..500).contains(&refused.status), "{refused}");
}
