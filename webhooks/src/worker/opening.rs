//! How the delivery to one webhook begins, and ends: its position is taken over, and left behind.

use std::sync::Arc;
use std::time::Duration;

use tapelog_events::{EventPosition, Seq, Webhook, WebhookId, WebhookStatus};
use tapelog_store::bucket::{Expected, PutError};
use tapelog_store::log::{Log, Unreachable};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::Worker;
use crate::dispatcher::Lines;
use crate::lease::Tenure;
use crate::office::{Ended, Office, PAUSE, delivers};
use crate::origin::{OriginError, origin};
use crate::position::{Keeper, Progress, ReadError, Stored, WriteError};
use crate::recipient::Recipient;

/// How long to wait before it is looked again whether a webhook that was found to be stuck still is.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where a webhook's delivery is to begin.
struct Opening {
    stored: Stored,
    /// What was found in the bucket.
    found: Expected,
}

/// Why it did not begin.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Somebody must look at it.
    #[error("{reason}")]
    Stuck {
        reason: String,
        /// Where it is, if that is known.
        at: Option<EventPosition>,
    },
}

/// Delivers to one webhook for as long as it is on.
pub(crate) async fn work<L: Log>(
    office: Arc<Office<L>>,
    id: WebhookId,
    tenure: Tenure,
    lines: Lines,
    changes: watch::Receiver<Seq>,
    stopping: CancellationToken,
) {
    let opened = open(&office, id, &tenure, &lines, changes.clone(), &stopping).await;
    let Ok((mut keeper, progress, webhook)) = opened else { return };
    let worker = Worker {
        recipient: Recipient::of(webhook, &office),
        office,
        id,
        tenure,
        progress: Arc::clone(&progress),
        changes,
        stopping,
        starting: None,
        refused_in_a_row: 0,
        warned: false,
    };
    tokio::select! {
        Ended = worker.run() => {}
        () = keeper.keep(progress.subscribe()) => {}
    }
    let last = progress.borrow().clone();
    keeper.finish(last).await;
}

/// Takes over the position of a webhook.
async fn open<L: Log>(
    office: &Office<L>,
    id: WebhookId,
    tenure: &Tenure,
    lines: &Lines,
    mut changes: watch::Receiver<Seq>,
    stopping: &CancellationToken,
) -> Result<(Keeper, Arc<watch::Sender<Progress>>, Arc<Webhook>), Ended> {
    let mut reported = None;
    loop {
        changes.mark_unchanged();
        let webhook = office.parts.directory.webhook(id).filter(|webhook| delivers(webhook)).ok_or(Ended)?;
        match stopping.run_until_cancelled(find(office, &webhook, tenure)).await.ok_or(Ended)? {
            Ok(Opening { stored, found }) => {
                let mut progress = Progress::from(stored);
                if let Some(replay) = webhook.replay.filter(|replay| progress.replay != Some(replay.id)) {
                    progress.replay(replay);
                }
                // It was switched on since: it has all its time.
                if webhook.status == WebhookStatus::Created {
                    progress.failing = None;
                }
                let taken = Keeper::take_over(office.positions.clone(), id, tenure.clone(), progress.clone(), found);
                match taken.await {
                    Ok(keeper) => {
                        let line = Arc::new(watch::Sender::new(progress));
                        lines.lock().insert(id, Arc::clone(&line));
                        return Ok((keeper, line, webhook));
                    }
                    Err(WriteError::Deposed) => return Err(Ended),
                    // The owner before has moved it once more.
                    Err(WriteError::Put(PutError::Conflict)) => continue,
                    Err(WriteError::Put(PutError::Unreachable(error))) => wait_to_ask(&error, stopping).await?,
                }
            }
            Err(OpenError::Unreachable(error)) => wait_to_ask(&error, stopping).await?,
            Err(OpenError::Stuck { reason, at }) => {
                if reported.as_ref() != Some(&reason) {
                    error!(webhook_id = %id, reason, "a webhook cannot be delivered to until a person does something");
                    let mut progress = Progress::at(at.unwrap_or(EventPosition::start_of(Seq(1))));
                    progress.stuck = Some(reason.as_str().into());
                    lines.lock().insert(id, Arc::new(watch::Sender::new(progress)));
                    reported = Some(reason);
                }
                // A replay says where to go on.
                tokio::select! {
                    () = stopping.cancelled() => return Err(Ended),
                    Ok(()) = changes.changed() => {}
                    () = sleep(LOOK_AGAIN) => {}
                }
            }
        }
    }
}

async fn wait_to_ask(error: &Unreachable, stopping: &CancellationToken) -> Result<(), Ended> {
    debug!(error = error as &dyn std::error::Error, "a position cannot be taken over yet");
    stopping.run_until_cancelled(sleep(PAUSE)).await.ok_or(Ended)
}

/// Where the delivery to a webhook is to go on, or to begin.
async fn find<L: Log>(office: &Office<L>, webhook: &Webhook, tenure: &Tenure) -> Result<Opening, OpenError> {
    let log = &*office.parts.log;
    let (stored, found) = match office.positions.read(webhook.id).await {
        Ok(Some((stored, revision))) => (stored, Expected::Revision(revision)),
        Ok(None) => {
            let next = origin(log, webhook).await.map_err(|error| match error {
                OriginError::Unreachable(error) => OpenError::Unreachable(error),
                error => OpenError::Stuck { reason: error.to_string(), at: None },
            })?;
            let stored = Stored { next, replay: None, failing: None, ahead_of_log: false, term: tenure.term };
            (stored, Expected::Absent)
        }
        Err(ReadError::Unreachable(error)) => return Err(error.into()),
        Err(error @ ReadError::Unreadable(_)) => {
            return Err(OpenError::Stuck { reason: error.to_string(), at: None });
        }
    };
    if webhook.replay.is_some_and(|replay| stored.replay != Some(*replay.id.as_uuid())) {
        return Ok(Opening { stored, found });
    }
    let tip = log.tip().await?;
    if stored.ahead_of_log || stored.next > EventPosition::start_of(tip.next()) {
        // Once the log has grown past it, nothing else would tell that the events there are others.
        let marked = Stored { ahead_of_log: true, term: tenure.term, ..stored.clone() };
        if !stored.ahead_of_log {
            match office.positions.write(webhook.id, &marked, found, tenure).await {
                Ok(_) | Err(WriteError::Deposed) => {}
                Err(WriteError::Put(error)) => return Err(OpenError::Unreachable(Unreachable(error.into()))),
            }
        }
        let reason = format!(
            "its position {} is beyond the end of the log, which was restored or replaced: ask for a replay from where \
             its receiver is",
            stored.next
        );
        return Err(OpenError::Stuck { reason, at: Some(stored.next) });
    }
    Ok(Opening { stored, found })
}
