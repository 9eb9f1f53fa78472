//! Random histories: the tables against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tapelog_commands::{
    Command, DeleteSegments, FlowMetadata, Handled, NewSegment, SetSourceProperty, SourceProperty, UpdateService,
};
use tapelog_events::{Event, Flow, FlowId, ObjectId, Source, SourceId, TagValue, Tags, TimeRange, Timestamp};
use tapelog_projections::{
    Direction, FlowFilter, Paging, SegmentFilter, SortBy, SourceFilter, Tables, TagCondition, TagFilter,
};

use crate::scribe::{Scribe, allocate, delete, flow, metadata, new_segment, object, post, put, source};

/// Something that is asked for. Much of it is refused, which is as good.
#[derive(Debug, Clone)]
pub enum Step {
    Put { flow: u32, source: u32, label: Option<u8>, tag: Option<u8>, members: Vec<u32> },
    Delete { flow: u32 },
    Label { source: u32, label: Option<u8> },
    Allocate { flow: u32, object: u32 },
    Post { flow: u32, segments: Vec<Posted> },
    DeleteSegments { flow: u32, range: TimeRange, object: Option<u32> },
    Name { name: u8 },
}

/// A segment of an object, each of which is ten seconds long.
#[derive(Debug, Clone)]
pub struct Posted {
    object: u32,
    start: i64,
    /// In seconds, from the object's start.
    skipped: i64,
    length: i64,
    is_external: bool,
    sample_count: Option<i64>,
}

fn label() -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.7, 0..3u8)
}

fn posted() -> impl Strategy<Value = Posted> {
    let numbers = (0..12u32, -30..30i64, 0..4i64, 1..12i64, proptest::bool::weighted(0.7), label());
    numbers.prop_map(|(object, start, skipped, length, is_external, count)| Posted {
        object,
        start,
        skipped,
        length,
        is_external,
        sample_count: count.map(i64::from),
    })
}

pub fn step() -> impl Strategy<Value = Step> {
    let flow = 0..6u32;
    let members = proptest::collection::vec(0..6u32, 0..3);
    prop_oneof![
        4 => (flow.clone(), 0..4u32, label(), label(), members)
            .prop_map(|(flow, source, label, tag, members)| Step::Put { flow, source, label, tag, members }),
        1 => flow.clone().prop_map(|flow| Step::Delete { flow }),
        1 => (0..4u32, label()).prop_map(|(source, label)| Step::Label { source, label }),
        2 => (flow.clone(), 0..12u32).prop_map(|(flow, object)| Step::Allocate { flow, object }),
        8 => (flow.clone(), proptest::collection::vec(posted(), 1..4))
            .prop_map(|(flow, segments)| Step::Post { flow, segments }),
        2 => (flow, some_range(), proptest::option::of(0..12u32))
            .prop_map(|(flow, range, object)| Step::DeleteSegments { flow, range, object }),
        1 => (0..3u8).prop_map(|name| Step::Name { name }),
    ]
}

fn some_range() -> impl Strategy<Value = TimeRange> {
    let bound = || proptest::option::weighted(0.8, (-30..40i64, any::<bool>()));
    (bound(), bound()).prop_map(|(start, end)| {
        let at = |(seconds, inclusive)| {
            use tapelog_events::time::Clusivity::{Exclusive, Inclusive};
            (Timestamp::from_parts(seconds, 0).unwrap(), if inclusive { Inclusive } else { Exclusive })
        };
        TimeRange::new(start.map(at), end.map(at))
    })
}

pub fn object_number(number: u32) -> ObjectId {
    // Both forms that ids are kept in.
    if number.is_multiple_of(2) {
        object(crate::scribe::uuid(0xb000 + number))
    } else {
        object(format!("object/{number}"))
    }
}

fn letter(number: u8) -> String {
    char::from(b'a' + number).to_string()
}

