//! The task: waits, decides, writes, follows.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tapelog_commands::State;
use tapelog_events::{Instant, Seq};
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as Moment, sleep, sleep_until, timeout};
use tracing::{Instrument as _, debug, debug_span, error, info, warn};

use super::batch::{Batch, Limits, Sealed, Waiting};
use super::delivery::{Committed, Confirmed, Delivery, Receipts};
use super::flight::Fate;
use super::{Counters, Halt, SequencerSettings, Shared, Status, Stopped, SubmitError};
use crate::log::{Broken, Entries, Entry, Head, Log, holds};

/// How long a record that is known to be there may take to be delivered before it is read.
pub(super) const DELIVERY_PATIENCE: Duration = Duration::from_millis(5);
/// How long to wait before the log is asked again: doubles from the first to the last while it does not answer.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LAST_PAUSE: Duration = Duration::from_millis(500);

/// The task. Between its steps the state is the fold of the log up to and with `head`.
pub(super) struct Writer<L, C> {
    pub log: Arc<L>,
    state: State,
    pub head: Head,
    clock: C,
    pub settings: SequencerSettings,
    pub queue: mpsc::Receiver<Waiting>,
    /// Requests that were taken from the queue and are not decided, oldest first.
    waiting: VecDeque<Waiting>,
    /// How many requests the next batch takes: fewer than the settings say after a record came out too large.
    batch_size: usize,
    /// The log after `head`, and maybe some records before it.
    pub tail: Entries,
    sink: mpsc::Sender<Delivery>,
    pub shared: Arc<Shared>,
    pub closing: watch::Receiver<Option<Moment>>,
}

