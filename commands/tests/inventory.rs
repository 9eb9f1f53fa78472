//! The inventory against a model that keeps every segment in a plain list and finds everything by looking at all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tapelog_commands::inventory::{Contradiction, Inventory, Object, ObjectState, StoredSegment};
use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, Instance, Instant, ObjectId, Segment, StorageId, TimeRange, Timestamp};
use uuid::Uuid;

const SECOND: i128 = 1_000_000_000;
const FLOWS: u128 = 3;
const OBJECTS: u128 = 6;

fn flow_id(number: u128) -> FlowId {
    FlowId::from_uuid(Uuid::from_u128(number))
}

/// Even numbers are UUIDs, odd ones texts.
fn object_id(number: u128) -> ObjectId {
    if number.is_multiple_of(2) {
        ObjectId::from_uuid(uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()).unwrap()
    } else {
        format!("camera/{number}").parse().unwrap()
    }
}

fn backend(number: u128) -> Instance {
    Instance::Controlled { storage_id: StorageId::from_uuid(Uuid::from_u128(number)) }
}

fn address(number: u128) -> Instance {
    Instance::Uncontrolled { url: format!("https://example.com/{number}"), label: format!("copy {number}") }
}

fn moment(number: usize) -> Instant {
    Instant::from_micros(number as i64)
}

/// `None` where it leaves the range of timestamps.
fn stretch(start: i128, length: i128, end: Clusivity) -> Option<TimeRange> {
    let start = Timestamp::from_nanos(start)?;
    let stop = Timestamp::from_nanos(start.as_nanos() + length)?;
    Some(TimeRange::new(Some((start, Clusivity::Inclusive)), Some((stop, end))))
}

fn start_of(range: &TimeRange) -> i128 {
    range.start().unwrap().0.as_nanos()
}

// What is done to both.

#[derive(Debug, Clone)]
enum Change {
    CreateFlow { flow: u128 },
    RemoveFlow { flow: u128 },
    Allocate { object: u128, flow: u128, backend: u128 },
    Add(Add),
    Run(Run),
    Delete { flow: u128, range: TimeRange, object: Option<u128> },
}

/// One segment. What it says of its object holds only if the object is new.
#[derive(Debug, Clone)]
struct Add {
    flow: u128,
    object: u128,
    start: i128,
    length: i128,
    end: Clusivity,
    clock: Clock,
    /// Uses from this hundredth of the object, this many hundredths of it; all of it where absent.
    part: Option<(i128, i128)>,
    key_frame_count: Option<u64>,
    instances: Vec<Instance>,
    last_duration: Option<i128>,
    sample_offset: Option<i64>,
    sample_count: Option<i64>,
}

/// Where an object's own time starts.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// Where the segment does.
    Flows,
    /// This far before the segment.
    Before(i128),
    /// Here.
    Own(i128),
}

/// Many segments, each with an object of its own: enough of them that a Flow's timeline is split.
#[derive(Debug, Clone)]
struct Run {
    flow: u128,
    start: i128,
    length: i128,
    count: usize,
    order: Order,
    clock: Clock,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Forwards,
    Backwards,
    Scattered,
}

/// Changes that stand or fall together.
#[derive(Debug, Clone)]
struct Block {
    changes: Vec<Change>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    NeverBegun,
    Kept,
    RolledBack,
}

// The model.

#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// Its range; `None` while it is only allocated.
    range: Option<TimeRange>,
    allocated: Option<(FlowId, Instant)>,
    since: Option<Instant>,
    first: Option<FlowId>,
    instances: Vec<Instance>,
    key_frame_count: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Model {
    flows: BTreeSet<FlowId>,
    segments: Vec<(FlowId, Segment)>,
    objects: BTreeMap<ObjectId, Known>,
}

impl Model {
    fn segments(&self, flow: FlowId) -> Vec<&Segment> {
        let of_flow = self.segments.iter().filter(|(id, _)| *id == flow);
        let mut segments: Vec<_> = of_flow.map(|(_, segment)| segment).collect();
        segments.sort_by_key(|segment| start_of(&segment.timerange));
        segments
    }

