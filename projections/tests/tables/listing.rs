//! Listings of Flows and Sources, and the form they are served in (sections 1.7, 1.8, 2.3, 2.4, 3.5 to 3.7).

use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::{Value, json};
use tapelog_commands::{FlowMetadata, FlowProperty, Technical};
use tapelog_events::{
    AUTH_CLASSES, Access, CollectionItem, EssenceParameters, FlowId, FlowStatus, Format, ImageEssence, MultiEssence,
    SourceId, TagValue, TechnicalMetadata,
};
use tapelog_projections::{
    Direction, FlowFilter, FlowView, InvalidCursor, Paging, SortBy, SourceFilter, Tables, TagCondition, TagFilter,
};

use crate::scribe::{
    Scribe, collecting, delete, delete_segments, first_page, flow, labelled, metadata, post_ranges, put, range,
    reader_of, reversed, set, source, tag, technical,
};

fn flows_sorted(tables: &Tables, filter: &FlowFilter, sort: SortBy, paging: &Paging<'_>) -> Vec<FlowId> {
    let page = tables.flows(filter, sort, paging).unwrap();
    page.items.iter().map(|view| view.flow().id).collect()
}

fn flows(tables: &Tables, filter: &FlowFilter) -> Vec<FlowId> {
    let mut ids = flows_sorted(tables, filter, SortBy::Created, &first_page(100));
    ids.sort();
    ids
}

fn sources(tables: &Tables, filter: &SourceFilter) -> Vec<SourceId> {
    let page = tables.sources(filter, SortBy::Created, &first_page(100)).unwrap();
    let mut ids: Vec<_> = page.items.iter().map(|view| view.source().id).collect();
    ids.sort();
    ids
}

