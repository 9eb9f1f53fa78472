//! Segments: each is judged on its own (section 6), against those that stand and those that the same request adds.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use tapelog_events::{
    Event, Flow, Instance, InstanceIndexes, ObjectId, Outcome, Segment, SegmentFailure, SegmentFailureKind,
    SegmentsAdded, SegmentsDeleted, TimeRange,
};

use crate::flow::ensure_writable;
use crate::inventory::{FlowSlot, Inventory};
use crate::{Decision, DeleteSegments, NewSegment, PostSegments, Rejection, RequestShape, State};

/// Registers segments on a Flow.
pub(crate) fn post(state: &State, command: &PostSegments) -> Result<Decision, Rejection> {
    let flow = state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    ensure_writable(&flow.flow)?;
    if flow.flow.container.is_none() {
        return Err(Rejection::NoContainer(command.flow_id));
    }
    let slot = state.inventory().flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    let mut judge = Judge::new(state.inventory(), slot, command, &flow.flow);
    let mut failures = Vec::new();
    for segment in &command.segments {
        let failure = match segment {
            Err(failure) => Some(failure.clone()),
            Ok(segment) => judge.judge(segment).err().map(|kind| SegmentFailure {
                object_id: segment.object_id.clone(),
                timerange: segment.timerange,
                kind,
            }),
        };
        match (command.shape, failure) {
            (_, None) => {}
            (RequestShape::Single, Some(failure)) => return Err(Rejection::Segment(failure.kind)),
            (RequestShape::List, Some(failure)) => failures.push(failure),
        }
    }
    let events = if judge.accepted.is_empty() {
        Vec::new()
    } else {
        vec![Event::SegmentsAdded(SegmentsAdded {
            flow_id: command.flow_id,
            source_id: flow.flow.source_id,
            collected_by: state.membership(flow),
            instances: judge.instances,
            segments: judge.accepted,
        })]
    };
    Ok(Decision { events, outcome: Outcome::Segments { failures } })
}

/// Deletes the segments that lie entirely inside a range (9.1).
pub(crate) fn delete(state: &State, command: &DeleteSegments) -> Result<Decision, Rejection> {
    let flow = state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    ensure_writable(&flow.flow)?;
    let inventory = state.inventory();
    let slot = inventory.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    let object = match &command.object_id {
        None => None,
        Some(id) => match inventory.object_slot(id) {
            Some(object) => Some(object),
            None => return Ok(Decision::nothing()),
        },
    };
    let (timerange, count) = inventory
        .segments_inside(slot, &command.timerange, object)
        .fold((TimeRange::NEVER, 0), |(hull, count), segment| (hull.hull(&segment.timerange), count + 1));
    if count == 0 {
        return Ok(Decision::nothing());
    }
    Ok(Decision::done(vec![Event::SegmentsDeleted(SegmentsDeleted {
        flow_id: command.flow_id,
        source_id: flow.flow.source_id,
        collected_by: state.membership(flow),
        timerange,
        object_id: command.object_id.clone(),
        count,
    })]))
}

/// Judges the segments of one request, one after the other.
struct Judge<'a> {
    inventory: &'a Inventory,
    flow: FlowSlot,
    command: &'a PostSegments,
    needs_init: bool,
    accepted: Vec<Segment>,
    instances: Vec<Instance>,
    instance_numbers: HashMap<Instance, u32>,
    /// Accepted ranges by their start in nanoseconds.
    ranges: BTreeMap<i128, TimeRange>,
    /// Objects as the accepted segments leave them.
    objects: HashMap<&'a ObjectId, Known>,
}

/// What is known of a registered object.
#[derive(Clone)]
struct Known {
    range: TimeRange,
    key_frame_count: Option<u64>,
    instances: SmallVec<[Instance; 1]>,
}

impl<'a> Judge<'a> {
    fn new(inventory: &'a Inventory, flow: FlowSlot, command: &'a PostSegments, metadata: &Flow) -> Self {
        let needs_init = metadata.essence_parameters.as_ref().is_some_and(|essence| essence.init_segments());
        Self {
            inventory,
            flow,
            command,
            needs_init,
            accepted: Vec::with_capacity(command.segments.len()),
            instances: Vec::new(),
            instance_numbers: HashMap::new(),
            ranges: BTreeMap::new(),
            objects: HashMap::new(),
        }
    }

