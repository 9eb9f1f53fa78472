//! Segments come and go, and with them the uses of objects.

use smallvec::SmallVec;
use tapelog_events::{Instance, Instant, ObjectId, Segment, SegmentsAdded, SegmentsDeleted, TimeRange, Timestamp};

use super::journal::Undo;
use super::object::{Object, ObjectSlot, ObjectState, Purpose, SegmentUse, Uses};
use super::objects::parts;
use super::timeline::{Entry, Extra};
use super::{Contradiction, FlowSlot, Inventory, StoredSegment, life};

/// What an event says of the init object of a segment's object (5.6).
#[derive(Debug, Clone, Copy)]
pub struct NeededInit<'a> {
    /// Names it.
    pub object_id: &'a ObjectId,
    /// Where its bytes lie.
    pub instances: &'a [Instance],
}

impl Inventory {
    /// Adds a segment; its object becomes registered, with these instances where it was not known, and so does its
    /// init object.
    ///
    /// # Errors
    /// When what is stored shows that this cannot have happened.
    pub fn add(
        &mut self,
        flow: FlowSlot,
        segment: &Segment,
        instances: &[Instance],
        init: Option<NeededInit<'_>>,
    ) -> Result<(), Contradiction> {
        let added = segment.timerange;
        if let Some(stored) = self.overlap(flow, &added) {
            return Err(Contradiction::Overlap { added, stored: stored.timerange });
        }
        let (start, ..) = parts(&added).ok_or(Contradiction::Endless(added))?;
        let whole = segment.whole_object().filter(|whole| parts(whole).is_some());
        let whole = whole.ok_or(Contradiction::Endless(added))?;
        let usage = SegmentUse { start, flow };
        let init = init.map(|init| self.register_init(init)).transpose()?;
        let known = self.objects.find(&segment.object_id);
        if known.is_some_and(|slot| self.purpose(slot) == Purpose::Media && self.init_of(slot) != init) {
            return Err(life(&segment.object_id, "changes the init object of"));
        }
        let object = match known.filter(|slot| self.objects.has_instances(*slot, instances)) {
            Some(slot) if self.add_use(slot, usage) => slot,
            _ => {
                let object = self.registered(known, segment, instances, whole, usage)?;
                self.put_object(&segment.object_id, known, &Object { init, ..object })
            }
        };
        if let Some(init) = init {
            self.need_init(init, flow);
        }
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

    /// An object as it is once a segment uses it, but for its init object.
    fn registered(
        &self,
        known: Option<ObjectSlot>,
        segment: &Segment,
        instances: &[Instance],
        whole: TimeRange,
        usage: SegmentUse,
    ) -> Result<Object, Contradiction> {
        let mut object = known.map_or_else(Object::default, |slot| self.objects.get(slot));
        object.merge(instances);
        match &mut object.state {
            ObjectState::Registered { uses, .. } => uses.push(usage),
            ObjectState::Init { .. } | ObjectState::Condemned => {
                return Err(life(&segment.object_id, "adds a segment of"));
            }
            ObjectState::Unreferenced { range: None, .. } if known.is_some() => {
                return Err(life(&segment.object_id, "adds a segment of"));
            }
            ObjectState::Allocated { .. } | ObjectState::Unreferenced { .. } => {
                object.key_frame_count = segment.key_frame_count.or(object.key_frame_count);
                object.state =
                    ObjectState::Registered { range: whole, first: Some(usage.flow), uses: Uses::from_buf([usage]) };
            }
        }
        Ok(object)
    }

    /// An init object with these instances, which is one from now on.
    fn register_init(&mut self, init: NeededInit<'_>) -> Result<ObjectSlot, Contradiction> {
        let known = self.objects.find(init.object_id).ok_or_else(|| life(init.object_id, "needs"))?;
        match self.purpose(known) {
            Purpose::Init if self.objects.has_instances(known, init.instances) => return Ok(known),
            Purpose::Init | Purpose::Open(_) => {}
            Purpose::Media | Purpose::Nothing => return Err(life(init.object_id, "needs as init object")),
        }
        let mut object = self.objects.get(known);
        object.merge(init.instances);
        if let ObjectState::Allocated { at, .. } = object.state {
            object.state = ObjectState::Unreferenced { range: None, since: at };
        }
        self.replace_object(known, &object);
        Ok(known)
    }

    /// One segment more of a Flow needs an init object.
    fn need_init(&mut self, init: ObjectSlot, flow: FlowSlot) {
        let Some(uses) = self.objects.init_uses_of(init) else { return };
        let first = uses.first;
        if uses.flows.is_empty() {
            uses.first = Some(flow);
        }
        uses.add(flow);
        self.note(|_| Undo::InitNeeded(init, flow, first));
    }

    /// One segment fewer of a Flow needs an init object.
    fn release_init(&mut self, init: ObjectSlot, flow: FlowSlot, at: Instant) {
        let Some(uses) = self.objects.init_uses_of(init) else { return };
        let (first, since) = (uses.first, uses.since);
        uses.remove(flow);
        if uses.flows.is_empty() {
            uses.since = at;
        }
        self.note(|_| Undo::InitReleased(init, flow, first, since));
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
        if let Some(stored) = self.overlap(flow, &added) {
            return Err(Contradiction::Overlap { added, stored: stored.timerange });
        }
        if let Some(init) = self.init_of(segment.object) {
            let Some(uses) = self.objects.init_uses_of(init) else {
                return Err(life(&self.object_id(init), "needs as init object"));
            };
            uses.add(flow);
        }
        self.place(flow, segment)
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
        let instances_of = |numbers: &[u32], into: &mut SmallVec<[Instance; 2]>| {
            into.clear();
            for number in numbers {
                let instance = event.instances.get(*number as usize);
                into.push(instance.ok_or(Contradiction::UnknownInstance(*number))?.clone());
            }
            Ok(())
        };
        let mut instances = SmallVec::new();
        let mut init_instances = SmallVec::new();
        for segment in &event.segments {
            instances_of(&segment.instances, &mut instances)?;
            let init = match segment.init_object {
                None => None,
                Some(number) => {
                    let init = event.init_objects.get(number as usize);
                    let init = init.ok_or(Contradiction::UnknownInitObject(number))?;
                    instances_of(&init.instances, &mut init_instances)?;
                    Some(NeededInit { object_id: &init.object_id, instances: &init_instances })
                }
            };
            self.add(flow, segment, &instances, init)?;
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
            let tags = entry.tags.remove(start);
            self.segments -= 1;
            self.note(|_| Undo::SegmentTaken(flow, taken));
            if tags.is_some() {
                self.note(|_| Undo::TagsWere(flow, *start, tags));
            }
            if let Some(init) = self.init_of(*slot) {
                self.release_init(init, flow, at);
            }
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
                ObjectState::Unreferenced { range: Some(range), since: at }
            } else {
                // A Flow that no longer uses the object is no longer said to have used it first.
                let first = first.filter(|first| uses.iter().any(|other| other.flow == *first));
                ObjectState::Registered { range, first, uses }
            };
            self.replace_object(slot, &object);
        }
    }
}
