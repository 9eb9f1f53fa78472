//! Segments as they were: of a part of a timeline, what was added there less what was deleted since.
//!
//! Which events may matter is known from the index: those that added in a stretch that overlaps the part, unless all that
//! they added was deleted since. Only these are read. How large a part must be is found by trying: from where the page
//! begins, as far as enough segments were added, and twice as far where too few of them are left.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_commands::SegmentName;
use tapelog_commands::inventory::{Instances, Inventory, NeededInit, Object};
use tapelog_events::{Event, FlowId, ObjectId, Segment, SegmentsAdded, Seq, Tags, TimeRange};

use super::instances::instances_of;
use super::{AsOfError, Question};
use crate::history::versions::{Between, Kind, Place, Span, Stretch};
use crate::history::{History, thing::Thing};
use crate::tables::{TagFilter, decode_start};
use crate::{Direction, FlowFilter, Paging, SegmentFilter, SortBy, Tables};

/// How many segments are looked for at the least: it costs no more than to look for one.
const LEAST: usize = 16;
/// How many Flows of a listing are looked into before the next are listed.
const FLOWS_AT_ONCE: usize = 64;

/// A segment that was there.
struct Alive {
    segment: Segment,
    /// Where its object lay when it was added.
    instances: Instances,
    /// Its object's init object, with where that lay when it was added.
    init: Option<(ObjectId, Instances)>,
    /// Where it was added.
    place: Place,
    tags: Option<Tags>,
}

impl Alive {
    fn stretch(&self) -> Stretch {
        stretch_of(&self.segment.timerange)
    }

    fn has_tags(&self, filters: &[TagFilter]) -> bool {
        let none = Tags::new();
        filters.iter().all(|filter| filter.matches(self.tags.as_ref().unwrap_or(&none)))
    }
}

/// Segments by start.
type Found = BTreeMap<i128, Alive>;

/// A Flow that was there, from its creation to the moment.
#[derive(Clone, Copy)]
struct Timeline {
    flow_id: FlowId,
    between: Between,
}

/// From where on segments are looked for, which way, and how many.
#[derive(Clone, Copy)]
struct Search<'a> {
    stretch: Stretch,
    direction: Direction,
    /// Where the page before ended: its last segment may reach into the stretch.
    after: Option<i128>,
    tags: &'a [TagFilter],
    /// How many segments are wanted at the least, if there are so many.
    enough: usize,
}

impl Search<'_> {
    fn is_satisfied(&self, found: &Found) -> bool {
        let is_counted = |start: &i128, alive: &Alive| match (self.direction, self.after) {
            (Direction::Usual, Some(after)) => *start > after && alive.has_tags(self.tags),
            (Direction::Usual, None) | (Direction::Reversed, _) => alive.has_tags(self.tags),
        };
        found.iter().filter(|(start, alive)| is_counted(start, alive)).nth(self.enough.saturating_sub(1)).is_some()
    }

    /// The part of the stretch from where the search begins to here.
    fn up_to(&self, here: i128) -> Stretch {
        match self.direction {
            Direction::Usual => Stretch { to: here, ..self.stretch },
            Direction::Reversed => Stretch { from: here, ..self.stretch },
        }
    }
}

fn stretch_of(range: &TimeRange) -> Stretch {
    let (from, to) = range.half_open_nanos();
    Stretch { from, to }
}

/// What happened in parts of a timeline, in order of place, less what was added only to be deleted as a whole.
fn changes(history: &History, timeline: Timeline, parts: &[Stretch]) -> Result<BTreeMap<Place, Span>, fjall::Error> {
    let Timeline { flow_id, between } = timeline;
    let mut changes = BTreeMap::new();
    for part in parts {
        let mut added = history.versions().added(flow_id, *part, between)?;
        let mut deleted = history.versions().deleted(flow_id, *part, between)?;
        drop_deleted(&mut added, &mut deleted);
        changes.extend(added.into_iter().chain(deleted).map(|span| (span.place, span)));
    }
    Ok(changes)
}

