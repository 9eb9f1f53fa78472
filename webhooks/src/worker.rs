//! Delivers to one webhook: every event in log order, one at a time, each until it is taken or given up.

mod opening;

use std::sync::Arc;
use std::time::Duration;

use tapelog_commands::{Command, FailWebhook};
use tapelog_events::{DeadLetter, Event, EventPosition, Failure, Record, Seq, WebhookId, WebhookStatus};
use tapelog_store::log::{Log, Reader};
use tokio::sync::watch;
use tokio::time::{Instant as Clock, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::lease::Tenure;
use crate::office::{Ended, Office, delivers, failure, now};
use crate::origin::after;
use crate::position::{Failing, Progress};
use crate::recipient::Recipient;
use crate::{AttemptResult, Attempted, Lane, Notice, Reason, notices};
pub(crate) use opening::work;

/// After how many failures in a row a receiver is only probed, apart from those that answer.
const PROBED_AFTER: u32 = 5;
/// How many events in a row a receiver may refuse for good. One that refuses more is taken to be out of order, so that
/// not all that it is told becomes a dead letter.
const REFUSED_IN_A_ROW: u32 = 3;

/// Delivers to one webhook.
struct Worker<L> {
    office: Arc<Office<L>>,
    id: WebhookId,
    tenure: Tenure,
    progress: Arc<watch::Sender<Progress>>,
    /// Marked when a webhook has changed.
    changes: watch::Receiver<Seq>,
    stopping: CancellationToken,
    recipient: Recipient,
    /// Says in the log that it has started.
    starting: Option<AbortOnDropHandle<()>>,
    refused_in_a_row: u32,
    /// Whether the log of this server says that the receiver will be given up.
    warned: bool,
}

/// Where to go on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// With the next event.
    Event,
    /// Where a replay begins.
    Replay,
}

/// What became of a webhook.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// Nothing that matters to whoever waits to try again.
    Nothing,
    /// It may be delivered to now.
    TryAgain,
}

impl<L: Log> Worker<L> {
    async fn run(mut self) -> Ended {
        self.start();
        loop {
            self.begin_replay();
            let mut reader = self.office.parts.tail.from(self.next().seq);
            if let Err(ended) = self.follow(&mut reader).await {
                return ended;
            }
        }
    }

    fn next(&self) -> EventPosition {
        self.progress.borrow().next
    }

