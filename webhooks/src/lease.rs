//! Which node delivers: a lease that its holder renews, and that another takes once it is not renewed any more.
//!
//! No clock is compared with another. A holder counts from before it asks for a renewal; another counts from after it
//! saw one, and for longer. So the holder knows that the lease is over before anybody else takes it, even where its
//! process stood still meanwhile.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tapelog_store::bucket::{Bucket, Expected, PutError, Revision};
use tapelog_store::log::Unreachable;
use tokio::sync::watch;
use tokio::time::{Instant as Clock, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// Where the lease is in the bucket.
const KEY: &str = "owner";

/// How long the lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How often its holder renews it, and others look whether it is free.
    pub renew_every: Duration,
    /// After how long without a renewal another node takes it. Its holder stops one `renew_every` before that.
    pub expires_after: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { renew_every: Duration::from_secs(1), expires_after: Duration::from_secs(5) }
    }
}

/// The lease as it is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    /// Ascends with each holder.
    term: u64,
    /// `None` once it was given up.
    holder: Option<Holder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// Its name, for people.
    node: String,
    /// This run of its process.
    process: Uuid,
    /// The data folder that it alone uses. Nil where that is not known.
    #[serde(default)]
    folder: Uuid,
}

/// The time during which this node delivers. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// Higher than that of every holder before.
    pub term: u64,
    until: Arc<Mutex<Clock>>,
    ended: CancellationToken,
}

impl Tenure {
    /// Whether this node still holds the lease. To be asked right before anything that only the holder may do.
    pub fn holds(&self) -> bool {
        !self.ended.is_cancelled() && Clock::now() < *self.until.lock()
    }

    /// Ends it: another node was seen to be the holder.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Cancelled when it is over.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

/// Who holds the lease, as this node sees it.
#[derive(Debug, Clone)]
pub(crate) struct Ownership {
    /// This node's tenure, while it has one.
    pub tenure: watch::Receiver<Option<Tenure>>,
    /// The name of the node that holds the lease.
    pub owner: watch::Receiver<Option<String>>,
}

/// The task that holds the lease, or waits for it to be free.
pub(crate) struct Claimant {
    bucket: Bucket,
    settings: LeaseSettings,
    me: Holder,
    /// Whether the lease was not looked at yet.
    is_new: bool,
    /// What was seen last while another held it, and when first.
    seen: Option<(Revision, Clock)>,
    held: Option<(Tenure, Revision)>,
    tenure: watch::Sender<Option<Tenure>>,
    owner: watch::Sender<Option<String>>,
}

impl Claimant {
    pub fn new(bucket: Bucket, settings: LeaseSettings, node: String, folder: Uuid) -> (Self, Ownership) {
        let (tenure, owner) = (watch::Sender::new(None), watch::Sender::new(None));
        let ownership = Ownership { tenure: tenure.subscribe(), owner: owner.subscribe() };
        let me = Holder { node, process: Uuid::new_v4(), folder };
        (Self { bucket, settings, me, is_new: true, seen: None, held: None, tenure, owner }, ownership)
    }

