//! Every object of the store, in 36 bytes where it is like most: allocated here, used whole by one segment.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::HashTable;
use smallvec::SmallVec;
use tapelog_events::time::Clusivity;
use tapelog_events::{Instance, Instant, ObjectId, ObjectIdView, StorageId, TimeRange, Timestamp};

use super::FlowSlot;
use super::shapes::{Origin, Shape, Shapes};
use super::slab::Slab;

/// Where an object stands in the inventory. Its own, not stable across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectSlot(pub(super) u32);

/// What the store knows of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Where it stands in its life.
    pub state: ObjectState,
    /// Where its bytes are, in order of preference.
    pub instances: SmallVec<[Instance; 1]>,
    /// How many key frames it has, if that was said.
    pub key_frame_count: Option<u64>,
}

/// Where an object stands in its life (section 7).
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectState {
    /// Its id and place were given out; nothing refers to it.
    Allocated {
        /// The Flow that must register it first.
        flow: FlowSlot,
        /// When.
        at: Instant,
    },
    /// At least one segment uses it.
    Registered {
        /// Its range on its own timeline.
        range: TimeRange,
        /// The Flow that used it first, unless that uses it no more.
        first: Option<FlowSlot>,
        /// The segments that use it.
        uses: Uses,
    },
    /// The last segment that used it is gone.
    Unreferenced {
        /// Its range on its own timeline.
        range: TimeRange,
        /// Since when.
        since: Instant,
    },
}

/// The segments that use an object, in order of Flow and time.
pub type Uses = SmallVec<[SegmentUse; 1]>;

/// A segment that uses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentUse {
    /// Its Flow.
    pub flow: FlowSlot,
    /// The start of the segment, in nanoseconds.
    pub start: i128,
}

impl Default for Object {
    /// One of which nothing is known yet.
    fn default() -> Self {
        Self {
            state: ObjectState::Unreferenced { range: TimeRange::NEVER, since: Instant::default() },
            instances: SmallVec::new(),
            key_frame_count: None,
        }
    }
}

impl Object {
    /// The range on the object's own timeline, once it is known.
    pub fn range(&self) -> Option<TimeRange> {
        match &self.state {
            ObjectState::Allocated { .. } => None,
            ObjectState::Registered { range, .. } | ObjectState::Unreferenced { range, .. } => Some(*range),
        }
    }

    /// The segments that use it.
    pub fn uses(&self) -> &[SegmentUse] {
        match &self.state {
            ObjectState::Registered { uses, .. } => uses,
            ObjectState::Allocated { .. } | ObjectState::Unreferenced { .. } => &[],
        }
    }
}

/// An object as it is stored. `packed(4)` saves the four bytes that eight-byte alignment would add to each of millions.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
struct Row {
    /// The 16 bytes of a UUID, or the number of a text (see [`Objects::pack_id`]).
    id: [u8; 16],
    /// Registered: start of the using segment, or of the object's range when [`Row::users`] names a list; nanoseconds.
    /// Allocated: when, in microseconds. [`WIDE`] when the value does not fit and stands in `wide`.
    start: i64,
    /// Number of the shape; unused while allocated.
    shape: u32,
    /// The one Flow that uses or allocated it, or [`LIST`] and the number of a list of uses.
    users: u32,
    /// State, and either details' number or key frames and backend (see [`Meta`]).
    meta: u32,
}

/// Every byte more is a megabyte more for a million objects.
const _: () = assert!(size_of::<Row>() == 36);

impl Row {
    const fn state(&self) -> u32 {
        (self.meta >> Meta::STATE_SHIFT) & Meta::STATE_MASK
    }
}

const WIDE: i64 = i64::MIN;
const LIST: u32 = 1 << 31;

/// The uses of an object that is not used by exactly one segment.
#[derive(Debug, Clone)]
pub(super) struct UseList {
    pub first: Option<FlowSlot>,
    /// Sorted.
    uses: Uses,
    since: Instant,
}

impl UseList {
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    pub fn add(&mut self, usage: SegmentUse) {
        let place = self.uses.partition_point(|other| *other < usage);
        self.uses.insert(place, usage);
    }

