//! The delivery log on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use tapelog_events::{EventPosition, Instant, Notification, Seq, WebhookId};
use tapelog_store::log::jetstream::Connection;
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use tapelog_webhooks::{
    AttemptFilter, AttemptLog, AttemptOrder, AttemptResult, AttemptRow, AttemptSettings, Attempted,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const STREAM: &str = "TAPELOG_DELIVERIES";

struct Node {
    log: AttemptLog,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Node {
    async fn start(connection: &Connection, folder: &Path) -> Self {
        Self::start_with(connection, folder, AttemptSettings::default()).await
    }

    async fn start_with(connection: &Connection, folder: &Path, settings: AttemptSettings) -> Self {
        let stop = CancellationToken::new();
        let (log, tasks) = AttemptLog::start(connection.clone(), settings, folder, stop.clone()).await.unwrap();
        Self { log, tasks, stop }
    }

    async fn close(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.tasks.join_all()).await.unwrap();
    }

    /// Waits until these are the events that were tried, the first one first.
    async fn holds(&self, events: &[u64]) {
        let look = async {
            loop {
                let filter = AttemptFilter::default();
                let page = self.log.page(webhook(), filter, AttemptOrder::OldestFirst, None, 1000).await.unwrap();
                if page.rows.iter().map(|row| row.position.seq.0).eq(events.iter().copied()) {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap();
    }
}

fn webhook() -> WebhookId {
    WebhookId::from_uuid(Uuid::from_u128(1))
}

fn attempt(event: u64) -> AttemptRow {
    AttemptRow {
        webhook_id: webhook(),
        position: EventPosition::start_of(Seq(event)),
        notification: Notification::FlowCreated,
        attempt: 1,
        attempted: Attempted {
            started: Instant::from(SystemTime::now()),
            took: Duration::from_millis(3),
            result: AttemptResult::Delivered { status: 200 },
            excerpt: Some("thank you".to_owned()),
        },
        node: "a".to_owned(),
    }
}

#[tokio::test]
async fn every_node_knows_what_every_node_tried_also_when_it_was_away() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let path = |name| folder.path().join(name);
    let first = Node::start(&connection, &path("first")).await;
    let second = Node::start(&connection, &path("second")).await;
    let events: Vec<u64> = (1..=300).collect();
    for &event in &events[..150] {
        first.log.note(attempt(event));
    }
    first.holds(&events[..150]).await;
    second.holds(&events[..150]).await;

    second.close().await;
    for &event in &events[150..] {
        first.log.note(attempt(event));
    }
    // What was noted before the end is written.
    first.close().await;
    let second = Node::start(&connection, &path("second")).await;
    second.holds(&events).await;
    Node::start(&connection, &path("third")).await.holds(&events).await;
}

#[tokio::test]
async fn a_stream_that_was_made_anew_makes_the_table_anew() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let table = folder.path().join("table");
    let node = Node::start(&connection, &table).await;
    node.log.note(attempt(1));
    node.holds(&[1]).await;
    node.close().await;

    async_nats::jetstream::new(connection.client().clone()).delete_stream(STREAM).await.unwrap();
    let node = Node::start(&connection, &table).await;
    node.holds(&[]).await;
    node.log.note(attempt(2));
    node.holds(&[2]).await;
}

#[tokio::test]
async fn attempts_that_are_noted_while_the_server_is_away_are_written_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let node = Node::start(&connection, &folder.path().join("table")).await;
    node.log.note(attempt(1));
    node.holds(&[1]).await;
    // Its supervisor starts it again.
    kill_process(Pid::from_raw(server.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    for event in 2..=500 {
        node.log.note(attempt(event));
    }
    node.holds(&(1..=500).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_does_not_hold_up_the_end() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let request_timeout = Duration::from_secs(1);
    let settings = AttemptSettings { request_timeout, ..AttemptSettings::default() };
    let node = Node::start_with(&connection, &folder.path().join("table"), settings).await;
    node.log.note(attempt(0));
    node.holds(&[0]).await;
    let process = Pid::from_raw(server.pid().cast_signed()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    (1..=5000).for_each(|event| node.log.note(attempt(event)));
    let closed = timeout(5 * request_timeout, node.close()).await;
    kill_process(process, Signal::CONT).unwrap();
    closed.unwrap();
}
