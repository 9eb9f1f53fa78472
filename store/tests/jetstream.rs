//! The log and the sequencer on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod node;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use node::{Node, flow_id, name_store, put_flow, request};
use rustix::process::{Pid, Signal, kill_process};
use tapelog_commands::State;
use tapelog_events::{Instant, Record, Seq};
use tapelog_store::log::jetstream::{Connection, JetStreamLog, JetStreamSettings, OpenError};
use tapelog_store::log::{AppendError, Broken, Head, Log, holds, replay};
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use tapelog_store::sequencer::{SequencerSettings, Status, SubmitError};
use tempfile::TempDir;
use tokio::time::timeout;

const NOW: Instant = Instant::from_micros(1_700_000_000_000_000);
/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Deployment {
    server: NatsServer,
    folder: TempDir,
}

impl Deployment {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let server = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
        Self { server, folder }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.server.url(), self.server.connect_options()).await.unwrap()
    }

    fn marker(&self) -> PathBuf {
        self.folder.path().join("node/log.json")
    }

    async fn try_open(&self) -> Result<JetStreamLog, OpenError> {
        JetStreamLog::open(&self.connect().await, &JetStreamSettings::default(), &self.marker(), NOW).await
    }

    async fn open(&self) -> Arc<JetStreamLog> {
        Arc::new(self.try_open().await.unwrap())
    }

    /// Kills the server, which is then started again by its supervisor.
    fn kill_server(&self) {
        let pid = Pid::from_raw(self.server.pid().cast_signed()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    async fn delete_stream(&self) {
        let context = async_nats::jetstream::new(self.connect().await.client().clone());
        context.delete_stream(JetStreamSettings::default().stream).await.unwrap();
    }
}

async fn start_node(log: &Arc<JetStreamLog>) -> Node {
    Node::start(log, SequencerSettings::default(), || NOW, || Duration::ZERO).await
}

/// Reads the whole log with its chain checked (L2).
async fn read_all(log: &JetStreamLog) -> Vec<Record> {
    let mut records = Vec::new();
    let until = log.tip().await.unwrap();
    let each = |_, record| {
        records.push(record);
        Ok::<_, std::convert::Infallible>(())
    };
    timeout(PATIENCE, replay(log, Head::START, until, each)).await.unwrap().unwrap();
    records
}

#[tokio::test]
async fn a_record_is_appended_right_after_the_one_it_expects_or_not_at_all() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    assert_eq!(log.tip().await.unwrap(), Seq(1), "a new log holds its first record");
    log.append(Seq(1), Bytes::from_static(b"two")).await.unwrap();
    for wrong in [Seq(0), Seq(1), Seq(3)] {
        let error = log.append(wrong, Bytes::from_static(b"lost")).await.unwrap_err();
        assert!(matches!(error, AppendError::Conflict), "{error}");
    }
    assert_eq!(log.tip().await.unwrap(), Seq(2));
    assert_eq!(log.read(Seq(2)).await.unwrap().unwrap(), "two");
    assert_eq!(log.read(Seq(3)).await.unwrap(), None);
}

#[tokio::test]
async fn the_largest_record_can_be_written_read_and_followed() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    let too_large = Bytes::from(vec![7; log.max_payload() + 2000]);
    assert!(matches!(log.append(Seq(1), too_large).await, Err(AppendError::TooLarge)));
    let largest = Bytes::from(vec![7; log.max_payload()]);
    log.append(Seq(1), largest.clone()).await.unwrap();
    log.append(Seq(2), largest.clone()).await.unwrap();
    assert!(log.read(Seq(2)).await.unwrap().unwrap() == largest);
    let entries: Vec<_> = timeout(PATIENCE, log.follow(Seq(2)).take(2).collect()).await.unwrap();
    assert!(entries.into_iter().all(|entry| entry.unwrap().payload == largest));
}

#[tokio::test]
async fn a_follower_gets_every_record_once_across_a_crash_of_the_server() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    let mut follower = log.follow(Seq(2));
    for number in 2..=20_u64 {
        if number % 7 == 0 {
            deployment.kill_server();
        }
        let payload = Bytes::from(number.to_string());
        let appended = async {
            // What was stored without an acknowledgement is a conflict when it is sent again.
            while log.append(Seq(number - 1), payload.clone()).await.is_err()
                && log.read(Seq(number)).await.ok().flatten().as_ref() != Some(&payload)
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, appended).await.unwrap();
        let entry = timeout(PATIENCE, follower.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((entry.seq, entry.payload), (Seq(number), payload));
    }
}

#[tokio::test]
async fn every_acknowledged_request_is_in_the_log_once_when_the_server_is_killed_under_load() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    let node = start_node(&log).await;
    let clients = (0..16_u128).map(|client| {
        let sequencer = node.sequencer.clone();
        async move {
            let mut answers = Vec::new();
            for number in 0..60 {
                let request = request(put_flow(client * 1000 + number + 1, client + 1, "a"));
                let id = request.commit_id;
                answers.push((id, sequencer.submit(request).await));
            }
            answers
        }
    });
    let load = join_all(clients);
    let killer = async {
        for records in [5, 15, 30] {
            let mut applied = node.applied.clone();
            applied.wait_for(|applied| applied.0 >= records).await.unwrap();
            deployment.kill_server();
        }
    };
    let (answers, ()) = timeout(PATIENCE, async { tokio::join!(load, killer) }).await.unwrap();
    let records = read_all(&log).await;
    for (id, answer) in answers.into_iter().flatten() {
        let times = records.iter().flat_map(|record| &record.commits).filter(|commit| commit.id == id).count();
        match answer {
            Ok(_) => assert_eq!(times, 1, "L3"),
            Err(SubmitError::Unavailable { .. }) => {
                assert_eq!(times, 0, "a request that was turned away is not in the log")
            }
            Err(error) => panic!("{error}"),
        }
    }
    let (stopped, _) = node.close().await.unwrap();
    assert!(holds(&*log, stopped.head).await.unwrap());
}

