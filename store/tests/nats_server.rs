//! The supervised nats-server, with a real one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tapelog_store::nats_server::{Durability, NatsServer, NatsServerError, NatsServerSettings};

/// Set for the process that is to start a server and die without stopping it.
const ABANDON: &str = "TAPELOG_TEST_ABANDON";
/// An acknowledgement that was lost with a server is not worth waiting for.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(folder: &Path) -> NatsServer {
    NatsServer::start(NatsServerSettings::new(folder)).await.unwrap()
}

async fn connect(server: &NatsServer) -> jetstream::Context {
    let mut jetstream = jetstream::new(server.connect_options().connect(server.url()).await.unwrap());
    jetstream.set_timeout(ACK_TIMEOUT);
    jetstream
}

async fn stream(jetstream: &jetstream::Context) -> stream::Stream {
    let config =
        stream::Config { name: "LOG".to_owned(), subjects: vec!["log".to_owned()], ..stream::Config::default() };
    jetstream.get_or_create_stream(config).await.unwrap()
}

/// Publishes until it is acknowledged: a server that is being restarted does not answer.
async fn publish(jetstream: &jetstream::Context, payload: &'static str) {
    let attempts = async {
        loop {
            if let Ok(ack) = jetstream.publish("log", payload.into()).await
                && ack.await.is_ok()
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, attempts).await.unwrap();
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[tokio::test]
async fn servers_run_side_by_side_each_with_its_own_port_log_and_password() {
    let (first_folder, second_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = tokio::join!(start(first_folder.path()), start(second_folder.path()));
    assert_ne!(first.url(), second.url());
    stream(&connect(&first).await).await;
    assert!(connect(&second).await.get_stream("LOG").await.is_err());
    assert!(first.connect_options().connect(second.url()).await.is_err());
    if first.version().knows_sync_interval() {
        assert_eq!(*first.durability(), Durability::EveryAckIsOnDisk);
    }
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let jetstream = connect(&server).await;
    stream(&jetstream).await;
    publish(&jetstream, "kept").await;
    let pid = server.pid();
    server.shutdown().await;
    assert!(test_kill_process(process(pid)).is_err(), "the server has ended when shutdown returns");

    let server = start(folder.path()).await;
    let message = stream(&connect(&server).await).await.get_raw_message(1).await.unwrap();
    assert_eq!(message.payload, "kept");
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_killed_comes_back_with_its_log_where_clients_look_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let jetstream = connect(&server).await;
    stream(&jetstream).await;
    publish(&jetstream, "before").await;

    let killed = server.pid();
    kill_process(process(killed), Signal::KILL).unwrap();
    publish(&jetstream, "after").await;

    assert_ne!(server.pid(), killed);
    let stream = stream(&jetstream).await;
    assert_eq!(stream.get_raw_message(1).await.unwrap().payload, "before");
    server.shutdown().await;
}

#[tokio::test]
async fn a_folder_has_one_owner_and_the_second_is_told_who() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let error = NatsServer::start(NatsServerSettings::new(folder.path())).await.err().unwrap();
    assert!(matches!(&error, NatsServerError::InUse { pid, .. } if *pid == std::process::id().to_string()), "{error}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_missing_program_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let program = Some(PathBuf::from("/no/such/nats-server"));
    let settings = NatsServerSettings { program, ..NatsServerSettings::new(folder.path()) };
    let error = NatsServer::start(settings).await.err().unwrap().to_string();
    assert!(error.contains("/no/such/nats-server") && error.contains("./setup.sh"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mine.conf");
    std::fs::write(&config, "no_such_setting: 1\n").unwrap();
    let settings = NatsServerSettings { config: Some(config), ..NatsServerSettings::new(folder.path().join("log")) };
    let error = NatsServer::start(settings).await.err().unwrap();
    assert!(matches!(&error, NatsServerError::NotReady { log, .. } if log.contains("no_such_setting")), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_of_a_killed_owner_is_ended_and_its_log_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_owner_that_is_killed", "--nocapture"])
        .env(ABANDON, folder.path())
        .output()
        .unwrap();
    assert!(!owner.status.success(), "the owner has aborted");
    let leftover: u32 = std::fs::read_to_string(folder.path().join("pid")).unwrap().parse().unwrap();
    assert!(test_kill_process(process(leftover)).is_ok(), "the server has outlived its owner");

    let server = start(folder.path()).await;
    let command_line = std::fs::read(format!("/proc/{leftover}/cmdline")).unwrap_or_default();
    assert!(command_line.is_empty(), "the leftover has ended");
    let message = stream(&connect(&server).await).await.get_raw_message(1).await.unwrap();
    assert_eq!(message.payload, "acknowledged");
    server.shutdown().await;
}

/// Not a test by itself: the other process of the test above.
#[tokio::test]
async fn an_owner_that_is_killed() {
    let Some(folder) = env::var_os(ABANDON) else { return };
    let server = start(Path::new(&folder)).await;
    let jetstream = connect(&server).await;
    stream(&jetstream).await;
    publish(&jetstream, "acknowledged").await;
    std::fs::write(Path::new(&folder).join("pid"), server.pid().to_string()).unwrap();
    std::process::abort();
}