    /// Takes a use out. A Flow that no longer uses the object is no longer said to have used it first.
    pub fn remove(&mut self, usage: SegmentUse) {
        if let Ok(place) = self.uses.binary_search(&usage) {
            self.uses.remove(place);
        }
        self.first = self.first.filter(|first| !self.of_flow(*first).is_empty());
    }

    fn of_flow(&self, flow: FlowSlot) -> &[SegmentUse] {
        let from = self.uses.partition_point(|usage| usage.flow < flow);
        let to = self.uses.partition_point(|usage| usage.flow <= flow);
        &self.uses[from..to]
    }
}

/// What few objects have.
#[derive(Debug, Clone)]
struct Details {
    instances: SmallVec<[Instance; 1]>,
    key_frame_count: Option<u64>,
}

/// The bits of [`Row::meta`].
struct Meta;

impl Meta {
    const DETAILS: u32 = 1 << 31;
    const STATE_SHIFT: u32 = 29;
    const STATE_MASK: u32 = 0b11;
    const ALLOCATED: u32 = 0;
    const REGISTERED: u32 = 1;
    const UNREFERENCED: u32 = 2;
    const PAYLOAD_MASK: u32 = (1 << Self::STATE_SHIFT) - 1;
    /// Key frames plus one; zero when their number was not said.
    const KEY_FRAMES_SHIFT: u32 = 20;
    const MAX_KEY_FRAMES: u64 = (1 << (Self::STATE_SHIFT - Self::KEY_FRAMES_SHIFT)) - 2;
    const BACKEND_MASK: u32 = (1 << Self::KEY_FRAMES_SHIFT) - 1;
}

/// Objects whose media time starts this close to zero have, most likely, a clock of their own.
const OWN_CLOCK_NANOS: i128 = 100_000_000_000;

/// Every object of the store.
#[derive(Debug, Default, Clone)]
pub(super) struct Objects {
    rows: Vec<Row>,
    slots: HashTable<u32>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    texts: Slab<Arc<str>>,
    text_numbers: hashbrown::HashMap<Arc<str>, u32>,
    shapes: Shapes,
    lists: Slab<UseList>,
    details: Slab<Details>,
    wide: hashbrown::HashMap<u32, i128>,
    backends: Vec<StorageId>,
}

impl Objects {
    pub fn find(&self, id: &ObjectId) -> Option<ObjectSlot> {
        let packed = self.packed_id(id)?;
        let hash = self.hasher.hash_one(packed);
        self.slots.find(hash, |slot| self.rows[*slot as usize].id == packed).copied().map(ObjectSlot)
    }

    pub fn id(&self, slot: ObjectSlot) -> ObjectId {
        let packed = self.rows[slot.0 as usize].id;
        if packed[6] & 0xf0 != 0 {
            return ObjectId::from_uuid_bytes(packed);
        }
        let number = u32::from_be_bytes([packed[12], packed[13], packed[14], packed[15]]);
        let text = self.texts.get(number).expect("a row's text is kept as long as the row");
        text.parse().expect("only valid object ids are kept")
    }

    pub fn get(&self, slot: ObjectSlot) -> Object {
        let row = &self.rows[slot.0 as usize];
        let (users, meta, start) = (row.users, row.meta, self.start(slot));
        let state = match row.state() {
            Meta::ALLOCATED => ObjectState::Allocated { flow: FlowSlot(users), at: Instant::from_micros(start as i64) },
            Meta::UNREFERENCED => ObjectState::Unreferenced { range: self.range(slot), since: self.list(users).since },
            _ => {
                let (first, uses) = if users & LIST == 0 {
                    let flow = FlowSlot(users);
                    (Some(flow), SmallVec::from_buf([SegmentUse { flow, start }]))
                } else {
                    let list = self.list(users);
                    (list.first, list.uses.clone())
                };
                ObjectState::Registered { range: self.range(slot), first, uses }
            }
        };
        let (instances, key_frame_count) = self.instances(meta);
        Object { state, instances, key_frame_count }
    }

