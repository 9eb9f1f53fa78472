//! The inventory: every object and every segment of the store, compactly.
//!
//! Both folds of the log keep one: the write side to judge, the read side to answer. A segment with an object of its
//! own takes about 60 bytes in each: 12 in its Flow's timeline, 36 in the table of objects, the rest in its index.
//!
//! The inventory judges nothing and keeps two invariants: segments of one Flow do not overlap (L6), and an object's
//! uses are exactly the segments that name it (L7). Changes made between [`Inventory::begin`] and
//! [`Inventory::rollback`] are undone by the latter.

mod journal;
mod objects;
mod shapes;
mod slab;
mod timeline;

use hashbrown::HashMap;
use smallvec::SmallVec;
use tapelog_events::time::Clusivity;
use tapelog_events::{
    FlowId, Instance, Instant, ObjectId, Segment, SegmentsAdded, SegmentsDeleted, StorageId, TimeRange, Timestamp,
};

use journal::Undo;
pub use objects::{Object, ObjectSlot, ObjectState, SegmentUse, Uses};
use objects::{Objects, parts, range_of};
use timeline::{Entry, EntryRef, Extra, Timeline};

/// Where a Flow stands in the inventory. Its own, not stable across restarts; never given to another Flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowSlot(u32);

/// A segment as the inventory gives it back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredSegment {
    /// Its object; [`Inventory::object_id`] names it.
    pub object: ObjectSlot,
    /// Where it lies on the Flow's timeline.
    pub timerange: TimeRange,
    /// What is added to the object's own time to give the Flow's.
    pub ts_offset: Timestamp,
    /// How long the last sample lasts.
    pub last_duration: Option<Timestamp>,
    /// See [`Segment::sample_offset`].
    pub sample_offset: Option<i64>,
    /// See [`Segment::sample_count`].
    pub sample_count: Option<i64>,
}

/// A segment that the inventory cannot take: what stands there refutes that it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// L6.
    #[error("segment {added} of an event overlaps the stored segment {stored} (L6)")]
    Overlap {
        /// The range in the event.
        added: TimeRange,
        /// The range that is stored.
        stored: TimeRange,
    },
    /// A range that no segment can have, or an object's range that cannot be told: not finite, or without its start.
    #[error("segment {0} of an event, or its object, has no finite range with an inclusive start")]
    Endless(TimeRange),
    /// A segment refers to an instance that its event does not list.
    #[error("a segment of an event refers to the instance number {0}, which the event does not list")]
    UnknownInstance(u32),
    /// A segment of a checkpoint uses an object that is not there or not registered (L7).
    #[error("segment of a checkpoint uses the object {0}, which is not registered (L7)")]
    UnknownObject(ObjectId),
    /// An event about a Flow that does not exist.
    #[error("event names the unknown flow {0}")]
    UnknownFlow(FlowId),
}

#[derive(Debug, Clone)]
struct FlowEntry {
    id: FlowId,
    timeline: Timeline,
}

/// Every object and every segment of the store.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    objects: Objects,
    flows: Vec<Option<Box<FlowEntry>>>,
    slots: HashMap<FlowId, FlowSlot>,
    segments: usize,
    journal: Option<Vec<Undo>>,
}

impl Inventory {
    /// Number of segments in the store.
    pub fn segment_count(&self) -> usize {
        self.segments
    }

    /// Number of objects in the store, whatever their state.
    pub fn object_count(&self) -> usize {
        self.objects.len()
    }

    /// Where a Flow stands.
    pub fn flow(&self, id: FlowId) -> Option<FlowSlot> {
        self.slots.get(&id).copied()
    }

    /// The Flow that stands there; `None` once it is deleted.
    pub fn flow_id(&self, slot: FlowSlot) -> Option<FlowId> {
        self.flows.get(slot.0 as usize)?.as_ref().map(|entry| entry.id)
    }

    /// Makes room for a Flow without segments. One that is there already stays as it is.
    pub fn create_flow(&mut self, id: FlowId) -> FlowSlot {
        if let Some(slot) = self.flow(id) {
            return slot;
        }
        let slot = FlowSlot(self.flows.len() as u32);
        self.flows.push(Some(Box::new(FlowEntry { id, timeline: Timeline::default() })));
        self.slots.insert(id, slot);
        self.note(|_| Undo::FlowCreated(id));
        slot
    }

    /// Takes a Flow out, with its segments. Objects that nothing uses any more become unreferenced.
    pub fn remove_flow(&mut self, id: FlowId, at: Instant) {
        let Some(slot) = self.flow(id) else { return };
        self.delete(slot, &TimeRange::ETERNITY, None, at);
        self.slots.remove(&id);
        if let Some(entry) = self.flows[slot.0 as usize].take() {
            self.note(|_| Undo::FlowRemoved(slot, entry));
        }
    }

