//! Segments of a Flow (sections 2.5 and 3.4 to 3.8).

use std::sync::Arc;

use smallvec::SmallVec;
use tapelog_commands::SegmentName;
use tapelog_commands::inventory::{FlowSlot, ObjectSlot, StoredSegment};
use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, Instance, ObjectId, Tags, TimeRange, Timestamp};

use super::page::{Direction, InvalidCursor, Page, Paging, decode_cursor, encode_cursor};
use super::{Tables, TagCondition, TagFilter};

/// Which segments of a Flow are asked for: those that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentFilter {
    /// That overlap this range, partly or wholly (3.4).
    pub timerange: Option<TimeRange>,
    /// That use this object.
    pub object_id: Option<ObjectId>,
    /// With such tags.
    pub tags: Vec<TagFilter>,
}

impl SegmentFilter {
    /// Whether segments without any tags are not asked for.
    pub(crate) fn wants_tags(&self) -> bool {
        self.tags.iter().any(|filter| match filter.condition {
            TagCondition::AnyOf(_) | TagCondition::Present => true,
            TagCondition::Absent => false,
        })
    }
}

/// The init object of a media object, with what a listing says of it (5.6).
#[derive(Debug, Clone, PartialEq)]
pub struct ListedInit {
    /// Names it.
    pub object_id: ObjectId,
    /// Where its bytes lie, in order of preference.
    pub instances: SmallVec<[Instance; 1]>,
}

/// A segment with what a listing says of its object.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedSegment {
    /// The object that holds the media.
    pub object_id: ObjectId,
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
    /// The object's range on its own timeline.
    pub object_timerange: TimeRange,
    /// How many key frames the object has.
    pub key_frame_count: Option<u64>,
    /// Where the object's bytes lie, in order of preference.
    pub instances: SmallVec<[Instance; 1]>,
    /// The init object without which the object cannot be decoded, if it needs one.
    pub init: Option<ListedInit>,
    /// Its tags, if it has any.
    pub tags: Option<Arc<Tags>>,
}

/// A name that is not that of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentNameError {
    /// No segment of the Flow has that name, or there is no such Flow.
    #[error("no segment has that name")]
    NotFound,
    /// Several segments of the Flow use the object.
    #[error("several segments have that name")]
    Ambiguous,
}

/// One page of a Flow's segments.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentPage {
    /// The segments, and the cursor of the next page.
    pub page: Page<ListedSegment>,
    /// From the start of the earliest segment of the page to the end of the latest; never where it is empty
    /// (`X-Paging-Timerange`).
    pub timerange: TimeRange,
}

impl Tables {
    /// The segments of a Flow that a filter lets pass, in order of time; none of a Flow that does not exist (2.5).
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn segments(
        &self,
        flow_id: FlowId,
        filter: &SegmentFilter,
        paging: &Paging<'_>,
    ) -> Result<SegmentPage, InvalidCursor> {
        let after = paging.cursor.map(decode_start).transpose()?;
        let page = match (self.state.inventory().flow(flow_id), &filter.object_id) {
            (None, _) => Page { items: Vec::new(), next: None },
            (Some(flow), None) => self.segments_in(flow, filter, after, paging),
            (Some(flow), Some(object_id)) => self.segments_of_object(flow, object_id, filter, after, paging),
        };
        let ends = [page.items.first(), page.items.last()].into_iter().flatten();
        let timerange = ends.fold(TimeRange::NEVER, |hull, segment| hull.hull(&segment.timerange));
        Ok(SegmentPage { page, timerange })
    }

    /// The segment of a Flow that has this name.
    ///
    /// # Errors
    /// When none has, or several have.
    pub fn segment_named(&self, flow_id: FlowId, name: &SegmentName) -> Result<ListedSegment, SegmentNameError> {
        let inventory = self.state.inventory();
        let flow = inventory.flow(flow_id).ok_or(SegmentNameError::NotFound)?;
        let start = match name {
            SegmentName::At(start) => *start,
            SegmentName::Object(id) => {
                let object = inventory.object_slot(id).ok_or(SegmentNameError::NotFound)?;
                let mut starts = inventory.starts_on(object, flow);
                let start = starts.next().ok_or(SegmentNameError::NotFound)?;
                if starts.next().is_some() {
                    return Err(SegmentNameError::Ambiguous);
                }
                start
            }
        };
        let segment = inventory.segment_at(flow, start.as_nanos()).ok_or(SegmentNameError::NotFound)?;
        Ok(self.listed(flow, &segment))
    }