    fn uses(&self, object: &ObjectId) -> BTreeSet<(FlowId, i128)> {
        let users = self.segments.iter().filter(|(_, segment)| segment.object_id == *object);
        users.map(|(flow, segment)| (*flow, start_of(&segment.timerange))).collect()
    }

    fn add(&mut self, flow: FlowId, segment: &Segment, instances: &[Instance]) {
        let used = !self.uses(&segment.object_id).is_empty();
        let known = self.objects.entry(segment.object_id.clone()).or_insert(Known {
            range: None,
            allocated: None,
            since: None,
            first: None,
            instances: Vec::new(),
            key_frame_count: None,
        });
        for instance in instances {
            if !known.instances.contains(instance) {
                known.instances.push(instance.clone());
            }
        }
        if !used {
            known.range = segment.whole_object();
            known.allocated = None;
            known.since = None;
            known.first = Some(flow);
            known.key_frame_count = segment.key_frame_count.or(known.key_frame_count);
        }
        self.segments.push((flow, segment.clone()));
    }

    fn delete(&mut self, flow: FlowId, range: &TimeRange, object: Option<&ObjectId>, at: Instant) -> usize {
        let (from, to) = range.half_open_nanos();
        let goes = |(id, segment): &(FlowId, Segment)| {
            let (segment_from, segment_to) = segment.timerange.half_open_nanos();
            *id == flow
                && from <= segment_from
                && segment_to <= to
                && object.is_none_or(|object| segment.object_id == *object)
        };
        let (gone, stays): (Vec<_>, Vec<_>) = std::mem::take(&mut self.segments).into_iter().partition(goes);
        self.segments = stays;
        for (_, segment) in &gone {
            let uses = self.uses(&segment.object_id);
            let known = self.objects.get_mut(&segment.object_id).unwrap();
            if uses.is_empty() {
                known.since = Some(at);
                known.first = None;
            } else if known.first.is_some_and(|first| !uses.iter().any(|(flow, _)| *flow == first)) {
                known.first = None;
            }
        }
        gone.len()
    }

    /// The segment that is asked for, made to fit what is known of its object.
    fn segment(&self, add: &Add) -> Option<Segment> {
        let object_id = object_id(add.object);
        let known = self.objects.get(&object_id);
        let whole = match known.and_then(|known| known.range) {
            Some(range) => range,
            None => {
                let start = match add.clock {
                    Clock::Flows => add.start,
                    Clock::Before(offset) => add.start - offset,
                    Clock::Own(start) => start,
                };
                stretch(start, add.length, add.end)?
            }
        };
        let (object_start, clusivity) = (start_of(&whole), whole.end().unwrap().1);
        let length = whole.end().unwrap().0.as_nanos() - object_start;
        let (skipped, length, end) = match add.part {
            None => (0, length, clusivity),
            Some((from, hundredths)) => (length * from / 100, (length * hundredths / 100).max(1), Clusivity::Exclusive),
        };
        let timerange = stretch(add.start, length, end)?;
        let ts_offset = Timestamp::from_nanos(add.start - object_start - skipped)?;
        let implied = timerange.checked_shift_back(ts_offset)?;
        Some(Segment {
            object_id,
            timerange,
            ts_offset,
            last_duration: add.last_duration.and_then(Timestamp::from_nanos),
            sample_offset: add.sample_offset,
            sample_count: add.sample_count,
            object_timerange: (implied != whole).then_some(whole),
            key_frame_count: add.key_frame_count,
            instances: tapelog_events::InstanceIndexes::new(),
        })
    }
}

// Both together.

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

// Strategies.

/// Close together, so that segments meet, and as far apart as timestamps go.
fn point() -> impl Strategy<Value = i128> {
    let near = (-8i128..=8, -1i128..=1).prop_map(|(seconds, nanos)| seconds * SECOND + nanos);
    let far = prop_oneof![
        Just(Timestamp::MIN.as_nanos()),
        Just(Timestamp::MAX.as_nanos() - 2 * SECOND),
        Just(i128::from(i64::MIN)),
        Just(i128::from(i64::MAX)),
        Just(-i128::from(u64::MAX)),
        Just(1_700_000_000 * SECOND),
    ];
    prop_oneof![5 => near, 1 => (far, 0i128..4).prop_map(|(far, seconds)| far + seconds * SECOND)]
        .prop_map(|nanos| nanos.clamp(Timestamp::MIN.as_nanos(), Timestamp::MAX.as_nanos()))
}

