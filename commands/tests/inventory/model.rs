//! A plain list of segments, in which everything is found by looking at all of it.

use std::collections::{BTreeMap, BTreeSet};

use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, Instance, Instant, ObjectId, Segment, StorageId, TimeRange, Timestamp};
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

#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its range; `None` while it is only allocated.
    pub range: Option<TimeRange>,
    pub allocated: Option<(FlowId, Instant)>,
    pub since: Option<Instant>,
    pub first: Option<FlowId>,
    pub instances: Vec<Instance>,
    pub key_frame_count: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub flows: BTreeSet<FlowId>,
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

    pub fn uses(&self, object: &ObjectId) -> BTreeSet<(FlowId, i128)> {
        let users = self.segments.iter().filter(|(_, segment)| segment.object_id == *object);
        users.map(|(flow, segment)| (*flow, start_of(&segment.timerange))).collect()
    }

    pub fn add(&mut self, flow: FlowId, segment: &Segment, instances: &[Instance]) {
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
            instances: tapelog_events::InstanceIndexes::new(),
        })
    }
}