    /// Gives an id to an object to come. An id that is known already stays as it is.
    pub fn allocate(&mut self, id: &ObjectId, flow: FlowSlot, storage_id: StorageId, at: Instant) {
        if self.objects.find(id).is_some() {
            return;
        }
        let object = Object {
            state: ObjectState::Allocated { flow, at },
            instances: SmallVec::from_buf([Instance::Controlled { storage_id }]),
            key_frame_count: None,
        };
        self.put_object(id, None, &object);
    }

    /// Where an object stands.
    pub fn object_slot(&self, id: &ObjectId) -> Option<ObjectSlot> {
        self.objects.find(id)
    }

    /// What is known of an object.
    pub fn object(&self, slot: ObjectSlot) -> Object {
        self.objects.get(slot)
    }

    /// Names an object.
    pub fn object_id(&self, slot: ObjectSlot) -> ObjectId {
        self.objects.id(slot)
    }

    /// The Flow that must register an object first; `None` once it did.
    pub fn allocated_to(&self, slot: ObjectSlot) -> Option<FlowSlot> {
        self.objects.allocated_to(slot)
    }

    /// An object's own range; never before it is registered.
    pub fn object_range(&self, slot: ObjectSlot) -> TimeRange {
        self.objects.range(slot)
    }

    /// Where the bytes of an object are, in order of preference, and how many key frames it has.
    pub fn object_access(&self, slot: ObjectSlot) -> (SmallVec<[Instance; 1]>, Option<u64>) {
        self.objects.access(slot)
    }

