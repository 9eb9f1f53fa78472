//! Streams beside the log, on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::StreamExt;
use tapelog_store::log::jetstream::Connection;
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use tapelog_store::stream::{Stream, StreamSettings};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(max_bytes: u64) -> StreamSettings {
    StreamSettings {
        name: "BESIDE".to_owned(),
        description: "What is told".to_owned(),
        subjects: vec!["beside.>".to_owned()],
        max_age: Duration::from_secs(3600),
        max_bytes,
        duplicate_window: Duration::from_secs(60),
        replicas: 1,
        request_timeout: PATIENCE,
    }
}

async fn publish(stream: &Stream, number: u64, bytes: usize) -> u64 {
    let headers = HeaderMap::from_iter([("Nats-Msg-Id".parse().unwrap(), number.to_string().as_str().into())]);
    stream.publish(format!("beside.{number}"), headers, Bytes::from(vec![b'x'; bytes])).await.unwrap()
}

#[tokio::test]
async fn a_stream_is_followed_from_anywhere_and_takes_no_message_twice() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let stream = Stream::open(&connection, &settings(1 << 20)).await.unwrap();
    let made = stream.state().await.unwrap();
    assert_eq!((made.first_at, made.last_sequence), (None, 0));
    for number in 1..=10 {
        assert_eq!(publish(&stream, number, 100).await, number);
    }
    assert_eq!(publish(&stream, 7, 100).await, 7, "the server has it already");

    let opened = Stream::open(&connection, &settings(1 << 20)).await.unwrap();
    let state = opened.state().await.unwrap();
    assert_eq!((state.created, state.last_sequence), (made.created, 10));
    assert!(state.first_at.is_some_and(|first| first >= made.created));
    let mut messages = opened.follow(8).await.unwrap();
    publish(&opened, 11, 100).await;
    for expected in 8..=11 {
        let message = timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((message.sequence, message.payload.len()), (expected, 100));
    }
}

#[tokio::test]
async fn a_stream_forgets_its_oldest_messages_and_takes_new_limits() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let stream = Stream::open(&connection, &settings(1 << 20)).await.unwrap();
    for number in 1..=10 {
        publish(&stream, number, 1000).await;
    }
    let smaller = Stream::open(&connection, &settings(5000)).await.unwrap();
    publish(&smaller, 11, 1000).await;
    let first = timeout(PATIENCE, smaller.follow(1).await.unwrap().next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.sequence, 8);
}
