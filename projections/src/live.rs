//! Where a server keeps its tables.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tapelog_events::{Record, Seq};
use tapelog_store::log::Head;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::{ApplyError, Tables};

/// The position that was waited for was not reached in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tables are at record {applied} and did not reach record {wanted} in time")]
pub struct WaitError {
    /// The record that was waited for.
    pub wanted: Seq,
    /// The last record that was applied.
    pub applied: Seq,
}

/// Tables cannot take the place of others that are ahead of them: clients would see the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tables at record {offered} cannot replace those at record {live}")]
pub struct ReplaceError {
    /// Where the tables in use are.
    pub live: Seq,
    /// Where the offered ones are.
    pub offered: Seq,
}

/// The tables in use: many readers, one projector, and a way to put others in their place.
#[derive(Debug)]
pub struct Live {
    tables: ArcSwap<RwLock<Tables>>,
    /// Held while tables change, whichever way: an application and a replacement never meet. Who has a [`Tail`] is told
    /// of each application.
    changing: Mutex<Option<mpsc::Sender<Applied>>>,
    applied: watch::Sender<Seq>,
}

/// A record, with where the chain stands after it.
type Applied = (Head, Arc<Record>);

/// How many records a tail holds: more than are applied while other tables are brought to where it begins, and less than
/// would matter in memory. Who falls behind by more takes another tail.
const TAIL_RECORDS: usize = 256;

/// The records that are applied after a certain one, for whoever brings other tables up to date.
#[derive(Debug)]
pub(crate) struct Tail {
    from: Seq,
    records: mpsc::Receiver<Applied>,
}

impl Tail {
    /// The record after which it begins.
    pub fn from(&self) -> Seq {
        self.from
    }

    fn apply_to(&mut self, tables: &mut Tables) -> Result<(), ApplyError> {
        while let Ok((head, record)) = self.records.try_recv() {
            tables.apply(head, &record)?;
        }
        Ok(())
    }
}

/// Tables that followed a tail could not take the place of those in use.
#[derive(Debug)]
pub(crate) enum TakeOverError {
    /// The tail was too short; these are the tables as far as it led.
    Missed(Box<Tables>),
    /// A record does not follow.
    Apply(ApplyError),
}

impl Live {
    /// Puts tables into use.
    pub fn new(tables: Tables) -> Self {
        let (applied, _) = watch::channel(tables.position());
        Self { tables: ArcSwap::from_pointee(RwLock::new(tables)), changing: Mutex::new(None), applied }
    }

    /// Reads at one position. Whoever reads holds up the projector, so do not wait inside.
    pub fn read<R>(&self, query: impl FnOnce(&Tables) -> R) -> R {
        query(&self.tables.load().read())
    }

    /// The number of the last record that was applied.
    pub fn position(&self) -> Seq {
        *self.applied.borrow()
    }

    /// The number of the last record that was applied, and of each that will be.
    pub fn applied(&self) -> watch::Receiver<Seq> {
        self.applied.subscribe()
    }

