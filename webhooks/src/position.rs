//! How far each webhook is, in the bucket: moved by compare-and-set, and never by a node that is not the owner any more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tapelog_events::{CommitId, EventPosition, Instant, Replay, Seq, WebhookId};
use tapelog_store::bucket::{Bucket, Expected, PutError, Revision};
use tapelog_store::log::Unreachable;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant as Clock, sleep_until};
use tracing::{debug, warn};
use uuid::Uuid;

use crate::lease::Tenure;

/// What the keys of positions begin with; the webhook's id follows.
const PREFIX: &str = "position.";
/// How many positions are written or read at once: enough to keep the server busy, and few enough that thousands of
/// webhooks do not hold up the log, which is on the same server.
const AT_ONCE: usize = 16;

/// How far a webhook is, as it is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// The next event to be considered.
    pub next: EventPosition,
    /// The commit that asked for the last replay that was begun.
    pub replay: Option<Uuid>,
    /// Since when its receiver fails.
    pub failing: Option<Failing>,
    /// Whether it was found to be ahead of the log, so that nobody knows what it means.
    #[serde(default)]
    pub ahead_of_log: bool,
    /// The term of the owner that wrote it.
    pub term: u64,
}

/// A receiver that has failed since it last took anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failing {
    /// When the first attempt failed.
    pub since: Instant,
    /// How many have.
    pub attempts: u32,
}

/// How far a webhook is, on the node that delivers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub next: EventPosition,
    pub replay: Option<CommitId>,
    pub failing: Option<Failing>,
    /// How many events were delivered or given up since the node began.
    pub settled: u64,
    /// When the last event that was considered, or is being tried, happened.
    pub at: Option<Instant>,
    pub last_attempt: Option<Instant>,
    pub next_attempt: Option<Instant>,
    /// Why nothing is delivered until a person does something.
    pub stuck: Option<Arc<str>>,
}

impl Progress {
    /// At this position, before anything is done there.
    pub fn at(next: EventPosition) -> Self {
        Self {
            next,
            replay: None,
            failing: None,
            settled: 0,
            at: None,
            last_attempt: None,
            next_attempt: None,
            stuck: None,
        }
    }

    /// Goes back to where a replay begins; never forward, which would leave events out.
    pub fn replay(&mut self, replay: Replay) {
        self.next = self.next.min(replay.from).max(EventPosition::start_of(Seq(1)));
        self.replay = Some(replay.id);
    }

    fn stored(&self, term: u64) -> Stored {
        let replay = self.replay.map(|id| *id.as_uuid());
        Stored { next: self.next, replay, failing: self.failing, ahead_of_log: false, term }
    }

    /// Whether what a repetition would show to the receiver, or to people, has changed.
    fn differs(&self, other: &Self) -> bool {
        (self.settled, self.replay, self.failing) != (other.settled, other.replay, other.failing)
    }
}

impl From<Stored> for Progress {
    fn from(Stored { next, replay, failing, ahead_of_log: _, term: _ }: Stored) -> Self {
        Self { replay: replay.map(CommitId::from_uuid), failing, ..Self::at(next) }
    }
}

/// How often positions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionSettings {
    /// While events are delivered: at most so much of them is repeated after a crash.
    pub every: Duration,
    /// While all events are passed over, so that less of the log is read again after a start.
    pub passed_every: Duration,
}

impl Default for PositionSettings {
    fn default() -> Self {
        Self { every: Duration::from_secs(1), passed_every: Duration::from_secs(30) }
    }
}

/// A position could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("the webhook's position in the bucket cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

/// A position could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Put(#[from] PutError),
    #[error("another node delivers now")]
    Deposed,
}

/// The positions in the bucket. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    bucket: Bucket,
    places: Arc<Semaphore>,
    settings: PositionSettings,
}

impl Positions {
    pub fn new(bucket: Bucket, settings: PositionSettings) -> Self {
        Self { bucket, places: Arc::new(Semaphore::new(AT_ONCE)), settings }
    }

    pub async fn read(&self, id: WebhookId) -> Result<Option<(Stored, Revision)>, ReadError> {
        let _place = self.place().await;
        let Some((value, revision)) = self.bucket.get(&key(id)).await? else { return Ok(None) };
        Ok(Some((serde_json::from_slice(&value)?, revision)))
    }

