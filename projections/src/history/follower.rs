//! What keeps the history up to date.

use std::cell::RefCell;
use std::error::Error;
use std::future::poll_fn;
use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::thread;

use tapelog_events::{Record, Seq};
use tapelog_store::log::{Head, Log, ReplayError, replay};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::store::give_way;
use super::thing::weight;
use super::{History, HistoryError};

/// How many entries a batch may have: a few megabytes with the records that they come from, and enough for most of
/// the cost to be that of the entries.
const BATCH_ENTRIES: usize = 10_000;

/// How the historian is.
#[derive(Debug, Clone)]
pub enum HistorianStatus {
    /// It enters what comes.
    Following,
    /// It met a record that it cannot enter, and stopped before it: the history ends there, and a person must look.
    Stopped {
        /// The first record that is not entered.
        seq: Seq,
        /// Why.
        error: Arc<ReplayError<HistoryError>>,
    },
    /// It was told to stop.
    Ended,
}

/// What enters every record of the log in the history, once and in order, in batches of what has come meanwhile. On a
/// record that it cannot enter it stops for good; nothing is ever skipped.
///
/// It works on a thread of its own that gives way to all others, so that whoever waits for an answer does not wait for
/// the history.
#[derive(Debug, Clone)]
pub struct Historian {
    history: History,
    status: watch::Receiver<HistorianStatus>,
}

impl Historian {
    /// Goes on from where the history is, on the current runtime, until told to stop. The task ends when the thread has.
    pub fn start<L: Log>(log: L, history: History, stop: CancellationToken) -> (Self, JoinHandle<()>) {
        let (changes, status) = watch::channel(HistorianStatus::Following);
        let (running, ended) = oneshot::channel::<()>();
        let (runtime, followed) = (Handle::current(), history.clone());
        thread::spawn(move || {
            give_way();
            let following = follow(&log, &followed);
            let end = match runtime.block_on(stop.run_until_cancelled(following)) {
                None => HistorianStatus::Ended,
                Some(error) => {
                    let seq = followed.head().seq.next();
                    error!(%seq, error = &error as &dyn Error, "the history cannot take a record and stays as it is");
                    HistorianStatus::Stopped { seq, error: Arc::new(error) }
                }
            };
            if let Err(error) = followed.settle() {
                warn!(error = &error as &dyn Error, "the next start of the history takes longer");
            }
            info!(seq = %followed.head().seq, "the history follows no longer");
            changes.send_replace(end);
            drop((log, followed, running));
        });
        // Nothing is ever sent: the end of the thread closes the channel.
        let task = tokio::spawn(async move { drop(ended.await) });
        (Self { history, status }, task)
    }

    /// How the historian is, and how that changes.
    pub fn status(&self) -> watch::Receiver<HistorianStatus> {
        self.status.clone()
    }

    /// How many records the history lacks to this one.
    pub fn lag(&self, tip: Seq) -> u64 {
        tip.0.saturating_sub(self.history.head().seq.0)
    }
}

/// Enters records for ever. Blocks while it does, so not for a thread of a runtime.
async fn follow<L: Log>(log: &L, history: &History) -> ReplayError<HistoryError> {
    let waiting = RefCell::new(Waiting { history, records: Vec::new(), entries: 0 });
    let each = |head, record| waiting.borrow_mut().add(head, record);
    let mut replay = pin!(replay(log, history.head(), Seq(u64::MAX), each));
    poll_fn(|context| {
        let polled = replay.as_mut().poll(context);
        // Nothing more is there for the moment, or ever: what came is entered.
        let entered = waiting.borrow_mut().enter();
        match entered {
            Ok(()) => polled,
            Err(error) => std::task::Poll::Ready(Err(ReplayError::Stopped(error))),
        }
    })
    .await
    .map_or_else(|error| error, |_| unreachable!("no log is that long"))
}

/// Records that were read and are not entered yet.
struct Waiting<'a> {
    history: &'a History,
    records: Vec<(Head, Record)>,
    entries: usize,
}

impl Waiting<'_> {
    fn add(&mut self, head: Head, record: Record) -> Result<(), HistoryError> {
        self.entries += weight(&record);
        self.records.push((head, record));
        if self.entries >= BATCH_ENTRIES { self.enter() } else { Ok(()) }
    }

    fn enter(&mut self) -> Result<(), HistoryError> {
        self.entries = 0;
        let records = take(&mut self.records);
        if records.is_empty() { Ok(()) } else { self.history.apply(&records) }
    }
}