    /// Waits until a record is applied.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn wait_for(&self, wanted: Seq, limit: Duration) -> Result<(), WaitError> {
        if self.position() >= wanted {
            return Ok(());
        }
        let mut applied = self.applied.subscribe();
        let reached = timeout(limit, applied.wait_for(|applied| *applied >= wanted)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WaitError { wanted, applied: self.position() }),
        }
    }

    /// Applies the next record. One that was applied already changes nothing: tables that were put in place of others
    /// may be ahead of them.
    pub(crate) fn apply(&self, head: Head, record: &Arc<Record>) -> Result<(), ApplyError> {
        let mut tail = self.changing.lock();
        if head.seq <= self.position() {
            return Ok(());
        }
        self.tables.load().write().apply(head, record)?;
        self.applied.send_replace(head.seq);
        // Who has gone, or has fallen behind, is told nothing more.
        if tail.as_ref().is_some_and(|tail| tail.try_send((head, Arc::clone(record))).is_err()) {
            *tail = None;
        }
        Ok(())
    }

    /// Puts other tables of the same log in the place of those in use. Readers that have begun finish on the old ones.
    ///
    /// # Errors
    /// When the tables in use have applied more: let the others catch up and try again.
    pub fn replace(&self, tables: Tables) -> Result<(), ReplaceError> {
        let _changing = self.changing.lock();
        let (live, offered) = (self.position(), tables.position());
        if offered < live {
            return Err(ReplaceError { live, offered });
        }
        drop(self.put(tables));
        Ok(())
    }

    /// The records that are applied from now on. There is one tail at a time: the one before it ends.
    pub(crate) fn tail(&self) -> Tail {
        let (sender, records) = mpsc::channel(TAIL_RECORDS);
        let mut tail = self.changing.lock();
        *tail = Some(sender);
        Tail { from: self.position(), records }
    }

    /// Has tables follow a tail that begins where they are, and puts them in the place of those in use, exactly where
    /// those are: no record is applied meanwhile, and what was answered stays true. Answers those that were in use, on
    /// which readers may still be finishing.
    ///
    /// # Errors
    /// When the tail does not lead there.
    pub(crate) fn take_over(
        &self,
        mut tables: Box<Tables>,
        mut tail: Tail,
    ) -> Result<Arc<RwLock<Tables>>, TakeOverError> {
        // Most of it while nobody has to wait.
        tail.apply_to(&mut tables).map_err(TakeOverError::Apply)?;
        let mut changing = self.changing.lock();
        *changing = None;
        tail.apply_to(&mut tables).map_err(TakeOverError::Apply)?;
        if tables.position() < self.position() {
            return Err(TakeOverError::Missed(tables));
        }
        Ok(self.put(*tables))
    }

    fn put(&self, tables: Tables) -> Arc<RwLock<Tables>> {
        let position = tables.position();
        let before = self.tables.swap(Arc::new(RwLock::new(tables)));
        self.applied.send_replace(position);
        before
    }
}

#[cfg(test)]
mod tests {
    use tapelog_events::{ChainHash, Commit, CommitId, Event, Instant, ServiceUpdated, codec};

    use super::*;

    /// So many records, each of which names the store after itself.
    fn records(count: u64) -> Vec<Applied> {
        let mut head = Head::START;
        let next = |number: u64| {
            let name = Some(number.to_string());
            let commit = Commit {
                id: CommitId::from_uuid(uuid::Uuid::from_u128(u128::from(number))),
                at: Instant::from_micros(0),
                actor: "test".to_owned(),
                request_id: None,
                idempotency: None,
                events: vec![Event::from(ServiceUpdated { name, description: None })],
            };
            let record = Record { format: codec::FORMAT, prev_hash: head.hash, commits: vec![commit] };
            head = Head { seq: Seq(number), hash: ChainHash::of(&number.to_be_bytes()) };
            (head, Arc::new(record))
        };
        (1..=count).map(next).collect()
    }

    #[test]
    fn who_falls_behind_on_a_tail_gets_what_there_is_of_it_and_may_take_another() {
        let records = records(TAIL_RECORDS as u64 + 10);
        let live = Live::new(Tables::new());
        let tail = live.tail();
        let apply = |(head, record): &Applied| live.apply(*head, record).unwrap();
        records.iter().for_each(apply);
        let Err(TakeOverError::Missed(mut behind)) = live.take_over(Box::default(), tail) else {
            panic!("it missed ten")
        };
        assert_eq!(behind.position(), Seq(TAIL_RECORDS as u64));
        assert_eq!(live.read(Tables::position), live.position());

        for (head, record) in &records[TAIL_RECORDS..] {
            behind.apply(*head, record).unwrap();
        }
        let tail = live.tail();
        let before = live.take_over(behind, tail).unwrap();
        assert_eq!(before.read().head(), live.read(Tables::head));
        assert_eq!(live.read(Tables::position), live.position());
    }
}
