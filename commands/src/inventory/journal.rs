//! Changes that are noted so that they can be undone together.

use tapelog_events::{FlowId, Instant, ObjectId, Tags};

use super::flows::{FlowEntry, Visibility};
use super::object::{Object, ObjectSlot, SegmentUse};
use super::timeline::Entry;
use super::{FlowSlot, Inventory};

/// How to undo one change.
#[derive(Debug, Clone)]
pub(super) enum Undo {
    FlowCreated(FlowId),
    FlowRemoved(FlowSlot, Box<FlowEntry>),
    FlowHidden(FlowSlot),
    FlowShown(FlowSlot),
    ObjectCreated(ObjectId),
    ObjectForgotten(ObjectId, Box<Object>),
    ObjectWas(ObjectSlot, Box<Object>),
    UseAdded(ObjectSlot, SegmentUse),
    /// With the Flow that used the object first until then.
    UseRemoved(ObjectSlot, SegmentUse, Option<FlowSlot>),
    /// With the Flow that used the init object first until then.
    InitNeeded(ObjectSlot, FlowSlot, Option<FlowSlot>),
    /// With the Flow that used the init object first, and since when none had, until then.
    InitReleased(ObjectSlot, FlowSlot, Option<FlowSlot>, Instant),
    SegmentInserted(FlowSlot, i128),
    SegmentTaken(FlowSlot, Entry),
    /// The tags of the segment that starts there.
    TagsWere(FlowSlot, i128, Option<Tags>),
}

impl Inventory {
    /// From here on, changes can be undone together.
    pub fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// The changes since [`Self::begin`] stand.
    pub fn keep(&mut self) {
        self.journal = None;
    }

    /// Undoes every change since [`Self::begin`].
    pub fn rollback(&mut self) {
        for undo in self.journal.take().into_iter().flatten().rev() {
            match undo {
                Undo::FlowCreated(id) => {
                    if let Some(slot) = self.slots.remove(&id) {
                        self.flows[slot.0 as usize] = None;
                    }
                }
                Undo::FlowRemoved(slot, entry) => {
                    self.slots.insert(entry.id, slot);
                    self.flows[slot.0 as usize] = Some(entry);
                }
                Undo::FlowHidden(slot) => self.set_visibility(slot, Visibility::Shown),
                Undo::FlowShown(slot) => self.set_visibility(slot, Visibility::Hidden),
                Undo::ObjectCreated(id) => self.objects.remove(&id),
                // What was done since is undone, so the place that it had is the next that is free.
                Undo::ObjectForgotten(id, object) => {
                    self.objects.insert(&id, &object);
                }
                Undo::ObjectWas(slot, object) => self.objects.replace(slot, &object),
                Undo::UseAdded(slot, usage) => {
                    if let Some(list) = self.objects.use_list(slot) {
                        list.remove(usage);
                    }
                }
                Undo::UseRemoved(slot, usage, first) => {
                    if let Some(list) = self.objects.use_list(slot) {
                        list.add(usage);
                        list.first = first;
                    }
                }
                Undo::InitNeeded(init, flow, first) => {
                    if let Some(uses) = self.objects.init_uses_of(init) {
                        uses.remove(flow);
                        uses.first = first;
                    }
                }
                Undo::InitReleased(init, flow, first, since) => {
                    if let Some(uses) = self.objects.init_uses_of(init) {
                        uses.add(flow);
                        (uses.first, uses.since) = (first, since);
                    }
                }
                Undo::SegmentInserted(flow, start) => {
                    if let Some(entry) = self.flows[flow.0 as usize].as_mut() {
                        entry.timeline.remove(start);
                        self.segments -= 1;
                    }
                }
                Undo::SegmentTaken(flow, entry) => {
                    if let Some(flow) = self.flows[flow.0 as usize].as_mut() {
                        flow.timeline.insert(entry);
                        self.segments += 1;
                    }
                }
                Undo::TagsWere(flow, start, tags) => self.put_tags(flow, start, tags),
            }
        }
    }

    pub(super) fn note(&mut self, undo: impl FnOnce(&Self) -> Undo) {
        if self.journal.is_some() {
            let undo = undo(self);
            self.journal.get_or_insert_default().push(undo);
        }
    }

    /// Stores what is now known of an object, which stands there if it was known before.
    pub(super) fn put_object(&mut self, id: &ObjectId, known: Option<ObjectSlot>, object: &Object) -> ObjectSlot {
        match known {
            Some(slot) => {
                self.replace_object(slot, object);
                slot
            }
            None => {
                self.note(|_| Undo::ObjectCreated(id.clone()));
                self.objects.insert(id, object)
            }
        }
    }

    pub(super) fn replace_object(&mut self, slot: ObjectSlot, object: &Object) {
        self.note(|inventory| Undo::ObjectWas(slot, Box::new(inventory.objects.get(slot))));
        self.objects.replace(slot, object);
    }
}
