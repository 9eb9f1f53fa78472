//! Listings of segments (sections 2.5 and 3.4 to 3.8).

use tapelog_events::{FlowId, TimeRange, Timestamp};
use tapelog_projections::{Direction, InvalidCursor, Paging, SegmentFilter, Tables};

use crate::scribe::{
    Scribe, delete_segments, first_page, flow, metadata, new_segment, object, post, post_ranges, put, range, reversed,
    source,
};

fn in_range(text: &str) -> SegmentFilter {
    SegmentFilter { timerange: Some(range(text)), ..SegmentFilter::default() }
}

fn listed(tables: &Tables, id: FlowId, filter: &SegmentFilter, paging: &Paging<'_>) -> Vec<String> {
    let page = tables.segments(id, filter, paging).unwrap().page;
    page.items.iter().map(|segment| segment.timerange.to_string()).collect()
}

fn recorded(ranges: &[&str]) -> Scribe {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(post_ranges(flow(1), ranges));
    scribe
}

#[test]
fn segments_are_in_order_of_time_and_a_range_finds_what_shares_a_nanosecond_with_it() {
    let scribe = recorded(&["[2:0]", "[0:0_1:0)", "[1:0_2:0)"]);
    for (text, expected) in [
        ("_", vec!["[0:0_1:0)", "[1:0_2:0)", "[2:0]"]),
        ("[1:0_2:0)", vec!["[1:0_2:0)"]),
        ("[1:0_2:0]", vec!["[1:0_2:0)", "[2:0]"]),
        ("[2:0]", vec!["[2:0]"]),
        ("2:0", vec!["[2:0]"]),
        ("(1:0_2:0)", vec!["[1:0_2:0)"]),
        ("_1:0)", vec!["[0:0_1:0)"]),
        ("[1:0_", vec!["[1:0_2:0)", "[2:0]"]),
        ("[1:0_)", vec!["[1:0_2:0)", "[2:0]"]),
        ("[0:999999999_1:0)", vec!["[0:0_1:0)"]),
        ("()", vec![]),
        ("[5:0_3:0)", vec![]),
    ] {
        let mut expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(listed(&scribe.tables, flow(1), &in_range(text), &first_page(9)), expected, "{text}");
        expected.reverse();
        assert_eq!(listed(&scribe.tables, flow(1), &in_range(text), &reversed(9)), expected, "{text}");
    }
    assert!(listed(&scribe.tables, flow(2), &SegmentFilter::default(), &first_page(9)).is_empty());
}

