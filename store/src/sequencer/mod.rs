//! The sequencer: the one task of a node that decides requests and writes what comes of them to the log.
//!
//! It takes all requests that wait, decides each against the write-side state, and appends what comes of them as ONE
//! record. While that is on its way the next requests gather: one write to disk pays for everything that was waiting.
//! It also follows the log, so that it is the node's one source of records, its own and those of others, in order.
//!
//! Guarantees: a request is answered as done only when its record is in the log, and with [`SubmitError::Unavailable`]
//! only when it certainly is not and never will be; a rejection is true of the log's tip at some moment after the request
//! arrived; an answer comes only after whoever receives the [`Delivery`]s has let go of its receipts, which it does once
//! its tables hold all that the answer speaks of.

mod batch;
mod delivery;
mod flight;
mod metrics;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tapelog_commands::{Command, Corrupt, Rejection, Request, State};
use tapelog_events::{Access, CommitId, Instant, Outcome, Seq};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant as Moment;
use uuid::Uuid;

use crate::log::{Broken, Head, Log};
use batch::Waiting;
pub use delivery::{Committed, Confirmed, Delivery, Receipts};
use metrics::Written;
use writer::Writer;

/// Who asks where the server itself does. Nobody else has this name.
pub const ACTOR: &str = "tapelog";

/// How the sequencer works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequencerSettings {
    /// How many requests may wait. One more is told that the server is busy. About a tenth of a second of work.
    pub queue: usize,
    /// How many requests one record answers at the most.
    pub requests_per_record: usize,
    /// At which size, in bytes and roughly, a record takes no further request: large records delay small requests.
    pub record_bytes: usize,
    /// For how long a request is decided again because other nodes write first.
    pub decide_for: Duration,
    /// After how long without answer the log counts as unreachable, so that requests no longer wait for it.
    pub unreachable_after: Duration,
    /// When a client that was turned away should come again.
    pub retry_after: Duration,
    /// How long finishing may take when the sequencer is closed.
    pub close_timeout: Duration,
}

impl Default for SequencerSettings {
    fn default() -> Self {
        Self {
            queue: 4096,
            requests_per_record: 1024,
            record_bytes: 1024 * 1024,
            decide_for: Duration::from_secs(10),
            unreachable_after: Duration::from_secs(2),
            retry_after: Duration::from_secs(1),
            close_timeout: Duration::from_secs(10),
        }
    }
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The record up to which the log was read when this was true, and which the tables hold.
    pub seq: Seq,
    /// What the answer must say.
    pub outcome: Outcome,
}

/// Why a request came to nothing, or is not known to have come to something.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// It is refused.
    #[error("{rejection}")]
    Rejected {
        /// Why.
        rejection: Rejection,
        /// The record up to which the log was read when this was true, and which the tables hold.
        seq: Seq,
    },
    /// Too many requests wait. It was not looked at.
    #[error("too many requests wait")]
    Busy {
        /// When to come again.
        retry_after: Duration,
    },
    /// It is not in the log and will not be: the log cannot be reached, or others always wrote first.
    #[error("the log cannot be written at the moment")]
    Unavailable {
        /// When to come again.
        retry_after: Duration,
    },
    /// It does not fit into one record. It is not in the log.
    #[error("the request comes to a record of {size} bytes; the log takes {limit}")]
    TooLarge {
        /// The size it would have, in bytes.
        size: usize,
        /// How many bytes the log takes.
        limit: usize,
    },
    /// It may be in the log: the sequencer ended before it knew.
    #[error("whether the request took effect is not known")]
    OutcomeUnknown,
    /// The sequencer has stopped because the log is broken; see [`Sequencer::status`]. It is not in the log.
    #[error("the server has stopped writing, because its log is broken")]
    Halted,
    /// The sequencer is being closed. It is not in the log.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Why the sequencer ended otherwise than by being closed.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The log is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A decision contradicts the state it was made on: a fault of the rules.
    #[error("a decision contradicts the state that it was made on")]
    Contradiction(#[source] Corrupt),
    /// Whoever received the deliveries is gone.
    #[error("nobody takes the records any more")]
    Deserted,
    /// What was accepted could not be finished in time after the sequencer was closed.
    #[error("what was accepted could not be finished in time")]
    CloseTimeout,
}

/// How the sequencer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It writes.
    Writing,
    /// The log cannot be reached; it will go on by itself.
    Unreachable,
    /// It has stopped, and a person must look.
    Halted(Arc<str>),
    /// It was closed.
    Closed,
}

