//! Objects, once a segment uses them (sections 2.6 and 8), and those that are about to go (9.4).

use std::collections::BTreeSet;
use std::ops::Bound;

use tapelog_commands::inventory::{Instances, Purpose};
use tapelog_events::{Access, FlowId, Instant, ObjectId, TimeRange};

use super::page::{Direction, InvalidCursor, Page, Paging, decode_id, encode_id};
use super::segment::ListedInit;
use super::{Tables, TagFilter};

/// An object that segments use.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    /// Names it.
    pub id: ObjectId,
    /// What it holds.
    pub kind: ObjectKind,
    /// The Flow that used it first, unless that no longer does.
    pub first_referenced_by_flow: Option<FlowId>,
    /// Where its bytes lie, in order of preference.
    pub instances: Instances,
    /// The Flows whose segments use it, each once: as their media or, where it is an init object, to decode that.
    pub flows: BTreeSet<FlowId>,
}

/// What an object holds: one or the other, for ever (5.6).
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectKind {
    /// Media.
    Media {
        /// Its range on its own timeline.
        timerange: TimeRange,
        /// How many key frames it has.
        key_frame_count: Option<u64>,
        /// The init object without which it cannot be decoded, if it needs one.
        init: Option<ListedInit>,
    },
    /// What decoders need before the media of other objects.
    Init,
}

impl StoredObject {
    /// Whether one may know of it: whoever may read a Flow that uses it.
    pub fn is_readable(&self, tables: &Tables, access: &Access) -> bool {
        self.flows.iter().any(|id| tables.may_read_flow(access, *id))
    }

    /// One page of the Flows that use it, meet every condition and may be read, by id (`referenced_by_flows`).
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn referenced_by_flows(
        &self,
        tables: &Tables,
        flow_tags: &[TagFilter],
        access: &Access,
        paging: &Paging<'_>,
    ) -> Result<Page<FlowId>, InvalidCursor> {
        let after: Option<FlowId> = paging.cursor.map(decode_id).transpose()?;
        let beyond = after.map_or(Bound::Unbounded, Bound::Excluded);
        let is_asked_for = |id: &FlowId| {
            tables.state.flow(*id).is_some_and(|state| {
                let tags = &state.flow.tags;
                access.may_read(tags) && flow_tags.iter().all(|filter| filter.matches(tags))
            })
        };
        let choose = |id: &FlowId| is_asked_for(id).then_some((*id, *id));
        Ok(match paging.direction {
            Direction::Usual => {
                let rest = self.flows.range((beyond, Bound::Unbounded));
                Page::collect(rest.filter_map(choose), paging.limit, encode_id)
            }
            Direction::Reversed => {
                let rest = self.flows.range((Bound::Unbounded, beyond)).rev();
                Page::collect(rest.filter_map(choose), paging.limit, encode_id)
            }
        })
    }
}

/// An object that was allocated and that no segment has used yet.
#[derive(Debug, Clone, PartialEq)]
pub struct AllocatedObject {
    /// The Flow that must register it first; any may where none is named.
    pub flow_id: Option<FlowId>,
    /// Where its bytes are to go.
    pub instances: Instances,
}

impl Tables {
    /// An object that was allocated and that no segment has used yet; `None` once the Flow that was to register it has
    /// gone.
    pub fn allocation(&self, id: &ObjectId) -> Option<AllocatedObject> {
        let inventory = self.state.inventory();
        let slot = inventory.object_slot(id)?;
        let Purpose::Open(flow) = inventory.purpose(slot) else { return None };
        let flow_id = match flow {
            Some(flow) => Some(inventory.flow_id(flow)?),
            None => None,
        };
        Some(AllocatedObject { flow_id, instances: inventory.object_access(slot).0 })
    }

    /// An object; `None` until a segment uses it, and once none does any more that is there to be seen (section 8).
    pub fn object(&self, id: &ObjectId) -> Option<StoredObject> {
        let inventory = self.state.inventory();
        let slot = inventory.object_slot(id)?;
        let flows: BTreeSet<FlowId> = inventory.flows_using(slot).collect();
        if flows.is_empty() {
            return None;
        }
        let (instances, key_frame_count) = inventory.object_access(slot);
        let kind = match inventory.purpose(slot) {
            Purpose::Media => {
                let timerange = inventory.object_range(slot);
                ObjectKind::Media { timerange, key_frame_count, init: self.listed_init(slot) }
            }
            Purpose::Init => ObjectKind::Init,
            Purpose::Open(_) | Purpose::Nothing => return None,
        };
        let first_referenced_by_flow = inventory.flow_first_using(slot);
        Some(StoredObject { id: id.clone(), kind, first_referenced_by_flow, instances, flows })
    }

    /// Objects that may go: of `rows` rows of the table from one on, those that were allocated before a moment and
    /// never registered, or that nothing has referred to since before another. With the row to go on from; `None` at
    /// the end. Starts at 0.
    pub fn expired_objects(
        &self,
        from: u32,
        rows: usize,
        unregistered_before: Instant,
        unreferenced_before: Instant,
    ) -> (Vec<ObjectId>, Option<u32>) {
        self.state.inventory().expired(from, rows, unregistered_before, unreferenced_before)
    }

    /// Whether the bytes of an object are to be erased.
    pub fn is_condemned(&self, id: &ObjectId) -> bool {
        let inventory = self.state.inventory();
        inventory.object_slot(id).is_some_and(|slot| inventory.purpose(slot) == Purpose::Nothing)
    }

    /// Objects whose bytes are to be erased, each with where these lie: those among `rows` rows of the table from one
    /// on. With the row to go on from; `None` at the end. Starts at 0.
    pub fn condemned_objects(&self, from: u32, rows: usize) -> (Vec<(ObjectId, Instances)>, Option<u32>) {
        self.state.inventory().condemned(from, rows)
    }
}