fn json_of(view: FlowView<'_>, timerange: Option<&str>) -> Value {
    let mut text = Vec::new();
    view.write_json(&mut text, timerange.map(range), &Access::Unrestricted);
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn dates_are_listed_newest_first_and_labels_from_a_to_z_with_the_unlabelled_last() {
    let mut scribe = Scribe::new();
    scribe.write(labelled(flow(1), source(1), Some("b")));
    scribe.write(labelled(flow(2), source(2), None));
    scribe.write(labelled(flow(3), source(3), Some("a")));
    scribe.write(labelled(flow(4), source(4), None));
    scribe.write(set(flow(1), FlowProperty::MaxBitRate(Some(1))));
    let tables = &scribe.tables;
    let all = FlowFilter::default();
    for (sort, order) in
        [(SortBy::Created, [4, 3, 2, 1]), (SortBy::Updated, [1, 4, 3, 2]), (SortBy::Label, [3, 1, 2, 4])]
    {
        let mut order = order.map(flow);
        assert_eq!(flows_sorted(tables, &all, sort, &first_page(9)), order, "{sort:?}");
        order.reverse();
        assert_eq!(flows_sorted(tables, &all, sort, &reversed(9)), order, "{sort:?}");
    }
    let by_label = tables.sources(&SourceFilter::default(), SortBy::Label, &reversed(9)).unwrap();
    let labels: Vec<_> = by_label.items.iter().map(|view| view.source().label.as_deref()).collect();
    assert_eq!(labels, [None, None, Some("b"), Some("a")]);
}

#[test]
fn pages_are_full_whatever_is_filtered_and_the_last_names_no_next() {
    let mut scribe = Scribe::new();
    for number in 0..20 {
        scribe.write(labelled(flow(number), source(number % 2), Some(if number % 3 == 0 { "x" } else { "y" })));
    }
    let filter = FlowFilter { label: Some("x".to_owned()), ..FlowFilter::default() };
    let first = scribe.tables.flows(&filter, SortBy::Created, &first_page(4)).unwrap();
    assert_eq!(first.items.len(), 4);
    let cursor = first.next.unwrap();
    let next = Paging { cursor: Some(&cursor), ..first_page(3) };
    let second = scribe.tables.flows(&filter, SortBy::Created, &next).unwrap();
    assert_eq!((second.items.len(), second.next), (3, None));
    let of_source = FlowFilter { source_id: Some(source(0)), ..filter };
    assert_eq!(flows(&scribe.tables, &of_source), [0, 6, 12, 18].map(flow));
    let none = FlowFilter { source_id: Some(source(9)), ..FlowFilter::default() };
    assert!(flows(&scribe.tables, &none).is_empty());
}

#[test]
fn a_cursor_goes_on_where_it_stands_though_its_item_is_gone() {
    let mut scribe = Scribe::new();
    for (number, label) in [(1, Some("a")), (2, Some("b, é")), (3, None), (4, Some("c")), (5, None)] {
        scribe.write(labelled(flow(number), source(number), label));
    }
    let all = FlowFilter::default();
    let cursor = scribe.tables.flows(&all, SortBy::Label, &first_page(2)).unwrap().next.unwrap();
    let late = scribe.tables.flows(&all, SortBy::Label, &first_page(4)).unwrap().next.unwrap();
    scribe.write(delete(flow(2))).write(delete(flow(3))).write(labelled(flow(6), source(6), Some("bb")));
    let after = |cursor| Paging { direction: Direction::Usual, cursor: Some(cursor), limit: 9 };
    assert_eq!(flows_sorted(&scribe.tables, &all, SortBy::Label, &after(&cursor)), [6, 4, 5].map(flow));
    assert_eq!(flows_sorted(&scribe.tables, &all, SortBy::Label, &after(&late)), [flow(5)]);
    for (cursor, sort) in
        [(&*cursor, SortBy::Created), ("", SortBy::Label), ("nonsense", SortBy::Label), ("%", SortBy::Label)]
    {
        assert_eq!(scribe.tables.flows(&all, sort, &after(cursor)).unwrap_err(), InvalidCursor, "{cursor} {sort:?}");
    }
}

#[test]
fn tag_values_match_whole_and_conditions_combine() {
    let mut scribe = Scribe::new();
    let one = |text: &str| TagValue::One(text.to_owned());
    for number in 1..=4 {
        scribe.write(put(flow(number), metadata(source(1))));
    }
    scribe.write(set(flow(1), tag("k", one("foo")))).write(set(flow(2), tag("k", one("foobar"))));
    scribe.write(set(flow(3), tag("k", TagValue::Many(vec!["bar".to_owned(), "foo".to_owned()]))));
    scribe.write(set(flow(3), tag("z/ü", one(""))));
    let filter = |tags: &[(&str, TagCondition)]| FlowFilter {
        tags: tags
            .iter()
            .map(|(name, condition)| TagFilter { name: (*name).to_owned(), condition: condition.clone() })
            .collect(),
        ..FlowFilter::default()
    };
    let any = |texts: &[&str]| TagCondition::AnyOf(texts.iter().map(|text| (*text).to_owned()).collect());
    for (tags, expected) in [
        (vec![("k", any(&["foo"]))], vec![1, 3]),
        (vec![("k", any(&["foobar", "bar"]))], vec![2, 3]),
        (vec![("k", any(&[""]))], vec![]),
        (vec![("k", any(&["foo", "bar"])), ("z/ü", TagCondition::Absent)], vec![1]),
        (vec![("z/ü", TagCondition::Present)], vec![3]),
        (vec![("k", TagCondition::Absent)], vec![4]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(flow).collect();
        assert_eq!(flows(&scribe.tables, &filter(&tags)), expected, "{tags:?}");
    }
}

#[test]
fn each_property_filters_by_its_exact_value() {
    let mut scribe = Scribe::new();
    let frame = ImageEssence {
        frame_width: NonZeroU32::new(1920).unwrap(),
        frame_height: NonZeroU32::new(1080).unwrap(),
        aspect_ratio: None,
    };
    let picture = TechnicalMetadata {
        codec: Some("image/jpeg".to_owned()),
        essence_parameters: Some(EssenceParameters::Image(frame)),
        ..technical(Format::Image)
    };
    let with_init = TechnicalMetadata {
        essence_parameters: Some(EssenceParameters::Multi(MultiEssence { init_segments: Some(true) })),
        ..technical(Format::Multi)
    };
    let own = |technical| Technical::Own(Box::new(technical));
    let closed = Some(FlowStatus::ClosedComplete);
    scribe.write(put(flow(1), FlowMetadata { technical: own(picture), status: closed, ..metadata(source(1)) }));
    scribe.write(put(flow(2), FlowMetadata { technical: own(with_init), ..metadata(source(2)) }));
    scribe.write(labelled(flow(3), source(3), Some("three")));
    let all = FlowFilter::default;
    for (filter, expected) in [
        (FlowFilter { format: Some(Format::Image), ..all() }, vec![1]),
        (FlowFilter { codec: Some("image/jpeg".to_owned()), ..all() }, vec![1]),
        (FlowFilter { frame_width: Some(1920), frame_height: Some(1080), ..all() }, vec![1]),
        (FlowFilter { frame_width: Some(1080), ..all() }, vec![]),
        (FlowFilter { status: closed, ..all() }, vec![1]),
        (FlowFilter { init_segments: Some(true), ..all() }, vec![2]),
        (FlowFilter { init_segments: Some(false), ..all() }, vec![1, 3]),
        (FlowFilter { label: Some("three".to_owned()), ..all() }, vec![3]),
        (FlowFilter { label: Some("thre".to_owned()), ..all() }, vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(flow).collect();
        assert_eq!(flows(&scribe.tables, &filter), expected, "{filter:?}");
    }
    let data = SourceFilter { format: Some(Format::Data), ..SourceFilter::default() };
    assert_eq!(sources(&scribe.tables, &data), [source(3)]);
}

#[test]
fn an_empty_list_of_collectors_asks_for_what_nothing_collects() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), metadata(source(2))));
    scribe.write(collecting(flow(3), source(3), &[flow(2), flow(1)]));
    scribe.write(collecting(flow(4), source(3), &[flow(1)]));
    let by = |ids: Vec<FlowId>| FlowFilter { collected_by_ids: Some(ids), ..FlowFilter::default() };
    assert_eq!(flows(&scribe.tables, &by(vec![])), [3, 4].map(flow));
    assert_eq!(flows(&scribe.tables, &by(vec![flow(4), flow(9)])), [flow(1)]);
    let by = |ids: Vec<SourceId>| SourceFilter { collected_by_ids: Some(ids), ..SourceFilter::default() };
    assert_eq!(sources(&scribe.tables, &by(vec![])), [source(3)]);
    assert_eq!(sources(&scribe.tables, &by(vec![source(3)])), [1, 2].map(source));

    scribe.write(delete(flow(3)));
    assert_eq!(json_of(scribe.tables.flow(flow(1)).unwrap(), None)["collected_by"], json!([flow(4)]));
    assert_eq!(json_of(scribe.tables.flow(flow(2)).unwrap(), None).get("collected_by"), None);
    let mut text = Vec::new();
    scribe.tables.source(source(3)).unwrap().write_json(&mut text, &Access::Unrestricted);
    let document: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["source_collection"], json!([{ "id": source(1) }]));
}

