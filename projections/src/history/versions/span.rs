//! Which stretch of a timeline an event changed, found by whatever overlaps it.
//!
//! Stretches are kept by length, each length in order of start: of those with less than `2^n` nanoseconds, only such
//! overlap a stretch as start less than that before it. The cost of finding them grows with what is found, and with how
//! many different lengths there are, of which a recording has a few.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fjall::Guard;
use tapelog_events::{FlowId, ObjectId, SegmentsAdded, SegmentsDeleted};

use super::key::{Key, MOMENT_BYTES, damaged, moment_bytes, moment_in, moment_of, place_in};
use super::{Between, Place, Versions, range};
use crate::tables::Direction;

/// Part of a timeline, in nanoseconds: the first point is in it, the last is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub from: i128,
    pub to: i128,
}

/// What an event changed of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub stretch: Stretch,
    pub place: Place,
    /// How many segments it added or deleted.
    pub count: u32,
    pub kind: Kind,
}

/// What happened to a stretch of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Segments were added in it.
    Added,
    /// The segments that lie entirely inside were deleted; of one object, where one is named.
    Deleted(Option<ObjectId>),
}

const ADDED: u8 = b'a';
const DELETED: u8 = b'd';

impl Span {
    pub fn of_added(place: Place, event: &SegmentsAdded) -> Self {
        let ranges = event.segments.iter().map(|segment| segment.timerange.half_open_nanos());
        let (from, to) = ranges.reduce(|(from, to), (start, end)| (from.min(start), to.max(end))).unwrap_or_default();
        let count = u32::try_from(event.segments.len()).unwrap_or(u32::MAX);
        Self { stretch: Stretch { from, to }, place, count, kind: Kind::Added }
    }

    pub fn of_deleted(place: Place, event: &SegmentsDeleted) -> Self {
        let (from, to) = event.timerange.half_open_nanos();
        let count = u32::try_from(event.count).unwrap_or(u32::MAX);
        Self { stretch: Stretch { from, to }, place, count, kind: Kind::Deleted(event.object_id.clone()) }
    }

    pub fn key(&self, flow_id: FlowId) -> Key {
        let kind = match self.kind {
            Kind::Added => ADDED,
            Kind::Deleted(_) => DELETED,
        };
        let Stretch { from, to } = self.stretch;
        of_class(kind, flow_id, class_of(to.saturating_sub(from))).moment(from).place(self.place)
    }

    pub fn value(&self) -> Vec<u8> {
        let mut value = moment_bytes(self.stretch.to).to_vec();
        value.extend(self.count.to_be_bytes());
        if let Kind::Deleted(Some(object_id)) = &self.kind {
            value.extend(object_id.to_string().as_bytes());
        }
        value
    }

    fn read(kind: u8, entry: Guard) -> Result<Self, fjall::Error> {
        let (key, value) = entry.into_inner()?;
        let (to, rest) = value.split_first_chunk::<MOMENT_BYTES>().ok_or_else(damaged)?;
        let (count, object) = rest.split_first_chunk().ok_or_else(damaged)?;
        let stretch = Stretch { from: moment_in(&key)?, to: moment_of(to) };
        let kind = match (kind, object) {
            (ADDED, _) => Kind::Added,
            (_, []) => Kind::Deleted(None),
            (_, object) => {
                let id = std::str::from_utf8(object).ok().and_then(|text| text.parse().ok());
                Kind::Deleted(Some(id.ok_or_else(damaged)?))
            }
        };
        Ok(Self { stretch, place: place_in(&key)?, count: u32::from_be_bytes(*count), kind })
    }
}

impl Stretch {
    /// All of a timeline.
    pub const ALL: Self = Self { from: i128::MIN, to: i128::MAX };

    pub fn overlaps(&self, other: &Self) -> bool {
        self.from.max(other.from) < self.to.min(other.to)
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }
}

/// The least `n` with all lengths of the class below `2^n`.
fn class_of(length: i128) -> u8 {
    (i128::BITS - length.leading_zeros()) as u8
}

fn of_class(kind: u8, flow_id: FlowId, class: u8) -> Key {
    Key::new(kind).uuid(flow_id.as_uuid()).bytes(&[class])
}

