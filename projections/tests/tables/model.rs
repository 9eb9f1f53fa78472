//! Random histories: the tables against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tapelog_commands::Handled;
use tapelog_events::{
    Access, Event, Flow, FlowId, FlowStatus, Format, ObjectId, Source, SourceId, TagValue, Tags, TimeRange, Timestamp,
};
use tapelog_projections::{
    Direction, FlowFilter, ObjectKind, Paging, SegmentFilter, SortBy, SourceFilter, Tables, TagCondition, TagFilter,
};

use crate::scribe::{Scribe, first_page, flow, reader_of, source};
use crate::step::{FLOWS, OBJECTS, SOURCES, letter, object_number, profile_id, some_range, step};

struct Stored {
    flow_id: FlowId,
    timerange: TimeRange,
    object_id: ObjectId,
    init: Option<ObjectId>,
    tags: Tags,
}

/// What the events say, kept as lists. Segments of Flows that are not there are those of Flows that were put aside.
#[derive(Default)]
struct Model {
    flows: BTreeMap<FlowId, Flow>,
    sources: BTreeMap<SourceId, Source>,
    segments: Vec<Stored>,
}

impl Model {
    fn take(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::FlowCreated(event) => drop(self.flows.insert(event.flow.id, event.flow.clone())),
                Event::FlowUpdated(event) => drop(self.flows.insert(event.flow.id, event.flow.clone())),
                Event::FlowRestored(event) => drop(self.flows.insert(event.flow.id, event.flow.clone())),
                Event::FlowTrashed(event) => drop(self.flows.remove(&event.flow_id)),
                Event::FlowPurged(event) => self.segments.retain(|stored| stored.flow_id != event.flow_id),
                Event::FlowDeleted(event) => {
                    self.flows.remove(&event.flow_id);
                    self.segments.retain(|stored| stored.flow_id != event.flow_id);
                }
                Event::SourceCreated(event) => drop(self.sources.insert(event.source.id, event.source.clone())),
                Event::SourceUpdated(event) => drop(self.sources.insert(event.source.id, event.source.clone())),
                Event::SourceDeleted(event) => drop(self.sources.remove(&event.source_id)),
                Event::SegmentsAdded(event) => self.segments.extend(event.segments.iter().map(|added| Stored {
                    flow_id: event.flow_id,
                    timerange: added.timerange,
                    object_id: added.object_id.clone(),
                    init: added.init_object.map(|number| event.init_objects[number as usize].object_id.clone()),
                    tags: Tags::new(),
                })),
                Event::SegmentsDeleted(event) => self.segments.retain(|stored| {
                    stored.flow_id != event.flow_id
                        || !event.timerange.contains_range(&stored.timerange)
                        || event.object_id.as_ref().is_some_and(|asked| *asked != stored.object_id)
                }),
                Event::SegmentTagged(event) => {
                    let is_tagged = |stored: &&mut Stored| {
                        stored.flow_id == event.flow_id && start_of(&stored.timerange) == event.start
                    };
                    self.segments.iter_mut().find(is_tagged).unwrap().tags = event.tags.clone();
                }
                _ => {}
            }
        }
    }

    fn may_read_flow(&self, access: &Access, id: FlowId) -> bool {
        self.flows.get(&id).is_some_and(|flow| access.may_read(&flow.tags))
    }

    fn may_read_source(&self, access: &Access, id: SourceId) -> bool {
        self.sources.get(&id).is_some_and(|source| access.may_read(&source.tags))
    }

    fn collectors(&self, id: FlowId) -> BTreeSet<FlowId> {
        let collects = |flow: &&Flow| flow.members().iter().any(|member| member.id == id);
        self.flows.values().filter(collects).map(|flow| flow.id).collect()
    }

    /// Which Sources collect which.
    fn source_collections(&self) -> BTreeSet<(SourceId, SourceId)> {
        let members = |flow: &Flow| flow.members().iter().map(|member| member.id).collect::<Vec<_>>();
        let pairs = self.flows.values().flat_map(|flow| members(flow).into_iter().map(|id| (flow.source_id, id)));
        pairs.filter_map(|(collector, id)| Some((collector, self.flows.get(&id)?.source_id))).collect()
    }

    fn has_tags(filters: &[TagFilter], tags: &Tags) -> bool {
        filters.iter().all(|filter| match (&filter.condition, tags.get(&filter.name)) {
            (TagCondition::AnyOf(texts), Some(TagValue::One(text))) => texts.contains(text),
            (TagCondition::AnyOf(texts), Some(TagValue::Many(all))) => all.iter().any(|text| texts.contains(text)),
            (TagCondition::AnyOf(_), None) => false,
            (TagCondition::Present, value) => value.is_some(),
            (TagCondition::Absent, value) => value.is_none(),
        })
    }

    fn flow_passes(&self, filter: &FlowFilter, flow: &Flow) -> bool {
        let overlaps = |asked: &TimeRange| {
            let mut own = self.segments.iter().filter(|stored| stored.flow_id == flow.id).peekable();
            match *asked {
                TimeRange::ETERNITY => true,
                TimeRange::NEVER => own.peek().is_none(),
                _ => own.any(|stored| stored.timerange.overlaps(asked)),
            }
        };
        let essence = flow.essence_parameters.as_ref();
        let frame = essence.and_then(|essence| essence.frame_size());
        let mut collectors = self.collectors(flow.id);
        collectors.retain(|id| self.may_read_flow(&filter.access, *id));
        let has_members = flow.members().iter().any(|member| self.may_read_flow(&filter.access, member.id));
        filter.source_id.is_none_or(|id| flow.source_id == id)
            && (filter.label.is_none() || flow.label == filter.label)
            && filter.format.is_none_or(|format| flow.format == format)
            && (filter.codec.is_none() || flow.codec == filter.codec)
            && (filter.profile_id.is_none() || flow.profile_id == filter.profile_id)
            && (filter.status.is_none() || flow.status == filter.status)
            && (filter.frame_width.is_none() || frame.map(|(width, _)| width) == filter.frame_width)
            && filter.init_segments.is_none_or(|asked| essence.is_some_and(|it| it.init_segments()) == asked)
            && Self::has_tags(&filter.tags, &flow.tags)
            && filter.timerange.is_none_or(|range| overlaps(&range))
            && filter.collected_by_ids.as_ref().is_none_or(|asked| is_collected(asked, &collectors))
            && filter.has_collection.is_none_or(|asked| has_members == asked)
            && filter.access.may_read(&flow.tags)
    }

    fn listed_flows(&self, filter: &FlowFilter, sort: SortBy, direction: Direction) -> Vec<FlowId> {
        let passing = self.flows.values().filter(|flow| self.flow_passes(filter, flow));
        let keyed = passing.map(|flow| (key(sort, flow.created, flow.metadata_updated, &flow.label), flow.id));
        in_order(keyed.collect(), direction)
    }

    fn listed_sources(&self, filter: &SourceFilter, sort: SortBy, direction: Direction) -> Vec<SourceId> {
        let collections = self.source_collections();
        let may_read = |id: SourceId| self.may_read_source(&filter.access, id);
        let passes = |source: &&Source| {
            let collectors = collections.iter().filter(|(by, id)| *id == source.id && may_read(*by));
            let collectors: BTreeSet<_> = collectors.map(|(by, _)| *by).collect();
            let has_members = collections.iter().any(|(by, id)| *by == source.id && may_read(*id));
            (filter.label.is_none() || source.label == filter.label)
                && filter.format.is_none_or(|format| source.format == format)
                && Self::has_tags(&filter.tags, &source.tags)
                && filter.collected_by_ids.as_ref().is_none_or(|asked| is_collected(asked, &collectors))
                && filter.has_collection.is_none_or(|asked| has_members == asked)
                && filter.access.may_read(&source.tags)
        };
        let passing = self.sources.values().filter(passes);
        let keyed = passing.map(|source| (key(sort, source.created, source.updated, &source.label), source.id));
        in_order(keyed.collect(), direction)
    }

    fn listed_segments(&self, id: FlowId, filter: &SegmentFilter, direction: Direction) -> Vec<(TimeRange, ObjectId)> {
        let passing = self
            .segments
            .iter()
            .filter(|stored| stored.flow_id == id && self.flows.contains_key(&id))
            .filter(|stored| filter.timerange.is_none_or(|asked| asked.overlaps(&stored.timerange)))
            .filter(|stored| filter.object_id.as_ref().is_none_or(|asked| *asked == stored.object_id))
            .filter(|stored| Self::has_tags(&filter.tags, &stored.tags));
        let keyed = passing.map(|stored| (start_of(&stored.timerange), (stored.timerange, stored.object_id.clone())));
        in_order(keyed.collect(), direction)
    }

    /// How many Flows, Sources and segments have each tag, and each text of each.
    fn tag_counts(&self) -> BTreeMap<(String, Option<String>), [u64; 3]> {
        let flows = self.flows.values().map(|flow| (0, &flow.tags));
        let sources = self.sources.values().map(|source| (1, &source.tags));
        let shown = self.segments.iter().filter(|stored| self.flows.contains_key(&stored.flow_id));
        let mut counts = BTreeMap::new();
        for (place, tags) in flows.chain(sources).chain(shown.map(|stored| (2, &stored.tags))) {
            for (name, value) in tags {
                let texts: BTreeSet<&String> = value.texts().iter().collect();
                for text in std::iter::once(None).chain(texts.into_iter().cloned().map(Some)) {
                    counts.entry((name.clone(), text)).or_insert([0; 3])[place] += 1;
                }
            }
        }
        counts
    }
}