    fn segments_in(
        &self,
        flow: FlowSlot,
        filter: &SegmentFilter,
        after: Option<Timestamp>,
        paging: &Paging<'_>,
    ) -> Page<ListedSegment> {
        // The rest of the listing. Starts are unique within a Flow and inclusive, so a start says exactly where to go
        // on; what starts earlier and reaches into the rest was listed before.
        let range = filter.timerange.unwrap_or(TimeRange::ETERNITY);
        let bound = after.map(|start| (start, Clusivity::Exclusive));
        let rest = match paging.direction {
            Direction::Usual => range.intersection(&TimeRange::new(bound, None)),
            Direction::Reversed => range.intersection(&TimeRange::new(None, bound)),
        };
        let inventory = self.state.inventory();
        let segments: Box<dyn DoubleEndedIterator<Item = StoredSegment> + '_> = if filter.wants_tags() {
            Box::new(inventory.tagged_segments(flow, &rest).map(|(segment, _)| segment))
        } else {
            Box::new(inventory.segments(flow, &rest))
        };
        let is_left = |segment: &StoredSegment| match (paging.direction, after) {
            (Direction::Usual, Some(after)) => start_of(segment) > after,
            (Direction::Usual, None) | (Direction::Reversed, _) => true,
        };
        let is_wanted = |segment: &StoredSegment| is_left(segment) && self.has_tags(flow, segment, &filter.tags);
        let choose = |segment| is_wanted(&segment).then(|| (start_of(&segment), self.listed(flow, &segment)));
        match paging.direction {
            Direction::Usual => Page::collect(segments.filter_map(choose), paging.limit, encode_start),
            Direction::Reversed => Page::collect(segments.rev().filter_map(choose), paging.limit, encode_start),
        }
    }

    /// The cost grows with the uses of the object by the Flow, not with the segments of the Flow.
    fn segments_of_object(
        &self,
        flow: FlowSlot,
        object_id: &ObjectId,
        filter: &SegmentFilter,
        after: Option<Timestamp>,
        paging: &Paging<'_>,
    ) -> Page<ListedSegment> {
        let inventory = self.state.inventory();
        let object = inventory.object_slot(object_id);
        let mut starts: Vec<_> = object.into_iter().flat_map(|object| inventory.starts_on(object, flow)).collect();
        if paging.direction == Direction::Reversed {
            starts.reverse();
        }
        let is_left = |start: &Timestamp| match (paging.direction, after) {
            (_, None) => true,
            (Direction::Usual, Some(after)) => *start > after,
            (Direction::Reversed, Some(after)) => *start < after,
        };
        let left = starts.into_iter().filter(is_left);
        let segments = left.filter_map(|start| inventory.segment_at(flow, start.as_nanos()));
        let chosen = segments.filter(|segment| {
            filter.timerange.is_none_or(|range| segment.timerange.overlaps(&range))
                && self.has_tags(flow, segment, &filter.tags)
        });
        let placed = chosen.map(|segment| (start_of(&segment), self.listed(flow, &segment)));
        Page::collect(placed, paging.limit, encode_start)
    }

    fn has_tags(&self, flow: FlowSlot, segment: &StoredSegment, filters: &[TagFilter]) -> bool {
        let tags = || self.state.inventory().segment_tags(flow, start_of(segment));
        filters.is_empty() || {
            let (tags, none) = (tags(), Tags::new());
            filters.iter().all(|filter| filter.matches(tags.unwrap_or(&none)))
        }
    }

    fn listed(&self, flow: FlowSlot, segment: &StoredSegment) -> ListedSegment {
        let inventory = self.state.inventory();
        let (instances, key_frame_count) = inventory.object_access(segment.object);
        ListedSegment {
            object_id: inventory.object_id(segment.object),
            timerange: segment.timerange,
            ts_offset: segment.ts_offset,
            last_duration: segment.last_duration,
            sample_offset: segment.sample_offset,
            sample_count: segment.sample_count,
            object_timerange: inventory.object_range(segment.object),
            key_frame_count,
            instances,
            init: self.listed_init(segment.object),
            tags: inventory.segment_tags(flow, start_of(segment)).cloned().map(Arc::new),
        }
    }

    /// The init object of a media object.
    pub(super) fn listed_init(&self, media: ObjectSlot) -> Option<ListedInit> {
        let inventory = self.state.inventory();
        let init = inventory.init_of(media)?;
        let (instances, _) = inventory.object_access(init);
        Some(ListedInit { object_id: inventory.object_id(init), instances })
    }
}

fn start_of(segment: &StoredSegment) -> Timestamp {
    segment.timerange.start().map_or(Timestamp::MIN, |(start, _)| start)
}

/// Marks the cursors of segments.
const SEGMENT_MARK: u8 = b's';

fn encode_start(start: Timestamp) -> String {
    let (seconds, nanoseconds) = start.to_parts();
    let mut bytes = vec![SEGMENT_MARK];
    bytes.extend(seconds.to_be_bytes());
    bytes.extend(nanoseconds.to_be_bytes());
    encode_cursor(&bytes)
}

/// The start of the segment whose place a cursor names.
pub(crate) fn decode_start(cursor: &str) -> Result<Timestamp, InvalidCursor> {
    let bytes = decode_cursor(cursor)?;
    let [SEGMENT_MARK, rest @ ..] = bytes.as_slice() else { return Err(InvalidCursor) };
    let (seconds, nanoseconds) = rest.split_first_chunk().ok_or(InvalidCursor)?;
    let nanoseconds = nanoseconds.try_into().map_err(|_| InvalidCursor)?;
    Timestamp::from_parts(i64::from_be_bytes(*seconds), u32::from_be_bytes(nanoseconds)).ok_or(InvalidCursor)
}
