//! A key-value bucket on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tapelog_store::bucket::{Bucket, BucketSettings, Expected, PutError};
use tapelog_store::log::jetstream::Connection;
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open(server: &NatsServer) -> Bucket {
    let connection = Connection::open(server.url(), server.connect_options()).await.unwrap();
    let settings = BucketSettings {
        name: "TAPELOG_test".to_owned(),
        description: "a test".to_owned(),
        replicas: 1,
        request_timeout: Duration::from_secs(2),
    };
    Bucket::open(&connection, settings).await.unwrap()
}

#[tokio::test]
async fn a_value_takes_the_place_of_what_is_expected_or_none() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path())).await.unwrap();
    let (one, other) = (open(&server).await, open(&server).await);
    assert_eq!(one.get("key").await.unwrap(), None);
    let first = one.put("key", "first".into(), Expected::Absent).await.unwrap();
    let conflict = other.put("key", "lost".into(), Expected::Absent).await;
    assert!(matches!(conflict, Err(PutError::Conflict)));
    assert_eq!(other.get("key").await.unwrap(), Some(("first".into(), first)));
    let second = other.put("key", "second".into(), Expected::Revision(first)).await.unwrap();
    assert!(matches!(one.put("key", "lost".into(), Expected::Revision(first)).await, Err(PutError::Conflict)));
    one.put("another", "value".into(), Expected::Absent).await.unwrap();
    let mut keys = one.keys().await.unwrap();
    keys.sort();
    assert_eq!(keys, ["another", "key"]);

    one.delete("key").await.unwrap();
    assert_eq!((other.get("key").await.unwrap(), one.keys().await.unwrap()), (None, vec!["another".to_owned()]));
    assert!(matches!(one.put("key", "lost".into(), Expected::Revision(second)).await, Err(PutError::Conflict)));
    one.put("key", "anew".into(), Expected::Absent).await.unwrap();
}

#[tokio::test]
async fn values_outlive_a_crash_of_the_server() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsServerSettings::new(folder.path())).await.unwrap();
    let bucket = open(&server).await;
    let revision = bucket.put("key", "before".into(), Expected::Absent).await.unwrap();
    kill_process(Pid::from_raw(server.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    let back = async {
        loop {
            match bucket.put("key", "after".into(), Expected::Revision(revision)).await {
                Ok(_) => return,
                // A put whose answer did not come may have been done.
                Err(PutError::Conflict) => return assert_eq!(bucket.get("key").await.unwrap().unwrap().0, "after"),
                Err(PutError::Unreachable(_)) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, back).await.unwrap();
    assert_eq!(bucket.get("key").await.unwrap().unwrap().0, "after");
}
