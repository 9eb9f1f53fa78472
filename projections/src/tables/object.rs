//! Objects, once a segment uses them (sections 2.6 and 8).

use std::collections::BTreeSet;
use std::ops::Bound;

use smallvec::SmallVec;
use tapelog_commands::inventory::ObjectState;
use tapelog_events::{FlowId, Instance, ObjectId, TimeRange};

use super::page::{Direction, InvalidCursor, Page, Paging, decode_id, encode_id};
use super::{Tables, TagFilter};

/// An object that segments use.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    /// Names it.
    pub id: ObjectId,
    /// Its range on its own timeline.
    pub timerange: TimeRange,
    /// The Flow that used it first, unless that no longer does.
    pub first_referenced_by_flow: Option<FlowId>,
    /// How many key frames it has.
    pub key_frame_count: Option<u64>,
    /// Where its bytes lie, in order of preference.
    pub instances: SmallVec<[Instance; 1]>,
    /// The Flows whose segments use it, each once.
    pub flows: BTreeSet<FlowId>,
}

impl StoredObject {
    /// One page of the Flows that use it and meet every condition, by id (`referenced_by_flows`).
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn referenced_by_flows(
        &self,
        tables: &Tables,
        flow_tags: &[TagFilter],
        paging: &Paging<'_>,
    ) -> Result<Page<FlowId>, InvalidCursor> {
        let after: Option<FlowId> = paging.cursor.map(decode_id).transpose()?;
        let beyond = after.map_or(Bound::Unbounded, Bound::Excluded);
        let is_asked_for = |id: &FlowId| {
            tables.flow(*id).is_some_and(|view| flow_tags.iter().all(|filter| filter.matches(&view.flow().tags)))
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

impl Tables {
    /// An object; `None` until a segment uses it, and once none does any more (section 8).
    pub fn object(&self, id: &ObjectId) -> Option<StoredObject> {
        let inventory = self.state.inventory();
        let object = inventory.object(inventory.object_slot(id)?);
        let ObjectState::Registered { range, first, uses } = object.state else { return None };
        Some(StoredObject {
            id: id.clone(),
            timerange: range,
            first_referenced_by_flow: first.and_then(|slot| inventory.flow_id(slot)),
            key_frame_count: object.key_frame_count,
            instances: object.instances,
            flows: uses.iter().filter_map(|usage| inventory.flow_id(usage.flow)).collect(),
        })
    }
}