/// What the sequencer did since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that it wrote.
    pub records: u64,
    /// Commits in them.
    pub commits: u64,
    /// Records that others wrote.
    pub foreign_records: u64,
    /// How often another node wrote first.
    pub conflicts: u64,
    /// How often an acknowledgement did not come.
    pub unknown_outcomes: u64,
    /// Requests that wait.
    pub queued: u64,
}

#[derive(Debug, Default)]
struct Counters {
    records: AtomicU64,
    commits: AtomicU64,
    foreign_records: AtomicU64,
    conflicts: AtomicU64,
    unknown_outcomes: AtomicU64,
}

impl Counters {
    fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

/// What handle and task share.
#[derive(Debug)]
struct Shared {
    counters: Counters,
    written: Written,
    /// Cleared when requests are no longer taken.
    accepts: AtomicBool,
    status: watch::Sender<Status>,
    /// Until when the task must have ended, once it is closed.
    closing: watch::Sender<Option<Moment>>,
}

/// What is left when the sequencer was closed.
#[derive(Debug)]
pub struct Stopped {
    /// The state.
    pub state: State,
    /// The record up to and with which it is a fold of the log.
    pub head: Head,
}

/// The handle of the sequencer. Clones share it.
#[derive(Debug, Clone)]
pub struct Sequencer {
    queue: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
    settings: SequencerSettings,
}

impl Sequencer {
    /// Starts the task. `state` is the fold of the log up to and with `head`; `clock` says what time it is; every record
    /// after `head` goes to `sink` once, in order.
    pub fn start<L: Log>(
        log: Arc<L>,
        state: State,
        head: Head,
        clock: impl Fn() -> Instant + Send + 'static,
        settings: SequencerSettings,
        sink: mpsc::Sender<Delivery>,
    ) -> (Self, JoinHandle<Result<Stopped, Halt>>) {
        let (queue, requests) = mpsc::channel(settings.queue);
        let (closing, closes) = watch::channel(None);
        let shared = Arc::new(Shared {
            counters: Counters::default(),
            written: Written::default(),
            accepts: AtomicBool::new(true),
            status: watch::Sender::new(Status::Writing),
            closing,
        });
        let writer = Writer::new(log, state, head, clock, settings, requests, sink, Arc::clone(&shared), closes);
        let task = tokio::spawn(writer.run());
        (Self { queue, shared, settings }, task)
    }

    /// Has a command of the server's own decided and, if something comes of it, written to the log.
    ///
    /// # Errors
    /// When it is refused, or could not be written.
    pub async fn submit_own(&self, command: Command) -> Result<Submitted, SubmitError> {
        let request = Request {
            command,
            commit_id: CommitId::from_uuid(Uuid::now_v7()),
            actor: ACTOR.to_owned(),
            access: Arc::new(Access::Unrestricted),
            request_id: None,
            idempotency: None,
        };
        self.submit(request).await
    }

    /// Has a request decided and, if something comes of it, written to the log. Dropping the future does not take the
    /// request back.
    ///
    /// # Errors
    /// When it is refused, or could not be written.
    pub async fn submit(&self, request: Request) -> Result<Submitted, SubmitError> {
        if !self.shared.accepts.load(Ordering::Relaxed) {
            return Err(self.refusal());
        }
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { request, arrived: Moment::now(), answer };
        match self.queue.try_send(waiting) {
            Ok(()) => answered.await.unwrap_or(Err(SubmitError::OutcomeUnknown)),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(SubmitError::Busy { retry_after: self.settings.retry_after })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.refusal()),
        }
    }

    /// How the sequencer is, and how that changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// What it did since it started.
    pub fn stats(&self) -> Stats {
        let Counters { records, commits, foreign_records, conflicts, unknown_outcomes } = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            records: read(records),
            commits: read(commits),
            foreign_records: read(foreign_records),
            conflicts: read(conflicts),
            unknown_outcomes: read(unknown_outcomes),
            queued: (self.queue.max_capacity() - self.queue.capacity()) as u64,
        }
    }

    /// Takes no further requests; the task ends once it has finished those that were accepted.
    pub fn close(&self) {
        self.shared.accepts.store(false, Ordering::Relaxed);
        self.shared.closing.send_if_modified(|deadline| {
            let first = deadline.is_none();
            deadline.get_or_insert_with(|| Moment::now() + self.settings.close_timeout);
            first
        });
    }

    fn refusal(&self) -> SubmitError {
        match *self.shared.status.borrow() {
            Status::Halted(_) => SubmitError::Halted,
            Status::Writing | Status::Unreachable | Status::Closed => SubmitError::ShuttingDown,
        }
    }
}
