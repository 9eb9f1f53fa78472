//! The inventory against a model that keeps every segment in a plain list and finds everything by looking at all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod model;

use std::collections::BTreeSet;

use proptest::prelude::*;
use tapelog_commands::inventory::{Contradiction, Inventory, Object, ObjectState, StoredSegment};
use tapelog_events::time::Clusivity;
use tapelog_events::{Instance, ObjectId, Segment, TimeRange};

use changes::{Add, Block, Change, FLOWS, Fate, OBJECTS, Order, block, window};
use model::{Known, Model, backend, flow_id, moment, object_id, start_of};

/// Both, which must always show the same.
#[derive(Default)]
struct Pair {
    inventory: Inventory,
    model: Model,
    steps: usize,
    run_objects: u128,
}

impl Pair {
    fn carry_out(&mut self, block: &Block) {
        let before = self.model.clone();
        match block.fate {
            Fate::NeverBegun => {}
            Fate::Kept | Fate::RolledBack => self.inventory.begin(),
        }
        for change in &block.changes {
            self.change(change);
        }
        match block.fate {
            Fate::NeverBegun => {}
            Fate::Kept => self.inventory.keep(),
            Fate::RolledBack => {
                self.inventory.rollback();
                self.model = before;
            }
        }
        self.compare();
    }

    fn change(&mut self, change: &Change) {
        self.steps += 1;
        let at = moment(self.steps);
        match change {
            Change::CreateFlow { flow } => {
                self.inventory.create_flow(flow_id(*flow));
                self.model.flows.insert(flow_id(*flow));
            }
            Change::RemoveFlow { flow } => {
                let flow = flow_id(*flow);
                self.inventory.remove_flow(flow, at);
                self.model.delete(flow, &TimeRange::ETERNITY, None, at);
                self.model.flows.remove(&flow);
            }
            Change::Allocate { object, flow, backend: number } => {
                let (flow, object) = (flow_id(*flow), object_id(*object));
                let Some(slot) = self.inventory.flow(flow) else { return };
                let instance = backend(*number);
                let Instance::Controlled { storage_id } = instance else { unreachable!("backends are controlled") };
                self.inventory.allocate(&object, slot, storage_id, at);
                self.model.objects.entry(object).or_insert(Known {
                    range: None,
                    allocated: Some((flow, at)),
                    since: None,
                    first: None,
                    instances: vec![instance],
                    key_frame_count: None,
                });
            }
            Change::Add(add) => self.add(add),
            Change::Run(run) => {
                for index in 0..run.count {
                    let place = match run.order {
                        Order::Forwards => index,
                        Order::Backwards => run.count - 1 - index,
                        // 7919 is prime and greater than any count, so that every place has its turn.
                        Order::Scattered => index * 7919 % run.count,
                    };
                    self.run_objects += 1;
                    self.add(&Add {
                        flow: run.flow,
                        object: OBJECTS + self.run_objects,
                        start: run.start + place as i128 * run.length,
                        length: run.length,
                        end: Clusivity::Exclusive,
                        clock: run.clock,
                        part: None,
                        key_frame_count: None,
                        instances: vec![backend(0)],
                        last_duration: None,
                        sample_offset: None,
                        sample_count: None,
                    });
                }
            }
            Change::Delete { flow, range, object } => {
                let flow = flow_id(*flow);
                let Some(slot) = self.inventory.flow(flow) else { return };
                let object = object.map(object_id).filter(|id| self.model.objects.contains_key(id));
                let object_slot = object.as_ref().map(|id| self.inventory.object_slot(id).unwrap());
                let deleted = self.inventory.delete(slot, range, object_slot, at);
                assert_eq!(deleted, self.model.delete(flow, range, object.as_ref(), at) as u64, "delete {range}");
            }
        }
    }

    fn add(&mut self, add: &Add) {
        let flow = flow_id(add.flow);
        let (Some(slot), Some(segment)) = (self.inventory.flow(flow), self.model.segment(add)) else { return };
        let of_flow = self.model.segments.iter().filter(|(id, _)| *id == flow).map(|(_, stored)| stored);
        let overlapping = of_flow.filter(|stored| stored.timerange.overlaps(&segment.timerange));
        let stored = overlapping.min_by_key(|stored| start_of(&stored.timerange));
        let expected = match stored {
            Some(stored) => Err(Contradiction::Overlap { added: segment.timerange, stored: stored.timerange }),
            None => Ok(()),
        };
        assert_eq!(self.inventory.add(slot, &segment, &add.instances), expected);
        if expected.is_ok() {
            self.model.add(flow, &segment, &add.instances);
        }
    }

    fn compare(&self) {
        let Self { inventory, model, .. } = self;
        assert_eq!(inventory.segment_count(), model.segments.len());
        for number in 0..FLOWS {
            let id = flow_id(number);
            let slot = inventory.flow(id);
            assert_eq!(slot.is_some(), model.flows.contains(&id));
            let Some(slot) = slot else { continue };
            assert_eq!(inventory.flow_id(slot), Some(id));
            let segments = model.segments(id);
            assert_eq!(inventory.segments_of(slot), segments.len());
            let hull = segments.iter().fold(TimeRange::NEVER, |hull, segment| hull.hull(&segment.timerange));
            assert_eq!(inventory.flow_range(slot), hull);
            self.assert_listed(inventory.segments(slot, &TimeRange::ETERNITY), segments.iter().copied());
            for segment in segments {
                let found = inventory.segment_at(slot, start_of(&segment.timerange));
                self.assert_listed(found.into_iter(), std::iter::once(segment));
            }
        }
        assert_eq!(inventory.object_count(), model.objects.len());
        let listed: BTreeSet<_> = inventory.objects().map(|slot| inventory.object_id(slot)).collect();
        assert!(listed.iter().eq(model.objects.keys()));
        for (id, known) in &model.objects {
            let slot = inventory.object_slot(id).unwrap();
            assert_eq!(inventory.object_id(slot), *id);
            self.assert_object(id, &inventory.object(slot), known);
            assert_eq!(inventory.object_range(slot), known.range.unwrap_or(TimeRange::NEVER), "{id}");
            let (instances, key_frame_count) = inventory.object_access(slot);
            assert_eq!((instances.as_slice(), key_frame_count), (known.instances.as_slice(), known.key_frame_count));
        }
    }

