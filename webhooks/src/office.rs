//! What all who deliver share, and what they do in the same way.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tapelog_commands::Command;
use tapelog_events::{Failure, Incarnation, Instant, Seq, Webhook, WebhookStatus};
use tapelog_store::bucket::Bucket;
use tapelog_store::log::{Log, Tail};
use tapelog_store::sequencer::{Sequencer, SubmitError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::metrics::Measured;
use crate::position::Positions;
use crate::{AttemptLog, AttemptResult, Client, DeliverySettings, Directory, Render, Schedule, Secrets};

/// How long to wait before something is asked again that could not be answered.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// What a dispatcher is made of.
pub struct DispatcherParts<L> {
    /// The log.
    pub log: Arc<L>,
    /// Its end, as it grows.
    pub tail: Tail<L>,
    /// Where positions are kept, and who may move them.
    pub bucket: Bucket,
    /// Takes the commands that come of deliveries.
    pub sequencer: Sequencer,
    /// The webhooks.
    pub directory: Arc<dyn Directory>,
    /// Renders what is told.
    pub render: Arc<dyn Render>,
    /// Opens keys and signing secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Posts.
    pub client: Client,
    /// Where attempts are noted.
    pub attempts: AttemptLog,
    /// How it works.
    pub settings: DeliverySettings,
    /// The name of this node, for people.
    pub node: String,
    /// Names the data folder that this process alone uses, so that it need not wait for the lease of one that used it
    /// before. Nil where there is none.
    pub folder: Uuid,
    /// Which life of the log this is.
    pub incarnation: Incarnation,
    /// Tells it to end.
    pub stop: CancellationToken,
}

/// What all who deliver share.
pub(crate) struct Office<L> {
    pub parts: DispatcherParts<L>,
    pub positions: Positions,
    pub schedule: Schedule,
    pub measured: Measured,
}

/// Nothing more is to be done: the webhook is off, this node no longer the owner, or the server about to stop.
#[derive(Debug)]
pub(crate) struct Ended;

impl<L: Log> Office<L> {
    /// Has a command of the server's own decided and made durable, however long that takes. One that is refused speaks of
    /// what is not there any more.
    pub async fn submit(&self, command: Command, stopping: &CancellationToken) -> Result<(), Ended> {
        loop {
            let submitted =
                stopping.run_until_cancelled(self.parts.sequencer.submit_own(command.clone())).await.ok_or(Ended)?;
            let wait = match submitted {
                Ok(_) => return Ok(()),
                Err(error @ (SubmitError::Rejected { .. } | SubmitError::TooLarge { .. })) => {
                    warn!(%error, "what came of a delivery was refused");
                    return Ok(());
                }
                Err(SubmitError::Busy { retry_after } | SubmitError::Unavailable { retry_after }) => retry_after,
                Err(SubmitError::OutcomeUnknown | SubmitError::Halted | SubmitError::ShuttingDown) => PAUSE,
            };
            debug!(?wait, "what came of a delivery is submitted again");
            stopping.run_until_cancelled(sleep(wait)).await.ok_or(Ended)?;
        }
    }

    /// Lets a request that is under way end, so that it is not repeated; but not for long once nothing more is to be done.
    pub async fn finish<T>(&self, request: impl Future<Output = T>, stopping: &CancellationToken) -> Result<T, Ended> {
        let grace = async {
            stopping.cancelled().await;
            sleep(self.parts.settings.stop_grace).await;
        };
        tokio::select! {
            biased;
            answer = request => Ok(answer),
            () = grace => Err(Ended),
        }
    }

    /// Waits until this node's tables hold a record.
    pub async fn applied(&self, seq: Seq, stopping: &CancellationToken) -> Result<(), Ended> {
        let mut applied = self.parts.directory.applied();
        if *applied.borrow() >= seq {
            return Ok(());
        }
        match stopping.run_until_cancelled(applied.wait_for(|applied| *applied >= seq)).await {
            Some(Ok(_)) => Ok(()),
            // The tables are closed.
            Some(Err(_)) | None => Err(Ended),
        }
    }
}

/// Whether notifications of a webhook are delivered.
pub(crate) const fn delivers(webhook: &Webhook) -> bool {
    match webhook.status {
        WebhookStatus::Created | WebhookStatus::Started => true,
        WebhookStatus::Disabled | WebhookStatus::Error(_) => false,
    }
}

/// Why the last attempt failed, as a webhook's error or a dead letter tells it.
pub(crate) fn failure(result: &AttemptResult, summary: String) -> Failure {
    let kind = match result {
        AttemptResult::Unreachable { .. } => "receiver_unreachable",
        AttemptResult::Gone => "receiver_gone",
        AttemptResult::Refused { .. } | AttemptResult::Delivered { .. } => "notification_refused",
    };
    Failure { kind: kind.to_owned(), summary, time: now() }
}

/// The moment by this machine's clock.
pub(crate) fn now() -> Instant {
    SystemTime::now().into()
}
