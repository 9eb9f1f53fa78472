//! The inventory: every object and every segment of the store, compactly.
//!
//! Both folds of the log keep one: the write side to judge, the read side to answer. A segment with an object of its
//! own takes about 60 bytes in each: 12 in its Flow's timeline, 36 in the table of objects, the rest in its index.
//!
//! What few have costs the others nothing: an init object (5.6) stands in the shape that the objects which need it have in
//! common, and tags of segments in a map of those that have any.
//!
//! The inventory judges nothing and keeps two invariants: segments of one Flow do not overlap (L6), and an object's
//! uses are exactly the segments that name it (L7). Changes made between [`Inventory::begin`] and
//! [`Inventory::rollback`] are undone by the latter.

mod flows;
mod inits;
mod journal;
mod life;
mod object;
mod objects;
mod row;
mod segments;
mod shapes;
mod slab;
mod timeline;

use hashbrown::HashMap;
use smallvec::SmallVec;
use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, Instance, Instant, ObjectId, StorageId, TimeRange, Timestamp};

use flows::FlowEntry;
use journal::Undo;
pub use object::{Instances, Object, ObjectSlot, ObjectState, Purpose, SegmentUse, Uses};
use objects::{Objects, range_of};
pub use segments::NeededInit;
use timeline::{EntryRef, Timeline};

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
    /// See [`tapelog_events::Segment::sample_offset`].
    pub sample_offset: Option<i64>,
    /// See [`tapelog_events::Segment::sample_count`].
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
    /// A segment refers to an init object that its event does not list.
    #[error("a segment of an event refers to the init object number {0}, which the event does not list")]
    UnknownInitObject(u32),
    /// An event tags a segment that is not there.
    #[error("event tags the segment that starts at {0}, where none does")]
    UnknownSegment(Timestamp),
    /// An event about an object that is not there, or that stands elsewhere in its life (L7): one that uses a condemned
    /// object, say, or condemns one that is used.
    #[error("event {does} the object {object_id}, which is not there or of another kind or state (L7)")]
    Life {
        /// The object.
        object_id: ObjectId,
        /// What it does with the object.
        does: &'static str,
    },
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
    /// Number of segments in the store, those of hidden Flows with them.
    pub fn segment_count(&self) -> usize {
        self.segments
    }

    /// Number of objects in the store, whatever their state.
    pub fn object_count(&self) -> usize {
        self.objects.len()
    }

    /// Gives an id to an object to come. An id that is known already stays as it is.
    pub fn allocate(&mut self, id: &ObjectId, flow: Option<FlowSlot>, storage_id: StorageId, at: Instant) {
        if self.objects.find(id).is_some() {
            return;
        }
        let object = Object {
            state: ObjectState::Allocated { flow, at },
            instances: SmallVec::from_buf([Instance::Controlled { storage_id }]),
            ..Object::default()
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

    /// What an object may be used for now.
    pub fn purpose(&self, slot: ObjectSlot) -> Purpose {
        self.objects.purpose(slot)
    }

    /// The init object without which a media object cannot be decoded, if it needs one (5.6).
    pub fn init_of(&self, slot: ObjectSlot) -> Option<ObjectSlot> {
        self.objects.init_of(slot)
    }

    /// The Flows whose segments use an object, each once: as their media, or, of an init object, to decode it
    /// (`referenced_by_flows`). Hidden Flows are not among them, though they keep the object.
    pub fn flows_using(&self, slot: ObjectSlot) -> impl Iterator<Item = FlowId> + '_ {
        self.objects.flows_of(slot).into_iter().filter_map(|flow| self.flow_id(flow))
    }

    /// The Flow that used an object first, unless that is hidden or uses it no more.
    pub fn flow_first_using(&self, slot: ObjectSlot) -> Option<FlowId> {
        self.objects.first_of(slot).and_then(|flow| self.flow_id(flow))
    }

    /// A media object's own range; never of any other.
    pub fn object_range(&self, slot: ObjectSlot) -> TimeRange {
        self.objects.range(slot)
    }

    /// Where the bytes of an object are, in order of preference, and how many key frames it has.
    pub fn object_access(&self, slot: ObjectSlot) -> (Instances, Option<u64>) {
        self.objects.access(slot)
    }

    /// Every object, in no order that means anything.
    pub fn objects(&self) -> impl Iterator<Item = ObjectSlot> + '_ {
        self.objects.iter()
    }

    /// Puts an object back as it was: for tables that are read from a checkpoint. Which Flows use an init object comes
    /// of their segments, and need not be said.
    pub fn restore_object(&mut self, id: &ObjectId, object: &Object) {
        self.put_object(id, self.objects.find(id), object);
    }

    /// Where an init object stands, or will once it is put back by [`Self::restore_object`].
    pub fn restore_init(&mut self, id: &ObjectId) -> ObjectSlot {
        self.objects.find(id).unwrap_or_else(|| self.put_object(id, None, &Object::default()))
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
            timeline.range(self.first_start(timeline, from), to).map(move |entry| self.stored(entry))
        })
    }

    /// Where the first segment may start that reaches beyond a moment: only the last that starts before it can.
    fn first_start(&self, timeline: &Timeline, from: i128) -> i128 {
        let reaching = timeline.last_at_or_before(from).filter(|entry| self.half_open_end(*entry) > from);
        reaching.map_or(from, |entry| entry.start)
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

    /// Where the segments of a Flow that use a media object start, in order of time.
    pub fn starts_on(&self, object: ObjectSlot, flow: FlowSlot) -> impl Iterator<Item = Timestamp> + use<> {
        self.objects.starts_on(object, flow).into_iter().filter_map(Timestamp::from_nanos)
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

/// An event does something with an object that its place in its life refutes.
fn life(object_id: &ObjectId, does: &'static str) -> Contradiction {
    Contradiction::Life { object_id: object_id.clone(), does }
}
