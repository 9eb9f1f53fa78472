//! A JetStream key-value bucket: small things that nodes must agree on, each changed by compare-and-set.

use std::future::IntoFuture;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::kv::{Config, CreateErrorKind, Store, UpdateErrorKind};
use async_nats::jetstream::stream::{InfoError, StorageType};
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::time::timeout;

use crate::log::jetstream::Connection;
use crate::log::{Cause, Unreachable};

/// How a bucket is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it is for, for people who look at the server.
    pub description: String,
    /// On how many servers a new bucket is kept: 1, 3 or 5.
    pub replicas: usize,
    /// How long the server may take to answer. Opening and listing may take several times as long.
    pub request_timeout: Duration,
}

/// A bucket on disk. Clones share it.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Store,
    connection: Connection,
    request_timeout: Duration,
}

/// Which write of a bucket put a value where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(u64);

/// What must stand under a key for a value to take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The value of this write.
    Revision(Revision),
}

/// A value was not put, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Something else stands there. After [`PutError::Unreachable`] it may be what was put then.
    #[error("something else stands there")]
    Conflict,
    /// It may be put now or later, as long as what was expected stands there.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// How many requests opening or listing takes at the most, for their time limit.
const REQUESTS: u32 = 4;

impl Bucket {
    /// Opens the bucket; it is made if there is none.
    ///
    /// # Errors
    /// When the server cannot be asked, or does not make it.
    pub async fn open(connection: &Connection, settings: BucketSettings) -> Result<Self, Unreachable> {
        let BucketSettings { name, description, replicas, request_timeout } = settings;
        let context = ContextBuilder::new().timeout(request_timeout).build(connection.client().clone());
        let opening = async {
            if let Ok(store) = context.get_key_value(&name).await {
                return Ok(store);
            }
            let config = Config {
                bucket: name,
                description,
                history: 1,
                storage: StorageType::File,
                num_replicas: replicas,
                ..Config::default()
            };
            context.create_key_value(config).await
        };
        let store = timeout(request_timeout * REQUESTS, opening).await.map_err(unreachable)?.map_err(unreachable)?;
        Ok(Self { store, connection: connection.clone(), request_timeout })
    }

    /// The value under a key with its revision. It may be an older one, for a moment, on a server that is behind.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn get(&self, key: &str) -> Result<Option<(Bytes, Revision)>, Unreachable> {
        let entry = self.answer(1, self.store.entry(key)).await?.map_err(unreachable)?;
        Ok(entry.map(|entry| (entry.value, Revision(entry.revision))))
    }

    /// Puts a value under a key, if what is expected stands there.
    ///
    /// # Errors
    /// When something else stands there, or no answer came.
    pub async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Revision, PutError> {
        match expected {
            Expected::Absent => match self.answer(REQUESTS, self.store.create(key, value)).await? {
                Ok(revision) => Ok(Revision(revision)),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Err(PutError::Conflict),
                Err(error) => Err(unreachable(error).into()),
            },
            Expected::Revision(Revision(revision)) => {
                match self.answer(1, self.store.update(key, value, revision)).await? {
                    Ok(revision) => Ok(Revision(revision)),
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Err(PutError::Conflict),
                    Err(error) => Err(unreachable(error).into()),
                }
            }
        }
    }

    /// Takes away what stands under a key, whatever that is, and leaves no trace of it.
    ///
    /// # Errors
    /// When no answer came; it may be gone, or go later.
    pub async fn delete(&self, key: &str) -> Result<(), Unreachable> {
        let purge = self.store.stream.purge().filter(format!("{}{key}", self.store.prefix));
        self.answer(1, purge.into_future()).await?.map_err(unreachable)?;
        Ok(())
    }

    /// Every key under which a value stands.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn keys(&self) -> Result<Vec<String>, Unreachable> {
        // Reading what is in it, as the client does to find its keys, would wait long for keys that change meanwhile.
        let prefix = &self.store.prefix;
        let keys = async {
            let subjects = self.store.stream.info_with_subjects(format!("{prefix}>")).await?;
            let keys = subjects.map_ok(|(subject, _)| subject.strip_prefix(prefix).unwrap_or(&subject).to_owned());
            keys.try_collect().await
        };
        self.answer(REQUESTS, keys).await?.map_err(|error: InfoError| unreachable(error))
    }

    /// Waits for so many answers, unless there is no connection: the client would keep the request for later.
    async fn answer<T>(&self, requests: u32, answer: impl Future<Output = T>) -> Result<T, Unreachable> {
        if !self.connection.is_connected() {
            return Err(Unreachable("not connected to the server".into()));
        }
        timeout(self.request_timeout * requests, answer).await.map_err(unreachable)
    }
}

fn unreachable(error: impl Into<Cause>) -> Unreachable {
    Unreachable(error.into())
}
