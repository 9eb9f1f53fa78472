//! The tables as they were at a moment of the past, as far as a question needs them.
//!
//! Nothing of the past is kept ready. For each question the index says which versions of metadata and which events it
//! takes, the log says what stands in those events, and a small [`Tables`] is put together from them, on which the very
//! query runs that answers for the present. So the past is told in the same words, by the same code.
//!
//! What a question costs grows with what it reads: a Flow with its metadata, those of the Flows it is related to and
//! nothing else; a page of segments with the events that had added segments near the page; an object with the events that
//! ever named it; a listing of Flows or Sources with how many there had been, once for all its pages.

mod instances;
mod metadata;
mod object;
mod records;
mod segments;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use tapelog_commands::inventory::{Contradiction, Inventory};
use tapelog_commands::{Corrupt, SegmentName, State, StateParts};
use tapelog_events::{Access, ChainHash, FlowId, ObjectId, Seq, SourceId, TimeRange};
use tapelog_store::log::{Head, Log};
use tokio::task::spawn_blocking;

use super::versions::Place;
use super::{History, HistoryError, Moment, ReadError};
use crate::tables::changes::Changes;
use crate::{FlowFilter, Live, Paging, SegmentFilter, SortBy, Tables};
use metadata::Metadata;
use records::{Loaded, Records};

/// For how many moments the metadata of all Flows and Sources are remembered: for clients that go through the pages of a
/// listing, of which there are few at a time.
const MOMENTS: NonZeroUsize = NonZeroUsize::new(4).expect("it is not zero");

/// How many Flows or segments take so long to be put into tables, about half a millisecond, that they must not hold up a
/// thread of the runtime.
const LARGE_TABLES: usize = 100;

/// What the tables of the past are to hold.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// A Flow, with what it collects and is collected by.
    Flow {
        /// Which.
        id: FlowId,
        /// Which part of its timeline is to be told; [`Tables::flow_range`].
        range: Option<Option<TimeRange>>,
    },
    /// A Source, with what it collects and is collected by.
    Source(SourceId),
    /// Every Flow and every Source, without segments.
    Listing,
    /// A page of the Flows that have segments, or have none, as a filter wants it.
    Flows {
        /// Which are asked for.
        filter: &'a FlowFilter,
        /// In what order.
        sort: SortBy,
        /// The page.
        paging: &'a Paging<'a>,
    },
    /// A page of the segments of a Flow.
    Segments {
        /// The Flow.
        flow_id: FlowId,
        /// Which are asked for.
        filter: &'a SegmentFilter,
        /// The page.
        paging: &'a Paging<'a>,
    },
    /// One segment of a Flow.
    Segment {
        /// The Flow.
        flow_id: FlowId,
        /// The segment.
        name: &'a SegmentName,
    },
    /// An object, with the Flows that use it.
    Object(&'a ObjectId),
}

/// The past cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum AsOfError {
    /// The index cannot be asked.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What index and log say contradicts itself.
    #[error("history contradicts itself")]
    Corrupt(#[from] Corrupt),
    /// The index names an event that is not in the log.
    #[error("record {0} has not the event that the history names")]
    NoSuchEvent(Seq),
}

impl From<fjall::Error> for AsOfError {
    fn from(error: fjall::Error) -> Self {
        HistoryError::from(error).into()
    }
}

impl From<Contradiction> for AsOfError {
    fn from(contradiction: Contradiction) -> Self {
        Self::Corrupt(contradiction.into())
    }
}

/// The past of a store. Clones share it.
#[derive(Clone)]
pub struct AsOf {
    shared: Arc<Shared>,
}

struct Shared {
    history: History,
    records: Records,
    live: Arc<Live>,
    listings: Mutex<LruCache<Moment, Arc<Tables>>>,
}

impl fmt::Debug for AsOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AsOf").field("history", &self.shared.history).finish_non_exhaustive()
    }
}

impl AsOf {
    /// The past of the store that has this index, this log, and these tables at present.
    pub fn new<L: Log>(history: History, log: Arc<L>, live: Arc<Live>) -> Self {
        let listings = Mutex::new(LruCache::new(MOMENTS));
        Self { shared: Arc::new(Shared { history, records: Records::of(log), live, listings }) }
    }

    /// The tables as they were, as far as a question needs them: their queries about just what is wanted are answered as
    /// they were then, and about anything else not at all. The history must have come so far ([`History::wait_for`]).
    ///
    /// What somebody may see of the past is what they might have seen then and may see still: tags that forbid it at
    /// present stand in place of those of then.
    ///
    /// # Errors
    /// When index or log cannot be read, or say what cannot be.
    pub async fn tables(
        &self,
        moment: Moment,
        access: &Arc<Access>,
        wanted: Wanted<'_>,
    ) -> Result<Arc<Tables>, AsOfError> {
        let question = Question { past: &self.shared, moment, access, loaded: Loaded::default() };
        match wanted {
            Wanted::Flow { id, range } => question.flow(id, range).await,
            Wanted::Source(id) => question.source(id).await,
            Wanted::Listing => question.listing().await,
            Wanted::Flows { filter, sort, paging } => question.flows(filter, sort, paging).await,
            Wanted::Segments { flow_id, filter, paging } => question.segments(flow_id, filter, paging).await,
            Wanted::Segment { flow_id, name } => question.segment(flow_id, name).await,
            Wanted::Object(id) => question.object(id).await,
        }
    }
}

/// One question about the past.
struct Question<'a> {
    past: &'a Shared,
    moment: Moment,
    access: &'a Arc<Access>,
    /// What was read for it.
    loaded: Loaded,
}

impl Question<'_> {
    /// Before which place everything had happened.
    fn until(&self) -> Place {
        (self.moment.seq, self.moment.commits, 0)
    }

    /// Asks the index, on a thread that may wait for a disk.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&History) -> Result<T, fjall::Error> + Send + 'static,
    ) -> Result<T, AsOfError> {
        let history = self.past.history.clone();
        let asked = spawn_blocking(move || question(&history)).await;
        Ok(asked.expect("asking the index does not panic, and nothing aborts it")?)
    }

    /// The tables that consist of this.
    async fn put_together(&self, metadata: Metadata, inventory: Inventory) -> Result<Arc<Tables>, AsOfError> {
        let Metadata { flows, sources } = self.as_they_may_be_seen(metadata);
        let head = Head { seq: self.moment.seq, hash: ChainHash::ZERO };
        let size = flows.len().max(inventory.segment_count());
        let restore = move || {
            let state = State::restore(StateParts { flows, sources, inventory, ..StateParts::default() })?;
            Ok(Arc::new(Tables::restore(head, state, Changes::default())))
        };
        if size < LARGE_TABLES {
            return restore();
        }
        spawn_blocking(restore).await.expect("putting tables together does not panic, and nothing aborts it")
    }
}