    /// Writes a position, if what is expected stands there and this node still is the owner.
    pub async fn write(
        &self,
        id: WebhookId,
        stored: &Stored,
        expected: Expected,
        tenure: &Tenure,
    ) -> Result<Revision, WriteError> {
        let _place = self.place().await;
        if !tenure.holds() {
            return Err(WriteError::Deposed);
        }
        let value = Bytes::from(serde_json::to_vec(stored).expect("a position is plain data"));
        Ok(self.bucket.put(&key(id), value, expected).await?)
    }

    pub async fn forget(&self, id: WebhookId) -> Result<(), Unreachable> {
        let _place = self.place().await;
        self.bucket.delete(&key(id)).await
    }

    /// The webhooks that have a position.
    pub async fn all(&self) -> Result<Vec<WebhookId>, Unreachable> {
        let keys = self.bucket.keys().await?;
        Ok(keys.iter().filter_map(|key| key.strip_prefix(PREFIX)?.parse().ok()).collect())
    }

    async fn place(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("places are never closed")
    }
}

fn key(id: WebhookId) -> String {
    format!("{PREFIX}{id}")
}

/// Writes the position of one webhook as it moves. Made once the owner has written it with its own term, after which no
/// earlier owner can.
pub(crate) struct Keeper {
    positions: Positions,
    id: WebhookId,
    tenure: Tenure,
    expected: Expected,
    written: Progress,
    at: Clock,
}

impl Keeper {
    /// Takes over a position: `progress` takes the place of what was read.
    pub async fn take_over(
        positions: Positions,
        id: WebhookId,
        tenure: Tenure,
        progress: Progress,
        found: Expected,
    ) -> Result<Self, WriteError> {
        let revision = positions.write(id, &progress.stored(tenure.term), found, &tenure).await?;
        let expected = Expected::Revision(revision);
        Ok(Self { positions, id, tenure, expected, written: progress, at: Clock::now() })
    }

    /// Writes the position whenever it has moved. Ends when another node turns out to be the owner.
    pub async fn keep(&mut self, mut progress: watch::Receiver<Progress>) {
        loop {
            let differs = progress.borrow_and_update().differs(&self.written);
            let moved = differs || progress.borrow().next != self.written.next;
            let settings = self.positions.settings;
            let due = self.at + if differs { settings.every } else { settings.passed_every };
            tokio::select! {
                () = sleep_until(due), if moved => {}
                // While events are delivered, what comes of each changes nothing about when to write.
                changed = progress.changed(), if !differs => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
            }
            let now = progress.borrow().clone();
            match self.write(now).await {
                Ok(()) => {}
                Err(WriteError::Deposed) => return,
                Err(WriteError::Put(error)) => {
                    debug!(webhook_id = %self.id, error = &error as &dyn std::error::Error, "a position could not be written");
                }
            }
            self.at = Clock::now();
        }
    }

    /// Writes what was not written yet.
    pub async fn finish(&mut self, progress: Progress) {
        if progress.next == self.written.next && !progress.differs(&self.written) {
            return;
        }
        if let Err(error) = self.write(progress).await {
            warn!(webhook_id = %self.id, error = &error as &dyn std::error::Error, "a last position was not written; some events may be delivered again");
        }
    }

    async fn write(&mut self, progress: Progress) -> Result<(), WriteError> {
        let stored = progress.stored(self.tenure.term);
        loop {
            match self.positions.write(self.id, &stored, self.expected, &self.tenure).await {
                Ok(revision) => {
                    self.expected = Expected::Revision(revision);
                    self.written = progress;
                    return Ok(());
                }
                // Maybe it is what we wrote before, whose answer did not come.
                Err(WriteError::Put(PutError::Conflict)) => match self.positions.read(self.id).await {
                    Ok(Some((found, revision))) if found.term <= self.tenure.term => {
                        self.expected = Expected::Revision(revision);
                    }
                    Ok(None) => self.expected = Expected::Absent,
                    Ok(Some(_)) | Err(ReadError::Unreadable(_)) => {
                        self.tenure.end();
                        return Err(WriteError::Deposed);
                    }
                    Err(ReadError::Unreachable(error)) => return Err(PutError::from(error).into()),
                },
                Err(error) => return Err(error),
            }
        }
    }
}