#[tokio::test]
async fn two_nodes_write_one_log_and_come_to_the_same_state() {
    let deployment = Deployment::start().await;
    let (log, other_log) = (deployment.open().await, deployment.open().await);
    let nodes = [start_node(&log).await, start_node(&other_log).await];
    let clients = (0..16_u128).map(|client| {
        let sequencer = nodes[client as usize % 2].sequencer.clone();
        async move {
            for number in 0..25 {
                // Each flow is created on one node and changed on the other.
                sequencer
                    .submit(request(put_flow(client / 2 * 1000 + number + 1, 1, &client.to_string())))
                    .await
                    .unwrap();
            }
        }
    });
    timeout(PATIENCE, join_all(clients)).await.unwrap();
    let records = read_all(&log).await;
    let mut fresh = State::default();
    for commit in records.iter().flat_map(|record| &record.commits) {
        fresh.fold(commit).unwrap();
    }
    let [one, other] = nodes;
    assert!(one.sequencer.stats().conflicts + other.sequencer.stats().conflicts > 0, "they met");
    for mut node in [one, other] {
        let all = Seq(records.len() as u64);
        timeout(PATIENCE, node.applied.wait_for(|applied| *applied == all)).await.unwrap().unwrap();
        let (stopped, tables) = node.close().await.unwrap();
        for (client, number) in (0..8).flat_map(|client| (0..25).map(move |number| (client, number))) {
            let id = flow_id(client * 1000 + number + 1);
            assert!(fresh.flow(id).is_some());
            assert_eq!(stopped.state.flow(id), fresh.flow(id));
            assert_eq!(tables.flow(id), fresh.flow(id));
        }
    }
}

#[tokio::test]
async fn nodes_that_open_a_new_log_at_once_agree_on_its_first_record() {
    let deployment = Deployment::start().await;
    let connection = deployment.connect().await;
    let markers = (0..4).map(|node| deployment.folder.path().join(format!("{node}.json"))).collect::<Vec<_>>();
    let settings = JetStreamSettings::default();
    let logs = join_all(markers.iter().map(|marker| JetStreamLog::open(&connection, &settings, marker, NOW))).await;
    let incarnations: Vec<_> = logs.iter().map(|log| log.as_ref().unwrap().incarnation()).collect();
    assert!(incarnations.iter().all(|incarnation| *incarnation == incarnations[0]));
    assert_eq!(logs[0].as_ref().unwrap().tip().await.unwrap(), Seq(1));
}

#[tokio::test]
async fn a_log_that_is_gone_is_not_made_anew() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    log.append(Seq(1), Bytes::from_static(b"two")).await.unwrap();
    log.remember(Seq(2)).await.unwrap();
    deployment.delete_stream().await;
    let error = deployment.try_open().await.unwrap_err();
    assert!(matches!(&error, OpenError::Lost { last_seq: Seq(2), .. }), "{error}");
}

#[tokio::test]
async fn another_log_in_the_place_of_the_known_one_is_refused() {
    let deployment = Deployment::start().await;
    deployment.open().await;
    deployment.delete_stream().await;
    let elsewhere = deployment.folder.path().join("elsewhere.json");
    let settings = JetStreamSettings::default();
    JetStreamLog::open(&deployment.connect().await, &settings, &elsewhere, NOW).await.unwrap();
    let error = deployment.try_open().await.unwrap_err();
    assert!(matches!(&error, OpenError::Broken(Broken::Replaced { .. })), "{error}");
}

#[tokio::test]
async fn a_log_that_is_shorter_than_it_was_is_refused() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    log.remember(Seq(5)).await.unwrap();
    let error = deployment.try_open().await.unwrap_err();
    assert!(matches!(&error, OpenError::Broken(Broken::Rewound(Seq(5)))), "{error}");
}

#[tokio::test]
async fn a_stream_that_may_forget_records_is_refused() {
    let deployment = Deployment::start().await;
    let context = async_nats::jetstream::new(deployment.connect().await.client().clone());
    let forgetful = async_nats::jetstream::stream::Config {
        name: JetStreamSettings::default().stream,
        subjects: vec!["TAPELOG.records".to_owned()],
        max_age: Duration::from_secs(3600),
        ..Default::default()
    };
    context.create_stream(forgetful).await.unwrap();
    let error = deployment.try_open().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Configuration { .. }));
    assert!(text.contains("max_age") && text.contains("deny_delete") && text.contains("discard"), "{text}");
}

#[tokio::test]
async fn a_node_whose_log_is_deleted_stops_writing_and_says_so() {
    let deployment = Deployment::start().await;
    let log = deployment.open().await;
    let node = start_node(&log).await;
    node.sequencer.submit(request(name_store("before"))).await.unwrap();
    deployment.delete_stream().await;
    let mut status = node.sequencer.status();
    let halted = status.wait_for(|status| matches!(status, Status::Halted(_)));
    timeout(PATIENCE, halted).await.unwrap().unwrap();
    assert_eq!(node.sequencer.submit(request(name_store("after"))).await, Err(SubmitError::Halted));
}
