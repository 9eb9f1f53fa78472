//! Flows: they come, may be hidden for a while, and go with all their segments.

use std::collections::BTreeMap;

use tapelog_events::{FlowId, Instant, Tags, TimeRange, Timestamp};

use super::journal::Undo;
use super::timeline::Timeline;
use super::{Contradiction, FlowSlot, Inventory, StoredSegment};

/// A Flow with its segments.
#[derive(Debug, Clone)]
pub(super) struct FlowEntry {
    pub id: FlowId,
    pub timeline: Timeline,
    /// Tags of those segments that have any, by start in nanoseconds.
    pub tags: BTreeMap<i128, Tags>,
    visibility: Visibility,
}

/// Whether a Flow is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    Shown,
    Hidden,
}

impl Inventory {
    /// Where a Flow stands. A hidden one is not found.
    pub fn flow(&self, id: FlowId) -> Option<FlowSlot> {
        self.flow_even_hidden(id).filter(|slot| self.flow_id(*slot).is_some())
    }

    /// The Flow that stands there; `None` once it is deleted, and while it is hidden.
    pub fn flow_id(&self, slot: FlowSlot) -> Option<FlowId> {
        let entry = self.flow_entry(slot)?;
        (entry.visibility == Visibility::Shown).then_some(entry.id)
    }

    /// Where a Flow stands, hidden or not. What is asked by place is answered for hidden Flows too, so that they can
    /// be written down.
    pub fn flow_even_hidden(&self, id: FlowId) -> Option<FlowSlot> {
        self.slots.get(&id).copied()
    }

    /// The Flow that stands there, hidden or not; `None` once it is deleted.
    pub fn flow_id_even_hidden(&self, slot: FlowSlot) -> Option<FlowId> {
        self.flow_entry(slot).map(|entry| entry.id)
    }

    /// Makes room for a Flow without segments. One that is there already, hidden or not, stays as it is.
    pub fn create_flow(&mut self, id: FlowId) -> FlowSlot {
        if let Some(slot) = self.flow_even_hidden(id) {
            return slot;
        }
        let slot = FlowSlot(self.flows.len() as u32);
        let (timeline, tags) = (Timeline::default(), BTreeMap::new());
        self.flows.push(Some(Box::new(FlowEntry { id, timeline, tags, visibility: Visibility::Shown })));
        self.slots.insert(id, slot);
        self.note(|_| Undo::FlowCreated(id));
        slot
    }

    /// Takes a Flow out, hidden or not, with its segments. Objects that nothing uses any more become unreferenced.
    pub fn remove_flow(&mut self, id: FlowId, at: Instant) {
        let Some(slot) = self.flow_even_hidden(id) else { return };
        self.delete(slot, &TimeRange::ETERNITY, None, at);
        self.slots.remove(&id);
        if let Some(entry) = self.flows[slot.0 as usize].take() {
            self.note(|_| Undo::FlowRemoved(slot, entry));
        }
    }

    /// Hides a Flow with its segments: nothing finds it, and its objects stay in use.
    pub fn hide_flow(&mut self, id: FlowId) {
        if let Some(slot) = self.flow(id) {
            self.set_visibility(slot, Visibility::Hidden);
            self.note(|_| Undo::FlowHidden(slot));
        }
    }

    /// Shows a hidden Flow again.
    pub fn show_flow(&mut self, id: FlowId) {
        if let Some(slot) = self.flow_even_hidden(id).filter(|slot| self.flow_id(*slot).is_none()) {
            self.set_visibility(slot, Visibility::Shown);
            self.note(|_| Undo::FlowShown(slot));
        }
    }

    pub(super) fn set_visibility(&mut self, slot: FlowSlot, visibility: Visibility) {
        if let Some(entry) = self.flows[slot.0 as usize].as_mut() {
            entry.visibility = visibility;
        }
    }

    /// Gives the segment that starts there these tags.
    ///
    /// # Errors
    /// When none starts there.
    pub fn tag_segment(&mut self, flow: FlowSlot, start: Timestamp, tags: &Tags) -> Result<(), Contradiction> {
        let nanos = start.as_nanos();
        if self.timeline(flow).is_none_or(|timeline| timeline.at(nanos).is_none()) {
            return Err(Contradiction::UnknownSegment(start));
        }
        self.note(|inventory| Undo::TagsWere(flow, nanos, inventory.segment_tags(flow, start).cloned()));
        self.put_tags(flow, nanos, Some(tags.clone()).filter(|tags| !tags.is_empty()));
        Ok(())
    }

    pub(super) fn put_tags(&mut self, flow: FlowSlot, start: i128, tags: Option<Tags>) {
        let Some(entry) = self.flows[flow.0 as usize].as_mut() else { return };
        match tags {
            Some(tags) => entry.tags.insert(start, tags),
            None => entry.tags.remove(&start),
        };
    }

    /// The tags of the segment that starts there, if it has any.
    pub fn segment_tags(&self, flow: FlowSlot, start: Timestamp) -> Option<&Tags> {
        self.flow_entry(flow)?.tags.get(&start.as_nanos())
    }

    /// Those segments that overlap a range and have tags, in order of time. The cost grows with them alone.
    pub fn tagged_segments(
        &self,
        flow: FlowSlot,
        range: &TimeRange,
    ) -> impl DoubleEndedIterator<Item = (StoredSegment, &Tags)> + '_ {
        let (from, to) = range.half_open_nanos();
        let entry = self.flow_entry(flow).filter(|_| from < to);
        entry.into_iter().flat_map(move |entry| {
            let tagged = entry.tags.range(self.first_start(&entry.timeline, from)..to);
            tagged.filter_map(|(start, tags)| Some((self.stored(entry.timeline.at(*start)?), tags)))
        })
    }

    pub(super) fn timeline(&self, flow: FlowSlot) -> Option<&Timeline> {
        self.flow_entry(flow).map(|entry| &entry.timeline)
    }

    fn flow_entry(&self, slot: FlowSlot) -> Option<&FlowEntry> {
        self.flows.get(slot.0 as usize)?.as_deref()
    }
}