    fn assert_object(&self, id: &ObjectId, object: &Object, known: &Known) {
        let flow_of = |slot| self.inventory.flow_id(slot);
        let uses = object.uses().iter().map(|usage| (flow_of(usage.flow).unwrap(), usage.start));
        assert_eq!(uses.collect::<BTreeSet<_>>(), self.model.uses(id), "{id}");
        assert_eq!(object.uses().len(), self.model.uses(id).len(), "{id}");
        assert_eq!(object.range(), known.range, "{id}");
        match &object.state {
            ObjectState::Allocated { flow, at } => {
                let (allocated_by, allocated_at) = known.allocated.unwrap();
                assert_eq!(*at, allocated_at);
                assert!(flow_of(*flow).is_none_or(|flow| flow == allocated_by));
            }
            ObjectState::Registered { first, .. } => {
                assert!(known.allocated.is_none() && known.since.is_none(), "{id}");
                assert_eq!(first.map(|first| flow_of(first).unwrap()), known.first, "{id}");
            }
            ObjectState::Unreferenced { since, .. } => assert_eq!(Some(*since), known.since, "{id}"),
        }
    }

    /// An inventory that is put together from what this one gives back, as one from a checkpoint is.
    fn restored(&self) -> Inventory {
        let old = &self.inventory;
        let mut new = Inventory::default();
        let gone = new.create_flow(flow_id(FLOWS));
        new.remove_flow(flow_id(FLOWS), moment(0));
        for id in &self.model.flows {
            new.create_flow(*id);
        }
        for slot in old.objects() {
            let mut object = old.object(slot);
            let moved = |slot| old.flow_id(slot).and_then(|id| new.flow(id)).unwrap_or(gone);
            match &mut object.state {
                ObjectState::Allocated { flow, .. } => *flow = moved(*flow),
                ObjectState::Registered { first, uses, .. } => {
                    *first = first.map(moved);
                    uses.iter_mut().for_each(|usage| usage.flow = moved(usage.flow));
                }
                ObjectState::Unreferenced { .. } => {}
            }
            new.restore_object(&old.object_id(slot), &object);
        }
        for id in &self.model.flows {
            for segment in old.segments(old.flow(*id).unwrap(), &TimeRange::ETERNITY) {
                let object = new.object_slot(&old.object_id(segment.object)).unwrap();
                new.restore_segment(new.flow(*id).unwrap(), &StoredSegment { object, ..segment }).unwrap();
            }
        }
        new
    }

    /// Windows of the timeline, from either end, are what the model finds by looking at everything.
    fn compare_window(&self, flow: u128, range: &TimeRange, object: u128) {
        let Self { inventory, model, .. } = self;
        let Some(slot) = inventory.flow(flow_id(flow)) else { return };
        let mut expected = model.segments(flow_id(flow));
        expected.retain(|segment| segment.timerange.overlaps(range));
        self.assert_listed(inventory.segments(slot, range), expected.iter().copied());
        self.assert_listed(inventory.segments(slot, range).rev(), expected.iter().rev().copied());
        self.assert_listed(inventory.overlap(slot, range).into_iter(), expected.iter().take(1).copied());
        let (from, to) = range.half_open_nanos();
        expected.retain(|segment| {
            let (segment_from, segment_to) = segment.timerange.half_open_nanos();
            from <= segment_from && segment_to <= to
        });
        self.assert_listed(inventory.segments_inside(slot, range, None), expected.iter().copied());
        if let Some(object_slot) = inventory.object_slot(&object_id(object)) {
            expected.retain(|segment| segment.object_id == object_id(object));
            self.assert_listed(inventory.segments_inside(slot, range, Some(object_slot)), expected.into_iter());
        }
    }

    fn assert_listed<'a>(
        &self,
        found: impl Iterator<Item = StoredSegment>,
        expected: impl Iterator<Item = &'a Segment>,
    ) {
        let found: Vec<_> = found.collect();
        let expected: Vec<_> = expected
            .map(|segment| StoredSegment {
                object: self.inventory.object_slot(&segment.object_id).unwrap(),
                timerange: segment.timerange,
                ts_offset: segment.ts_offset,
                last_duration: segment.last_duration,
                sample_offset: segment.sample_offset,
                sample_count: segment.sample_count,
            })
            .collect();
        assert_eq!(found, expected);
    }
}

proptest! {
    #[test]
    fn the_inventory_is_what_a_plain_list_would_be_and_a_rollback_leaves_no_trace(
        blocks in prop::collection::vec(block(), 1..6),
        windows in prop::collection::vec((0..FLOWS, window(), 0..OBJECTS), 12),
    ) {
        let mut pair = Pair::default();
        for flow in 0..FLOWS {
            pair.change(&Change::CreateFlow { flow });
        }
        for block in &blocks {
            pair.carry_out(block);
            for (flow, range, object) in &windows {
                pair.compare_window(*flow, range, *object);
            }
        }
        Pair { inventory: pair.restored(), ..pair }.compare();
    }
}
