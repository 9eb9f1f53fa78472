//! Every object of the store, in 36 bytes where it is like most: allocated here, used whole by one segment.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::HashTable;
use smallvec::SmallVec;
use tapelog_events::time::Clusivity;
use tapelog_events::{Instance, Instant, ObjectId, ObjectIdView, StorageId, TimeRange, Timestamp};

use super::FlowSlot;
use super::inits::{InitUses, Namers};
use super::object::{Instances, Object, ObjectSlot, ObjectState, Purpose, SegmentUse, Uses};
use super::row::{ANY_FLOW, Details, LIST, Meta, Row, UseList, WIDE};
use super::shapes::{Origin, Shape, Shapes};
use super::slab::Slab;

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
    inits: Slab<InitUses>,
    namers: Namers,
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
            Meta::ALLOCATED => {
                ObjectState::Allocated { flow: row.allocated_for(), at: Instant::from_micros(start as i64) }
            }
            Meta::UNREFERENCED => {
                ObjectState::Unreferenced { range: Some(self.range(slot)), since: self.list(users).since }
            }
            Meta::INIT => match self.init_uses(users) {
                uses if uses.flows.is_empty() && uses.first.is_none() => {
                    ObjectState::Unreferenced { range: None, since: uses.since }
                }
                uses => ObjectState::Init { first: uses.first, flows: uses.flows.clone() },
            },
            Meta::CONDEMNED => ObjectState::Condemned,
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
        Object { state, instances, key_frame_count, init: self.init_of(slot) }
    }

    /// The start, length and end of a media object, without the rest of it.
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
    pub fn access(&self, slot: ObjectSlot) -> (Instances, Option<u64>) {
        self.instances(self.rows[slot.0 as usize].meta)
    }

    fn init_uses(&self, users: u32) -> &InitUses {
        self.inits.get(users).expect("a row's uses as init object are kept as long as the row names them")
    }

    /// What an object may be used for now.
    pub fn purpose(&self, slot: ObjectSlot) -> Purpose {
        let row = &self.rows[slot.0 as usize];
        match row.state() {
            Meta::ALLOCATED => Purpose::Open(row.allocated_for()),
            Meta::REGISTERED | Meta::UNREFERENCED => Purpose::Media,
            Meta::INIT => Purpose::Init,
            _ => Purpose::Nothing,
        }
    }

    /// The init object that a media object needs.
    pub fn init_of(&self, slot: ObjectSlot) -> Option<ObjectSlot> {
        let row = &self.rows[slot.0 as usize];
        if row.is_media() { self.shapes.get(row.shape).init } else { None }
    }

    /// What needs an init object.
    pub fn init_uses_of(&mut self, slot: ObjectSlot) -> Option<&mut InitUses> {
        let row = &self.rows[slot.0 as usize];
        if row.state() == Meta::INIT { self.inits.get_mut(row.users) } else { None }
    }

    /// The Flows whose segments use an object, each once.
    pub fn flows_of(&self, slot: ObjectSlot) -> SmallVec<[FlowSlot; 4]> {
        let row = &self.rows[slot.0 as usize];
        match (row.state(), row.users & LIST) {
            (Meta::REGISTERED, LIST) => self.list(row.users).flows().collect(),
            (Meta::REGISTERED, _) => SmallVec::from_slice(&[FlowSlot(row.users)]),
            (Meta::INIT, _) => self.init_uses(row.users).flows.keys().copied().collect(),
            _ => SmallVec::new(),
        }
    }

    /// The Flow whose segments used an object first, unless they use it no more.
    pub fn first_of(&self, slot: ObjectSlot) -> Option<FlowSlot> {
        let row = &self.rows[slot.0 as usize];
        match (row.state(), row.users & LIST) {
            (Meta::REGISTERED, LIST) => self.list(row.users).first,
            (Meta::REGISTERED, _) => Some(FlowSlot(row.users)),
            (Meta::INIT, _) => self.init_uses(row.users).first,
            _ => None,
        }
    }

    /// Whether an object may go, as one that was only allocated before a moment, or that nothing refers to since before
    /// another. An init object stays as long as a media object names it.
    pub fn is_expired(&self, slot: ObjectSlot, unregistered_before: Instant, unreferenced_before: Instant) -> bool {
        let row = &self.rows[slot.0 as usize];
        let users = row.users;
        match row.state() {
            Meta::ALLOCATED => self.start(slot) < i128::from(unregistered_before.as_micros()),
            Meta::UNREFERENCED => self.list(users).since < unreferenced_before,
            Meta::INIT => {
                let uses = self.init_uses(users);
                uses.flows.is_empty() && uses.since < unreferenced_before && !self.namers.contains(slot)
            }
            _ => false,
        }
    }

    /// Whether any segment or object refers to an object.
    pub fn is_in_use(&self, slot: ObjectSlot) -> bool {
        let row = &self.rows[slot.0 as usize];
        match row.state() {
            Meta::REGISTERED => true,
            Meta::INIT => !self.init_uses(row.users).flows.is_empty() || self.namers.contains(slot),
            _ => false,
        }
    }

    /// Those of this many places from one on at which objects stand, and the place after them, unless it is the end.
    pub fn places(&self, from: u32, rows: usize) -> (impl Iterator<Item = ObjectSlot> + '_, Option<u32>) {
        let from = (from as usize).min(self.rows.len());
        let to = from.saturating_add(rows).min(self.rows.len());
        let taken = (from..to).filter(|place| self.rows[*place].state() != Meta::FREE);
        (taken.map(|place| ObjectSlot(place as u32)), (to < self.rows.len()).then_some(to as u32))
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
        let init = object.init;
        let (start, shape, users, state) = match &object.state {
            ObjectState::Allocated { flow, at } => {
                (i128::from(at.as_micros()), 0, flow.map_or(ANY_FLOW, |flow| flow.0), Meta::ALLOCATED)
            }
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
                        let shape = self.shapes.acquire(Shape { origin, length, end, init });
                        (only.start, shape, only.flow.0, Meta::REGISTERED)
                    }
                    None => {
                        let shape = self.shapes.acquire(Shape { origin: Origin::Before(0), length, end, init });
                        let mut list = UseList { first: *first, uses: uses.clone(), since: Instant::default() };
                        list.uses.sort_unstable();
                        (start, shape, LIST | self.lists.insert(list), Meta::REGISTERED)
                    }
                }
            }
            ObjectState::Unreferenced { range: Some(range), since } => {
                let (start, length, end) = parts(range).unwrap_or(EMPTY);
                let shape = self.shapes.acquire(Shape { origin: Origin::Before(0), length, end, init });
                let list = UseList { first: None, uses: Uses::new(), since: *since };
                (start, shape, LIST | self.lists.insert(list), Meta::UNREFERENCED)
            }
            ObjectState::Unreferenced { range: None, since } => {
                let uses = InitUses { since: *since, ..InitUses::default() };
                (0, 0, self.inits.insert(uses), Meta::INIT)
            }
            ObjectState::Init { first, flows } => {
                let uses = InitUses { first: *first, flows: flows.clone(), since: Instant::default() };
                (0, 0, self.inits.insert(uses), Meta::INIT)
            }
            ObjectState::Condemned => (0, 0, 0, Meta::CONDEMNED),
        };
        let start = i64::try_from(start).ok().filter(|narrow| *narrow != WIDE).unwrap_or_else(|| {
            self.wide.insert(slot, start);
            WIDE
        });
        let meta = (state << Meta::STATE_SHIFT) | self.pack_details(object);
        let row = &mut self.rows[slot as usize];
        *row = Row { id: row.id, start, shape, users, meta };
        if let Some(init) = self.init_of(ObjectSlot(slot)) {
            self.namers.add(init);
        }
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
        self.rows[slot as usize].meta = Meta::FREE << Meta::STATE_SHIFT;
        self.free.push(slot);
    }

    /// Every object, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = ObjectSlot> + '_ {
        self.slots.iter().copied().map(ObjectSlot)
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The range of a media object; never of any other.
    pub fn range(&self, slot: ObjectSlot) -> TimeRange {
        if !self.rows[slot.0 as usize].is_media() {
            return TimeRange::NEVER;
        }
        let (start, length, end) = self.extent(slot);
        range_of(start, length, end)
    }

    fn instances(&self, meta: u32) -> (Instances, Option<u64>) {
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
        if let Some(init) = self.init_of(ObjectSlot(slot)) {
            self.namers.remove(init);
        }
        if row.is_media() {
            self.shapes.release(shape);
            if users & LIST != 0 {
                self.lists.remove(users & !LIST);
            }
        }
        if row.state() == Meta::INIT {
            self.inits.remove(users);
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
        Object { state, instances: (0..instances).map(address).collect(), key_frame_count, init: None }
    }

    #[test]
    fn what_is_written_over_or_removed_leaves_nothing_behind() {
        let (at, flow) = (Instant::default(), FlowSlot(0));
        let range: TimeRange = "[281474976710654:0_281474976710655:0)".parse().unwrap();
        let uses = |starts: &[i128]| starts.iter().map(|start| SegmentUse { flow, start: *start }).collect();
        let states = [
            object(ObjectState::Allocated { flow: Some(flow), at }, 0, None),
            object(ObjectState::Registered { range, first: Some(flow), uses: uses(&[1 << 70]) }, 1, None),
            object(ObjectState::Registered { range, first: None, uses: uses(&[5, 6, 7]) }, 2, Some(u64::MAX)),
            object(ObjectState::Registered { range, first: Some(flow), uses: uses(&[5]) }, 1, Some(3)),
            object(ObjectState::Unreferenced { range: Some(range), since: at }, 0, Some(511)),
            object(ObjectState::Unreferenced { range: None, since: at }, 1, None),
            object(ObjectState::Init { first: Some(flow), flows: [(flow, 3)].into() }, 1, None),
            object(ObjectState::Condemned, 2, None),
        ];
        let mut objects = Objects::default();
        let init = objects.insert(&"init".parse().unwrap(), &states[6]);
        for text in ["text", "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34"] {
            let id: ObjectId = text.parse().unwrap();
            let slot = objects.insert(&id, &states[0]);
            for state in states.iter().chain(states.iter().rev()) {
                objects.replace(slot, state);
                assert_eq!(objects.get(slot), *state);
                if state.range().is_some() {
                    let needy = Object { init: Some(init), ..state.clone() };
                    objects.replace(slot, &needy);
                    assert_eq!((objects.get(slot), objects.namers.contains(init)), (needy, true));
                }
            }
            objects.remove(&id);
            assert_eq!((objects.find(&id), objects.len()), (None, 1));
        }
        objects.remove(&"init".parse().unwrap());
        let left = [objects.texts.len(), objects.lists.len(), objects.details.len(), objects.shapes.len()];
        assert_eq!((left, objects.text_numbers.len(), objects.wide.len()), ([0; 4], 0, 0));
        assert_eq!((objects.inits.len(), objects.namers.len()), (0, 0));
        assert_eq!(objects.free.len(), objects.rows.len());
        assert_eq!(objects.rows.len(), 2, "the row of the first was given to the second");
    }
}