impl Step {
    pub fn command(&self) -> Command {
        match self {
            Self::Put { flow: number, source: of, label, tag, members } => {
                let mut given = metadata(source(*of));
                given.label = label.map(letter);
                given.tags = tag.map(|tag| ("k".to_owned(), TagValue::One(letter(tag)))).into_iter().collect();
                given.flow_collection = (!members.is_empty()).then(|| {
                    let item = |id| tapelog_events::CollectionItem { id, role: None, container_mapping: None };
                    members.iter().map(|member| item(flow(*member))).collect()
                });
                put(flow(*number), FlowMetadata { metadata_version: None, ..given })
            }
            Self::Delete { flow: number } => delete(flow(*number)),
            Self::Label { source: number, label } => Command::SetSourceProperty(SetSourceProperty {
                source_id: source(*number),
                property: SourceProperty::Label(label.map(letter)),
            }),
            Self::Allocate { flow: number, object } => allocate(flow(*number), vec![object_number(*object)]),
            Self::Post { flow: number, segments } => {
                post(flow(*number), segments.iter().map(Posted::segment).collect())
            }
            Self::DeleteSegments { flow: number, range, object } => Command::DeleteSegments(DeleteSegments {
                flow_id: flow(*number),
                timerange: *range,
                object_id: object.map(object_number),
            }),
            Self::Name { name } => {
                Command::UpdateService(UpdateService { name: Some(letter(*name)), description: None })
            }
        }
    }
}

impl Posted {
    fn segment(&self) -> NewSegment {
        let at = |seconds| Timestamp::from_parts(seconds, 0).unwrap();
        let whole = TimeRange::from_start_end(Timestamp::ZERO, at(10));
        let mut segment = new_segment(
            object_number(self.object),
            TimeRange::from_start_end(at(self.start), at(self.start + self.length)),
        );
        segment.ts_offset = at(self.start - self.skipped);
        segment.object_timerange = Some(whole);
        segment.sample_count = self.sample_count;
        if !self.is_external {
            segment.get_urls.clear();
        }
        segment
    }
}

/// What the events say, kept as lists.
#[derive(Default)]
struct Model {
    flows: BTreeMap<FlowId, Flow>,
    sources: BTreeMap<SourceId, Source>,
    segments: Vec<(FlowId, TimeRange, ObjectId)>,
}