fn start_of(range: &TimeRange) -> Timestamp {
    range.start().unwrap().0
}

fn is_collected<Id: Ord>(asked: &[Id], collectors: &BTreeSet<Id>) -> bool {
    if asked.is_empty() { collectors.is_empty() } else { asked.iter().any(|id| collectors.contains(id)) }
}

/// What comes before, by text that sorts like it.
fn key(
    sort: SortBy,
    created: tapelog_events::Instant,
    updated: tapelog_events::Instant,
    label: &Option<String>,
) -> (i64, bool, Option<String>) {
    match sort {
        SortBy::Created => (-created.as_micros(), false, None),
        SortBy::Updated => (-updated.as_micros(), false, None),
        SortBy::Label => (0, label.is_none(), label.clone()),
    }
}

/// By key; what has equal keys stays in its order, which is that of ids.
fn in_order<K: Ord, T>(mut keyed: Vec<(K, T)>, direction: Direction) -> Vec<T> {
    keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut items: Vec<T> = keyed.into_iter().map(|(_, item)| item).collect();
    if direction == Direction::Reversed {
        items.reverse();
    }
    items
}

/// All items of a listing, page by page.
pub fn all_pages<T>(
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

pub fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Usual), Just(Direction::Reversed)]
}

pub fn sort() -> impl Strategy<Value = SortBy> {
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

pub fn access() -> impl Strategy<Value = Arc<Access>> {
    proptest::option::of(0..2u8).prop_map(|class| class.map_or_else(Arc::default, |class| reader_of(&letter(class))))
}

fn rarely<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.2, value)
}

