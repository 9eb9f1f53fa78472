//! Events of the past, read from the log.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use hashbrown::{HashMap, HashSet};
use lru::LruCache;
use parking_lot::Mutex;
use tapelog_events::{Event, Seq};
use tapelog_store::log::Log;

use super::AsOfError;
use crate::history::record::{ReadError, StoredRecord, read_record};
use crate::history::versions::Place;

/// How many records are read from the log at once: enough that a page of segments, each in a record of its own, takes a
/// few round trips.
const READ_AT_ONCE: usize = 16;
/// How many records are remembered at the most, whatever their size.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");
/// How many bytes of records are remembered: for the next page, which often begins in the record that this one ends in.
const REMEMBERED_BYTES: usize = 16 * 1024 * 1024;

/// A log, whichever it is.
trait AnyLog: Send + Sync {
    fn record(&self, seq: Seq) -> BoxFuture<'_, Result<StoredRecord, ReadError>>;
}

impl<L: Log> AnyLog for L {
    fn record(&self, seq: Seq) -> BoxFuture<'_, Result<StoredRecord, ReadError>> {
        Box::pin(read_record(self, seq))
    }
}

/// The records of a log, of which those that were read last are remembered.
pub struct Records {
    log: Arc<dyn AnyLog>,
    remembered: Mutex<Remembered>,
}

struct Remembered {
    records: LruCache<Seq, Arc<StoredRecord>>,
    bytes: usize,
}

impl Remembered {
    fn add(&mut self, stored: &Arc<StoredRecord>) {
        self.bytes += stored.bytes;
        let known = self.records.push(stored.seq, Arc::clone(stored));
        self.bytes -= known.map_or(0, |(_, forgotten)| forgotten.bytes);
        while self.bytes > REMEMBERED_BYTES {
            self.bytes -= self.records.pop_lru().map_or(self.bytes, |(_, forgotten)| forgotten.bytes);
        }
    }
}

impl Records {
    pub fn of<L: Log>(log: Arc<L>) -> Self {
        Self { log, remembered: Mutex::new(Remembered { records: LruCache::new(REMEMBERED), bytes: 0 }) }
    }

    async fn record(&self, seq: Seq) -> Result<Arc<StoredRecord>, ReadError> {
        let known = self.remembered.lock().records.get(&seq).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let stored = Arc::new(self.log.record(seq).await?);
        self.remembered.lock().add(&stored);
        Ok(stored)
    }
}

/// The records that one question needs.
#[derive(Default)]
pub struct Loaded(HashMap<Seq, Arc<StoredRecord>>);

impl Loaded {
    /// Reads those of these records that were not read yet.
    pub async fn load(&mut self, records: &Records, seqs: impl IntoIterator<Item = Seq>) -> Result<(), AsOfError> {
        let missing: HashSet<Seq> = seqs.into_iter().filter(|seq| !self.0.contains_key(seq)).collect();
        let mut read = stream::iter(missing).map(|seq| records.record(seq)).buffer_unordered(READ_AT_ONCE);
        while let Some(stored) = read.try_next().await? {
            self.0.insert(stored.seq, stored);
        }
        Ok(())
    }

    /// The event that stands at a place in one of these records.
    pub fn event(&self, (seq, commit, event): Place) -> Result<&Event, AsOfError> {
        let record = self.0.get(&seq).map(|stored| &stored.record);
        let commit = record.and_then(|record| record.commits.get(commit as usize));
        let event = commit.and_then(|commit| commit.events.get(event as usize));
        event.ok_or(AsOfError::NoSuchEvent(seq))
    }

    /// The events of one of these records before a place, in order.
    pub fn events_before(&self, seq: Seq, before: Place) -> impl Iterator<Item = (Place, &Event)> {
        let commits = self.0.get(&seq).map(|stored| &stored.record.commits);
        let events = (0..).zip(commits.into_iter().flatten()).flat_map(move |(number, commit)| {
            (0..).zip(&commit.events).map(move |(event_number, event)| ((seq, number, event_number), event))
        });
        events.take_while(move |(place, _)| *place < before)
    }
}
