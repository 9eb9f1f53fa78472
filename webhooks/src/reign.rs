//! What the owner of the deliveries does: it has each webhook that is on delivered to by a task of its own.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tapelog_events::{Seq, WebhookId};
use tapelog_store::log::Log;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant as Clock, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::dispatcher::Lines;
use crate::lease::Tenure;
use crate::office::{Ended, Office, PAUSE, delivers};
use crate::position::Positions;
use crate::redelivery::redeliver;
use crate::worker::work;

/// How long tasks may take to end beside the requests that are under way: for their last positions.
const ENDING: Duration = Duration::from_secs(3);

/// What a task does for a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Duty {
    /// Delivers events.
    Deliver(WebhookId),
    /// Tries dead letters once more.
    Redeliver(WebhookId),
    /// Deletes its position.
    Forget(WebhookId),
}

/// The time during which this node delivers.
pub(crate) struct Reign<L> {
    office: Arc<Office<L>>,
    lines: Lines,
    tenure: Tenure,
    stopping: CancellationToken,
    tasks: JoinSet<()>,
    duties: HashMap<Id, Duty>,
    /// The webhooks that have, or may have, a position.
    known: HashSet<WebhookId>,
    /// When to look whether there is something to do that no change will tell of.
    look_again: Option<Clock>,
    /// Marked when a webhook has changed and the tables show it.
    changes: watch::Sender<Seq>,
}

impl<L: Log> Reign<L> {
    pub fn new(office: Arc<Office<L>>, lines: Lines, tenure: Tenure) -> Self {
        Self {
            office,
            lines,
            tenure,
            stopping: CancellationToken::new(),
            tasks: JoinSet::new(),
            duties: HashMap::new(),
            known: HashSet::new(),
            look_again: None,
            changes: watch::Sender::new(Seq::ZERO),
        }
    }

    /// Delivers until another node is the owner, or the server stops. What is under way may end first.
    pub async fn run(mut self) {
        let (stop, ended) = (self.office.parts.stop.clone(), self.tenure.ended().clone());
        let govern = async {
            self.govern().await.err();
            pending::<()>().await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = ended.cancelled() => {}
            () = govern => {}
        }
        self.stopping.cancel();
        let patience = self.office.parts.settings.stop_grace + ENDING;
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(patience, ending).await.is_err() {
            warn!("deliveries were cut off; some events may be delivered again");
            self.tasks.shutdown().await;
        }
        self.lines.lock().clear();
    }

    async fn govern(&mut self) -> Result<(), Ended> {
        self.catch_up().await?;
        let office = Arc::clone(&self.office);
        let directory = &office.parts.directory;
        let (mut applied, mut seen) = (directory.applied(), directory.changed());
        let mut look = true;
        loop {
            if look {
                self.appoint();
            }
            look = tokio::select! {
                Ok(()) = applied.changed() => {
                    let changed = directory.changed();
                    let is_new = changed != seen;
                    if is_new {
                        seen = changed;
                        self.changes.send_replace(changed);
                    }
                    is_new
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.dismiss(ended);
                    false
                }
                () = due(self.look_again) => true,
            };
        }
    }

    /// Waits until the tables show all webhooks that an owner before may have known of.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let (known, tip) = loop {
            // In this order: a webhook that has a position was registered before this tip.
            let known = self.office.positions.all().await;
            match (known, self.office.parts.log.tip().await) {
                (Ok(known), Ok(tip)) => break (known, tip),
                (Err(error), _) | (_, Err(error)) => {
                    debug!(error = &error as &dyn std::error::Error, "deliveries cannot begin yet");
                }
            }
            sleep(PAUSE).await;
        };
        self.office.applied(tip, &self.stopping).await?;
        self.known.extend(known);
        Ok(())
    }

    /// Sees to it that there is a task for all that is to be done.
    fn appoint(&mut self) {
        self.look_again = None;
        if !self.tenure.holds() {
            self.look_again_soon();
            return;
        }
        let busy: HashSet<Duty> = self.duties.values().copied().collect();
        let webhooks = self.office.parts.directory.webhooks();
        let on: HashSet<WebhookId> =
            webhooks.iter().filter(|webhook| delivers(webhook)).map(|webhook| webhook.id).collect();
        for id in &on {
            if !busy.contains(&Duty::Deliver(*id)) {
                self.deliver(*id);
            }
        }
        let asked: HashSet<WebhookId> =
            self.office.parts.directory.to_redeliver().iter().map(|letter| letter.webhook_id).collect();
        for id in asked.intersection(&on) {
            if !busy.contains(&Duty::Redeliver(*id)) {
                let redelivery = redeliver(Arc::clone(&self.office), self.tenure.clone(), *id, self.stopping.clone());
                self.spawn(Duty::Redeliver(*id), redelivery);
            }
        }
        let there: HashSet<WebhookId> = webhooks.iter().map(|webhook| webhook.id).collect();
        let gone: Vec<WebhookId> = self.known.difference(&there).copied().collect();
        self.known.extend(there);
        for id in gone {
            // Whoever delivers to it may still write its position.
            if !busy.contains(&Duty::Deliver(id)) {
                self.known.remove(&id);
                self.spawn(Duty::Forget(id), forget(self.office.positions.clone(), id, self.stopping.clone()));
            }
        }
    }

    fn deliver(&mut self, id: WebhookId) {
        let work = work(
            Arc::clone(&self.office),
            id,
            self.tenure.clone(),
            Arc::clone(&self.lines),
            self.changes.subscribe(),
            self.stopping.clone(),
        );
        self.spawn(Duty::Deliver(id), work);
    }

    fn spawn(&mut self, duty: Duty, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task);
        self.duties.insert(task.id(), duty);
    }

    /// A task has ended. There may be more of the same to do, but not at once: something may be wrong.
    fn dismiss(&mut self, ended: Result<(Id, ()), JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let duty = self.duties.remove(&task);
        if let Err(error) = ended {
            error!(?duty, %error, "a task of the deliveries ended early, and is begun again");
        }
        if let Some(Duty::Deliver(id)) = duty {
            self.lines.lock().remove(&id);
        }
        self.look_again_soon();
    }

    fn look_again_soon(&mut self) {
        self.look_again.get_or_insert_with(|| Clock::now() + PAUSE);
    }
}

/// Waits for a moment, or for ever.
async fn due(at: Option<Clock>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Deletes the position of a webhook that is gone.
async fn forget(positions: Positions, id: WebhookId, stopping: CancellationToken) {
    // The next owner does what this one does not come to.
    while let Some(Err(error)) = stopping.run_until_cancelled(positions.forget(id)).await {
        debug!(webhook_id = %id, error = &error as &dyn std::error::Error, "a position could not be deleted");
        stopping.run_until_cancelled(sleep(PAUSE)).await;
    }
}