    /// The start, length and end of a registered object, without the rest of it.
    pub fn extent(&self, slot: ObjectSlot) -> (i128, i128, Clusivity) {
        let shape = self.shapes.get(self.rows[slot.0 as usize].shape);
        (object_start(self.start(slot), shape.origin), shape.length, shape.end)
    }

    /// What a row's `start` means.
    fn start(&self, slot: ObjectSlot) -> i128 {
        let start = self.rows[slot.0 as usize].start;
        if start == WIDE { self.wide[&slot.0] } else { i128::from(start) }
    }

    fn list(&self, users: u32) -> &UseList {
        self.lists.get(users & !LIST).expect("a row's list is kept as long as the row names it")
    }

    /// Where the bytes of an object are and how many key frames it has.
    pub fn access(&self, slot: ObjectSlot) -> (SmallVec<[Instance; 1]>, Option<u64>) {
        self.instances(self.rows[slot.0 as usize].meta)
    }

    /// The Flow that an object was allocated to, until it is registered.
    pub fn allocated_to(&self, slot: ObjectSlot) -> Option<FlowSlot> {
        let row = &self.rows[slot.0 as usize];
        (row.state() == Meta::ALLOCATED).then_some(FlowSlot(row.users))
    }

    /// The list of the segments that use a registered object, where it has one.
    pub fn use_list(&mut self, slot: ObjectSlot) -> Option<&mut UseList> {
        let row = &self.rows[slot.0 as usize];
        if row.state() == Meta::REGISTERED && row.users & LIST != 0 {
            self.lists.get_mut(row.users & !LIST)
        } else {
            None
        }
    }

