//! Objects (sections 2.6 and 8).

use tapelog_events::{Access, Instance, TagValue};
use tapelog_projections::{ObjectKind, Paging, TagCondition, TagFilter};

use crate::scribe::{
    Scribe, allocate, backend, delete, delete_segments, first_page, flow, metadata, new_segment, object, post, put,
    range, reversed, set, source, tag,
};

#[test]
fn an_object_is_seen_while_segments_use_it() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), metadata(source(1))));
    scribe.write(allocate(flow(1), vec![object("a/b")]));
    assert_eq!(scribe.tables.object(&object("a/b")), None);
    let segment = |text| tapelog_commands::NewSegment {
        get_urls: Vec::new(),
        key_frame_count: Some(3),
        ..new_segment(object("a/b"), range(text))
    };
    scribe.write(post(flow(1), vec![segment("[0:0_10:0)")]));
    scribe.write(post(flow(2), vec![segment("[2:0_3:0)"), segment("[3:0_4:0)")]));
    let stored = scribe.tables.object(&object("a/b")).unwrap();
    let (timerange, key_frame_count) = (range("[0:0_10:0)"), Some(3));
    assert_eq!(stored.kind, ObjectKind::Media { timerange, key_frame_count, init: None });
    assert_eq!(stored.first_referenced_by_flow, Some(flow(1)));
    assert_eq!(stored.flows.iter().copied().collect::<Vec<_>>(), [1, 2].map(flow));
    assert_eq!(stored.instances.as_slice(), [Instance::Controlled { storage_id: backend(0) }]);

    scribe.write(delete(flow(1)));
    let stored = scribe.tables.object(&object("a/b")).unwrap();
    assert_eq!((stored.first_referenced_by_flow, stored.flows.len()), (None, 1));
    scribe.write(delete_segments(flow(2), "_"));
    assert_eq!(scribe.tables.object(&object("a/b")), None);
}

#[test]
fn the_flows_that_use_an_object_are_paged_and_filtered_by_their_tags() {
    let mut scribe = Scribe::new();
    for number in 1..=4 {
        scribe.write(put(flow(number), metadata(source(1))));
        scribe.write(post(flow(number), vec![new_segment(object("o"), range("[0:0_1:0)"))]));
    }
    for number in [1, 3, 4] {
        scribe.write(set(flow(number), tag("k", TagValue::One("v".to_owned()))));
    }
    let stored = scribe.tables.object(&object("o")).unwrap();
    let condition = |text: &str| TagCondition::AnyOf(vec![text.to_owned()]);
    let tags = [TagFilter { name: "k".to_owned(), condition: condition("v") }];
    let all = Access::Unrestricted;
    let page = |tags: &[TagFilter], paging: &Paging<'_>| {
        stored.referenced_by_flows(&scribe.tables, tags, &all, paging).unwrap()
    };
    assert_eq!(page(&[], &first_page(9)).items, [1, 2, 3, 4].map(flow));
    let first = page(&tags, &first_page(2));
    assert_eq!(first.items, [1, 3].map(flow));
    let second = page(&tags, &Paging { cursor: first.next.as_deref(), ..first_page(2) });
    assert_eq!((second.items.as_slice(), second.next), ([flow(4)].as_slice(), None));
    assert_eq!(page(&tags, &reversed(9)).items, [4, 3, 1].map(flow));
    let none = [TagFilter { name: "k".to_owned(), condition: condition("w") }];
    assert!(page(&none, &first_page(9)).items.is_empty());
    let garbage = Paging { cursor: Some("x"), ..first_page(9) };
    assert!(stored.referenced_by_flows(&scribe.tables, &[], &all, &garbage).is_err());
}
