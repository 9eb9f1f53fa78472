//! Work on the whole log in a running server, one at a time: each takes memory for tables of its own. It has threads of
//! its own, too, so that requests share the processors with it and never wait for it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant as Moment;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tapelog_events::{Instant, Seq};
use tapelog_projections::checkpoint::Checkpoints;
use tapelog_projections::rebuild::{Progress, Stage, rebuild_live};
use tapelog_projections::{Live, Tables};
use tapelog_store::log::jetstream::JetStreamLog;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Line, RebuildReport, verify_tables};
use crate::checkpointing::store_checkpoint;
use crate::node::now;

/// Every how many records it is told how far the work is.
const RECORDS_A_STEP: u64 = 512;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Tables and checkpoint are compared with the log.
    Verification,
    /// Tables are built from the log, and put in the place of those in use.
    Rebuild,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verification => "verification",
            Self::Rebuild => "rebuild",
        })
    }
}

/// What is being done, and what was done last.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintenance {
    /// What is being done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// What was done last, since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Ended>,
}

/// Work under way.
#[derive(Debug, Clone, Serialize)]
pub struct Running {
    /// What it is.
    pub work: Work,
    /// What it is at.
    pub state: Stage,
    /// The last record that was folded.
    pub seq: Seq,
    /// The record to reach.
    pub tip: Seq,
    /// When it began.
    pub started: Instant,
    /// Records a second since then.
    pub rate: u64,
    #[serde(skip)]
    begun: Moment,
}

/// Work that has ended.
#[derive(Debug, Clone, Serialize)]
pub struct Ended {
    /// What it was.
    pub work: Work,
    /// When it began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How work ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "snake_case")]
pub enum Outcome {
    /// All was as the log has it.
    Equal,
    /// Something was not: where it differs first.
    Different(String),
    /// It could not be finished.
    Failed(String),
}

impl Outcome {
    fn of(end: &Line) -> Self {
        let wrong = match end {
            Line::Report(report) => report.wrong(),
            Line::Rebuilt(rebuilt) => rebuilt.report.wrong(),
            Line::Failed(reason) => return Self::Failed(reason.clone()),
            Line::Progress { .. } => return Self::Failed("it ended half-way".to_owned()),
        };
        wrong.map_or(Self::Equal, |wrong| Self::Different(wrong.to_owned()))
    }
}

/// Work that was begun. It goes on when nobody waits for it.
pub struct Begun {
    /// How far it is.
    pub progress: watch::Receiver<Maintenance>,
    /// How it ends.
    pub end: oneshot::Receiver<Line>,
}

/// Other work is under way.
#[derive(Debug, thiserror::Error)]
#[error(
    "a {} is under way since {}, at record {} of {}; try again once it has ended",
    .running.work, .running.started, .running.seq, .running.tip
)]
pub struct Busy {
    running: Box<Running>,
}

/// Who does the work.
pub struct Maintainer {
    log: JetStreamLog,
    live: Arc<Live>,
    checkpoints: Arc<Checkpoints>,
    state: watch::Sender<Maintenance>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Maintainer {
    /// One that works on this log, these tables and their checkpoints, until `stop`.
    pub fn new(log: JetStreamLog, live: Arc<Live>, checkpoints: Arc<Checkpoints>, stop: CancellationToken) -> Self {
        Self { log, live, checkpoints, state: watch::Sender::default(), stop, tasks: TaskTracker::new() }
    }

    /// What is being done, and what was done last.
    pub fn state(&self) -> watch::Receiver<Maintenance> {
        self.state.subscribe()
    }

    /// Begins work.
    ///
    /// # Errors
    /// When other work is under way.
    pub fn begin(self: &Arc<Self>, work: Work) -> Result<Begun, Busy> {
        let started = now();
        let mut busy = None;
        self.state.send_if_modified(|state| {
            busy = state.running.clone();
            if busy.is_none() {
                let (seq, tip, begun) = (Seq::ZERO, self.live.position(), Moment::now());
                state.running = Some(Running { work, state: Stage::Folding, seq, tip, started, rate: 0, begun });
            }
            busy.is_none()
        });
        if let Some(running) = busy {
            return Err(Busy { running: Box::new(running) });
        }
        tracing::info!(%work, "began");
        let progress = self.state.subscribe();
        let (sender, end) = oneshot::channel();
        let maintainer = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            let end = maintainer.carry_out(work).unwrap_or_else(|error| Line::Failed(format!("{error:#}")));
            let outcome = Outcome::of(&end);
            tracing::info!(%work, ?outcome, "ended");
            maintainer.state.send_modify(|state| {
                state.running = None;
                state.last = Some(Ended { work, started, ended: now(), outcome });
            });
            // Whoever began it may have gone.
            sender.send(end).ok();
        });
        Ok(Begun { progress, end })
    }

    /// Waits until no work is under way, which takes little time once the server stops.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// One thread folds, the other reads ahead for it: the rest of the machine is for requests.
    fn carry_out(&self, work: Work) -> Result<Line> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("maintenance").enable_all().build();
        let runtime = runtime.context("no threads for it")?;
        let end = runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => bail!("the server is shutting down"),
                end = async {
                    match work {
                        Work::Verification => self.verify().await,
                        Work::Rebuild => self.rebuild().await,
                    }
                } => end,
            }
        });
        // A comparison that nobody waits for any more ends by itself.
        runtime.shutdown_background();
        end
    }

    async fn verify(&self) -> Result<Line> {
        let (live, checkpoints) = (Arc::clone(&self.live), Arc::clone(&self.checkpoints));
        let copying = tokio::task::spawn_blocking(move || (live.read(Tables::clone), checkpoints.load_newest()));
        let (live, stored) = copying.await?;
        let folding = |seq, tip| self.show(Progress { stage: Stage::Folding, seq, tip });
        Ok(Line::Report(verify_tables(&self.log, live, stored?, folding).await?))
    }

    async fn rebuild(&self) -> Result<Line> {
        let begun = Moment::now();
        let rebuilt = rebuild_live(&self.log, &self.live, |progress| self.show(progress)).await?;
        // What the old tables left must not be what the next start goes on from.
        let stored = store_checkpoint(&self.live, &self.checkpoints, &self.log).await;
        let stored = stored.context("the tables were replaced, but no checkpoint of the new ones could be stored")?;
        Ok(Line::Rebuilt(RebuildReport::new(rebuilt, stored.seq, begun.elapsed())))
    }

    fn show(&self, Progress { stage, seq, tip }: Progress) {
        self.state.send_if_modified(|state| {
            let Some(running) = &mut state.running else { return false };
            let is_step = running.state != stage || seq.0.is_multiple_of(RECORDS_A_STEP) || seq == tip;
            if is_step {
                let seconds = running.begun.elapsed().as_secs_f64();
                let rate = if seconds > 0.0 { (seq.0 as f64 / seconds) as u64 } else { 0 };
                (running.state, running.seq, running.tip, running.rate) = (stage, seq, tip, rate);
            }
            is_step
        });
    }
}