/// Goes along the timeline, with those deletions in view that reach as far.
fn drop_deleted(added: &mut Vec<Span>, deleted: &mut [Span]) {
    let by_start = |span: &Span| span.stretch.from;
    added.sort_unstable_by_key(by_start);
    deleted.sort_unstable_by_key(by_start);
    let mut ahead = deleted.iter().filter(|span| span.kind == Kind::Deleted(None)).peekable();
    let mut in_view: Vec<&Span> = Vec::new();
    added.retain(|added| {
        let here = added.stretch.from;
        in_view.retain(|span| span.stretch.to > here);
        while let Some(span) = ahead.next_if(|span| span.stretch.from <= here) {
            in_view.push(span);
        }
        !in_view.iter().any(|span| span.place > added.place && span.stretch.contains(&added.stretch))
    });
}

fn added(changes: &BTreeMap<Place, Span>) -> impl Iterator<Item = &Span> {
    changes.values().filter(|span| span.kind == Kind::Added)
}

impl Question<'_> {
    /// A Flow's timeline; `None` where there was no such Flow to be seen.
    async fn timeline(&self, flow_id: FlowId) -> Result<Option<Timeline>, AsOfError> {
        let until = self.until();
        let birth = self.ask(move |history| {
            let is_there = history.versions().flow_before(flow_id, until)?.is_some();
            if is_there { history.versions().birth(flow_id, until) } else { Ok(None) }
        });
        Ok(birth.await?.map(|birth| Timeline { flow_id, between: (birth, until) }))
    }

    pub async fn segments(
        mut self,
        flow_id: FlowId,
        filter: &SegmentFilter,
        paging: &Paging<'_>,
    ) -> Result<Arc<Tables>, AsOfError> {
        let metadata = self.flows_alone(vec![flow_id]).await?;
        // A cursor of another listing is refused by whoever asks the tables.
        let after = paging.cursor.and_then(|cursor| decode_start(cursor).ok()).map(|start| start.as_nanos());
        let mut inventory = Inventory::default();
        if let Some(timeline) = self.timeline(flow_id).await? {
            let search = Search {
                stretch: rest_of(filter, after, paging.direction),
                direction: paging.direction,
                after,
                tags: &filter.tags,
                enough: paging.limit.saturating_add(1),
            };
            let found = match &filter.object_id {
                Some(object_id) => self.of_object(timeline, object_id).await?,
                None if filter.wants_tags() => self.search_tagged(timeline, &search).await?,
                None => self.search(timeline, &search).await?,
            };
            self.fill(&mut inventory, timeline, found).await?;
        }
        self.put_together(metadata, inventory).await
    }

    pub async fn segment(mut self, flow_id: FlowId, name: &SegmentName) -> Result<Arc<Tables>, AsOfError> {
        let metadata = self.flows_alone(vec![flow_id]).await?;
        let mut inventory = Inventory::default();
        if let Some(timeline) = self.timeline(flow_id).await? {
            let found = match name {
                SegmentName::At(start) => self.alive(timeline, &[point(start.as_nanos())]).await?,
                SegmentName::Object(object_id) => self.of_object(timeline, object_id).await?,
            };
            self.fill(&mut inventory, timeline, found).await?;
        }
        self.put_together(metadata, inventory).await
    }

    /// The first and the last segment of a Flow that overlap a range.
    pub async fn ends(&mut self, flow_id: FlowId, range: TimeRange) -> Result<Inventory, AsOfError> {
        let mut inventory = Inventory::default();
        if let Some(timeline) = self.timeline(flow_id).await? {
            let mut found = self.one(timeline, stretch_of(&range), Direction::Usual).await?;
            found.extend(self.one(timeline, stretch_of(&range), Direction::Reversed).await?);
            self.fill(&mut inventory, timeline, found).await?;
        }
        Ok(inventory)
    }

    async fn one(&mut self, timeline: Timeline, stretch: Stretch, direction: Direction) -> Result<Found, AsOfError> {
        self.search(timeline, &Search { stretch, direction, after: None, tags: &[], enough: 1 }).await
    }

    /// Flows that have segments, or none, as a filter wants it: page by page of those that meet its other conditions,
    /// until there are enough.
    pub async fn flows(
        mut self,
        filter: &FlowFilter,
        sort: SortBy,
        paging: &Paging<'_>,
    ) -> Result<Arc<Tables>, AsOfError> {
        let listing = self.listing().await?;
        let Some(range) = filter.timerange.filter(|range| !range.is_eternity()) else { return Ok(listing) };
        let others = FlowFilter { timerange: None, ..filter.clone() };
        let mut inventory = Inventory::default();
        let mut cursor = paging.cursor.map(str::to_owned);
        let mut hits = 0;
        loop {
            let page = Paging { cursor: cursor.as_deref(), limit: FLOWS_AT_ONCE, ..*paging };
            // A cursor of another listing is refused by whoever asks the tables.
            let Ok(page) = listing.flows(&others, sort, &page) else { break };
            for flow_id in page.items.iter().map(|view| view.flow().id) {
                let Some(timeline) = self.timeline(flow_id).await? else { continue };
                let asked = if range.is_never() { Stretch::ALL } else { stretch_of(&range) };
                let found = self.one(timeline, asked, Direction::Usual).await?;
                hits += usize::from(found.is_empty() == range.is_never());
                self.fill(&mut inventory, timeline, found).await?;
                if hits > paging.limit {
                    break;
                }
            }
            cursor = page.next;
            if cursor.is_none() || hits > paging.limit {
                break;
            }
        }
        self.put_together(self.everything().await?, inventory).await
    }

    /// Segments from one end of a stretch on, until there are enough or the other end is reached.
    async fn search(&mut self, timeline: Timeline, search: &Search<'_>) -> Result<Found, AsOfError> {
        let Search { stretch, direction, enough, .. } = *search;
        let Timeline { flow_id, between } = timeline;
        if stretch.from >= stretch.to {
            return Ok(Found::new());
        }
        let mut asked = enough.max(LEAST);
        loop {
            let reached =
                self.ask(move |history| history.versions().reach(flow_id, stretch, direction, asked, between)).await?;
            let part = reached.map_or(stretch, |here| search.up_to(here));
            let changes = self.ask(move |history| changes(history, timeline, &[part])).await?;
            let left: usize = added(&changes).map(|span| span.count as usize).sum();
            if left >= enough || reached.is_none() {
                let found = self.left_of(timeline, &[part], changes).await?;
                if reached.is_none() || search.is_satisfied(&found) {
                    return Ok(found);
                }
            }
            asked = asked.saturating_mul(2);
        }
    }

    /// The same of segments that were given tags, of which the index knows where they start.
    async fn search_tagged(&mut self, timeline: Timeline, search: &Search<'_>) -> Result<Found, AsOfError> {
        let Search { stretch, direction, enough, .. } = *search;
        let Timeline { flow_id, between } = timeline;
        if stretch.from >= stretch.to {
            return Ok(Found::new());
        }
        // What reaches into the stretch starts before it.
        let mut found = self.alive(timeline, &[point(stretch.from)]).await?;
        let starts = self.ask(move |history| {
            let tagged = history.versions().segment_tags(flow_id, stretch, between);
            let mut starts = tagged.map(|tagged| tagged.map(|(start, ..)| start)).collect::<Result<Vec<_>, _>>()?;
            starts.dedup();
            if direction == Direction::Reversed {
                starts.reverse();
            }
            Ok(starts)
        });
        let mut starts = starts.await?.into_iter();
        let mut asked = enough.max(LEAST);
        loop {
            let mut parts: Vec<_> = starts.by_ref().take(asked).map(point).collect();
            if parts.is_empty() || search.is_satisfied(&found) {
                return Ok(found);
            }
            parts.sort_unstable_by_key(|part| part.from);
            found.extend(self.alive(timeline, &parts).await?);
            asked = asked.saturating_mul(2);
        }
    }

    /// Segments at all places of a timeline at which an object was ever used.
    async fn of_object(&mut self, timeline: Timeline, object_id: &ObjectId) -> Result<Found, AsOfError> {
        let Timeline { flow_id, between: (birth, until) } = timeline;
        let mut starts = Vec::new();
        for seq in self.touched(object_id, birth.0).await? {
            for (place, event) in self.loaded.events_before(seq, until) {
                if let Event::SegmentsAdded(event) = event
                    && event.flow_id == flow_id
                    && place > birth
                {
                    let used = event.segments.iter().filter(|segment| segment.object_id == *object_id);
                    starts.extend(used.map(|segment| stretch_of(&segment.timerange).from));
                }
            }
        }
        starts.sort_unstable();
        starts.dedup();
        let parts: Vec<_> = starts.into_iter().map(point).collect();
        self.alive(timeline, &parts).await
    }

    /// The records that touched an object, in order, from this one on; they are read.
    pub async fn touched(&mut self, object_id: &ObjectId, first: Seq) -> Result<Vec<Seq>, AsOfError> {
        let (name, last) = (Thing::Object(object_id).name(), self.moment.seq);
        let seqs = self.ask(move |history| {
            let mut postings = history.touched().postings(name, (first, last), Direction::Usual);
            let mut seqs = Vec::new();
            let mut next = postings.seek(first)?;
            while let Some(seq) = next {
                seqs.push(seq);
                next = postings.seek(seq.next())?;
            }
            Ok(seqs)
        });
        let seqs = seqs.await?;
        self.loaded.load(&self.past.records, seqs.iter().copied()).await?;
        Ok(seqs)
    }

    /// The segments that overlap parts of a timeline; the parts are in order and do not overlap.
    async fn alive(&mut self, timeline: Timeline, parts: &[Stretch]) -> Result<Found, AsOfError> {
        let asked = parts.to_vec();
        let changes = self.ask(move |history| changes(history, timeline, &asked)).await?;
        self.left_of(timeline, parts, changes).await
    }

    /// What is left in parts of a timeline of what was added there.
    async fn left_of(
        &mut self,
        timeline: Timeline,
        parts: &[Stretch],
        changes: BTreeMap<Place, Span>,
    ) -> Result<Found, AsOfError> {
        self.loaded.load(&self.past.records, added(&changes).map(|span| span.place.0)).await?;
        let is_asked_for = |stretch: &Stretch| {
            let last = parts.partition_point(|part| part.from < stretch.to);
            last.checked_sub(1).is_some_and(|last| parts[last].overlaps(stretch))
        };
        let mut found = Found::new();
        for (place, span) in &changes {
            match &span.kind {
                Kind::Added => {
                    let Event::SegmentsAdded(event) = self.loaded.event(*place)? else {
                        return Err(AsOfError::NoSuchEvent(place.0));
                    };
                    let segments = event.segments.iter().map(|segment| (stretch_of(&segment.timerange), segment));
                    for (stretch, segment) in segments.filter(|(stretch, _)| is_asked_for(stretch)) {
                        found.insert(stretch.from, alive_of(*place, event, segment)?);
                    }
                }
                Kind::Deleted(object) => {
                    let Stretch { from, to } = span.stretch;
                    let inside = found.range(from..to.max(from)).filter(|(_, alive)| {
                        span.stretch.contains(&alive.stretch())
                            && object.as_ref().is_none_or(|id| *id == alive.segment.object_id)
                    });
                    let inside: Vec<_> = inside.map(|(start, _)| *start).collect();
                    inside.into_iter().for_each(|start| drop(found.remove(&start)));
                }
            }
        }
        self.give_tags(timeline, parts, &mut found).await?;
        Ok(found)
    }

    /// A segment has the tags that it was given last since it was added.
    async fn give_tags(
        &self,
        Timeline { flow_id, between }: Timeline,
        parts: &[Stretch],
        found: &mut Found,
    ) -> Result<(), AsOfError> {
        let starts = parts.iter().filter_map(|part| {
            // What reaches into a part starts before it.
            let reaching = found.range(..part.from).next_back().filter(|(_, alive)| alive.stretch().overlaps(part));
            let (first, _) = reaching.or_else(|| found.range(part.from..part.to).next())?;
            let (last, _) = found.range(..part.to).next_back()?;
            Some(Stretch { from: *first, to: last + 1 })
        });
        let asked: Vec<_> = starts.collect();
        let given = self.ask(move |history| {
            let given = asked.into_iter().flat_map(|part| history.versions().segment_tags(flow_id, part, between));
            given.collect::<Result<Vec<_>, _>>()
        });
        for (start, place, tags) in given.await? {
            if let Some(alive) = found.get_mut(&start).filter(|alive| alive.place < place) {
                alive.tags = (!tags.is_empty()).then_some(tags);
            }
        }
        Ok(())
    }

    /// Puts segments into an inventory, with where their objects lay at the moment.
    async fn fill(&mut self, inventory: &mut Inventory, timeline: Timeline, found: Found) -> Result<(), AsOfError> {
        let slot = inventory.create_flow(timeline.flow_id);
        let mut named: HashMap<ObjectId, (Place, Instances)> = HashMap::new();
        for alive in found.values() {
            let init = alive.init.iter().map(|(id, instances)| (id, instances));
            for (id, instances) in init.chain([(&alive.segment.object_id, &alive.instances)]) {
                match named.get(id) {
                    Some((place, _)) if *place >= alive.place => {}
                    Some(_) | None => drop(named.insert(id.clone(), (alive.place, instances.clone()))),
                }
            }
            if let Some((init, _)) = &alive.init
                && inventory.object_slot(init).is_none()
            {
                inventory.restore_object(init, &Object::default());
            }
            let init = alive.init.as_ref().map(|(object_id, instances)| NeededInit { object_id, instances });
            inventory.add(slot, &alive.segment, &alive.instances, init)?;
            if let (Some(tags), Some((start, _))) = (&alive.tags, alive.segment.timerange.start()) {
                inventory.tag_segment(slot, start, tags)?;
            }
        }
        for (id, instances) in self.instances(named).await? {
            if let Some(slot) = inventory.object_slot(&id) {
                let object = Object { instances, ..inventory.object(slot) };
                inventory.restore_object(&id, &object);
            }
        }
        Ok(())
    }
}

/// The part of a timeline that a page and those after it are of.
fn rest_of(filter: &SegmentFilter, after: Option<i128>, direction: Direction) -> Stretch {
    let Stretch { from, to } = filter.timerange.map_or(Stretch::ALL, |range| stretch_of(&range));
    match (direction, after) {
        (_, None) => Stretch { from, to },
        (Direction::Usual, Some(after)) => Stretch { from: from.max(after + 1), to },
        (Direction::Reversed, Some(after)) => Stretch { from, to: to.min(after) },
    }
}

fn point(at: i128) -> Stretch {
    Stretch { from: at, to: at.saturating_add(1) }
}

fn alive_of(place: Place, event: &SegmentsAdded, segment: &Segment) -> Result<Alive, AsOfError> {
    let no_such = || AsOfError::NoSuchEvent(place.0);
    let init = match segment.init_object {
        None => None,
        Some(number) => {
            let init = event.init_objects.get(number as usize).ok_or_else(no_such)?;
            Some((init.object_id.clone(), instances_of(event, &init.instances)))
        }
    };
    // The numbers mean something only beside their event.
    let segment = Segment { init_object: None, ..segment.clone() };
    Ok(Alive { instances: instances_of(event, &segment.instances), segment, init, place, tags: None })
}
