//! Segments: each is judged on its own (section 6), against those that stand and those that the same request adds.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use tapelog_events::{
    Access, Event, Flow, FlowId, InitObject, Instance, InstanceIndexes, ObjectId, Outcome, Permission, Segment,
    SegmentFailure, SegmentFailureKind, SegmentsAdded, SegmentsDeleted, TimeRange,
};

use crate::inventory::{FlowSlot, Instances, Inventory, ObjectSlot, Purpose};
use crate::permit::{ensure_writable, permit_flow};
use crate::{Context, Decision, DeleteSegments, NewSegment, PostSegments, Rejection, RequestShape, State, deletion};

/// Registers segments on a Flow.
pub(crate) fn post(state: &State, context: &Context<'_>, command: &PostSegments) -> Result<Decision, Rejection> {
    let flow = state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    permit_flow(context, Permission::Write, &flow.flow)?;
    ensure_writable(state, &flow.flow)?;
    if flow.flow.container.is_none() {
        return Err(Rejection::NoContainer(command.flow_id));
    }
    let slot = state.inventory().flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    let mut judge = Judge::new(state, context.access, slot, command, &flow.flow);
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
            init_objects: judge.init_objects,
            segments: judge.accepted,
        })]
    };
    Ok(Decision { events, outcome: Outcome::Segments { failures } })
}

/// Deletes the segments that lie entirely inside a range (9.1).
pub(crate) fn delete(state: &State, context: &Context<'_>, command: &DeleteSegments) -> Result<Decision, Rejection> {
    let flow = state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    permit_flow(context, Permission::Delete, &flow.flow)?;
    ensure_writable(state, &flow.flow)?;
    let inventory = state.inventory();
    let slot = inventory.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    let object = match &command.object_id {
        None => None,
        Some(id) => match inventory.object_slot(id) {
            Some(object) => Some(object),
            None => return Ok(Decision::nothing()),
        },
    };
    let mut inside = inventory.segments_inside(slot, &command.timerange, object);
    // What names an object has no more segments than that object has uses. A request for one segment is not worth while.
    let at_once = if object.is_some() { usize::MAX } else { command.patience.segments.max(1) };
    let (timerange, count) = inside
        .by_ref()
        .take(at_once)
        .fold((TimeRange::NEVER, 0), |(hull, count), segment| (hull.hull(&segment.timerange), count + 1));
    if count == 0 {
        return Ok(Decision::nothing());
    }
    if inside.next().is_some() {
        // The last segment that overlaps the range may reach out of it; the one before it does not.
        let mut from_end = inventory.segments(slot, &command.timerange).rev();
        let last = from_end.find(|segment| command.timerange.contains_range(&segment.timerange));
        let remaining = last.map_or(timerange, |last| timerange.hull(&last.timerange));
        let patience = command.patience;
        return Ok(deletion::request(context, command.flow_id, command.timerange, remaining, false, patience));
    }
    let deleted = deletion::deleted(state, flow, timerange, count);
    let deleted = SegmentsDeleted { object_id: command.object_id.clone(), ..deleted };
    Ok(Decision::done(vec![Event::SegmentsDeleted(deleted)]))
}

/// Judges the segments of one request, one after the other.
struct Judge<'a> {
    state: &'a State,
    inventory: &'a Inventory,
    access: &'a Access,
    flow: FlowSlot,
    command: &'a PostSegments,
    init: InitRule,
    /// What is still to be deleted by deletions that go on.
    being_deleted: Vec<TimeRange>,
    accepted: Vec<Segment>,
    instances: Vec<Instance>,
    instance_numbers: HashMap<Instance, u32>,
    init_objects: Vec<InitObject>,
    init_numbers: HashMap<ObjectId, u32>,
    /// Accepted ranges by their start in nanoseconds.
    ranges: BTreeMap<i128, TimeRange>,
    /// Objects as the accepted segments leave them.
    objects: HashMap<&'a ObjectId, Known>,
}

/// Whether the media objects of a Flow need init objects: either all do, or none (5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InitRule {
    Required,
    Forbidden,
}

