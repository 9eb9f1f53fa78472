//! One following of the log for all who read its end in this process: each record is decoded and checked once, however
//! many readers there are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tapelog_events::{ChainHash, Record, Seq};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error};

use super::chain::Link;
use super::{Broken, Entries, Entry, Head, Log};

/// How much of the log's end is held for its readers.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How many records: at least a second of the fastest writing there is, so that who pauses for less finds them here.
    records: usize,
    /// How many bytes of records, as they are in the log; decoded they take a few times that.
    bytes: usize,
    /// How many readers that are behind may follow the log by themselves at once, since each holds megabytes that were
    /// delivered ahead. All others read one record at a time.
    followers: usize,
}

const LIMITS: Limits = Limits { records: 4096, bytes: 4 * 1024 * 1024, followers: 8 };
/// How many records are taken in before readers are woken, where so many come at once.
const BURST: usize = 64;
/// How long to wait before the log is asked again when it did not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// How often in a row the log must say that a record is not there before it is believed: a leader that has just lost its
/// place may answer once.
const DENIALS: u32 = 5;

/// The end of the log, as it grows, for any number of readers. Clones share it. The log is followed only while there are
/// readers.
#[derive(Debug)]
pub struct Tail<L> {
    shared: Arc<Shared<L>>,
}

impl<L> Clone for Tail<L> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared<L> {
    log: Arc<L>,
    limits: Limits,
    ring: Mutex<Ring>,
    /// Marked when the ring has changed.
    moved: watch::Sender<()>,
    followers: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Ring {
    readers: usize,
    /// Ascends when the last reader leaves: a following that is told to end then may go on for some records.
    life: u64,
    following: Option<AbortOnDropHandle<Option<()>>>,
    /// The number of the oldest record that is held, or of the first to come. `None` until the log's end is known.
    first: Option<Seq>,
    records: VecDeque<Held>,
    bytes: usize,
    broken: Option<Arc<Broken>>,
}

#[derive(Debug)]
struct Held {
    record: Arc<Record>,
    hash: ChainHash,
    bytes: usize,
}

/// Where a record is.
enum Place {
    Held(Arc<Record>, ChainHash),
    /// It is older than all that are held.
    Behind,
    ToCome,
    /// It will never come.
    Broken(Arc<Broken>),
}

impl Ring {
    fn place(&self, seq: Seq) -> Place {
        let held = self.first.map(|first| seq.0.checked_sub(first.0));
        match (held, &self.broken) {
            (Some(None), _) => Place::Behind,
            (Some(Some(index)), broken) => match (self.records.get(index as usize), broken) {
                (Some(held), _) => Place::Held(Arc::clone(&held.record), held.hash),
                (None, Some(broken)) => Place::Broken(Arc::clone(broken)),
                (None, None) => Place::ToCome,
            },
            (None, Some(broken)) => Place::Broken(Arc::clone(broken)),
            (None, None) => Place::ToCome,
        }
    }

    fn push(&mut self, held: Held, limits: Limits) {
        self.bytes += held.bytes;
        self.records.push_back(held);
        while self.records.len() > limits.records || (self.bytes > limits.bytes && self.records.len() > 1) {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.bytes;
            self.first = self.first.map(Seq::next);
        }
    }
}

impl<L: Log> Tail<L> {
    /// The end of this log.
    pub fn new(log: Arc<L>) -> Self {
        Self::with(log, LIMITS)
    }

    fn with(log: Arc<L>, limits: Limits) -> Self {
        let followers = Arc::new(Semaphore::new(limits.followers));
        let shared = Shared { log, limits, ring: Mutex::default(), moved: watch::Sender::new(()), followers };
        Self { shared: Arc::new(shared) }
    }

    /// Reads from this record on, whether or not it is there yet. Must be called on a runtime.
    pub fn from(&self, seq: Seq) -> Reader<L> {
        let mut ring = self.shared.ring.lock();
        ring.readers += 1;
        if ring.following.is_none() {
            ring.following = Some(AbortOnDropHandle::new(tokio::spawn(follow(Arc::clone(&self.shared), ring.life))));
        }
        let moved = self.shared.moved.subscribe();
        Reader { shared: Arc::clone(&self.shared), next: seq.max(Seq(1)), hash: None, moved, own: None }
    }

