//! A plain list of segments, in which everything is found by looking at all of it.

use std::collections::{BTreeMap, BTreeSet};

use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, Instance, Instant, ObjectId, Segment, StorageId, Tags, TimeRange, Timestamp};
use uuid::Uuid;

use crate::changes::{Add, Clock};

pub fn flow_id(number: u128) -> FlowId {
    FlowId::from_uuid(Uuid::from_u128(number))
}

/// Even numbers are UUIDs, odd ones texts.
pub fn object_id(number: u128) -> ObjectId {
    if number.is_multiple_of(2) {
        ObjectId::from_uuid(uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()).unwrap()
    } else {
        format!("camera/{number}").parse().unwrap()
    }
}

pub fn backend(number: u128) -> Instance {
    Instance::Controlled { storage_id: StorageId::from_uuid(Uuid::from_u128(number)) }
}

pub fn address(number: u128) -> Instance {
    Instance::Uncontrolled { url: format!("https://example.com/{number}"), label: format!("copy {number}") }
}

pub fn moment(number: usize) -> Instant {
    Instant::from_micros(number as i64)
}

/// `None` where it leaves the range of timestamps.
pub fn stretch(start: i128, length: i128, end: Clusivity) -> Option<TimeRange> {
    let start = Timestamp::from_nanos(start)?;
    let stop = Timestamp::from_nanos(start.as_nanos() + length)?;
    Some(TimeRange::new(Some((start, Clusivity::Inclusive)), Some((stop, end))))
}

pub fn start_of(range: &TimeRange) -> i128 {
    range.start().unwrap().0.as_nanos()
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Its range; only of a registered media object.
    pub range: Option<TimeRange>,
    /// For which Flow, or for any, and when.
    pub allocated: Option<(Option<FlowId>, Instant)>,
    pub since: Option<Instant>,
    pub first: Option<FlowId>,
    pub instances: Vec<Instance>,
    pub key_frame_count: Option<u64>,
    /// The init object that it needs.
    pub init: Option<ObjectId>,
    pub condemned: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub flows: BTreeSet<FlowId>,
    pub hidden: BTreeSet<FlowId>,
    pub tags: BTreeMap<(FlowId, i128), Tags>,
    pub segments: Vec<(FlowId, Segment)>,
    pub objects: BTreeMap<ObjectId, Known>,
}

impl Model {
    pub fn segments(&self, flow: FlowId) -> Vec<&Segment> {
        let of_flow = self.segments.iter().filter(|(id, _)| *id == flow);
        let mut segments: Vec<_> = of_flow.map(|(_, segment)| segment).collect();
        segments.sort_by_key(|segment| start_of(&segment.timerange));
        segments
    }

    /// The segments that use each object, by Flow and start.
    pub fn uses(&self) -> BTreeMap<&ObjectId, BTreeSet<(FlowId, i128)>> {
        let mut uses: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (flow, segment) in &self.segments {
            uses.entry(&segment.object_id).or_default().insert((*flow, start_of(&segment.timerange)));
        }
        uses
    }

    /// How many segments of each Flow use media objects that need this init object.
    pub fn needed(&self, init: &ObjectId) -> BTreeMap<FlowId, u64> {
        let mut needed = BTreeMap::new();
        for (flow, segment) in &self.segments {
            if self.objects[&segment.object_id].init.as_ref() == Some(init) {
                *needed.entry(*flow).or_default() += 1;
            }
        }
        needed
    }

    /// The Flows that use each object, one way or the other.
    pub fn users(&self) -> BTreeMap<ObjectId, BTreeSet<FlowId>> {
        let mut users: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (flow, segment) in &self.segments {
            let init = &self.objects[&segment.object_id].init;
            for id in init.iter().chain([&segment.object_id]) {
                users.entry(id.clone()).or_default().insert(*flow);
            }
        }
        users
    }

    /// The objects that may be condemned.
    pub fn unused(&self) -> BTreeSet<ObjectId> {
        let used: BTreeSet<_> = self.segments.iter().map(|(_, segment)| &segment.object_id).collect();
        let named: BTreeSet<_> = self.objects.values().filter_map(|known| known.init.as_ref()).collect();
        let unused =
            self.objects.iter().filter(|(id, known)| !known.condemned && !used.contains(id) && !named.contains(id));
        unused.map(|(id, _)| id.clone()).collect()
    }

    pub fn condemn(&mut self, id: &ObjectId) {
        if let Some(known) = self.objects.get_mut(id) {
            let instances = std::mem::take(&mut known.instances);
            *known = Known { instances, condemned: true, ..Known::default() };
        }
    }

    /// An object that was given out, or is one already, becomes an init object that a segment of this Flow needs.
    fn need(&mut self, flow: FlowId, init: &ObjectId) {
        let used = !self.needed(init).is_empty();
        let known = self.objects.get_mut(init).unwrap();
        (known.allocated, known.since) = (None, None);
        if !used {
            known.first = Some(flow);
        }
    }

    pub fn add(&mut self, flow: FlowId, segment: &Segment, instances: &[Instance], init: Option<&ObjectId>) {
        if let Some(init) = init {
            self.need(flow, init);
        }
        let used = self.segments.iter().any(|(_, other)| other.object_id == segment.object_id);
        let known = self.objects.entry(segment.object_id.clone()).or_default();
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
            known.init = init.cloned();
            known.key_frame_count = segment.key_frame_count.or(known.key_frame_count);
        }
        self.segments.push((flow, segment.clone()));
    }

    pub fn delete(&mut self, flow: FlowId, range: &TimeRange, object: Option<&ObjectId>, at: Instant) -> usize {
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
        let users = self.users();
        for (flow, segment) in &gone {
            self.tags.remove(&(*flow, start_of(&segment.timerange)));
            let init = self.objects[&segment.object_id].init.clone();
            for id in init.iter().chain([&segment.object_id]) {
                let users = users.get(id);
                let known = self.objects.get_mut(id).unwrap();
                known.first = known.first.filter(|first| users.is_some_and(|users| users.contains(first)));
                if users.is_none() {
                    known.since = Some(at);
                }
            }
        }
        gone.len()
    }

    /// The segment that is asked for, made to fit what is known of its object.
    pub fn segment(&self, add: &Add) -> Option<Segment> {
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
            init_object: None,
            instances: tapelog_events::InstanceIndexes::new(),
        })
    }
}