impl Versions {
    /// What was added to a Flow in whatever overlaps a stretch, between these places.
    pub fn added(&self, flow_id: FlowId, stretch: Stretch, between: Between) -> Result<Vec<Span>, fjall::Error> {
        self.overlapping(ADDED, flow_id, stretch, between)
    }

    /// What was deleted of a Flow in whatever overlaps a stretch, between these places.
    pub fn deleted(&self, flow_id: FlowId, stretch: Stretch, between: Between) -> Result<Vec<Span>, fjall::Error> {
        self.overlapping(DELETED, flow_id, stretch, between)
    }

    fn overlapping(
        &self,
        kind: u8,
        flow_id: FlowId,
        stretch: Stretch,
        (from, to): Between,
    ) -> Result<Vec<Span>, fjall::Error> {
        let mut found = Vec::new();
        for class in self.classes(kind, flow_id)? {
            let of = of_class(kind, flow_id, class);
            let longest = 1_i128.checked_shl(u32::from(class)).unwrap_or(i128::MAX);
            let first = of.clone().moment(stretch.from.saturating_sub(longest));
            for entry in range(&self.spans, &first, &of.moment(stretch.to)) {
                let span = Span::read(kind, entry)?;
                if from < span.place && span.place < to && span.stretch.overlaps(&stretch) {
                    found.push(span);
                }
            }
        }
        Ok(found)
    }

    /// As far as one must go from one end of a stretch so that events that start there added so many segments; `None`
    /// where there are not so many. The cost grows with the events that are passed over.
    pub fn reach(
        &self,
        flow_id: FlowId,
        stretch: Stretch,
        direction: Direction,
        segments: usize,
        (from, to): Between,
    ) -> Result<Option<i128>, fjall::Error> {
        let mut ways = Vec::new();
        for class in self.classes(ADDED, flow_id)? {
            let of = of_class(ADDED, flow_id, class);
            let entries = range(&self.spans, &of.clone().moment(stretch.from), &of.moment(stretch.to));
            let spans = entries.map(|entry| Span::read(ADDED, entry));
            let ordered: Box<dyn Iterator<Item = Result<Span, fjall::Error>>> = match direction {
                Direction::Usual => Box::new(spans),
                Direction::Reversed => Box::new(spans.rev()),
            };
            ways.push(ordered.filter(move |span| {
                span.as_ref().is_err() || span.as_ref().is_ok_and(|span| from < span.place && span.place < to)
            }));
        }
        // The next of each class, the nearest first.
        let distance = |span: &Span| match direction {
            Direction::Usual => Reverse(span.stretch.from),
            Direction::Reversed => Reverse(span.stretch.from.saturating_neg()),
        };
        let mut next = BinaryHeap::new();
        for (number, way) in ways.iter_mut().enumerate() {
            if let Some(span) = way.next().transpose()? {
                next.push((distance(&span), span.count, number));
            }
        }
        let mut passed = 0;
        while let Some((Reverse(at), count, number)) = next.pop() {
            let at = match direction {
                Direction::Usual => at,
                Direction::Reversed => at.saturating_neg(),
            };
            match direction {
                Direction::Usual if passed >= segments => return Ok(Some(at)),
                Direction::Usual => passed += count as usize,
                Direction::Reversed => {
                    passed += count as usize;
                    if passed >= segments {
                        return Ok(Some(at));
                    }
                }
            }
            if let Some(span) = ways[number].next().transpose()? {
                next.push((distance(&span), span.count, number));
            }
        }
        Ok(None)
    }

    /// Which lengths there are.
    fn classes(&self, kind: u8, flow_id: FlowId) -> Result<Vec<u8>, fjall::Error> {
        let mut classes = Vec::new();
        let end = of_class(kind, flow_id, u8::MAX);
        let mut from = of_class(kind, flow_id, 0);
        while let Some(first) = range(&self.spans, &from, &end).next() {
            let class = *first.key()?.get(1 + 16).ok_or_else(damaged)?;
            classes.push(class);
            from = of_class(kind, flow_id, class.saturating_add(1));
        }
        Ok(classes)
    }
}