#[test]
fn paging_lists_each_segment_once_in_order_while_others_come_and_go() {
    for direction in [Direction::Usual, Direction::Reversed] {
        let ranges: Vec<String> = (0..1000).map(|number| format!("[{number}:0_{}:0)", number + 1)).collect();
        let mut scribe = recorded(&ranges.iter().map(String::as_str).collect::<Vec<_>>());
        scribe.write(delete_segments(flow(1), "[500:0_501:0)"));
        let (mut cursor, mut found, mut pages) = (None::<String>, Vec::new(), 0);
        loop {
            let paging = Paging { direction, cursor: cursor.as_deref(), limit: 7 };
            let page = scribe.tables.segments(flow(1), &SegmentFilter::default(), &paging).unwrap();
            assert!(!page.page.items.is_empty());
            found.extend(page.page.items.iter().map(|segment| segment.timerange));
            pages += 1;
            if pages == 2 {
                // One before the cursor, the one at the cursor, and one after it, whichever way the listing goes.
                scribe.write(delete_segments(flow(1), "[1:0_2:0)")).write(delete_segments(flow(1), "[998:0_999:0)"));
                scribe.write(delete_segments(flow(1), "[13:0_14:0)")).write(delete_segments(flow(1), "[986:0_987:0)"));
                scribe.write(post_ranges(flow(1), &["[500:0_501:0)"]));
            }
            cursor = page.page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected: Vec<TimeRange> = ranges.iter().map(|text| range(text)).collect();
        if direction == Direction::Reversed {
            expected.reverse();
        }
        // What was deleted after it was listed stays listed; what was deleted before is not.
        expected.retain(|segment| match direction {
            Direction::Usual => ![range("[998:0_999:0)"), range("[986:0_987:0)")].contains(segment),
            Direction::Reversed => ![range("[1:0_2:0)"), range("[13:0_14:0)")].contains(segment),
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_page_says_which_range_it_covers() {
    let scribe = recorded(&["[0:0_1:0)", "[5:0_6:0]", "[7:0_8:0)"]);
    let hull = |filter: &SegmentFilter, paging| scribe.tables.segments(flow(1), filter, &paging).unwrap().timerange;
    assert_eq!(hull(&SegmentFilter::default(), first_page(2)), range("[0:0_6:0]"));
    assert_eq!(hull(&SegmentFilter::default(), reversed(2)), range("[5:0_8:0)"));
    assert_eq!(hull(&in_range("[2:0_3:0)"), first_page(2)), TimeRange::NEVER);
}

#[test]
fn a_page_that_begins_inside_a_segment_does_not_repeat_it() {
    let scribe =
        recorded(&["[0:0_10:0)", "[10:0]", "(", "[20:0_30:0)"].map(|text| if text == "(" { "[11:0]" } else { text }));
    let filter = in_range("[5:0_");
    let first = scribe.tables.segments(flow(1), &filter, &first_page(1)).unwrap().page;
    assert_eq!(first.items[0].timerange, range("[0:0_10:0)"));
    let paging = Paging { cursor: first.next.as_deref(), ..first_page(9) };
    assert_eq!(listed(&scribe.tables, flow(1), &filter, &paging), ["[10:0]", "[11:0]", "[20:0_30:0)"]);
}

#[test]
fn an_object_and_a_range_both_count() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), metadata(source(1))));
    let shifted = |text: &str, seconds: i64| {
        let offset = Timestamp::from_parts(seconds, 0).unwrap();
        tapelog_commands::NewSegment { ts_offset: offset, ..new_segment(object("o"), range(text)) }
    };
    scribe.write(post(flow(1), vec![shifted("[20:0_30:0)", 20), shifted("[0:0_10:0)", 0), shifted("[40:0_50:0)", 40)]));
    scribe.write(post(flow(2), vec![shifted("[0:0_10:0)", 0)]));
    scribe.write(post_ranges(flow(1), &["[10:0_20:0)"]));
    let of_object = |timerange: Option<&str>| SegmentFilter {
        timerange: timerange.map(range),
        object_id: Some(object("o")),
        tags: Vec::new(),
    };
    let all = ["[0:0_10:0)", "[20:0_30:0)", "[40:0_50:0)"];
    assert_eq!(listed(&scribe.tables, flow(1), &of_object(None), &first_page(9)), all);
    assert_eq!(
        listed(&scribe.tables, flow(1), &of_object(Some("[25:0_")), &reversed(9)),
        ["[40:0_50:0)", "[20:0_30:0)"]
    );
    let first = scribe.tables.segments(flow(1), &of_object(None), &reversed(1)).unwrap().page;
    let rest = Paging { cursor: first.next.as_deref(), ..reversed(9) };
    assert_eq!(listed(&scribe.tables, flow(1), &of_object(None), &rest), ["[20:0_30:0)", "[0:0_10:0)"]);
    let unknown = SegmentFilter { object_id: Some(object("unknown")), ..SegmentFilter::default() };
    assert!(listed(&scribe.tables, flow(1), &unknown, &first_page(9)).is_empty());
}

#[test]
fn what_is_not_a_cursor_of_segments_is_refused() {
    let mut scribe = recorded(&["[0:0_1:0)", "[1:0_2:0)"]);
    scribe.write(put(flow(2), metadata(source(1))));
    let flows = scribe.tables.flows(&Default::default(), Default::default(), &first_page(1)).unwrap();
    for cursor in [flows.next.as_deref().unwrap(), "", "s", "!!"] {
        let paging = Paging { cursor: Some(cursor), ..first_page(1) };
        for id in [flow(1), flow(9)] {
            let result = scribe.tables.segments(id, &SegmentFilter::default(), &paging);
            assert_eq!(result, Err(InvalidCursor), "{cursor}");
        }
    }
}