#[test]
fn what_one_may_not_read_is_neither_listed_nor_named() {
    let mut scribe = Scribe::new();
    let of_class = |class: &str, source_id| FlowMetadata {
        tags: [(AUTH_CLASSES.to_owned(), TagValue::One(class.to_owned()))].into(),
        ..metadata(source_id)
    };
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), of_class("news", source(2))));
    let collecting_both = |class, source_id| {
        let item = |id| CollectionItem { id, role: None, container_mapping: None };
        let members = Some(vec![item(flow(1)), item(flow(2))]);
        FlowMetadata { flow_collection: members, ..of_class(class, source_id) }
    };
    scribe.write(put(flow(3), collecting_both("news", source(3))));
    scribe.write(put(flow(4), collecting_both("sport", source(4))));
    let tables = &scribe.tables;
    for (access, listed, members, collectors) in [
        (Arc::default(), vec![1, 2, 3, 4], json!([{ "id": flow(1) }, { "id": flow(2) }]), json!([flow(3), flow(4)])),
        (reader_of("sport"), vec![1, 4], json!([{ "id": flow(1) }]), json!([flow(4)])),
    ] {
        let filter = FlowFilter { access: Arc::clone(&access), ..FlowFilter::default() };
        assert_eq!(flows(tables, &filter), listed.into_iter().map(flow).collect::<Vec<_>>());
        let flow_of = |number| {
            let mut text = Vec::new();
            tables.flow(flow(number)).unwrap().write_json(&mut text, None, &access);
            serde_json::from_slice::<Value>(&text).unwrap()
        };
        assert_eq!((&flow_of(4)["flow_collection"], &flow_of(1)["collected_by"]), (&members, &collectors));
        let by_hidden = FlowFilter { collected_by_ids: Some(vec![flow(3)]), ..filter };
        let is_seen = access.may_read(&tables.flow(flow(3)).unwrap().flow().tags);
        assert_eq!(flows(tables, &by_hidden), if is_seen { vec![flow(1), flow(2)] } else { vec![] });
    }
    let mut text = Vec::new();
    // A Source is of the class of its first Flow.
    tables.source(source(4)).unwrap().write_json(&mut text, &reader_of("sport"));
    let document: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["source_collection"], json!([{ "id": source(1) }]));
}