    /// Ends when told to, the lease given up.
    pub async fn run(mut self, release: CancellationToken) {
        while !release.is_cancelled() {
            let result = match self.held.take() {
                Some((tenure, revision)) if tenure.holds() => self.renew(tenure, revision).await,
                Some((tenure, _)) => {
                    warn!(term = tenure.term, "this node could not renew its lease in time, and delivers no longer");
                    self.lose(&tenure);
                    Ok(())
                }
                None => self.contend().await,
            };
            if let Err(error) = result {
                debug!(error = &error as &dyn std::error::Error, "the lease cannot be asked for");
            }
            release.run_until_cancelled(sleep(self.settings.renew_every)).await;
        }
        if let Some((tenure, revision)) = self.held.take() {
            self.lose(&tenure);
            let given_up = Lease { term: tenure.term, holder: None };
            match self.bucket.put(KEY, encode(&given_up), Expected::Revision(revision)).await {
                Ok(_) => info!(term = tenure.term, "this node has given up its lease"),
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "the lease was not given up, and will expire")
                }
            }
        }
    }

    async fn renew(&mut self, tenure: Tenure, revision: Revision) -> Result<(), Unreachable> {
        let asked = Clock::now();
        match self.put(tenure.term, Expected::Revision(revision)).await {
            Ok(revision) => {
                *tenure.until.lock() = self.until(asked);
                self.held = Some((tenure, revision));
                Ok(())
            }
            Err(PutError::Unreachable(error)) => {
                self.held = Some((tenure, revision));
                Err(error)
            }
            // Maybe it is an earlier renewal of our own, whose answer did not come.
            Err(PutError::Conflict) => match self.look().await {
                Ok(Some((lease, revision))) if lease.term == tenure.term && lease.holder.as_ref() == Some(&self.me) => {
                    self.held = Some((tenure, revision));
                    Ok(())
                }
                Ok(_) => {
                    warn!(term = tenure.term, "another node has taken the lease; this one delivers no longer");
                    self.lose(&tenure);
                    Ok(())
                }
                Err(error) => {
                    self.held = Some((tenure, revision));
                    Err(error)
                }
            },
        }
    }

    /// Takes the lease if it is free.
    async fn contend(&mut self) -> Result<(), Unreachable> {
        let (expected, term) = match self.look().await? {
            None => (Expected::Absent, 0),
            Some((lease, revision)) => {
                let seen = match self.seen {
                    Some((before, at)) if before == revision => at,
                    _ => Clock::now(),
                };
                self.seen = Some((revision, seen));
                let is_new = mem::take(&mut self.is_new);
                let is_free = match &lease.holder {
                    None => true,
                    // Whoever used this node's data folder before it is dead. A copy of the folder somewhere else takes the
                    // lease once at the most.
                    Some(holder) if is_new && holder.folder == self.me.folder && !holder.folder.is_nil() => true,
                    Some(holder) => *holder == self.me || seen.elapsed() >= self.settings.expires_after,
                };
                self.owner.send_replace(lease.holder.map(|holder| holder.node));
                if !is_free {
                    return Ok(());
                }
                (Expected::Revision(revision), lease.term)
            }
        };
        // Positions keep the term of who wrote them last: it must ascend even if the lease was deleted by hand.
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let term = seconds.max(term + 1);
        let asked = Clock::now();
        match self.put(term, expected).await {
            Ok(revision) => {
                info!(term, "this node delivers to webhooks from now on");
                let until = Arc::new(Mutex::new(self.until(asked)));
                let tenure = Tenure { term, until, ended: CancellationToken::new() };
                self.held = Some((tenure.clone(), revision));
                self.tenure.send_replace(Some(tenure));
                self.owner.send_replace(Some(self.me.node.clone()));
                Ok(())
            }
            // Another was faster.
            Err(PutError::Conflict) => Ok(()),
            Err(PutError::Unreachable(error)) => Err(error),
        }
    }

    fn lose(&mut self, tenure: &Tenure) {
        tenure.end();
        self.tenure.send_replace(None);
        self.owner.send_replace(None);
        self.seen = None;
    }

    fn until(&self, asked: Clock) -> Clock {
        asked + self.settings.expires_after.saturating_sub(self.settings.renew_every)
    }

    async fn look(&self) -> Result<Option<(Lease, Revision)>, Unreachable> {
        let found = self.bucket.get(KEY).await?;
        Ok(found.map(|(value, revision)| {
            // What cannot be read is held by somebody unknown, until it is not renewed any more.
            let unknown = Lease {
                term: 0,
                holder: Some(Holder { node: "unknown".to_owned(), process: Uuid::nil(), folder: Uuid::nil() }),
            };
            (serde_json::from_slice(&value).unwrap_or(unknown), revision)
        }))
    }

    async fn put(&self, term: u64, expected: Expected) -> Result<Revision, PutError> {
        let lease = Lease { term, holder: Some(self.me.clone()) };
        self.bucket.put(KEY, encode(&lease), expected).await
    }
}

fn encode(lease: &Lease) -> Bytes {
    serde_json::to_vec(lease).expect("a lease is plain data").into()
}
