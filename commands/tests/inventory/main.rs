//! The inventory against a model that keeps every segment in a plain list and finds everything by looking at all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod model;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tapelog_commands::inventory::{Contradiction, Inventory, NeededInit, Object, ObjectState, StoredSegment};
use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, Instance, Instant, ObjectId, Segment, TagValue, Tags, TimeRange, Timestamp};

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
                self.model.hidden.remove(&flow);
            }
            Change::HideFlow { flow } => {
                let flow = flow_id(*flow);
                self.inventory.hide_flow(flow);
                self.model.hidden.extend(self.model.flows.contains(&flow).then_some(flow));
            }
            Change::ShowFlow { flow } => {
                self.inventory.show_flow(flow_id(*flow));
                self.model.hidden.remove(&flow_id(*flow));
            }
            Change::Allocate { object, flow, backend } => self.allocate(*object, *flow, *backend),
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
                        init: None,
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
            Change::Tag { flow, segment, value } => self.tag(flow_id(*flow), *segment, value.as_ref()),
            Change::AddInstance { object, instance } => {
                let id = object_id(*object);
                let known = self.model.objects.get_mut(&id).filter(|known| !known.condemned);
                assert_eq!(self.inventory.add_instance(&id, instance).is_ok(), known.is_some());
                if let Some(known) = known.filter(|known| !known.instances.contains(instance)) {
                    known.instances.push(instance.clone());
                }
            }
            Change::RemoveInstance { object, instance } => {
                let id = object_id(*object);
                let known = self.model.objects.get_mut(&id).filter(|known| !known.condemned);
                assert_eq!(self.inventory.remove_instance(&id, instance).is_ok(), known.is_some());
                if let Some(known) = known {
                    known.instances.retain(|other| other != instance);
                }
            }
            Change::Condemn { object } => {
                let id = object_id(*object);
                let unused = self.model.unused().contains(&id);
                assert_eq!(self.inventory.condemn(&id).is_ok(), unused, "{id}");
                if unused {
                    self.model.condemn(&id);
                }
            }
            Change::Forget { object } => {
                let id = object_id(*object);
                let condemned = self.model.objects.get(&id).is_some_and(|known| known.condemned);
                assert_eq!(self.inventory.forget(&id).is_ok(), condemned, "{id}");
                if condemned {
                    self.model.objects.remove(&id);
                }
            }
        }
    }

    fn allocate(&mut self, object: u128, flow: Option<u128>, number: u128) {
        let (id, at) = (object_id(object), moment(self.steps));
        let slot = flow.map(|flow| self.inventory.flow(flow_id(flow)));
        if slot == Some(None) {
            return;
        }
        let instance = backend(number);
        let Instance::Controlled { storage_id } = instance else { unreachable!("backends are controlled") };
        self.inventory.allocate(&id, slot.flatten(), storage_id, at);
        let known = Known { allocated: Some((flow.map(flow_id), at)), instances: vec![instance], ..Known::default() };
        self.model.objects.entry(id).or_insert(known);
    }

    fn tag(&mut self, flow: FlowId, number: usize, value: Option<&String>) {
        let Some(slot) = self.inventory.flow(flow) else { return };
        let starts: Vec<_> = self.model.segments(flow).iter().map(|segment| start_of(&segment.timerange)).collect();
        let Some(start) = starts.get(number) else {
            assert!(self.inventory.tag_segment(slot, Timestamp::from_nanos(7).unwrap(), &Tags::new()).is_err());
            return;
        };
        let tags: Tags = value.map(|value| ("a".to_owned(), TagValue::One(value.clone()))).into_iter().collect();
        self.inventory.tag_segment(slot, Timestamp::from_nanos(*start).unwrap(), &tags).unwrap();
        if tags.is_empty() {
            self.model.tags.remove(&(flow, *start));
        } else {
            self.model.tags.insert((flow, *start), tags);
        }
    }

    /// The init object that a segment needs: that of its object, or, of a new one, that which is asked for. One that is
    /// not known is given out first; a condemned one is none.
    fn init_of(&mut self, add: &Add) -> Option<ObjectId> {
        if let Some(known) = self.model.objects.get(&object_id(add.object)).filter(|known| known.range.is_some()) {
            return known.init.clone();
        }
        let number = add.init?;
        self.allocate(number, None, 0);
        Some(object_id(number)).filter(|id| !self.model.objects[id].condemned)
    }

    fn add(&mut self, add: &Add) {
        let flow = flow_id(add.flow);
        let (Some(slot), Some(segment)) = (self.inventory.flow(flow), self.model.segment(add)) else { return };
        if self.model.objects.get(&segment.object_id).is_some_and(|known| known.condemned) {
            return;
        }
        let init = self.init_of(add);
        let of_flow = self.model.segments.iter().filter(|(id, _)| *id == flow).map(|(_, stored)| stored);
        let overlapping = of_flow.filter(|stored| stored.timerange.overlaps(&segment.timerange));
        let stored = overlapping.min_by_key(|stored| start_of(&stored.timerange));
        let expected = match stored {
            Some(stored) => Err(Contradiction::Overlap { added: segment.timerange, stored: stored.timerange }),
            None => Ok(()),
        };
        let needed = init.as_ref().map(|object_id| NeededInit { object_id, instances: &[] });
        assert_eq!(self.inventory.add(slot, &segment, &add.instances, needed), expected);
        if expected.is_ok() {
            self.model.add(flow, &segment, &add.instances, init.as_ref());
        }
    }

    fn compare(&self) {
        let Self { inventory, model, .. } = self;
        assert_eq!(inventory.segment_count(), model.segments.len());
        for number in 0..FLOWS {
            let id = flow_id(number);
            let slot = inventory.flow_even_hidden(id);
            assert_eq!(slot.is_some(), model.flows.contains(&id));
            let Some(slot) = slot else { continue };
            let shown = !model.hidden.contains(&id);
            assert_eq!(inventory.flow(id), shown.then_some(slot));
            assert_eq!(inventory.flow_id(slot), shown.then_some(id));
            assert_eq!(inventory.flow_id_even_hidden(slot), Some(id));
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
        let (uses, mut users) = (model.uses(), model.users());
        users.values_mut().for_each(|flows| flows.retain(|flow| !model.hidden.contains(flow)));
        for (id, known) in &model.objects {
            let slot = inventory.object_slot(id).unwrap();
            assert_eq!(inventory.object_id(slot), *id);
            self.assert_object(id, &inventory.object(slot), known, uses.get(id).unwrap_or(&BTreeSet::new()));
            assert_eq!(inventory.object_range(slot), known.range.unwrap_or(TimeRange::NEVER), "{id}");
            let init = inventory.init_of(slot).map(|init| inventory.object_id(init));
            assert_eq!(init, known.init, "{id}");
            let found: BTreeSet<_> = inventory.flows_using(slot).collect();
            assert_eq!(found, users.remove(id).unwrap_or_default(), "{id}");
            let (instances, key_frame_count) = inventory.object_access(slot);
            assert_eq!((instances.as_slice(), key_frame_count), (known.instances.as_slice(), known.key_frame_count));
        }
        self.compare_sweeps();
    }

    /// What may go, and what is about to.
    fn compare_sweeps(&self) {
        let far = Instant::from_micros(i64::MAX);
        let (expired, next) = self.inventory.expired(0, usize::MAX, far, far);
        assert_eq!(next, None);
        assert_eq!(expired.into_iter().collect::<BTreeSet<_>>(), self.model.unused());
        let (condemned, _) = self.inventory.condemned(0, usize::MAX);
        let found: BTreeMap<_, _> = condemned.into_iter().map(|(id, instances)| (id, instances.to_vec())).collect();
        let known = self.model.objects.iter().filter(|(_, known)| known.condemned);
        assert_eq!(found, known.map(|(id, known)| (id.clone(), known.instances.clone())).collect());
    }

    fn assert_object(&self, id: &ObjectId, object: &Object, known: &Known, expected: &BTreeSet<(FlowId, i128)>) {
        let flow_of = |slot| self.inventory.flow_id_even_hidden(slot);
        let uses = object.uses().iter().map(|usage| (flow_of(usage.flow).unwrap(), usage.start));
        assert_eq!(uses.collect::<BTreeSet<_>>(), *expected, "{id}");
        assert_eq!(object.uses().len(), expected.len(), "{id}");
        assert_eq!(object.range(), known.range, "{id}");
        match &object.state {
            ObjectState::Allocated { flow, at } => {
                let (allocated_by, allocated_at) = known.allocated.unwrap();
                assert_eq!(*at, allocated_at);
                assert_eq!(flow.is_some(), allocated_by.is_some());
                // A Flow that is gone is not found, and one that has its id since is another.
                assert!(flow.and_then(flow_of).is_none_or(|flow| Some(flow) == allocated_by));
            }
            ObjectState::Registered { first, .. } => {
                assert!(known.allocated.is_none() && known.since.is_none(), "{id}");
                assert_eq!(first.map(|first| flow_of(first).unwrap()), known.first, "{id}");
            }
            ObjectState::Init { first, flows } => {
                let flows: BTreeMap<_, _> =
                    flows.iter().map(|(slot, count)| (flow_of(*slot).unwrap(), *count)).collect();
                assert_eq!(flows, self.model.needed(id), "{id}");
                assert_eq!(first.map(|first| flow_of(first).unwrap()), known.first, "{id}");
            }
            ObjectState::Condemned => assert!(known.condemned, "{id}"),
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
            object.init = object.init.map(|init| new.restore_init(&old.object_id(init)));
            let moved = |slot| old.flow_id_even_hidden(slot).and_then(|id| new.flow(id)).unwrap_or(gone);
            match &mut object.state {
                ObjectState::Allocated { flow, .. } => *flow = flow.map(moved),
                // Which Flows use it comes of their segments.
                ObjectState::Init { first, flows } => (*first, *flows) = (first.map(moved), BTreeMap::new()),
                ObjectState::Registered { first, uses, .. } => {
                    *first = first.map(moved);
                    uses.iter_mut().for_each(|usage| usage.flow = moved(usage.flow));
                }
                ObjectState::Unreferenced { .. } | ObjectState::Condemned => {}
            }
            new.restore_object(&old.object_id(slot), &object);
        }
        for id in &self.model.flows {
            let (old_slot, new_slot) = (old.flow_even_hidden(*id).unwrap(), new.flow(*id).unwrap());
            for segment in old.segments(old_slot, &TimeRange::ETERNITY) {
                let object = new.object_slot(&old.object_id(segment.object)).unwrap();
                new.restore_segment(new_slot, &StoredSegment { object, ..segment }).unwrap();
            }
            for (segment, tags) in old.tagged_segments(old_slot, &TimeRange::ETERNITY) {
                new.tag_segment(new_slot, segment.timerange.start().unwrap().0, tags).unwrap();
            }
        }
        self.model.hidden.iter().for_each(|id| new.hide_flow(*id));
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
        let tags_of = |segment: &&Segment| model.tags.get(&(flow_id(flow), start_of(&segment.timerange)));
        let tagged = || inventory.tagged_segments(slot, range);
        assert!(tagged().map(|(_, tags)| tags).eq(expected.iter().filter_map(tags_of)));
        let with_tags = expected.iter().copied().filter(|segment| tags_of(segment).is_some());
        self.assert_listed(tagged().map(|(segment, _)| segment), with_tags);
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