pub fn flow_filter() -> impl Strategy<Value = FlowFilter> {
    let technical = (
        rarely(proptest::sample::select(vec![Format::Data, Format::Image])),
        rarely(Just("text/x".to_owned())),
        rarely((0..2u8).prop_map(profile_id)),
        rarely(Just(1920)),
        rarely(any::<bool>()),
        proptest::option::weighted(0.05, Just(FlowStatus::Ingesting)),
    );
    let editorial = (
        rarely((0..SOURCES).prop_map(source)),
        rarely(some_range()),
        rarely((0..3u8).prop_map(letter)),
        tag_filters(),
        rarely(proptest::collection::vec((0..FLOWS).prop_map(flow), 0..2)),
        rarely(any::<bool>()),
        access(),
    );
    (technical, editorial).prop_map(|(technical, editorial)| FlowFilter {
        source_id: editorial.0,
        timerange: editorial.1,
        format: technical.0,
        codec: technical.1,
        profile_id: technical.2,
        label: editorial.2,
        status: technical.5,
        tags: editorial.3,
        frame_width: technical.3,
        frame_height: None,
        init_segments: technical.4,
        collected_by_ids: editorial.4,
        has_collection: editorial.5,
        access: editorial.6,
    })
}

pub fn source_filter() -> impl Strategy<Value = SourceFilter> {
    let collected = rarely(proptest::collection::vec((0..SOURCES).prop_map(source), 0..2));
    let format = rarely(proptest::sample::select(vec![Format::Data, Format::Image]));
    (rarely((0..3u8).prop_map(letter)), format, tag_filters(), collected, rarely(any::<bool>()), access()).prop_map(
        |(label, format, tags, collected_by_ids, has_collection, access)| SourceFilter {
            label,
            format,
            tags,
            collected_by_ids,
            has_collection,
            access,
        },
    )
}

