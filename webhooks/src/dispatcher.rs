//! The dispatcher: delivers notifications to webhooks, on one node at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tapelog_events::{EventPosition, Instant, Seq, WebhookId};
use tapelog_store::log::{Log, Unreachable};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lease::{Claimant, LeaseSettings, Ownership, Tenure};
use crate::metrics::Measured;
use crate::office::{DispatcherParts, Office};
use crate::position::{PositionSettings, Positions, Progress, ReadError};
use crate::recipient::Recipient;
use crate::reign::Reign;
use crate::{Attempted, Schedule, ScheduleSettings, Unusable};

/// How notifications are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Which node delivers.
    pub lease: LeaseSettings,
    /// How often positions are written.
    pub positions: PositionSettings,
    /// When it is tried again.
    pub schedule: ScheduleSettings,
    /// How long requests that are under way may take when the server stops. Those that take longer are repeated.
    pub stop_grace: Duration,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            lease: LeaseSettings::default(),
            positions: PositionSettings::default(),
            schedule: ScheduleSettings::default(),
            stop_grace: Duration::from_secs(2),
        }
    }
}

/// How far each webhook is that this node delivers to.
pub(crate) type Lines = Arc<Mutex<HashMap<WebhookId, Arc<watch::Sender<Progress>>>>>;

/// How the delivery to a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryState {
    /// The next event to be considered. On a node that does not deliver, it may be some seconds old.
    pub next: EventPosition,
    /// How many records of the log have not been considered.
    pub lag_records: u64,
    /// Since when the receiver has failed without interruption.
    pub failing_since: Option<Instant>,
    /// How many attempts in a row have failed.
    pub consecutive_failures: u32,
    /// When it was tried last. Known only to the node that delivers, since it began to.
    pub last_attempt: Option<Instant>,
    /// When it is tried again, where an attempt failed. Known only to the node that delivers.
    pub next_attempt: Option<Instant>,
    /// Why nothing is delivered until a person does something. Known only to the node that delivers.
    pub stuck: Option<Arc<str>>,
    /// The node that delivers, if there is one right now.
    pub owner: Option<String>,
}

/// How the delivery to a webhook stands cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be asked for now.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// What is in the bucket is not a position.
    #[error("the webhook's position cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

/// A webhook could not be tried out.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// There is none with this id.
    #[error("there is no webhook {0}")]
    Unknown(WebhookId),
    /// Nothing can be posted to it.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Delivers notifications to webhooks, on one node at a time. Clones share it.
///
/// Guarantees, for each webhook: it is told every event after its registration that its filters let pass, at least once
/// and in log order, except its dead letters (L10); another event is tried only when the one before it was taken or given
/// up; whatever its receiver does holds up no other; what happened while it was off is delivered when it is on again.
pub struct Dispatcher<L> {
    pub(crate) office: Arc<Office<L>>,
    pub(crate) lines: Lines,
    pub(crate) ownership: Ownership,
}

impl<L> Clone for Dispatcher<L> {
    fn clone(&self) -> Self {
        let Self { office, lines, ownership } = self;
        Self { office: Arc::clone(office), lines: Arc::clone(lines), ownership: ownership.clone() }
    }
}

impl<L: Log> Dispatcher<L> {
    /// Starts its tasks. They end when told to: what is under way may end, positions are written, and another node takes
    /// over at once.
    pub fn start(parts: DispatcherParts<L>) -> (Self, JoinSet<()>) {
        let settings = parts.settings.clone();
        let (claimant, ownership) =
            Claimant::new(parts.bucket.clone(), settings.lease, parts.node.clone(), parts.folder);
        let office = Arc::new(Office {
            positions: Positions::new(parts.bucket.clone(), settings.positions),
            schedule: Schedule::new(settings.schedule),
            measured: Measured::default(),
            parts,
        });
        let dispatcher = Self { office, lines: Lines::default(), ownership };
        let release = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(claimant.run(release.clone()));
        tasks.spawn(dispatcher.clone().run(release));
        (dispatcher, tasks)
    }

    async fn run(self, release: CancellationToken) {
        let stop = self.office.parts.stop.clone();
        let mut tenures = self.ownership.tenure.clone();
        while !stop.is_cancelled() {
            let Some(Some(tenure)) = stop.run_until_cancelled(begun(&mut tenures)).await else { break };
            Reign::new(Arc::clone(&self.office), Arc::clone(&self.lines), tenure).run().await;
        }
        // Not before: whoever takes over goes on where the last positions say.
        release.cancel();
    }

    /// How the delivery to a webhook stands; `None` before it has begun.
    ///
    /// # Errors
    /// When it cannot be told now.
    pub async fn state(&self, id: WebhookId) -> Result<Option<DeliveryState>, StateError> {
        let here = self.lines.lock().get(&id).map(|line| line.borrow().clone());
        let progress = match here {
            Some(progress) => progress,
            None => match self.office.positions.read(id).await {
                Ok(Some((stored, _))) => Progress::from(stored),
                Ok(None) => return Ok(None),
                Err(ReadError::Unreachable(error)) => return Err(error.into()),
                Err(ReadError::Unreadable(error)) => return Err(StateError::Unreadable(error)),
            },
        };
        let last = match self.office.parts.tail.last() {
            Some(last) => last,
            None => self.office.parts.log.tip().await?,
        };
        Ok(Some(self.described(progress, last)))
    }

    fn described(&self, progress: Progress, last: Seq) -> DeliveryState {
        let Progress { next, replay: _, failing, settled: _, at: _, last_attempt, next_attempt, stuck } = progress;
        DeliveryState {
            next,
            lag_records: last.next().0.saturating_sub(next.seq.0),
            failing_since: failing.map(|failing| failing.since),
            consecutive_failures: failing.map_or(0, |failing| failing.attempts),
            last_attempt,
            next_attempt,
            stuck,
            owner: self.ownership.owner.borrow().clone(),
        }
    }

    /// Posts a notification of type `tapelog/ping` to a webhook, whatever its status, beside all others. It is not tried
    /// again, and no part of the delivery log.
    ///
    /// # Errors
    /// When there is no such webhook, or nothing can be posted to it.
    pub async fn ping(&self, id: WebhookId) -> Result<Attempted, PingError> {
        let webhook = self.office.parts.directory.webhook(id).ok_or(PingError::Unknown(id))?;
        Ok(Recipient::of(webhook, &self.office).ping(&self.office).await?)
    }
}

/// Waits until this node delivers; `None` when it never will.
async fn begun(tenures: &mut watch::Receiver<Option<Tenure>>) -> Option<Tenure> {
    let lasts = |tenure: &Option<Tenure>| tenure.as_ref().is_some_and(|tenure| !tenure.ended().is_cancelled());
    tenures.wait_for(lasts).await.ok()?.clone()
}
