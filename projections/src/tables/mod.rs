//! The tables as a value: what was applied, and what can be asked.
//!
//! One code folds the log for both sides: the base is the [`State`] that decisions use. What reading needs besides, the
//! orders of listings and the documents as they are served, stands in an index per table.

mod access;
pub(crate) mod changes;
mod document;
mod flow;
mod object;
mod page;
pub(crate) mod partition;
mod postings;
mod registry;
mod segment;
mod source;
mod tag;
mod tag_statistics;
mod version;

use std::fmt;
use std::sync::Arc;

use tapelog_commands::{Corrupt, State};
use tapelog_events::{ChainHash, Commit, Event, FlowId, Idempotency, Incarnation, Record, Seq, SourceId, TimeRange};
use tapelog_store::log::Head;

use changes::Changes;
pub use document::{FlowDocument, SourceDocument};
use flow::FlowIndex;
pub use flow::{FlowFilter, FlowView};
pub use object::{AllocatedObject, ObjectKind, StoredObject};
pub use page::{Direction, InvalidCursor, Page, Paging, SortBy};
pub use registry::{DeletionSort, ProfileFilter, WebhookFilter};
pub(crate) use segment::decode_start;
pub use segment::{ListedInit, ListedSegment, SegmentFilter, SegmentNameError, SegmentPage};
use source::SourceIndex;
pub use source::{SourceFilter, SourceView};
pub use tag::{TagCondition, TagFilter};
use tag_statistics::{TagIndex, Tagged, visible_tags};
pub use tag_statistics::{TagStatistics, TagValueStatistics};
pub use version::Listed;

/// A record that the tables cannot take. They stay readable as they are and take no other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// Not the record after the last one applied.
    #[error("record {found} cannot be applied: record {expected} comes next")]
    OutOfOrder {
        /// The record that comes next.
        expected: Seq,
        /// The record that came.
        found: Seq,
    },
    /// It does not follow from the last one applied (L2).
    #[error("record {0} does not follow from the record that was applied before it (L2)")]
    Chain(Seq),
    /// It cannot have happened after those before it.
    #[error("record {seq} contradicts the tables")]
    Corrupt {
        /// The record.
        seq: Seq,
        /// Why.
        source: Corrupt,
    },
    /// An earlier record failed half-way.
    #[error("tables are not whole since record {0} failed")]
    Failed(Seq),
}

/// What the log comes to at one position.
#[derive(Clone)]
pub struct Tables {
    head: Head,
    state: State,
    flows: FlowIndex,
    sources: SourceIndex,
    tags: TagIndex,
    changes: Changes,
    /// The record that failed half-way.
    failed: Option<Seq>,
    origin: Origin,
}

/// Which tables these are a copy of, at whatever position. Tables that came about separately have different ones: they
/// should be equal, but nothing may rely on it before they were compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin(Arc<()>);

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Millions of rows are no use to whoever debugs.
impl fmt::Debug for Tables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, failed, .. } = self;
        let mut tables = formatter.debug_struct("Tables");
        tables.field("head", head).field("counts", &self.counts()).field("failed", failed).finish_non_exhaustive()
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new()
    }
}

impl Tables {
    /// The tables of an empty log.
    pub fn new() -> Self {
        Self {
            head: Head::START,
            state: State::default(),
            flows: FlowIndex::default(),
            sources: SourceIndex::default(),
            tags: TagIndex::default(),
            changes: Changes::default(),
            failed: None,
            origin: Origin::default(),
        }
    }

    /// The tables over a state that was read from a checkpoint.
    pub(crate) fn restore(head: Head, state: State, changes: Changes) -> Self {
        let mut tables = Self { head, state, changes, ..Self::new() };
        let Self { state, flows, sources, tags, .. } = &mut tables;
        let inventory = state.inventory();
        for flow in state.flows().map(|state| &state.flow) {
            flows.put(flow.id, Some(flow));
            tags.add(Tagged::Flow, &flow.tags);
            let slot = inventory.flow(flow.id).into_iter();
            let tagged = slot.flat_map(|slot| inventory.tagged_segments(slot, &TimeRange::ETERNITY));
            tagged.for_each(|(_, of_segment)| tags.add(Tagged::Segment, of_segment));
        }
        for source in state.sources().map(|state| &state.source) {
            sources.put(source.id, Some(source));
            tags.add(Tagged::Source, &source.tags);
        }
        tables
    }

    /// Up to and with which record the log was applied.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The number of the last record that was applied.
    pub fn position(&self) -> Seq {
        self.head.seq
    }

    /// The hash of the last record that was applied.
    pub fn hash(&self) -> ChainHash {
        self.head.hash
    }