    /// Goes along the log until a replay is asked for.
    async fn follow(&mut self, reader: &mut Reader<L>) -> Result<(), Ended> {
        loop {
            if self.changes.has_changed().unwrap_or_default() {
                self.look()?;
            }
            if self.is_replay_due() {
                return Ok(());
            }
            let read = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(Ended),
                read = reader.next() => read,
                Ok(()) = self.changes.changed() => {
                    self.look()?;
                    continue;
                }
            };
            let (seq, record) = match read {
                Ok(read) => read,
                Err(broken) => return Err(self.stuck(&broken.to_string()).await),
            };
            self.office.applied(seq, &self.stopping).await?;
            if concerns(&record, self.id) {
                // What changed is true from this record on, even if nobody has told yet that it did.
                self.look()?;
            }
            if self.consider(seq, &record, reader).await? == Next::Replay {
                return Ok(());
            }
            let at = record.commits.last().map(|commit| commit.at);
            self.progress.send_modify(|progress| {
                progress.next = EventPosition::start_of(seq.next());
                progress.at = at;
            });
        }
    }

    async fn consider(&mut self, seq: Seq, record: &Record, reader: &mut Reader<L>) -> Result<Next, Ended> {
        let from = self.next();
        for notice in notices(seq, record).filter(|notice| notice.position >= from) {
            if self.recipient.filter.matches(&notice) && self.deliver(&notice, reader).await? == Next::Replay {
                return Ok(Next::Replay);
            }
        }
        Ok(Next::Event)
    }

    /// Tries until the receiver takes the event, or it is given up. All that comes after it waits: it is in the log.
    async fn deliver(&mut self, notice: &Notice<'_>, reader: &mut Reader<L>) -> Result<Next, Ended> {
        let (mut attempts, mut refusals) = (0, 0);
        loop {
            if self.changes.has_changed().unwrap_or_default() {
                self.look()?;
            }
            if self.is_replay_due() {
                return Ok(Next::Replay);
            }
            if !self.recipient.filter.matches(notice) {
                self.progress.send_modify(|progress| progress.failing = None);
                return Ok(Next::Event);
            }
            if let Some(unusable) = self.recipient.unusable() {
                self.wait_for_change(&unusable.to_string()).await?;
                continue;
            }
            if !self.tenure.holds() {
                return Err(Ended);
            }
            attempts += 1;
            let Some(attempted) = self.attempt(notice, attempts).await? else { continue };
            let result = match attempted.result.clone() {
                AttemptResult::Refused { status } if self.refused_in_a_row >= REFUSED_IN_A_ROW => {
                    AttemptResult::Unreachable { reason: Reason::Status, status: Some(status), retry_after: None }
                }
                result => result,
            };
            match result {
                AttemptResult::Delivered { .. } => {
                    self.refused_in_a_row = 0;
                    self.warned = false;
                    self.settled(notice);
                    return Ok(Next::Event);
                }
                AttemptResult::Refused { .. } => {
                    refusals += 1;
                    if refusals >= self.office.schedule.refused_attempts() {
                        self.bury(notice, attempts, &result).await?;
                        return Ok(Next::Event);
                    }
                    self.progress.send_modify(|progress| progress.failing = None);
                    let wait = self.office.schedule.after(refusals, &result, rand::random());
                    self.pause(wait, reader).await?;
                }
                AttemptResult::Gone => {
                    self.give_up(failure(&result, format!("{result}; the event at {} waits", notice.position))).await?;
                }
                AttemptResult::Unreachable { .. } => {
                    let failing = self.failed(&attempted);
                    if let Some(failure) = self.too_long(failing, notice, &result) {
                        self.give_up(failure).await?;
                    } else {
                        let wait = self.office.schedule.after(failing.attempts, &result, rand::random());
                        self.pause(wait, reader).await?;
                    }
                }
            }
        }
    }

    /// Tries once. `None` when the webhook cannot be posted to any more.
    async fn attempt(&mut self, notice: &Notice<'_>, number: u32) -> Result<Option<Attempted>, Ended> {
        let failures = self.progress.borrow().failing.map_or(0, |failing| failing.attempts);
        let lane = if failures < PROBED_AFTER { Lane::Usual } else { Lane::Probe };
        let post = self.recipient.post(&self.office, notice, number, lane);
        let attempted = self.office.finish(post, &self.stopping).await?;
        if let Ok(attempted) = &attempted {
            self.progress.send_modify(|progress| {
                progress.at = Some(notice.at);
                progress.last_attempt = Some(attempted.started);
            });
        }
        Ok(attempted.ok())
    }

    /// The receiver has the event, or it is a dead letter.
    fn settled(&self, notice: &Notice<'_>) {
        self.progress.send_modify(|progress| {
            progress.next = after(notice.position);
            progress.failing = None;
            progress.settled += 1;
        });
    }

    /// Puts an event among the dead letters. Only then may the position move past it.
    async fn bury(&mut self, notice: &Notice<'_>, attempts: u32, result: &AttemptResult) -> Result<(), Ended> {
        let letter = DeadLetter {
            webhook_id: self.id,
            position: notice.position,
            notification: notice.notification,
            attempts,
            failure: failure(result, result.to_string()),
            redelivery: None,
        };
        warn!(webhook_id = %self.id, position = %notice.position, attempts, error = %result, "a notification is given up");
        self.office.submit(Command::PutDeadLetter(Box::new(letter)), &self.stopping).await?;
        self.office.measured.dead_letters.inc();
        self.refused_in_a_row += 1;
        self.settled(notice);
        Ok(())
    }

    fn failed(&self, attempted: &Attempted) -> Failing {
        let before = self.progress.borrow().failing;
        let failing = before.unwrap_or(Failing { since: attempted.started, attempts: 0 });
        let failing = Failing { attempts: failing.attempts.saturating_add(1), ..failing };
        self.progress.send_modify(|progress| progress.failing = Some(failing));
        failing
    }

    /// Why the receiver is to be given up, if it has failed for too long.
    fn too_long(&mut self, failing: Failing, notice: &Notice<'_>, result: &AttemptResult) -> Option<Failure> {
        let (now, Failing { since, attempts }) = (now(), failing);
        let schedule = &self.office.schedule;
        if schedule.gives_up(since, now) {
            let position = notice.position;
            let summary = format!(
                "nothing could be delivered since {since}: {attempts} attempts in a row failed, and the event at \
                 {position} waits; at the last attempt, {result}"
            );
            return Some(failure(result, summary));
        }
        let elapsed = u64::try_from(now.as_micros().saturating_sub(since.as_micros())).unwrap_or_default();
        if !self.warned && schedule.gives_up(since, now.saturating_add(Duration::from_micros(elapsed))) {
            self.warned = true;
            warn!(webhook_id = %self.id, %since, attempts, error = %result, "half of the time is over after which a webhook is given up");
        }
        None
    }

    /// Switches the webhook off, with the reason. Ends, unless it was given another address meanwhile.
    async fn give_up(&mut self, failure: Failure) -> Result<(), Ended> {
        let url = self.recipient.webhook.subscription.url.clone();
        error!(webhook_id = %self.id, error = failure.summary, "a webhook is given up");
        let command = FailWebhook { webhook_id: self.id, url, failure };
        self.office.submit(Command::FailWebhook(command), &self.stopping).await?;
        // Should it be switched on again, it has all its time again.
        self.progress.send_modify(|progress| progress.failing = None);
        self.look()?;
        Ok(())
    }

    /// Waits before the next attempt, unless the webhook changes so that it may succeed now.
    async fn pause(&mut self, length: Duration, reader: &mut Reader<L>) -> Result<(), Ended> {
        reader.rest();
        let until = Clock::now() + length;
        self.progress.send_modify(|progress| progress.next_attempt = Some(now().saturating_add(length)));
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(Ended),
                () = sleep_until(until) => break,
                Ok(()) = self.changes.changed() => {
                    if self.look()? == Change::TryAgain || self.is_replay_due() {
                        break;
                    }
                }
            }
        }
        self.progress.send_modify(|progress| progress.next_attempt = None);
        Ok(())
    }

    /// Waits until the webhook has changed: as it is, it cannot be delivered to.
    async fn wait_for_change(&mut self, reason: &str) -> Result<(), Ended> {
        error!(webhook_id = %self.id, reason, "a webhook cannot be delivered to until a person does something");
        self.progress.send_modify(|progress| progress.stuck = Some(reason.into()));
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(Ended),
                Ok(()) = self.changes.changed() => {
                    if self.look()? == Change::TryAgain {
                        break;
                    }
                }
            }
        }
        self.progress.send_modify(|progress| progress.stuck = None);
        Ok(())
    }

    /// Waits for the end: nothing can be delivered at all.
    async fn stuck(&self, reason: &str) -> Ended {
        error!(webhook_id = %self.id, reason, "nothing can be delivered to a webhook any more");
        self.progress.send_modify(|progress| progress.stuck = Some(reason.into()));
        self.stopping.cancelled().await;
        Ended
    }

    /// Takes over what the tables say of the webhook now.
    fn look(&mut self) -> Result<Change, Ended> {
        self.changes.mark_unchanged();
        let webhook = self.office.parts.directory.webhook(self.id).filter(|webhook| delivers(webhook)).ok_or(Ended)?;
        let before = &self.recipient.webhook;
        if webhook == *before {
            return Ok(Change::Nothing);
        }
        let is_other = webhook.subscription != before.subscription || webhook.signing != before.signing;
        let moved = webhook.subscription.url != before.subscription.url;
        self.recipient = Recipient::of(webhook, &self.office);
        if moved {
            self.refused_in_a_row = 0;
            self.warned = false;
            self.progress.send_modify(|progress| progress.failing = None);
        }
        self.start();
        Ok(if is_other { Change::TryAgain } else { Change::Nothing })
    }

    /// Has the log say that the webhook has started, if it does not. Delivery does not wait for that.
    fn start(&mut self) {
        if self.recipient.webhook.status != WebhookStatus::Created {
            return;
        }
        let (office, stopping, command) =
            (Arc::clone(&self.office), self.stopping.clone(), Command::StartWebhook(self.id));
        let starting = async move {
            // If the server stops before, the next owner does it.
            office.submit(command, &stopping).await.ok();
        };
        self.starting = Some(AbortOnDropHandle::new(tokio::spawn(starting)));
    }

    fn is_replay_due(&self) -> bool {
        let asked = self.recipient.webhook.replay.map(|replay| replay.id);
        asked.is_some() && asked != self.progress.borrow().replay
    }

    /// Goes back to where a replay begins that is asked for.
    fn begin_replay(&self) {
        if let Some(replay) = self.recipient.webhook.replay.filter(|_| self.is_replay_due()) {
            info!(webhook_id = %self.id, from = %replay.from, "events are delivered to a webhook again");
            self.progress.send_modify(|progress| progress.replay(replay));
        }
    }
}