    /// Every object, in no order that means anything.
    pub fn objects(&self) -> impl Iterator<Item = ObjectSlot> + '_ {
        self.objects.iter()
    }

    /// Puts an object back as it was: for tables that are read from a checkpoint.
    pub fn restore_object(&mut self, id: &ObjectId, object: &Object) {
        self.put_object(id, self.objects.find(id), object);
    }

    /// The first stored segment that overlaps a range.
    pub fn overlap(&self, flow: FlowSlot, range: &TimeRange) -> Option<StoredSegment> {
        let (from, to) = range.half_open_nanos();
        // Most ranges that are asked for are free, and the last segment that starts before their end says so alone.
        let last = self.timeline(flow)?.last_at_or_before(to.saturating_sub(1))?;
        if self.half_open_end(last) <= from { None } else { self.segments(flow, range).next() }
    }

    /// Number of segments of a Flow.
    pub fn segments_of(&self, flow: FlowSlot) -> usize {
        self.timeline(flow).map_or(0, Timeline::len)
    }

    /// From the start of a Flow's first segment to the end of its last; never where it has none.
    pub fn flow_range(&self, flow: FlowSlot) -> TimeRange {
        let Some(timeline) = self.timeline(flow) else { return TimeRange::NEVER };
        match (timeline.first(), timeline.last()) {
            (Some(first), Some(last)) => self.stored(first).timerange.hull(&self.stored(last).timerange),
            _ => TimeRange::NEVER,
        }
    }

    /// The segments that overlap a range, in order of time. Finding the first and the last costs O(log n).
    pub fn segments(&self, flow: FlowSlot, range: &TimeRange) -> impl DoubleEndedIterator<Item = StoredSegment> + '_ {
        let (from, to) = range.half_open_nanos();
        // Never has a place among the numbers, yet no segment reaches into it.
        let timeline = self.timeline(flow).filter(|_| from < to);
        timeline.into_iter().flat_map(move |timeline| {
            // Only the last segment that starts before the range can reach into it.
            let reaching = timeline.last_at_or_before(from).filter(|entry| self.half_open_end(*entry) > from);
            let from = reaching.map_or(from, |entry| entry.start);
            timeline.range(from, to).map(move |entry| self.stored(entry))
        })
    }

    /// The segments that lie entirely inside a range, in order of time, of one object where one is named. The cost
    /// grows with the segments in the range, or, where an object is named, with its uses.
    pub fn segments_inside<'a>(
        &'a self,
        flow: FlowSlot,
        range: &TimeRange,
        object: Option<ObjectSlot>,
    ) -> impl Iterator<Item = StoredSegment> + 'a {
        self.entries_inside(flow, range, object).map(|entry| self.stored(entry))
    }

    fn entries_inside<'a>(
        &'a self,
        flow: FlowSlot,
        range: &TimeRange,
        object: Option<ObjectSlot>,
    ) -> impl Iterator<Item = EntryRef<'a>> + 'a {
        let (from, to) = range.half_open_nanos();
        let starts = object.map(|object| self.objects.starts_on(object, flow));
        self.timeline(flow).into_iter().flat_map(move |timeline| {
            let all = if starts.is_none() { Some(timeline.range(from, to)) } else { None };
            let starts = starts.iter().flatten().filter(|start| from <= **start);
            let used = starts.filter_map(|start| timeline.at(*start)).collect::<Vec<_>>();
            all.into_iter().flatten().chain(used).take_while(move |entry| self.half_open_end(*entry) <= to)
        })
    }

    /// The segment of a Flow that starts exactly there, in nanoseconds.
    pub fn segment_at(&self, flow: FlowSlot, start: i128) -> Option<StoredSegment> {
        self.timeline(flow)?.at(start).map(|entry| self.stored(entry))
    }

    /// Adds a segment; its object becomes registered, with these instances where it was not known.
    ///
    /// # Errors
    /// When what is stored shows that this cannot have happened.
    pub fn add(&mut self, flow: FlowSlot, segment: &Segment, instances: &[Instance]) -> Result<(), Contradiction> {
        let added = segment.timerange;
        if let Some(stored) = self.overlap(flow, &added) {
            return Err(Contradiction::Overlap { added, stored: stored.timerange });
        }
        let (start, ..) = parts(&added).ok_or(Contradiction::Endless(added))?;
        let whole = segment.whole_object().filter(|whole| parts(whole).is_some());
        let whole = whole.ok_or(Contradiction::Endless(added))?;
        let usage = SegmentUse { start, flow };
        let known = self.objects.find(&segment.object_id);
        let object = match known.filter(|slot| self.objects.has_instances(*slot, instances)) {
            Some(slot) if self.add_use(slot, usage) => slot,
            _ => {
                let object = self.registered(known, segment, instances, whole, usage);
                self.put_object(&segment.object_id, known, &object)
            }
        };
        let Segment { timerange, ts_offset, last_duration, sample_offset, sample_count, .. } = *segment;
        self.place(flow, &StoredSegment { object, timerange, ts_offset, last_duration, sample_offset, sample_count })
    }

    /// Notes one use more of an object that has a list of them, whose length the cost does not grow with.
    fn add_use(&mut self, slot: ObjectSlot, usage: SegmentUse) -> bool {
        let Some(list) = self.objects.use_list(slot) else { return false };
        list.add(usage);
        self.note(|_| Undo::UseAdded(slot, usage));
        true
    }

    /// An object as it is once a segment uses it.
    fn registered(
        &self,
        known: Option<ObjectSlot>,
        segment: &Segment,
        instances: &[Instance],
        whole: TimeRange,
        usage: SegmentUse,
    ) -> Object {
        let mut object = known.map_or_else(Object::default, |slot| self.objects.get(slot));
        for instance in instances {
            if !object.instances.contains(instance) {
                object.instances.push(instance.clone());
            }
        }
        match &mut object.state {
            ObjectState::Registered { uses, .. } => uses.push(usage),
            ObjectState::Allocated { .. } | ObjectState::Unreferenced { .. } => {
                object.key_frame_count = segment.key_frame_count.or(object.key_frame_count);
                object.state =
                    ObjectState::Registered { range: whole, first: Some(usage.flow), uses: Uses::from_buf([usage]) };
            }
        }
        object
    }

    /// Puts a segment back whose object has been put back with this use of it: for tables that are read from a
    /// checkpoint.
    ///
    /// # Errors
    /// When what is stored shows that this cannot have stood there.
    pub fn restore_segment(&mut self, flow: FlowSlot, segment: &StoredSegment) -> Result<(), Contradiction> {
        let added = segment.timerange;
        if self.object_range(segment.object).is_never() {
            return Err(Contradiction::UnknownObject(self.object_id(segment.object)));
        }
        match self.overlap(flow, &added) {
            Some(stored) => Err(Contradiction::Overlap { added, stored: stored.timerange }),
            None => self.place(flow, segment),
        }
    }

    /// Puts a segment where none stands into its Flow's timeline.
    fn place(&mut self, flow: FlowSlot, segment: &StoredSegment) -> Result<(), Contradiction> {
        let (start, length, end) = parts(&segment.timerange).ok_or(Contradiction::Endless(segment.timerange))?;
        let (object_start, object_length, object_end) = self.objects.extent(segment.object);
        let plain = (length, end) == (object_length, object_end)
            && start - object_start == segment.ts_offset.as_nanos()
            && segment.last_duration.is_none()
            && segment.sample_offset.is_none()
            && segment.sample_count.is_none();
        let extra = (!plain).then(|| {
            Box::new(Extra {
                length,
                end,
                ts_offset: segment.ts_offset.as_nanos(),
                last_duration: segment.last_duration.map(Timestamp::as_nanos),
                sample_offset: segment.sample_offset,
                sample_count: segment.sample_count,
            })
        });
        if let Some(entry) = self.flows[flow.0 as usize].as_mut() {
            entry.timeline.insert(Entry { start, object: segment.object, extra });
            self.segments += 1;
        }
        self.note(|_| Undo::SegmentInserted(flow, start));
        Ok(())
    }

    /// Adds the segments of an event.
    ///
    /// # Errors
    /// When what is stored shows that this cannot have happened.
    pub fn add_all(&mut self, flow: FlowSlot, event: &SegmentsAdded) -> Result<(), Contradiction> {
        let mut instances: SmallVec<[Instance; 2]> = SmallVec::new();
        for segment in &event.segments {
            instances.clear();
            for number in &segment.instances {
                let instance = event.instances.get(*number as usize);
                instances.push(instance.ok_or(Contradiction::UnknownInstance(*number))?.clone());
            }
            self.add(flow, segment, &instances)?;
        }
        Ok(())
    }

    /// Takes out the segments that an event says were deleted, and says how many there were.
    pub fn delete_all(&mut self, flow: FlowSlot, event: &SegmentsDeleted, at: Instant) -> u64 {
        match &event.object_id {
            None => self.delete(flow, &event.timerange, None, at),
            Some(id) => match self.object_slot(id) {
                Some(object) => self.delete(flow, &event.timerange, Some(object), at),
                None => 0,
            },
        }
    }

    /// Takes out the segments that lie entirely inside a range, of one object where one is named, and says how many.
    /// Objects that nothing uses any more become unreferenced.
    pub fn delete(&mut self, flow: FlowSlot, range: &TimeRange, object: Option<ObjectSlot>, at: Instant) -> u64 {
        let inside = self.entries_inside(flow, range, object).map(|entry| (entry.start, entry.object));
        let inside: Vec<_> = inside.collect();
        // Backwards, since what lies at the end of a list is taken out at less cost.
        for (start, slot) in inside.iter().rev() {
            let Some(entry) = self.flows[flow.0 as usize].as_mut() else { continue };
            let Some(taken) = entry.timeline.remove(*start) else { continue };
            self.segments -= 1;
            self.note(|_| Undo::SegmentTaken(flow, taken));
            self.release(*slot, SegmentUse { flow, start: *start }, at);
        }
        inside.len() as u64
    }

    /// One segment fewer uses an object.
    fn release(&mut self, slot: ObjectSlot, usage: SegmentUse, at: Instant) {
        if let Some(list) = self.objects.use_list(slot)
            && list.len() > 2
        {
            let first = list.first;
            list.remove(usage);
            self.note(|_| Undo::UseRemoved(slot, usage, first));
            return;
        }
        let mut object = self.objects.get(slot);
        if let ObjectState::Registered { range, first, mut uses } = object.state {
            uses.retain(|other| *other != usage);
            object.state = if uses.is_empty() {
                ObjectState::Unreferenced { range, since: at }
            } else {
                // A Flow that no longer uses the object is no longer said to have used it first.
                let first = first.filter(|first| uses.iter().any(|other| other.flow == *first));
                ObjectState::Registered { range, first, uses }
            };
            self.replace_object(slot, &object);
        }
    }

    fn timeline(&self, flow: FlowSlot) -> Option<&Timeline> {
        self.flows.get(flow.0 as usize)?.as_ref().map(|entry| &entry.timeline)
    }

    fn half_open_end(&self, entry: EntryRef<'_>) -> i128 {
        let (length, end) = match entry.extra {
            Some(extra) => (extra.length, extra.end),
            None => {
                let (_, length, end) = self.objects.extent(entry.object);
                (length, end)
            }
        };
        let inclusive = match end {
            Clusivity::Inclusive => 1,
            Clusivity::Exclusive => 0,
        };
        entry.start + length + inclusive
    }

    fn stored(&self, entry: EntryRef<'_>) -> StoredSegment {
        let at = |nanos| Timestamp::from_nanos(nanos).expect("what is stored lies within the range of timestamps");
        match entry.extra {
            Some(extra) => StoredSegment {
                object: entry.object,
                timerange: range_of(entry.start, extra.length, extra.end),
                ts_offset: at(extra.ts_offset),
                last_duration: extra.last_duration.map(at),
                sample_offset: extra.sample_offset,
                sample_count: extra.sample_count,
            },
            None => {
                let (object_start, length, end) = self.objects.extent(entry.object);
                StoredSegment {
                    object: entry.object,
                    timerange: range_of(entry.start, length, end),
                    ts_offset: at(entry.start - object_start),
                    last_duration: None,
                    sample_offset: None,
                    sample_count: None,
                }
            }
        }
    }
}
