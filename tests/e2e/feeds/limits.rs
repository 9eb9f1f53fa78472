//! `/events`: readers that are slow, that are many, and that are there when the server stops.

use std::time::{Duration, Instant};

use serde_json::json;
use tapelog_tests::api::Api;
use tapelog_tests::events::EventStream;
use tapelog_tests::eventually;
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{new_id, put_flow, video_flow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::labels;

/// A metric of the server's.
async fn metric(api: &Api, name: &str) -> Option<f64> {
    let told = api.get("/metrics").await.expect(200);
    let text = String::from_utf8(told.body.to_vec()).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Waits until so many readers follow the events.
async fn has_readers(api: &Api, count: u32) {
    eventually("the readers are as many as they should be", PATIENCE, async || {
        (metric(api, "tapelog_event_readers ").await == Some(count.into())).then_some(())
    })
    .await;
}

/// More than the buffers on the way to a reader hold.
const FLOWS: usize = 400;

/// A reader that takes nothing of what it asks for.
async fn slow_reader(api: &Api) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let address = api.base().strip_prefix("http://").unwrap().parse().unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    let request = b"GET /events?events=flows/created HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    slow.write_all(request).await.unwrap();
    slow
}

/// Makes Flows with texts so long that a few hundred do not fit into the buffers on the way to a reader.
async fn make_large_flows(api: &Api, count: usize) {
    for number in 0..count {
        let mut flow = video_flow(&new_id());
        (flow["label"], flow["description"]) = (json!(number.to_string()), json!("x".repeat(60_000)));
        put_flow(api, &flow).await.expect(201);
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_dropped_and_goes_on_where_it_stopped() {
    let server = Server::start_with(Options::default().and("TAPELOG_FEED__STALL_SECONDS", 1)).await;
    let api = server.api();
    let mut slow = slow_reader(api).await;
    has_readers(api, 1).await;
    make_large_flows(api, FLOWS).await;
    eventually("the reader is dropped", PATIENCE, async || {
        (metric(api, "tapelog_event_readers_stalled_total ").await == Some(1.0)).then_some(())
    })
    .await;
    has_readers(api, 0).await;

    // What was on its way arrives; then comes the end.
    let mut received = Vec::new();
    slow.read_to_end(&mut received).await.unwrap();
    let text = String::from_utf8(received).unwrap();
    let last = text.lines().rfind(|line| line.starts_with("id: ")).unwrap().strip_prefix("id: ").unwrap();
    let told = text.lines().filter(|line| *line == "event: flows/created").count();
    assert!((1..FLOWS).contains(&told), "{told}");
    let mut stream = EventStream::open(api, "events=flows/created", Some(last)).await;
    let rest = stream.take(FLOWS - told).await;
    assert_eq!(labels(&rest), (told..FLOWS).collect::<Vec<_>>());
}

#[tokio::test]
async fn readers_beyond_the_limit_are_told_to_come_later_and_a_server_with_readers_stops_at_once() {
    let mut server = Server::start_with(Options::default().and("TAPELOG_FEED__READERS", 3)).await;
    let api = server.api().clone();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(EventStream::open(&api, "events=flows/created", None).await);
    }
    let refused = api.get("/events").await.expect(503);
    assert!(refused.header("retry-after").is_some(), "{refused}");
    drop(streams.pop());
    let another = eventually("a place is free", PATIENCE, async || {
        let answer = api.request(reqwest::Method::GET, "/events").send().await.ok()?;
        (answer.status() == 200).then_some(answer)
    })
    .await;
    // One that has stopped to read is no reason to wait, either.
    drop(another);
    has_readers(&api, 2).await;
    let slow = slow_reader(&api).await;
    has_readers(&api, 3).await;
    make_large_flows(&api, FLOWS).await;
    for stream in &mut streams {
        assert_eq!(labels(&stream.take(FLOWS).await), (0..FLOWS).collect::<Vec<_>>());
    }
    let begin = Instant::now();
    let ends = async {
        for stream in &mut streams {
            assert_eq!(stream.rest().await, []);
        }
    };
    tokio::join!(server.stop(), ends);
    assert!(begin.elapsed() < Duration::from_secs(15), "it took {:?}", begin.elapsed());
    drop(slow);
}