    /// The last record that is known to be in the log; `None` while nobody reads.
    pub fn last(&self) -> Option<Seq> {
        let ring = self.shared.ring.lock();
        ring.first.map(|first| Seq(first.0 + ring.records.len() as u64 - 1))
    }
}

impl<L> Shared<L> {
    /// Changes the ring on behalf of the following that began in this life of it. `None` when that is over.
    fn change(&self, life: u64, change: impl FnOnce(&mut Ring)) -> Option<()> {
        let mut ring = self.ring.lock();
        (ring.life == life).then(|| change(&mut ring))
    }
}

/// Fills the ring. Ends when the log is broken, or nobody reads any more.
async fn follow<L: Log>(shared: Arc<Shared<L>>, life: u64) -> Option<()> {
    let mut head = end_of(&*shared.log).await;
    shared.change(life, |ring| ring.first = Some(head.seq.next()))?;
    shared.moved.send_replace(());
    let mut entries = shared.log.follow(head.seq.next());
    loop {
        let mut next = entries.next().await;
        let mut taken = 0;
        while let Some(entry) = next {
            match entry.and_then(|entry| take(&mut head, &entry)) {
                Ok(held) => shared.change(life, |ring| ring.push(held, shared.limits))?,
                Err(broken) => {
                    error!(seq = %head.seq, error = &broken as &dyn std::error::Error, "the log cannot be followed any more");
                    shared.change(life, |ring| ring.broken = Some(Arc::new(broken)))?;
                    shared.moved.send_replace(());
                    return None;
                }
            }
            taken += 1;
            next = if taken < BURST { entries.next().now_or_never().flatten() } else { None };
        }
        shared.moved.send_replace(());
    }
}

fn take(head: &mut Head, entry: &Entry) -> Result<Held, Broken> {
    let (record, after) = head.read_next(entry)?;
    *head = after;
    Ok(Held { record: Arc::new(record), hash: after.hash, bytes: entry.payload.len() })
}

/// Where the log ends now, however long it takes to find out.
async fn end_of<L: Log>(log: &L) -> Head {
    loop {
        match read_end(log).await {
            Ok(Some(head)) => return head,
            // A leader that has just lost its place may not have the record that another named.
            Ok(None) => {}
            Err(error) => debug!(error = &error as &dyn std::error::Error, "the log's end is not known"),
        }
        sleep(PAUSE).await;
    }
}

async fn read_end<L: Log>(log: &L) -> Result<Option<Head>, super::Unreachable> {
    let seq = log.tip().await?;
    if seq == Seq::ZERO {
        return Ok(Some(Head::START));
    }
    Ok(log.read(seq).await?.map(|payload| Head { seq, hash: ChainHash::of(&payload) }))
}

/// Reads records in order, each once. While it keeps up they are shared with all other readers; what it missed it reads
/// from the log.
pub struct Reader<L> {
    shared: Arc<Shared<L>>,
    next: Seq,
    /// The hash of the record before the next one; `None` until one was read.
    hash: Option<ChainHash>,
    moved: watch::Receiver<()>,
    own: Option<Own>,
}

/// What a reader that is behind follows by itself.
struct Own {
    entries: Entries,
    _place: OwnedSemaphorePermit,
}

impl<L: Log> Reader<L> {
    /// The next record with its number; waits for it. May be dropped while it waits: no record is lost by that.
    ///
    /// # Errors
    /// When there will be no next record, because the log is not what it was.
    pub async fn next(&mut self) -> Result<(Seq, Arc<Record>), Arc<Broken>> {
        loop {
            self.moved.mark_unchanged();
            let place = self.shared.ring.lock().place(self.next);
            match place {
                Place::Held(record, hash) => {
                    self.own = None;
                    return self.advance(record, hash);
                }
                Place::Behind => {
                    let link = Link::read(&self.catch_up().await?)?;
                    return self.advance(Arc::new(link.record), link.head.hash);
                }
                Place::ToCome => {
                    self.own = None;
                    // The sender lives as long as this reader.
                    self.moved.changed().await.ok();
                }
                Place::Broken(broken) => return Err(broken),
            }
        }
    }

    /// Lets go of what was delivered ahead: for a reader that is behind and will not go on for a while.
    pub fn rest(&mut self) {
        self.own = None;
    }

    fn advance(&mut self, record: Arc<Record>, hash: ChainHash) -> Result<(Seq, Arc<Record>), Arc<Broken>> {
        let seq = self.next;
        if self.hash.is_some_and(|before| before != record.prev_hash) {
            return Err(Arc::new(Broken::Chain(seq)));
        }
        self.hash = Some(hash);
        self.next = seq.next();
        Ok((seq, record))
    }