impl Model {
    fn take(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::FlowCreated(event) => drop(self.flows.insert(event.flow.id, event.flow.clone())),
                Event::FlowUpdated(event) => drop(self.flows.insert(event.flow.id, event.flow.clone())),
                Event::FlowDeleted(event) => {
                    self.flows.remove(&event.flow_id);
                    self.segments.retain(|(flow, ..)| *flow != event.flow_id);
                }
                Event::SourceCreated(event) => drop(self.sources.insert(event.source.id, event.source.clone())),
                Event::SourceUpdated(event) => drop(self.sources.insert(event.source.id, event.source.clone())),
                Event::SourceDeleted(event) => drop(self.sources.remove(&event.source_id)),
                Event::SegmentsAdded(event) => self.segments.extend(
                    event.segments.iter().map(|added| (event.flow_id, added.timerange, added.object_id.clone())),
                ),
                Event::SegmentsDeleted(event) => self.segments.retain(|(flow, range, object)| {
                    *flow != event.flow_id
                        || !event.timerange.contains_range(range)
                        || event.object_id.as_ref().is_some_and(|asked| asked != object)
                }),
                Event::LogStarted(_) | Event::ServiceUpdated(_) | Event::ObjectsAllocated(_) => {}
            }
        }
    }

    fn collectors(&self, id: FlowId) -> Vec<FlowId> {
        let collects = |flow: &&Flow| flow.members().iter().any(|member| member.id == id);
        self.flows.values().filter(collects).map(|flow| flow.id).collect()
    }

    fn has_tags(filters: &[TagFilter], tags: &Tags) -> bool {
        filters.iter().all(|filter| match (&filter.condition, tags.get(&filter.name)) {
            (TagCondition::AnyOf(texts), Some(TagValue::One(text))) => texts.contains(text),
            (TagCondition::AnyOf(_), _) => false,
            (TagCondition::Present, value) => value.is_some(),
            (TagCondition::Absent, value) => value.is_none(),
        })
    }

    fn listed_flows(&self, filter: &FlowFilter, sort: SortBy, direction: Direction) -> Vec<FlowId> {
        let overlaps = |id: FlowId, asked: &TimeRange| {
            let mut own = self.segments.iter().filter(|(flow, ..)| *flow == id).peekable();
            match *asked {
                TimeRange::ETERNITY => true,
                TimeRange::NEVER => own.peek().is_none(),
                _ => own.any(|(_, range, _)| range.overlaps(asked)),
            }
        };
        let mut flows: Vec<&Flow> = self
            .flows
            .values()
            .filter(|flow| filter.source_id.is_none_or(|id| flow.source_id == id))
            .filter(|flow| filter.label.is_none() || flow.label == filter.label)
            .filter(|flow| Self::has_tags(&filter.tags, &flow.tags))
            .filter(|flow| filter.timerange.is_none_or(|range| overlaps(flow.id, &range)))
            .filter(|flow| {
                filter.collected_by_ids.as_ref().is_none_or(|asked| {
                    let collectors = self.collectors(flow.id);
                    if asked.is_empty() {
                        collectors.is_empty()
                    } else {
                        asked.iter().any(|id| collectors.contains(id))
                    }
                })
            })
            .collect();
        flows.sort_by(|left, right| {
            let by_label = (left.label.is_none(), &left.label).cmp(&(right.label.is_none(), &right.label));
            let by_property = match sort {
                SortBy::Created => right.created.cmp(&left.created),
                SortBy::Updated => right.metadata_updated.cmp(&left.metadata_updated),
                SortBy::Label => by_label,
            };
            by_property.then(left.id.cmp(&right.id))
        });
        let mut ids: Vec<_> = flows.into_iter().map(|flow| flow.id).collect();
        if direction == Direction::Reversed {
            ids.reverse();
        }
        ids
    }

    fn listed_segments(&self, id: FlowId, filter: &SegmentFilter, direction: Direction) -> Vec<(TimeRange, ObjectId)> {
        let mut segments: Vec<_> = self
            .segments
            .iter()
            .filter(|(flow, ..)| *flow == id)
            .filter(|(_, range, _)| filter.timerange.is_none_or(|asked| asked.overlaps(range)))
            .filter(|(.., object)| filter.object_id.as_ref().is_none_or(|asked| asked == object))
            .map(|(_, range, object)| (*range, object.clone()))
            .collect();
        segments.sort_by_key(|(range, _)| range.start());
        if direction == Direction::Reversed {
            segments.reverse();
        }
        segments
    }
}

/// All items of a listing, page by page.
fn all_pages<T>(
    direction: Direction,
    limit: usize,
    mut page: impl FnMut(&Paging<'_>) -> (Vec<T>, Option<String>),
) -> Vec<T> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (items, next) = page(&Paging { direction, cursor: cursor.as_deref(), limit });
        assert!(next.is_none() || items.len() == limit, "only the last page is short");
        found.extend(items);
        cursor = next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Usual), Just(Direction::Reversed)]
}

fn sort() -> impl Strategy<Value = SortBy> {
    prop_oneof![Just(SortBy::Created), Just(SortBy::Updated), Just(SortBy::Label)]
}

fn tag_filters() -> impl Strategy<Value = Vec<TagFilter>> {
    let condition = prop_oneof![
        proptest::collection::vec((0..3u8).prop_map(letter), 1..3).prop_map(TagCondition::AnyOf),
        Just(TagCondition::Present),
        Just(TagCondition::Absent),
    ];
    let filter = condition.prop_map(|condition| TagFilter { name: "k".to_owned(), condition });
    proptest::collection::vec(filter, 0..2)
}

