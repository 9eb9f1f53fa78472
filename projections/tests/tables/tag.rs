//! Tags of single segments, and tags across the store: extensions.

use tapelog_commands::{Command, SegmentName, TagSegment, TagsChange};
use tapelog_events::{TagValue, Timestamp};
use tapelog_projections::{
    Direction, InvalidCursor, Paging, SegmentFilter, SegmentNameError, TagCondition, TagFilter, TagStatistics,
};

use crate::scribe::{
    Scribe, first_page, flow, metadata, new_segment, object, post, put, range, reversed, set, source, tag,
};

fn at(seconds: i64) -> SegmentName {
    SegmentName::At(Timestamp::from_parts(seconds, 0).unwrap())
}

fn tag_segment(segment: SegmentName, name: &str, value: &str) -> Command {
    let change = TagsChange::Set(name.to_owned(), TagValue::One(value.to_owned()));
    Command::TagSegment(TagSegment { flow_id: flow(1), segment, change })
}

fn recorded() -> Scribe {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1))));
    let of = |name: &str, text: &str| tapelog_commands::NewSegment {
        ts_offset: range(text).start().unwrap().0,
        ..new_segment(object(name), range(text))
    };
    scribe.write(post(flow(1), vec![of("once", "[0:0_1:0)"), of("twice", "[1:0_2:0)"), of("twice", "[2:0_3:0)")]));
    scribe
}

#[test]
fn a_segment_is_named_by_its_start_or_by_an_object_that_no_other_uses() {
    let mut scribe = recorded();
    scribe.write(tag_segment(at(0), "k", "v"));
    let named = |name: &SegmentName| scribe.tables.segment_named(flow(1), name);
    let tags = named(&SegmentName::Object(object("once"))).unwrap().tags.unwrap();
    assert_eq!(tags.get("k"), Some(&TagValue::One("v".to_owned())));
    assert_eq!(named(&at(1)).unwrap().tags, None);
    assert_eq!(named(&SegmentName::Object(object("twice"))), Err(SegmentNameError::Ambiguous));
    assert_eq!(named(&SegmentName::Object(object("never"))), Err(SegmentNameError::NotFound));
    assert_eq!(named(&at(9)), Err(SegmentNameError::NotFound));
    assert_eq!(scribe.tables.segment_named(flow(2), &at(0)), Err(SegmentNameError::NotFound));
}

#[test]
fn segments_are_filtered_by_their_tags() {
    let mut scribe = recorded();
    scribe.write(tag_segment(at(0), "k", "v")).write(tag_segment(at(2), "k", "w"));
    let listed = |condition: &TagCondition, paging: &Paging<'_>| {
        let tags = vec![TagFilter { name: "k".to_owned(), condition: condition.clone() }];
        let filter = SegmentFilter { tags, ..SegmentFilter::default() };
        let page = scribe.tables.segments(flow(1), &filter, paging).unwrap().page;
        (page.items.iter().map(|segment| segment.timerange.to_string()).collect::<Vec<_>>(), page.next)
    };
    let is_v = TagCondition::AnyOf(vec!["v".to_owned()]);
    assert_eq!(listed(&is_v, &first_page(9)).0, ["[0:0_1:0)"]);
    assert_eq!(listed(&TagCondition::Absent, &first_page(9)).0, ["[1:0_2:0)"]);
    assert_eq!(listed(&TagCondition::Present, &reversed(9)).0, ["[2:0_3:0)", "[0:0_1:0)"]);
    let (first, next) = listed(&TagCondition::Present, &first_page(1));
    let (second, end) = listed(&TagCondition::Present, &Paging { cursor: next.as_deref(), ..first_page(1) });
    assert_eq!((first, second, end), (vec!["[0:0_1:0)".to_owned()], vec!["[2:0_3:0)".to_owned()], None));
}

#[test]
fn tags_are_counted_across_the_store_and_listed_by_the_beginning_of_their_names() {
    let mut scribe = recorded();
    let one = |text: &str| TagValue::One(text.to_owned());
    scribe.write(put(flow(2), metadata(source(1))));
    scribe.write(set(flow(1), tag("genre", TagValue::Many(vec!["news".to_owned(), "news".to_owned()]))));
    scribe.write(set(flow(2), tag("genre", one("sport")))).write(set(flow(2), tag("gene", one("x"))));
    scribe.write(tag_segment(at(0), "genre", "news")).write(tag_segment(at(1), "take", "1"));
    let names = |prefix: &str, paging: &Paging<'_>| {
        let page = scribe.tables.tag_names(prefix, paging).unwrap();
        (page.items.iter().map(|found| found.name.clone()).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(names("", &first_page(9)).0, ["gene", "genre", "take"]);
    assert_eq!(names("gen", &reversed(9)).0, ["genre", "gene"]);
    assert_eq!(names("gen", &first_page(2)), (vec!["gene".to_owned(), "genre".to_owned()], None));
    let (first, next) = names("gen", &first_page(1));
    let cursor = next.as_deref();
    assert_eq!(
        (first, names("gen", &Paging { cursor, ..first_page(9) }).0),
        (vec!["gene".into()], vec!["genre".into()])
    );
    assert_eq!(names("take", &Paging { cursor, ..first_page(9) }).0, ["take"]);
    assert!(names("take", &Paging { cursor, direction: Direction::Reversed, limit: 9 }).0.is_empty());
    assert_eq!(scribe.tables.tag_values("genre", &Paging { cursor, ..first_page(9) }).unwrap_err(), InvalidCursor);

    let statistics = scribe.tables.tag_names("genre", &first_page(1)).unwrap().items.remove(0);
    let name = "genre".to_owned();
    assert_eq!(statistics, TagStatistics { name, flows: 2, sources: 0, segments: 1, values: 2 });
    let values = scribe.tables.tag_values("genre", &first_page(9)).unwrap().items;
    let counts: Vec<_> = values.iter().map(|found| (&*found.value, found.flows, found.segments)).collect();
    assert_eq!(counts, [("news", 1, 1), ("sport", 1, 0)]);
}
