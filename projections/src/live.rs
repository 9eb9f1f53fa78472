//! Where a server keeps its tables.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tapelog_events::{Record, Seq};
use tapelog_store::log::Head;
use tokio::sync::watch;
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
    /// Held while tables change, whichever way: an application and a replacement never meet.
    changing: Mutex<()>,
    applied: watch::Sender<Seq>,
}

impl Live {
    /// Puts tables into use.
    pub fn new(tables: Tables) -> Self {
        let (applied, _) = watch::channel(tables.position());
        Self { tables: ArcSwap::from_pointee(RwLock::new(tables)), changing: Mutex::new(()), applied }
    }

    /// Reads at one position. Whoever reads holds up the projector, so do not wait inside.
    pub fn read<R>(&self, query: impl FnOnce(&Tables) -> R) -> R {
        query(&self.tables.load().read())
    }

    /// The number of the last record that was applied.
    pub fn position(&self) -> Seq {
        *self.applied.borrow()
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
    pub(crate) fn apply(&self, head: Head, record: &Record) -> Result<(), ApplyError> {
        let _changing = self.changing.lock();
        if head.seq <= self.position() {
            return Ok(());
        }
        self.tables.load().write().apply(head, record)?;
        self.applied.send_replace(head.seq);
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
        self.tables.store(Arc::new(RwLock::new(tables)));
        self.applied.send_replace(offered);
        Ok(())
    }
}