pub fn segment_filter() -> impl Strategy<Value = SegmentFilter> {
    (proptest::option::of(some_range()), proptest::option::weighted(0.3, 0..OBJECTS), tag_filters())
        .prop_map(|(timerange, object, tags)| SegmentFilter { timerange, object_id: object.map(object_number), tags })
}

fn check_objects(model: &Model, tables: &Tables, access: &Access) {
    for number in 0..OBJECTS {
        let id = object_number(number);
        let shown = || model.segments.iter().filter(|stored| model.flows.contains_key(&stored.flow_id));
        let as_media: BTreeSet<_> = shown().filter(|stored| stored.object_id == id).map(|it| it.flow_id).collect();
        let as_init = shown().filter(|stored| stored.init.as_ref() == Some(&id)).map(|stored| stored.flow_id);
        let as_init: BTreeSet<_> = as_init.collect();
        assert!(as_media.is_empty() || as_init.is_empty(), "{id}");
        let Some(object) = tables.object(&id) else {
            assert!(as_media.is_empty() && as_init.is_empty(), "{id}");
            continue;
        };
        assert_eq!(matches!(object.kind, ObjectKind::Init), as_media.is_empty());
        assert_eq!(object.flows, as_media.union(&as_init).copied().collect(), "{id}");
        let readable: Vec<_> = object.flows.iter().copied().filter(|id| model.may_read_flow(access, *id)).collect();
        assert_eq!(object.is_readable(tables, access), !readable.is_empty());
        let listed = object.referenced_by_flows(tables, &[], access, &first_page(usize::MAX)).unwrap();
        assert_eq!(listed.items, readable);
    }
}

fn check_tags(model: &Model, tables: &Tables, direction: Direction, limit: usize) {
    let mut found = BTreeMap::new();
    let names = all_pages(direction, limit, |paging| {
        let page = tables.tag_names("", paging).unwrap();
        (page.items, page.next)
    });
    for of_name in names {
        let values = all_pages(direction, limit, |paging| {
            let page = tables.tag_values(&of_name.name, paging).unwrap();
            (page.items, page.next)
        });
        assert_eq!(values.len() as u64, of_name.values);
        for of_value in values {
            let counts = [of_value.flows, of_value.sources, of_value.segments];
            found.insert((of_name.name.clone(), Some(of_value.value)), counts);
        }
        found.insert((of_name.name, None), [of_name.flows, of_name.sources, of_name.segments]);
    }
    assert_eq!(found, model.tag_counts());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn listings_are_those_of_a_naive_model(
        steps in proptest::collection::vec(step(), 1..100),
        flow_queries in proptest::collection::vec((flow_filter(), sort(), direction(), 1..5usize), 12),
        source_queries in proptest::collection::vec((source_filter(), sort(), direction(), 1..5usize), 8),
        segment_queries in proptest::collection::vec((0..FLOWS, segment_filter(), direction(), 1..5usize), 12),
        access in access(),
    ) {
        let mut scribe = Scribe::new();
        let mut model = Model::default();
        for step in &steps {
            if let Handled::Commit(commit, _) = scribe.ask(step.command(&scribe)) {
                model.take(&commit.events);
            }
        }
        let tables = &scribe.tables;
        for (filter, sort, direction, limit) in flow_queries {
            let found = all_pages(direction, limit, |paging| {
                let page = tables.flows(&filter, sort, paging).unwrap();
                (page.items.iter().map(|view| view.flow().id).collect(), page.next)
            });
            prop_assert_eq!(found, model.listed_flows(&filter, sort, direction));
        }
        for (filter, sort, direction, limit) in source_queries {
            let found = all_pages(direction, limit, |paging| {
                let page = tables.sources(&filter, sort, paging).unwrap();
                (page.items.iter().map(|view| view.source().id).collect(), page.next)
            });
            prop_assert_eq!(found, model.listed_sources(&filter, sort, direction));
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
            check_tags(&model, tables, direction, limit);
        }
        check_objects(&model, tables, &access);
    }
}