    /// Where the segments of one Flow that use an object start, in order.
    pub fn starts_on(&self, slot: ObjectSlot, flow: FlowSlot) -> Vec<i128> {
        let row = &self.rows[slot.0 as usize];
        let start_of = |usage: &SegmentUse| usage.start;
        match (row.state(), row.users & LIST) {
            (Meta::REGISTERED, 0) if row.users == flow.0 => vec![self.start(slot)],
            (Meta::REGISTERED, LIST) => self.list(row.users).of_flow(flow).iter().map(start_of).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether an object has all of these instances.
    pub fn has_instances(&self, slot: ObjectSlot, instances: &[Instance]) -> bool {
        let (known, _) = self.access(slot);
        instances.iter().all(|instance| known.contains(instance))
    }

    /// Stores an object that was not known before.
    pub fn insert(&mut self, id: &ObjectId, object: &Object) -> ObjectSlot {
        let slot = self.new_row(id);
        self.write(slot, object);
        ObjectSlot(slot)
    }

    /// Stores what is now known of an object.
    pub fn replace(&mut self, slot: ObjectSlot, object: &Object) {
        self.release_parts(slot.0);
        self.write(slot.0, object);
    }

    fn write(&mut self, slot: u32, object: &Object) {
        let (start, shape, users, state) = match &object.state {
            ObjectState::Allocated { flow, at } => (i128::from(at.as_micros()), 0, flow.0, Meta::ALLOCATED),
            ObjectState::Registered { range, first, uses } => {
                let (start, length, end) = parts(range).unwrap_or(EMPTY);
                let whole_use = match uses.as_slice() {
                    [only] if *first == Some(only.flow) => Some(only),
                    _ => None,
                };
                match whole_use {
                    Some(only) => {
                        let offset = only.start - start;
                        let own_clock = offset != 0 && start.abs() < OWN_CLOCK_NANOS;
                        let origin = if own_clock { Origin::At(start) } else { Origin::Before(offset) };
                        let shape = self.shapes.acquire(Shape { origin, length, end });
                        (only.start, shape, only.flow.0, Meta::REGISTERED)
                    }
                    None => {
                        let shape = self.shapes.acquire(Shape { origin: Origin::Before(0), length, end });
                        let mut list = UseList { first: *first, uses: uses.clone(), since: Instant::default() };
                        list.uses.sort_unstable();
                        (start, shape, LIST | self.lists.insert(list), Meta::REGISTERED)
                    }
                }
            }
            ObjectState::Unreferenced { range, since } => {
                let (start, length, end) = parts(range).unwrap_or(EMPTY);
                let shape = self.shapes.acquire(Shape { origin: Origin::Before(0), length, end });
                let list = UseList { first: None, uses: Uses::new(), since: *since };
                (start, shape, LIST | self.lists.insert(list), Meta::UNREFERENCED)
            }
        };
        let start = i64::try_from(start).ok().filter(|narrow| *narrow != WIDE).unwrap_or_else(|| {
            self.wide.insert(slot, start);
            WIDE
        });
        let meta = (state << Meta::STATE_SHIFT) | self.pack_details(object);
        let row = &mut self.rows[slot as usize];
        *row = Row { id: row.id, start, shape, users, meta };
    }

    /// Forgets an object that nothing uses. Its slot may be given to another.
    pub fn remove(&mut self, id: &ObjectId) {
        let Some(ObjectSlot(slot)) = self.find(id) else { return };
        self.release_parts(slot);
        let packed = self.rows[slot as usize].id;
        let hash = self.hasher.hash_one(packed);
        if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        if let ObjectIdView::Text(text) = id.view()
            && let Some(number) = self.text_numbers.remove(text)
        {
            self.texts.remove(number);
        }
        self.free.push(slot);
    }

    /// Every object, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = ObjectSlot> + '_ {
        self.slots.iter().copied().map(ObjectSlot)
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The range of an object; never before it is registered.
    pub fn range(&self, slot: ObjectSlot) -> TimeRange {
        if self.rows[slot.0 as usize].state() == Meta::ALLOCATED {
            return TimeRange::NEVER;
        }
        let (start, length, end) = self.extent(slot);
        range_of(start, length, end)
    }

    fn instances(&self, meta: u32) -> (SmallVec<[Instance; 1]>, Option<u64>) {
        let payload = meta & Meta::PAYLOAD_MASK;
        if meta & Meta::DETAILS != 0 {
            let details = self.details.get(payload).expect("a row's details are kept as long as the row names them");
            return (details.instances.clone(), details.key_frame_count);
        }
        let storage_id = self.backends[(payload & Meta::BACKEND_MASK) as usize];
        let key_frame_count = u64::from(payload >> Meta::KEY_FRAMES_SHIFT).checked_sub(1);
        (SmallVec::from_buf([Instance::Controlled { storage_id }]), key_frame_count)
    }

    fn pack_details(&mut self, object: &Object) -> u32 {
        let key_frames = match object.key_frame_count {
            None => Some(0),
            Some(count) if count <= Meta::MAX_KEY_FRAMES => Some(count as u32 + 1),
            Some(_) => None,
        };
        if let ([Instance::Controlled { storage_id }], Some(key_frames)) = (object.instances.as_slice(), key_frames) {
            let backend = self.backends.iter().position(|known| known == storage_id).unwrap_or_else(|| {
                self.backends.push(*storage_id);
                self.backends.len() - 1
            });
            return (key_frames << Meta::KEY_FRAMES_SHIFT) | backend as u32;
        }
        let details = Details { instances: object.instances.clone(), key_frame_count: object.key_frame_count };
        Meta::DETAILS | self.details.insert(details)
    }

    /// Gives back what a row refers to, before it is written again or goes.
    fn release_parts(&mut self, slot: u32) {
        let row = self.rows[slot as usize];
        let Row { start, shape, users, meta, .. } = row;
        if start == WIDE {
            self.wide.remove(&slot);
        }
        if row.state() != Meta::ALLOCATED {
            self.shapes.release(shape);
            if users & LIST != 0 {
                self.lists.remove(users & !LIST);
            }
        }
        if meta & Meta::DETAILS != 0 {
            self.details.remove(meta & Meta::PAYLOAD_MASK);
        }
    }

    fn new_row(&mut self, id: &ObjectId) -> u32 {
        let packed = self.pack_id(id);
        let row = Row { id: packed, start: 0, shape: 0, users: 0, meta: 0 };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.rows[slot as usize] = row;
                slot
            }
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        };
        let Self { rows, slots, hasher, .. } = self;
        let hash_of = |slot: &u32| hasher.hash_one(rows[*slot as usize].id);
        slots.insert_unique(hash_of(&slot), slot, hash_of);
        slot
    }