    /// Accepts a segment, or says why not.
    fn judge(&mut self, segment: &'a NewSegment) -> Result<(), SegmentFailureKind> {
        if self.needs_init {
            return Err(SegmentFailureKind::InitRequired);
        }
        self.check_overlap(&segment.timerange)?;
        let asked = segment
            .timerange
            .checked_shift_back(segment.ts_offset)
            .ok_or_else(|| SegmentFailureKind::Invalid { reason: OFFSET_TOO_FAR.to_owned() })?;
        let known = match self.objects.get(&segment.object_id) {
            Some(known) => reused(known.clone(), segment)?,
            None => self.resolve(segment, asked)?,
        };
        if !known.range.contains_range(&asked) {
            return Err(SegmentFailureKind::OutsideObject { asked, object: known.range });
        }
        let known = self.with_urls(known, segment)?;
        let instances = known.instances.iter().map(|instance| self.number(instance)).collect::<InstanceIndexes>();
        self.accepted.push(Segment {
            object_id: segment.object_id.clone(),
            timerange: segment.timerange,
            ts_offset: segment.ts_offset,
            last_duration: segment.last_duration,
            sample_offset: segment.sample_offset,
            sample_count: segment.sample_count,
            object_timerange: (known.range != asked).then_some(known.range),
            key_frame_count: known.key_frame_count,
            instances,
        });
        // A lone segment has no later one to be compared with.
        if self.command.segments.len() > 1 {
            self.ranges.insert(segment.timerange.half_open_nanos().0, segment.timerange);
            self.objects.insert(&segment.object_id, known);
        }
        Ok(())
    }

    fn check_overlap(&self, range: &TimeRange) -> Result<(), SegmentFailureKind> {
        if let Some(stored) = self.inventory.overlap(self.flow, range) {
            return Err(SegmentFailureKind::Overlap { with: stored.timerange });
        }
        let (_, end) = range.half_open_nanos();
        // Accepted ranges do not overlap each other: only the last that starts before this one ends can reach into it.
        match self.ranges.range(..end).next_back() {
            Some((_, accepted)) if accepted.overlaps(range) => Err(SegmentFailureKind::Overlap { with: *accepted }),
            _ => Ok(()),
        }
    }

    /// What the store knows of a segment's object, or what its first registration makes known.
    fn resolve(&self, segment: &NewSegment, asked: TimeRange) -> Result<Known, SegmentFailureKind> {
        let first = |instances| Known {
            range: segment.object_timerange.unwrap_or(asked),
            key_frame_count: segment.key_frame_count,
            instances,
        };
        let Some(slot) = self.inventory.object_slot(&segment.object_id) else {
            if segment.get_urls.is_empty() {
                return Err(SegmentFailureKind::UnknownObject);
            }
            return Ok(first(SmallVec::new()));
        };
        let (instances, key_frame_count) = self.inventory.object_access(slot);
        match self.inventory.allocated_to(slot) {
            Some(flow) if flow != self.flow => Err(SegmentFailureKind::AllocatedElsewhere),
            Some(_) => Ok(first(instances)),
            None => reused(Known { range: self.inventory.object_range(slot), key_frame_count, instances }, segment),
        }
    }

    /// The object with the addresses that the segment adds (section 6, rule 5).
    fn with_urls(&self, mut known: Known, segment: &NewSegment) -> Result<Known, SegmentFailureKind> {
        let mut labels = HashSet::new();
        for given in &segment.get_urls {
            let label = || given.label.clone();
            if self.command.reserved_labels.contains(&given.label) {
                return Err(SegmentFailureKind::LabelOfBackend { label: label() });
            }
            if !labels.insert(&given.label) {
                return Err(SegmentFailureKind::LabelTaken { label: label() });
            }
            let instance = Instance::Uncontrolled { url: given.url.clone(), label: label() };
            let holder = known
                .instances
                .iter()
                .find(|known| matches!(known, Instance::Uncontrolled { label, .. } if *label == given.label));
            match holder {
                Some(holder) if *holder == instance => {}
                Some(_) => return Err(SegmentFailureKind::LabelTaken { label: label() }),
                None => known.instances.push(instance),
            }
        }
        Ok(known)
    }

    fn number(&mut self, instance: &Instance) -> u32 {
        if let Some(number) = self.instance_numbers.get(instance) {
            return *number;
        }
        let number = self.instances.len() as u32;
        self.instances.push(instance.clone());
        self.instance_numbers.insert(instance.clone(), number);
        number
    }
}

const OFFSET_TOO_FAR: &str = "timerange less ts_offset leaves the range of timestamps";

/// An object that is used again keeps its properties (section 6, rule 4).
fn reused(known: Known, segment: &NewSegment) -> Result<Known, SegmentFailureKind> {
    let differs = |property: &str| SegmentFailureKind::ObjectDiffers { property: property.to_owned() };
    if segment.object_timerange.is_some_and(|range| range != known.range) {
        return Err(differs("object_timerange"));
    }
    if segment.key_frame_count.is_some() && segment.key_frame_count != known.key_frame_count {
        return Err(differs("key_frame_count"));
    }
    Ok(known)
}