impl<L: Log, C: Fn() -> Instant + Send + 'static> Writer<L, C> {
    #[expect(clippy::too_many_arguments, reason = "called once, by `Sequencer::start`, which has the reasons for each")]
    pub fn new(
        log: Arc<L>,
        state: State,
        head: Head,
        clock: C,
        settings: SequencerSettings,
        queue: mpsc::Receiver<Waiting>,
        sink: mpsc::Sender<Delivery>,
        shared: Arc<Shared>,
        closing: watch::Receiver<Option<Moment>>,
    ) -> Self {
        let tail = log.follow(head.seq.next());
        let batch_size = settings.requests_per_record;
        let waiting = VecDeque::new();
        Self { log, state, head, clock, settings, queue, waiting, batch_size, tail, sink, shared, closing }
    }

    pub async fn run(mut self) -> Result<Stopped, Halt> {
        let result = self.work().await;
        self.shared.accepts.store(false, Ordering::Relaxed);
        let (status, refusal) = match &result {
            Ok(()) | Err(Halt::CloseTimeout) => (Status::Closed, SubmitError::ShuttingDown),
            Err(halt) => {
                error!(seq = %self.head.seq, error = halt as &dyn std::error::Error, "the sequencer has halted");
                (Status::Halted(text(halt).into()), SubmitError::Halted)
            }
        };
        self.shared.status.send_replace(status);
        self.queue.close();
        self.take_waiting(usize::MAX);
        self.refuse_waiting(&refusal);
        result.map(|()| Stopped { state: self.state, head: self.head })
    }

    async fn work(&mut self) -> Result<(), Halt> {
        loop {
            // What others have written since would only make the next record lose.
            while let Some(entry) = self.tail.next().now_or_never() {
                self.accept(delivered(entry)?).await?;
            }
            if self.waiting.is_empty() && !self.wait().await? {
                return Ok(());
            }
            self.take_waiting(self.batch_size);
            self.write().await?;
        }
    }

    /// Waits for a request, and follows the log meanwhile. Answers whether there is one; if not, there never will be.
    async fn wait(&mut self) -> Result<bool, Halt> {
        loop {
            select! {
                biased;
                entry = self.tail.next() => self.accept(delivered(entry)?).await?,
                request = self.queue.recv() => {
                    let more = request.is_some();
                    self.waiting.extend(request);
                    return Ok(more);
                }
                () = closes(&mut self.closing), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }

    /// Takes what waits in the queue, up to so many requests in all.
    fn take_waiting(&mut self, limit: usize) {
        while self.waiting.len() < limit
            && let Ok(request) = self.queue.try_recv()
        {
            self.waiting.push_back(request);
        }
    }

    /// Decides requests that wait and sees to it that they are answered.
    async fn write(&mut self) -> Result<(), Halt> {
        self.drop_stale();
        let limits = Limits { requests: self.batch_size, bytes: self.settings.record_bytes };
        self.state.begin();
        let now = (self.clock)();
        let mut batch = Batch::decide(&mut self.state, &mut self.waiting, now, limits).map_err(Halt::Contradiction)?;
        match batch.record(self.head) {
            Some(sealed) => self.append(batch, sealed).await,
            None => {
                self.state.rollback();
                if batch.len() == 0 { Ok(()) } else { self.confirm(batch).await }
            }
        }
    }

    /// Turns away requests that were decided too often already, and forgets those whose client has gone.
    fn drop_stale(&mut self) {
        let unavailable = self.unavailable();
        let decide_for = self.settings.decide_for;
        let now = Moment::now();
        // Requests wait in the order of their arrival.
        while let Some(oldest) = self.waiting.front()
            && (oldest.answer.is_closed() || now.duration_since(oldest.arrived) > decide_for)
            && let Some(stale) = self.waiting.pop_front()
        {
            stale.refuse(unavailable.clone());
        }
    }

    /// Appends the record of a batch, whose effects the state has already.
    async fn append(&mut self, batch: Batch, sealed: Sealed) -> Result<(), Halt> {
        let started = Moment::now();
        let limit = self.log.max_payload();
        if sealed.payload.len() > limit {
            self.state.rollback();
            self.split(batch, sealed.payload.len(), limit);
            return Ok(());
        }
        let span = debug_span!("append", seq = %sealed.head.seq, commits = sealed.record.commits.len());
        match self.resolve(&sealed).instrument(span).await? {
            Fate::Landed => {
                self.state.keep();
                self.reached();
                self.batch_size = self.settings.requests_per_record;
                let Sealed { head, record, payload } = sealed;
                let commits = record.commits.len();
                self.shared.written.seconds.observe(started.elapsed().as_secs_f64());
                self.shared.written.bytes.observe(payload.len() as f64);
                debug!(seq = %head.seq, commits, bytes = payload.len(), elapsed_us = started.elapsed().as_micros(), "record written");
                Counters::count(&self.shared.counters.records, 1);
                Counters::count(&self.shared.counters.commits, commits as u64);
                self.head = head;
                let receipts = batch.into_receipts(head);
                self.deliver(Delivery::Record(Committed { head, record, receipts })).await
            }
            Fate::Lost(entry) => {
                self.state.rollback();
                self.reached();
                Counters::count(&self.shared.counters.conflicts, 1);
                self.decide_again(batch);
                self.accept(entry).await
            }
            Fate::TooLarge => {
                self.state.rollback();
                self.split(batch, sealed.payload.len(), limit);
                Ok(())
            }
            Fate::Unreachable => {
                self.state.rollback();
                self.decide_again(batch);
                self.sit_out().await
            }
        }
    }

    /// Answers a batch of which nothing comes: what it says must be true of the log's tip, where another node may have
    /// written meanwhile.
    async fn confirm(&mut self, batch: Batch) -> Result<(), Halt> {
        let head = self.head;
        match timeout(self.settings.unreachable_after, find_tip(&*self.log)).await {
            Ok(tip) if tip == head.seq => {
                self.reached();
                let receipts = batch.into_receipts(head);
                self.deliver(Delivery::Confirmed(Confirmed { seq: head.seq, receipts })).await
            }
            Ok(tip) if tip > head.seq => {
                self.decide_again(batch);
                self.catch_up(tip).await
            }
            Ok(_) => {
                self.decide_again(batch);
                match timeout(self.settings.unreachable_after, holds(&*self.log, head)).await {
                    Ok(Ok(false)) => Err(Broken::Rewound(head.seq).into()),
                    Ok(_) | Err(_) => self.sit_out().await,
                }
            }
            Err(_) => {
                self.decide_again(batch);
                self.sit_out().await
            }
        }
    }

    /// Follows the log up to and with this record, which is there.
    async fn catch_up(&mut self, to: Seq) -> Result<(), Halt> {
        while self.head.seq < to {
            match timeout(self.settings.unreachable_after, self.next_entry()).await {
                Ok(entry) => self.accept(entry?).await?,
                Err(_) => return self.sit_out().await,
            }
        }
        Ok(())
    }

    /// The record after `head`, which is there: as it is delivered, or, should that take too long, by reading it.
    async fn next_entry(&mut self) -> Result<Entry, Halt> {
        let next = self.head.seq.next();
        loop {
            let read = sleep(DELIVERY_PATIENCE).then(|()| self.log.read(next));
            select! {
                biased;
                entry = self.tail.next() => {
                    let entry = delivered(entry)?;
                    if entry.seq >= next {
                        return Ok(entry);
                    }
                }
                read = read => if let Ok(Some(payload)) = read {
                    return Ok(Entry { seq: next, payload });
                }
            }
        }
    }

    /// Takes a record of another node into account. One that is known already, such as one of our own, changes nothing.
    async fn accept(&mut self, entry: Entry) -> Result<(), Halt> {
        let seq = entry.seq;
        if seq <= self.head.seq {
            return Ok(());
        }
        let (record, head) = self.head.read_next(&entry)?;
        for commit in &record.commits {
            self.state.fold(commit).map_err(|source| Broken::Impossible { seq, source })?;
        }
        self.head = head;
        debug!(%seq, commits = record.commits.len(), "record of another node");
        Counters::count(&self.shared.counters.foreign_records, 1);
        let record = Arc::new(record);
        self.deliver(Delivery::Record(Committed { head, record, receipts: Receipts::none(seq) })).await
    }

    /// Hands on. Where whoever receives is behind, everything waits, so that requests are told to come later.
    async fn deliver(&mut self, delivery: Delivery) -> Result<(), Halt> {
        select! {
            biased;
            sent = self.sink.send(delivery) => sent.map_err(|_| Halt::Deserted),
            () = overdue(&mut self.closing) => Err(Halt::CloseTimeout),
        }
    }

    /// Puts the requests of a batch that came to nothing back where they were.
    fn decide_again(&mut self, batch: Batch) {
        for request in batch.into_requests().rev() {
            self.waiting.push_front(request);
        }
    }

    /// Has a batch decided again in parts, since its record is too large.
    fn split(&mut self, batch: Batch, size: usize, limit: usize) {
        match batch.len() {
            1 => batch.into_requests().for_each(|request| request.refuse(SubmitError::TooLarge { size, limit })),
            requests => {
                self.batch_size = requests / 2;
                self.decide_again(batch);
            }
        }
    }

    /// Waits until the log answers again. Requests are turned away meanwhile: they are certainly not in the log.
    async fn sit_out(&mut self) -> Result<(), Halt> {
        self.not_reached();
        let log = Arc::clone(&self.log);
        let mut pause = FIRST_PAUSE;
        loop {
            let mut probe = pin!(sleep(pause).then(|()| log.tip()));
            let answer = loop {
                select! {
                    biased;
                    answer = &mut probe => break answer,
                    entry = self.tail.next() => self.accept(delivered(entry)?).await?,
                    request = self.queue.recv() => match request {
                        Some(request) => request.refuse(self.unavailable()),
                        None => return Ok(()),
                    },
                    () = closes(&mut self.closing), if !self.queue.is_closed() => self.queue.close(),
                }
            };
            if answer.is_ok() {
                self.reached();
                return Ok(());
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// The log does not answer: nobody needs to wait for it.
    pub fn not_reached(&mut self) {
        self.refuse_waiting(&self.unavailable());
        self.change_status(Status::Unreachable);
    }

    fn reached(&mut self) {
        self.change_status(Status::Writing);
    }

    fn change_status(&mut self, status: Status) {
        self.shared.status.send_if_modified(|current| {
            let changes = *current != status;
            if changes {
                match status {
                    Status::Unreachable => warn!("the log cannot be reached; writes are turned away until it can"),
                    _ => info!("the log is reached again"),
                }
                *current = status;
            }
            changes
        });
    }

    fn refuse_waiting(&mut self, error: &SubmitError) {
        for request in self.waiting.drain(..) {
            request.refuse(error.clone());
        }
    }

    pub fn unavailable(&self) -> SubmitError {
        SubmitError::Unavailable { retry_after: self.settings.retry_after }
    }
}

/// The number of the log's last record, however long it takes to find out.
async fn find_tip<L: Log>(log: &L) -> Seq {
    loop {
        match log.tip().await {
            Ok(tip) => return tip,
            Err(error) => debug!(error = &error as &dyn std::error::Error, "the log's tip is not known"),
        }
        sleep(FIRST_PAUSE).await;
    }
}

/// What the tail delivered.
pub(super) fn delivered(entry: Option<Result<Entry, Broken>>) -> Result<Entry, Broken> {
    entry.expect("a log that is followed ends with an error, after which the task does not ask again")
}

/// Completes when the sequencer is closed.
async fn closes(closing: &mut watch::Receiver<Option<Moment>>) {
    if closing.wait_for(Option::is_some).await.is_err() {
        pending().await
    }
}

/// Completes when the task should have ended.
pub(super) async fn overdue(closing: &mut watch::Receiver<Option<Moment>>) {
    closes(closing).await;
    let deadline = *closing.borrow();
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// An error with its causes, in one line.
fn text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