/// What is known of a media object.
#[derive(Clone)]
struct Known {
    range: TimeRange,
    key_frame_count: Option<u64>,
    instances: Instances,
    init: Option<ObjectId>,
}

impl<'a> Judge<'a> {
    fn new(state: &'a State, access: &'a Access, flow: FlowSlot, command: &'a PostSegments, metadata: &Flow) -> Self {
        let open = state.registry().open_deletions(command.flow_id);
        let init = match &metadata.essence_parameters {
            Some(essence) if essence.init_segments() => InitRule::Required,
            Some(_) | None => InitRule::Forbidden,
        };
        Self {
            state,
            inventory: state.inventory(),
            access,
            flow,
            command,
            init,
            being_deleted: open.map(|request| request.timerange_remaining).collect(),
            accepted: Vec::with_capacity(command.segments.len()),
            instances: Vec::new(),
            instance_numbers: HashMap::new(),
            init_objects: Vec::new(),
            init_numbers: HashMap::new(),
            ranges: BTreeMap::new(),
            objects: HashMap::new(),
        }
    }

    /// Accepts a segment, or says why not.
    fn judge(&mut self, segment: &'a NewSegment) -> Result<(), SegmentFailureKind> {
        self.check_overlap(&segment.timerange)?;
        let asked = segment
            .timerange
            .checked_shift_back(segment.ts_offset)
            .ok_or_else(|| SegmentFailureKind::Invalid { reason: OFFSET_TOO_FAR.to_owned() })?;
        let known = match self.objects.get(&segment.object_id) {
            Some(known) => reused(known.clone(), segment)?,
            None => self.resolve(segment, asked)?,
        };
        match (self.init, &known.init) {
            (InitRule::Required, None) => return Err(SegmentFailureKind::InitRequired),
            (InitRule::Forbidden, Some(_)) => return Err(SegmentFailureKind::InitForbidden),
            (InitRule::Required, Some(_)) | (InitRule::Forbidden, None) => {}
        }
        if !known.range.contains_range(&asked) {
            return Err(SegmentFailureKind::OutsideObject { asked, object: known.range });
        }
        let known = self.with_urls(known, segment)?;
        let instances = known.instances.iter().map(|instance| self.number(instance)).collect::<InstanceIndexes>();
        let init_object = known.init.as_ref().map(|init| self.number_init(init));
        self.accepted.push(Segment {
            object_id: segment.object_id.clone(),
            timerange: segment.timerange,
            ts_offset: segment.ts_offset,
            last_duration: segment.last_duration,
            sample_offset: segment.sample_offset,
            sample_count: segment.sample_count,
            object_timerange: (known.range != asked).then_some(known.range),
            key_frame_count: known.key_frame_count,
            init_object,
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
        if let Some(remaining) = self.being_deleted.iter().find(|remaining| remaining.overlaps(range)) {
            return Err(SegmentFailureKind::BeingDeleted { remaining: *remaining });
        }
        let (_, end) = range.half_open_nanos();
        // Accepted ranges do not overlap each other: only the last that starts before this one ends can reach into it.
        match self.ranges.range(..end).next_back() {
            Some((_, accepted)) if accepted.overlaps(range) => Err(SegmentFailureKind::Overlap { with: *accepted }),
            _ => Ok(()),
        }
    }

    /// What the store knows of a segment's object, or what its first registration makes known (rule 4).
    fn resolve(&self, segment: &NewSegment, asked: TimeRange) -> Result<Known, SegmentFailureKind> {
        let id = &segment.object_id;
        if self.init_numbers.contains_key(id) {
            return Err(other_use("object_id", "an init object"));
        }
        let Some(slot) = self.inventory.object_slot(id) else {
            if segment.get_urls.is_empty() {
                return Err(SegmentFailureKind::UnknownObject);
            }
            return self.first(segment, asked, Instances::new());
        };
        match self.inventory.purpose(slot) {
            Purpose::Nothing => Err(SegmentFailureKind::UnknownObject),
            Purpose::Open(flow) => {
                if let Some(flow) = flow.filter(|flow| *flow != self.flow) {
                    let readable = self.may_read_any(self.inventory.flow_id(flow));
                    return Err(match readable {
                        true => SegmentFailureKind::AllocatedElsewhere,
                        false => SegmentFailureKind::UnknownObject,
                    });
                }
                self.first(segment, asked, self.inventory.object_access(slot).0)
            }
            Purpose::Media | Purpose::Init if !self.may_read_any(self.inventory.flows_using(slot)) => {
                // Whoever gives addresses learns that the id is taken, and no more.
                Err(match segment.get_urls.is_empty() {
                    true => SegmentFailureKind::UnknownObject,
                    false => SegmentFailureKind::NotReadable,
                })
            }
            Purpose::Init => Err(other_use("object_id", "an init object")),
            Purpose::Media => {
                let (instances, key_frame_count) = self.inventory.object_access(slot);
                let init = self.inventory.init_of(slot).map(|init| self.inventory.object_id(init));
                reused(Known { range: self.inventory.object_range(slot), key_frame_count, instances, init }, segment)
            }
        }
    }

    /// What the first registration of an object makes known.
    fn first(&self, segment: &NewSegment, asked: TimeRange, instances: Instances) -> Result<Known, SegmentFailureKind> {
        if let Some(init) = &segment.init_object_id {
            match self.init {
                InitRule::Required => self.check_init(init, &segment.object_id)?,
                InitRule::Forbidden => return Err(SegmentFailureKind::InitForbidden),
            }
        }
        Ok(Known {
            range: segment.object_timerange.unwrap_or(asked),
            key_frame_count: segment.key_frame_count,
            instances,
            init: segment.init_object_id.clone(),
        })
    }

    /// Whether an object may be the init object of a new media object (5.6).
    fn check_init(&self, id: &ObjectId, media: &ObjectId) -> Result<(), SegmentFailureKind> {
        if self.init_numbers.contains_key(id) {
            return Ok(());
        }
        if id == media || self.objects.contains_key(id) {
            return Err(other_use("init_object_id", "a media object"));
        }
        let slot = self.inventory.object_slot(id).ok_or(SegmentFailureKind::UnknownInitObject)?;
        let may_read = || self.may_read_any(self.inventory.flows_using(slot));
        match self.inventory.purpose(slot) {
            Purpose::Open(flow) if flow.is_none_or(|flow| flow == self.flow) => Ok(()),
            Purpose::Init if may_read() => Ok(()),
            Purpose::Media if may_read() => Err(other_use("init_object_id", "a media object")),
            Purpose::Open(_) | Purpose::Init | Purpose::Media | Purpose::Nothing => {
                Err(SegmentFailureKind::UnknownInitObject)
            }
        }
    }

    /// Whether the caller may read at least one of these Flows, or everything (14.2).
    fn may_read_any(&self, flows: impl IntoIterator<Item = FlowId>) -> bool {
        let may_read = |id| self.state.flow(id).is_some_and(|flow| self.access.may_read(&flow.flow.tags));
        *self.access == Access::Unrestricted || flows.into_iter().any(may_read)
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

    /// The number in the event of an init object, which stands in the inventory.
    fn number_init(&mut self, id: &ObjectId) -> u32 {
        if let Some(number) = self.init_numbers.get(id) {
            return *number;
        }
        let access = |slot: ObjectSlot| self.inventory.object_access(slot).0;
        let known = self.inventory.object_slot(id).map(access).unwrap_or_default();
        let instances = known.iter().map(|instance| self.number(instance)).collect();
        let number = self.init_objects.len() as u32;
        self.init_objects.push(InitObject { object_id: id.clone(), instances });
        self.init_numbers.insert(id.clone(), number);
        number
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
    if segment.init_object_id.is_some() && segment.init_object_id != known.init {
        return Err(differs("init_object_id"));
    }
    if segment.key_frame_count.is_some() && segment.key_frame_count != known.key_frame_count {
        return Err(differs("key_frame_count"));
    }
    Ok(known)
}

/// An object is for media or for initialisation, for ever (5.6).
fn other_use(property: &str, used_as: &str) -> SegmentFailureKind {
    SegmentFailureKind::OtherUse { property: property.to_owned(), used_as: used_as.to_owned() }
}