/// Whether a record changes a webhook.
fn concerns(record: &Record, id: WebhookId) -> bool {
    record.commits.iter().flat_map(|commit| &commit.events).any(|event| changed_webhook(event) == Some(id))
}

/// The webhook that an event changes, or whose dead letters it changes.
const fn changed_webhook(event: &Event) -> Option<WebhookId> {
    match event {
        Event::WebhookCreated(event) => Some(event.webhook.id),
        Event::WebhookUpdated(event) => Some(event.webhook.id),
        Event::WebhookDeleted(event) => Some(event.webhook_id),
        Event::ReplayRequested(event) => Some(event.webhook_id),
        Event::RedeliveryRequested(event) => Some(event.webhook_id),
        Event::DeadLettered(event) => Some(event.letter.webhook_id),
        Event::DeadLetterResolved(event) => Some(event.webhook_id),
        Event::LogStarted(_)
        | Event::ServiceUpdated(_)
        | Event::SourceCreated(_)
        | Event::SourceUpdated(_)
        | Event::SourceDeleted(_)
        | Event::FlowCreated(_)
        | Event::FlowUpdated(_)
        | Event::FlowDeleted(_)
        | Event::FlowTrashed(_)
        | Event::FlowRestored(_)
        | Event::FlowPurged(_)
        | Event::SegmentsAdded(_)
        | Event::SegmentsDeleted(_)
        | Event::SegmentTagged(_)
        | Event::ObjectsAllocated(_)
        | Event::ObjectsCondemned(_)
        | Event::ObjectsDeleted(_)
        | Event::ProfileCreated(_)
        | Event::InstanceAdded(_)
        | Event::InstanceRemoved(_)
        | Event::InstanceErased(_)
        | Event::CopyRequested(_)
        | Event::CopyFailed(_)
        | Event::DeletionRequested(_)
        | Event::DeletionAdvanced(_)
        | Event::DeletionForgotten(_)
        | Event::AccountSet(_)
        | Event::AccountDeleted(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_) => None,
    }
}