#[test]
fn a_range_finds_flows_by_their_segments_and_never_finds_those_without() {
    let mut scribe = Scribe::new();
    for number in 1..=3 {
        scribe.write(put(flow(number), metadata(source(1))));
    }
    scribe.write(post_ranges(flow(1), &["[0:0_10:0)", "[100:0_110:0)"]));
    scribe.write(post_ranges(flow(2), &["[10:0]"]));
    for (text, expected) in [
        ("_", vec![1, 2, 3]),
        ("()", vec![3]),
        ("[50:0_60:0)", vec![]),
        ("[9:0_60:0)", vec![1, 2]),
        ("[10:0_60:0)", vec![2]),
        ("(10:0_", vec![1]),
        ("_0:0]", vec![1]),
        ("_0:0)", vec![]),
    ] {
        let filter = FlowFilter { timerange: Some(range(text)), ..FlowFilter::default() };
        let expected: Vec<_> = expected.into_iter().map(flow).collect();
        assert_eq!(flows(&scribe.tables, &filter), expected, "{text}");
    }
    scribe.write(delete_segments(flow(2), "_"));
    let empty = FlowFilter { timerange: Some(range("()")), ..FlowFilter::default() };
    assert_eq!(flows(&scribe.tables, &empty), [2, 3].map(flow));
}

#[test]
fn the_range_of_a_flow_is_the_hull_of_its_segments_clipped_where_asked() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1))));
    assert_eq!(scribe.tables.flow_range(flow(1), None), range("()"));
    scribe.write(post_ranges(flow(1), &["[100:0_110:0]", "[0:0_10:0)"]));
    for (clip, expected) in [
        (None, "[0:0_110:0]"),
        (Some("_"), "[0:0_110:0]"),
        (Some("[5:0_60:0)"), "[5:0_10:0)"),
        (Some("[5:0_105:0)"), "[5:0_105:0)"),
        (Some("[50:0_60:0)"), "()"),
        (Some("()"), "()"),
    ] {
        let clip = clip.map(range);
        assert_eq!(scribe.tables.flow_range(flow(1), clip.as_ref()), range(expected), "{clip:?}");
    }
    assert_eq!(scribe.tables.flow_range(flow(9), None), range("()"));
}

#[test]
fn a_flow_is_served_as_it_was_given_with_what_is_derived_beside_it() {
    let mut scribe = Scribe::new();
    let given = FlowMetadata { metadata_version: Some("\"1}".to_owned()), ..metadata(source(1)) };
    scribe.write(put(flow(1), FlowMetadata { label: Some("{".to_owned()), ..given }));
    let created = scribe.now();
    let document = json!({
        "id": flow(1),
        "source_id": source(1),
        "label": "{",
        "created_by": "test",
        "updated_by": "test",
        "tags": {},
        "metadata_version": "\"1}",
        "created": created,
        "metadata_updated": created,
        "format": "urn:x-nmos:format:data",
        "container": "application/json",
    });
    assert_eq!(json_of(scribe.tables.flow(flow(1)).unwrap(), None), document);
    scribe.write(post_ranges(flow(1), &["[0:0_1:0)"]));
    let served = json_of(scribe.tables.flow(flow(1)).unwrap(), Some("[0:0_1:0)"));
    assert_eq!(served["segments_updated"], json!(scribe.now()));
    assert_eq!(served["timerange"], "[0:0_1:0)");
    assert_eq!(served["metadata_updated"], document["metadata_updated"]);
}

#[test]
fn a_source_lives_as_long_as_it_has_flows() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), metadata(source(1))));
    scribe.write(delete(flow(1)));
    assert!(scribe.tables.source(source(1)).is_some() && scribe.tables.flow(flow(1)).is_none());
    scribe.write(delete(flow(2)));
    assert!(scribe.tables.source(source(1)).is_none());
    assert!(sources(&scribe.tables, &SourceFilter::default()).is_empty());
    assert_eq!((scribe.tables.counts().flows, scribe.tables.counts().sources), (0, 0));
}