fn clusivity() -> impl Strategy<Value = Clusivity> {
    prop_oneof![4 => Just(Clusivity::Exclusive), 1 => Just(Clusivity::Inclusive)]
}

fn window() -> impl Strategy<Value = TimeRange> {
    let side = || prop::option::weighted(0.8, (point().prop_map(|at| Timestamp::from_nanos(at).unwrap()), clusivity()));
    prop_oneof![8 => (side(), side()).prop_map(|(start, end)| TimeRange::new(start, end)), 1 => Just(TimeRange::NEVER)]
}

fn clock() -> impl Strategy<Value = Clock> {
    prop_oneof![
        2 => Just(Clock::Flows),
        1 => prop_oneof![Just(SECOND), Just(-SECOND), Just(3600 * SECOND), Just(1 << 70)].prop_map(Clock::Before),
        2 => prop_oneof![
            Just(0),
            Just(10 * SECOND),
            Just(-99 * SECOND),
            Just(100 * SECOND),
            Just(95_443 * SECOND),
            Just(-(1i128 << 75)),
        ]
        .prop_map(Clock::Own),
    ]
}

fn instances() -> impl Strategy<Value = Vec<Instance>> {
    let instance = prop_oneof![3 => (0..2u128).prop_map(backend), 1 => (0..2u128).prop_map(address)];
    prop_oneof![3 => Just(vec![backend(0)]), 1 => prop::collection::vec(instance, 0..3)]
}

fn add() -> impl Strategy<Value = Add> {
    let length = prop_oneof![4 => Just(SECOND), 1 => Just(1), 1 => Just(5 * SECOND), 1 => Just(1i128 << 72)];
    let part = prop::option::weighted(0.3, (0..90i128, 1..=100i128));
    let key_frames = prop::option::of(prop_oneof![0..3u64, Just(510), Just(511), Just(u64::MAX)]);
    let samples = (
        prop::option::weighted(0.2, 0..SECOND),
        prop::option::weighted(0.2, any::<i64>()),
        prop::option::weighted(0.2, any::<i64>()),
    );
    let place = (0..FLOWS, 0..OBJECTS, point(), length, clusivity(), clock());
    (place, part, key_frames, instances(), samples).prop_map(
        |((flow, object, start, length, end, clock), part, key_frame_count, instances, samples)| Add {
            flow,
            object,
            start,
            length,
            end,
            clock,
            part,
            key_frame_count,
            instances,
            last_duration: samples.0,
            sample_offset: samples.1,
            sample_count: samples.2,
        },
    )
}

fn run() -> impl Strategy<Value = Run> {
    let order = prop_oneof![Just(Order::Forwards), Just(Order::Backwards), Just(Order::Scattered)];
    // The last makes a few segments span more than 64 bits of nanoseconds.
    let length = prop_oneof![Just(SECOND), Just(1), Just(20_000_000), Just(1i128 << 58)];
    (0..FLOWS, point(), length, 1..1200usize, order, clock())
        .prop_map(|(flow, start, length, count, order, clock)| Run { flow, start, length, count, order, clock })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..FLOWS).prop_map(|flow| Change::CreateFlow { flow }),
        1 => (0..FLOWS).prop_map(|flow| Change::RemoveFlow { flow }),
        3 => (0..OBJECTS, 0..FLOWS, 0..2u128)
            .prop_map(|(object, flow, backend)| Change::Allocate { object, flow, backend }),
        12 => add().prop_map(Change::Add),
        1 => run().prop_map(Change::Run),
        4 => (0..FLOWS, window(), prop::option::weighted(0.3, 0..OBJECTS))
            .prop_map(|(flow, range, object)| Change::Delete { flow, range, object }),
    ]
}

fn block() -> impl Strategy<Value = Block> {
    let fate = prop_oneof![Just(Fate::NeverBegun), Just(Fate::Kept), Just(Fate::RolledBack)];
    (prop::collection::vec(change(), 1..12), fate).prop_map(|(changes, fate)| Block { changes, fate })
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
    }
}