    /// Which life of the log this is; `None` before its first record.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.state.incarnation()
    }

    /// The store's name and description.
    pub fn service(&self) -> (Option<&str>, Option<&str>) {
        self.state.service()
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            flows: self.flows.len(),
            sources: self.sources.len(),
            segments: self.state.inventory().segment_count(),
            objects: self.state.inventory().object_count(),
        }
    }

    /// The state on which a writer goes on from here.
    pub fn write_side(&self) -> State {
        self.state.clone()
    }

    /// The record that failed half-way, if one did. Tables that failed are not to be stored.
    pub(crate) fn failed(&self) -> Option<Seq> {
        self.failed
    }

    /// What is folded.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Which tables these are a copy of.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What was answered under an idempotency key.
    pub fn remembered(&self, key: &[u8; 32]) -> Option<&Idempotency> {
        self.state.remembered(key)
    }

    /// Which parts changed when.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Applies the next record; `head` is where the chain stands after it.
    ///
    /// # Errors
    /// When it is not the next record, or cannot have happened. Nothing more can be applied after the latter.
    pub fn apply(&mut self, head: Head, record: &Record) -> Result<(), ApplyError> {
        let seq = head.seq;
        if let Some(failed) = self.failed {
            return Err(ApplyError::Failed(failed));
        }
        if seq != self.head.seq.next() {
            return Err(ApplyError::OutOfOrder { expected: self.head.seq.next(), found: seq });
        }
        if record.prev_hash != self.head.hash {
            return Err(ApplyError::Chain(seq));
        }
        for commit in &record.commits {
            self.note_changes(seq, commit);
            let retagged = self.retagged_segments(commit);
            for tags in retagged.iter().filter_map(|place| visible_tags(self.state.inventory(), *place)) {
                self.tags.remove(Tagged::Segment, tags);
            }
            if let Err(source) = self.state.fold(commit) {
                self.failed = Some(seq);
                return Err(ApplyError::Corrupt { seq, source });
            }
            for tags in retagged.iter().filter_map(|place| visible_tags(self.state.inventory(), *place)) {
                self.tags.add(Tagged::Segment, tags);
            }
            self.index(commit);
        }
        self.head = head;
        Ok(())
    }

    /// Brings the indexes up to date with what a commit, folded already, names.
    fn index(&mut self, commit: &Commit) {
        for event in &commit.events {
            match event {
                Event::FlowCreated(event) => self.index_flow(event.flow.id),
                Event::FlowUpdated(event) => self.index_flow(event.flow.id),
                Event::FlowDeleted(event) => self.index_flow(event.flow_id),
                Event::SourceCreated(event) => self.index_source(event.source.id),
                Event::SourceUpdated(event) => self.index_source(event.source.id),
                Event::SourceDeleted(event) => self.index_source(event.source_id),
                Event::FlowTrashed(event) => self.index_flow(event.flow_id),
                Event::FlowRestored(event) => self.index_flow(event.flow.id),
                Event::LogStarted(_)
                | Event::ServiceUpdated(_)
                | Event::FlowPurged(_)
                | Event::ObjectsAllocated(_)
                | Event::ObjectsCondemned(_)
                | Event::ObjectsDeleted(_)
                | Event::SegmentsAdded(_)
                | Event::SegmentsDeleted(_)
                | Event::SegmentTagged(_)
                | Event::ProfileCreated(_)
                | Event::InstanceAdded(_)
                | Event::InstanceRemoved(_)
                | Event::InstanceErased(_)
                | Event::CopyRequested(_)
                | Event::CopyFailed(_)
                | Event::DeletionRequested(_)
                | Event::DeletionAdvanced(_)
                | Event::DeletionForgotten(_)
                | Event::WebhookCreated(_)
                | Event::WebhookUpdated(_)
                | Event::WebhookDeleted(_)
                | Event::DeadLettered(_)
                | Event::RedeliveryRequested(_)
                | Event::DeadLetterResolved(_)
                | Event::ReplayRequested(_)
                | Event::AccountSet(_)
                | Event::AccountDeleted(_)
                | Event::TokenIssued(_)
                | Event::TokenRevoked(_) => {}
            }
        }
    }

    fn index_flow(&mut self, id: FlowId) {
        let now = self.state.flow(id).map(|state| &state.flow);
        let before = self.flows.put(id, now);
        self.tags.change(Tagged::Flow, before.as_ref().map(|flow| &flow.tags), now.map(|flow| &flow.tags));
    }

    fn index_source(&mut self, id: SourceId) {
        let now = self.state.source(id).map(|state| &state.source);
        let before = self.sources.put(id, now);
        self.tags.change(Tagged::Source, before.as_ref().map(|source| &source.tags), now.map(|source| &source.tags));
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Flows.
    pub flows: usize,
    /// Sources.
    pub sources: usize,
    /// Segments.
    pub segments: usize,
    /// Objects, in whatever state.
    pub objects: usize,
}