fn flow_filter() -> impl Strategy<Value = FlowFilter> {
    let rarely = 0.3;
    (
        proptest::option::weighted(rarely, (0..4u32).prop_map(source)),
        proptest::option::weighted(rarely, some_range()),
        proptest::option::weighted(rarely, (0..3u8).prop_map(letter)),
        tag_filters(),
        proptest::option::weighted(rarely, proptest::collection::vec((0..6u32).prop_map(flow), 0..2)),
    )
        .prop_map(|(source_id, timerange, label, tags, collected_by_ids)| FlowFilter {
            source_id,
            timerange,
            label,
            tags,
            collected_by_ids,
            ..FlowFilter::default()
        })
}

fn segment_filter() -> impl Strategy<Value = SegmentFilter> {
    (proptest::option::of(some_range()), proptest::option::weighted(0.3, 0..12u32))
        .prop_map(|(timerange, object)| SegmentFilter { timerange, object_id: object.map(object_number) })
}

fn check_objects(model: &Model, tables: &Tables) {
    for number in 0..12 {
        let id = object_number(number);
        let uses = model.segments.iter().filter(|(.., object)| *object == id);
        let flows: BTreeSet<_> = uses.map(|(flow, ..)| *flow).collect();
        let stored = tables.object(&id).map(|object| object.flows);
        assert_eq!(stored, (!flows.is_empty()).then_some(flows), "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn listings_are_those_of_a_naive_model(
        steps in proptest::collection::vec(step(), 1..80),
        queries in proptest::collection::vec((flow_filter(), sort(), direction(), 1..5usize), 6),
        segment_queries in proptest::collection::vec((0..6u32, segment_filter(), direction(), 1..5usize), 12),
    ) {
        let mut scribe = Scribe::new();
        let mut model = Model::default();
        for step in &steps {
            if let Handled::Commit(commit, _) = scribe.ask(step.command()) {
                model.take(&commit.events);
            }
        }
        let tables = &scribe.tables;
        for (filter, sort, direction, limit) in queries {
            let found = all_pages(direction, limit, |paging| {
                let page = tables.flows(&filter, sort, paging).unwrap();
                (page.items.iter().map(|view| view.flow().id).collect(), page.next)
            });
            prop_assert_eq!(found, model.listed_flows(&filter, sort, direction));

            let source_filter = SourceFilter { label: filter.label, tags: filter.tags, ..SourceFilter::default() };
            let found: BTreeSet<SourceId> = all_pages(direction, limit, |paging| {
                let page = tables.sources(&source_filter, sort, paging).unwrap();
                (page.items.iter().map(|view| view.source().id).collect(), page.next)
            }).into_iter().collect();
            let expected = model.sources.values()
                .filter(|source| source_filter.label.is_none() || source.label == source_filter.label)
                .filter(|source| Model::has_tags(&source_filter.tags, &source.tags));
            prop_assert_eq!(found, expected.map(|source| source.id).collect::<BTreeSet<_>>());
        }
        for (number, filter, direction, limit) in segment_queries {
            let found = all_pages(direction, limit, |paging| {
                let page = tables.segments(flow(number), &filter, paging).unwrap().page;
                let items = page.items.into_iter().map(|segment| (segment.timerange, segment.object_id));
                (items.collect(), page.next)
            });
            prop_assert_eq!(&found, &model.listed_segments(flow(number), &filter, direction));
            let hull = model.listed_segments(flow(number), &SegmentFilter::default(), direction)
                .iter().fold(TimeRange::NEVER, |hull, (range, _)| hull.hull(range));
            prop_assert_eq!(tables.flow_range(flow(number), None), hull);
        }
        check_objects(&model, tables);
    }
}