    /// The next record, which is older than all that are shared.
    async fn catch_up(&mut self) -> Result<Entry, Broken> {
        if self.own.is_none()
            && let Ok(place) = Arc::clone(&self.shared.followers).try_acquire_owned()
        {
            self.own = Some(Own { entries: self.shared.log.follow(self.next), _place: place });
        }
        match &mut self.own {
            Some(own) => {
                own.entries.next().await.expect("a log that is followed ends with an error, which ends the reader")
            }
            None => read(&*self.shared.log, self.next).await,
        }
    }
}

/// The record with this number, which was in the log.
async fn read<L: Log>(log: &L, seq: Seq) -> Result<Entry, Broken> {
    let mut denials = 0;
    while denials < DENIALS {
        match log.read(seq).await {
            Ok(Some(payload)) => return Ok(Entry { seq, payload }),
            Ok(None) => denials += 1,
            Err(error) => debug!(%seq, error = &error as &dyn std::error::Error, "a record could not be read"),
        }
        sleep(PAUSE).await;
    }
    Err(Broken::Missing(seq))
}

impl<L> Drop for Reader<L> {
    fn drop(&mut self) {
        let mut ring = self.shared.ring.lock();
        ring.readers -= 1;
        if ring.readers == 0 {
            *ring = Ring { life: ring.life + 1, ..Ring::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::future::join_all;
    use tapelog_events::codec;
    use tokio::time::timeout;

    use super::*;
    use crate::log::AppendError;
    use crate::log::memory::{Faults, MemoryLog};

    const FAULTS: Faults = Faults {
        latency: Duration::from_millis(3),
        read_failure: 0.1,
        gap: 0.1,
        duplicate: 0.1,
        reset: 0.05,
        ..Faults::NONE
    };

    /// Appends empty records until the log has so many.
    async fn grow(log: &MemoryLog, until: u64) {
        while (log.records().len() as u64) < until {
            let records = log.records();
            let last = records.last().unwrap();
            let record = Record { format: codec::FORMAT, prev_hash: ChainHash::of(last), commits: Vec::new() };
            match log.append(Seq(records.len() as u64), Bytes::from(codec::encode(&record))).await {
                Ok(()) | Err(AppendError::Unknown(_) | AppendError::Refused(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn read_some(tail: &Tail<MemoryLog>, from: u64, until: u64) -> Vec<(Seq, Arc<Record>)> {
        let mut reader = tail.from(Seq(from));
        let mut records = Vec::new();
        for number in from..=until {
            records.push(reader.next().await.unwrap());
            // So that it falls behind what is shared, now and then.
            if number % 17 == from % 17 {
                sleep(Duration::from_millis(200)).await;
            }
        }
        records
    }

    #[tokio::test(start_paused = true)]
    async fn every_reader_gets_every_record_once_and_in_order_whatever_the_network_does() {
        for seed in 0..8 {
            let log = Arc::new(MemoryLog::new(seed, FAULTS));
            grow(&log, 100).await;
            let tail = Tail::with(Arc::clone(&log), Limits { records: 8, bytes: usize::MAX, followers: 2 });
            let readers = join_all([1, 1, 1, 50, 90, 100, 101, 120].map(|from| read_some(&tail, from, 300)));
            let (all, ()) = timeout(Duration::from_secs(3600), async { tokio::join!(readers, grow(&log, 300)) })
                .await
                .unwrap_or_else(|_| panic!("a reader is stuck with seed {seed}"));
            let stored = log.records();
            for records in all {
                let from = records[0].0.0;
                assert!(records.iter().map(|(seq, _)| seq.0).eq(from..=300), "seed {seed}");
                for (seq, record) in records {
                    assert_eq!(*record, codec::decode(&stored[seq.0 as usize - 1]).unwrap(), "seed {seed}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_does_not_follow_ends_all_readers_and_nothing_is_followed_without_any() {
        let log = Arc::new(MemoryLog::reliable());
        let tail = Tail::new(Arc::clone(&log));
        let mut readers = [tail.from(Seq(1)), tail.from(Seq(2))];
        assert_eq!(readers[0].next().await.unwrap().0, Seq(1));
        let wrong = Record { format: codec::FORMAT, prev_hash: ChainHash::ZERO, commits: Vec::new() };
        log.append(Seq(1), Bytes::from(codec::encode(&wrong))).await.unwrap();
        for reader in &mut readers {
            assert!(matches!(*reader.next().await.unwrap_err(), Broken::Chain(Seq(2))));
        }
        drop(readers);
        assert_eq!(tail.last(), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_comes_after_the_last_reader_has_left_gets_the_records_that_it_asks_for() {
        let log = Arc::new(MemoryLog::reliable());
        let written = Arc::clone(&log);
        let _writing = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut prev_hash = ChainHash::of(&written.records()[0]);
            for head in 1.. {
                let payload =
                    Bytes::from(codec::encode(&Record { format: codec::FORMAT, prev_hash, commits: Vec::new() }));
                prev_hash = ChainHash::of(&payload);
                written.append(Seq(head), payload).await.unwrap();
                tokio::task::yield_now().await;
            }
        }));
        let tail = Tail::new(Arc::clone(&log));
        let mut read = Vec::new();
        for _ in 0..500 {
            let mut reader = tail.from(log.tip().await.unwrap());
            for _ in 0..4 {
                let (seq, record) = reader.next().await.unwrap();
                read.push((seq, record.prev_hash));
            }
        }
        let stored = log.records();
        for (seq, prev_hash) in read {
            let record = codec::decode(&stored[seq.0 as usize - 1]).unwrap();
            assert_eq!(record.prev_hash, prev_hash, "record {seq}");
        }
    }
}