    /// A UUID of TAMS has a version from 1 to 5 in the upper half of its seventh byte; a text has 0 there, and its
    /// number in the last four bytes.
    fn packed_id(&self, id: &ObjectId) -> Option<[u8; 16]> {
        match id.view() {
            ObjectIdView::Uuid(bytes) => Some(*bytes),
            ObjectIdView::Text(text) => self.text_numbers.get(text).map(|number| text_id(*number)),
        }
    }

    fn pack_id(&mut self, id: &ObjectId) -> [u8; 16] {
        match id.view() {
            ObjectIdView::Uuid(bytes) => *bytes,
            ObjectIdView::Text(text) => {
                let number = self.texts.insert(Arc::clone(text));
                self.text_numbers.insert(Arc::clone(text), number);
                text_id(number)
            }
        }
    }
}

fn text_id(number: u32) -> [u8; 16] {
    let mut packed = [0; 16];
    packed[12..].copy_from_slice(&number.to_be_bytes());
    packed
}

const fn object_start(start: i128, origin: Origin) -> i128 {
    match origin {
        Origin::Before(offset) => start - offset,
        Origin::At(start) => start,
    }
}

/// The [`parts`] of the range without any point.
const EMPTY: (i128, i128, Clusivity) = (0, 0, Clusivity::Exclusive);

/// Start, length in nanoseconds, and how it ends, of a range that is finite with an inclusive start.
pub(super) fn parts(range: &TimeRange) -> Option<(i128, i128, Clusivity)> {
    match (range.start(), range.end()) {
        (Some((start, Clusivity::Inclusive)), Some((end, clusivity))) => {
            Some((start.as_nanos(), end.as_nanos() - start.as_nanos(), clusivity))
        }
        _ => None,
    }
}

/// The range with these [`parts`].
pub(super) fn range_of(start: i128, length: i128, end: Clusivity) -> TimeRange {
    let at = |nanos| Timestamp::from_nanos(nanos).expect("a stored range lies within the range of timestamps");
    TimeRange::new(Some((at(start), Clusivity::Inclusive)), Some((at(start + length), end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(state: ObjectState, instances: usize, key_frame_count: Option<u64>) -> Object {
        let address =
            |number| Instance::Uncontrolled { url: format!("https://example.com/{number}"), label: "a".into() };
        Object { state, instances: (0..instances).map(address).collect(), key_frame_count }
    }

    #[test]
    fn what_is_written_over_or_removed_leaves_nothing_behind() {
        let (at, flow) = (Instant::default(), FlowSlot(0));
        let range: TimeRange = "[281474976710654:0_281474976710655:0)".parse().unwrap();
        let uses = |starts: &[i128]| starts.iter().map(|start| SegmentUse { flow, start: *start }).collect();
        let states = [
            object(ObjectState::Allocated { flow, at }, 0, None),
            object(ObjectState::Registered { range, first: Some(flow), uses: uses(&[1 << 70]) }, 1, None),
            object(ObjectState::Registered { range, first: None, uses: uses(&[5, 6, 7]) }, 2, Some(u64::MAX)),
            object(ObjectState::Registered { range, first: Some(flow), uses: uses(&[5]) }, 1, Some(3)),
            object(ObjectState::Unreferenced { range, since: at }, 0, Some(511)),
        ];
        let mut objects = Objects::default();
        for text in ["text", "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34"] {
            let id: ObjectId = text.parse().unwrap();
            let slot = objects.insert(&id, &states[0]);
            for state in states.iter().chain(states.iter().rev()) {
                objects.replace(slot, state);
                assert_eq!(objects.get(slot), *state);
            }
            objects.remove(&id);
            assert_eq!((objects.find(&id), objects.len()), (None, 0));
        }
        let left = [objects.texts.len(), objects.lists.len(), objects.details.len(), objects.shapes.len()];
        assert_eq!((left, objects.text_numbers.len(), objects.wide.len()), ([0; 4], 0, 0));
        assert_eq!(objects.free.len(), objects.rows.len());
        assert_eq!(objects.rows.len(), 1, "the row of the first was given to the second");
    }
}
