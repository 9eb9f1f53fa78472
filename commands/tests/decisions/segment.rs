//! Adding and deleting segments (sections 6 and 9.1).

use tapelog_commands::inventory::ObjectState;
use tapelog_commands::{NewSegment, Rejection, RequestShape, State, UncontrolledInstance};
use tapelog_events::{
    DataEssence, EssenceParameters, Event, Instance, InstanceIndexes, Membership, ObjectId, Outcome, Segment,
    SegmentFailure, SegmentFailureKind, SegmentsAdded, SegmentsDeleted, TimeRange, Timestamp,
};

use crate::harness::*;

/// [`FLOW`] and [`OTHER_FLOW`], with `o1` to `o4` given out to the first.
fn two_flows_and_objects() -> Vec<Event> {
    [two_flows(), vec![allocated(FLOW, ["o1", "o2", "o3", "o4"])]].concat()
}

fn overlap(with: &str) -> SegmentFailureKind {
    SegmentFailureKind::Overlap { with: range(with) }
}

fn differs(property: &str) -> SegmentFailureKind {
    SegmentFailureKind::ObjectDiffers { property: property.to_owned() }
}

fn external(object_id: &str, timerange: &str, get_urls: Vec<UncontrolledInstance>) -> NewSegment {
    NewSegment { get_urls, ..new_segment(object_id, timerange) }
}

fn ranges(state: &State) -> Vec<String> {
    listed(state, FLOW).into_iter().map(|(_, range)| range).collect()
}

fn object_range(state: &State, object_id: &str) -> TimeRange {
    let inventory = state.inventory();
    inventory.object_range(inventory.object_slot(&object(object_id)).unwrap())
}

fn instances(state: &State, object_id: &str) -> Vec<Instance> {
    let inventory = state.inventory();
    inventory.object(inventory.object_slot(&object(object_id)).unwrap()).instances.to_vec()
}

// The whole request.

#[test]
fn a_segment_is_recorded_with_all_that_was_said_of_it() {
    let asked = NewSegment {
        ts_offset: timestamp("145:0"),
        object_timerange: Some(range("[20:0_30:0)")),
        last_duration: Some(timestamp("0:40000000")),
        sample_offset: Some(-1),
        sample_count: Some(25),
        key_frame_count: Some(2),
        ..new_segment("o1", "[165:0_166:0)")
    };
    let recorded = Segment {
        ts_offset: timestamp("145:0"),
        object_timerange: Some(range("[20:0_30:0)")),
        last_duration: Some(timestamp("0:40000000")),
        sample_offset: Some(-1),
        sample_count: Some(25),
        key_frame_count: Some(2),
        ..stored_segment("o1", "[165:0_166:0)")
    };
    given(two_flows_and_objects())
        .when(post_one(FLOW, asked))
        .then_events([segments_added(FLOW, SOURCE, [recorded])])
        .then_outcome(&Outcome::Segments { failures: Vec::new() });
}

#[test]
fn segments_change_when_segments_changed_and_no_metadata() {
    given(two_flows_and_objects())
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_holds(|state| state.flow(FLOW).unwrap().segments_updated == Some(NOW))
        .then_holds(|state| *state.flow(FLOW).unwrap().flow == stored_flow(FLOW, SOURCE));
}

#[test]
fn a_flow_without_container_has_no_segments() {
    for command in [post_one(FLOW, new_segment("o1", "[0:0_1:0)")), post_list(FLOW, [])] {
        given(flow_with(|flow| flow.container = None)).when(command).then_rejected(Rejection::NoContainer(FLOW));
    }
}

#[test]
fn the_refusal_of_a_lone_segment_is_the_requests() {
    given(two_flows_and_objects())
        .when(post_one(FLOW, new_segment("unknown", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownObject));
}

#[test]
fn of_a_list_the_good_segments_are_stored_and_the_bad_ones_named() {
    given(two_flows_and_objects())
        .when(post_list(
            FLOW,
            [new_segment("o1", "[0:0_1:0)"), new_segment("unknown", "[1:0_2:0)"), new_segment("o2", "[2:0_3:0)")],
        ))
        .then_events([segments_added(
            FLOW,
            SOURCE,
            [stored_segment("o1", "[0:0_1:0)"), stored_segment("o2", "[2:0_3:0)")],
        )])
        .then_failed([("unknown", "[1:0_2:0)", SegmentFailureKind::UnknownObject)]);
}

#[test]
fn a_list_of_bad_segments_succeeds_and_nothing_happens() {
    given(two_flows_and_objects())
        .when(post_list(FLOW, [new_segment("unknown", "[1:0_2:0)")]))
        .then_events([])
        .then_failed([("unknown", "[1:0_2:0)", SegmentFailureKind::UnknownObject)])
        .when(post_list(FLOW, []))
        .then_events([])
        .then_failed([]);
}

#[test]
fn what_was_refused_when_it_was_read_is_refused_here() {
    let kind = || SegmentFailureKind::Invalid { reason: "timerange is empty".to_owned() };
    let unread = || Err(SegmentFailure { object_id: object("o2"), timerange: range("()"), kind: kind() });
    given(two_flows_and_objects())
        .when(post(FLOW, vec![unread()], RequestShape::Single))
        .then_rejected(Rejection::Segment(kind()))
        .when(post(FLOW, vec![unread(), Ok(new_segment("o1", "[0:0_1:0)"))], RequestShape::List))
        .then_failed([("o2", "()", kind())])
        .then_holds(|state| ranges(state) == ["[0:0_1:0)"]);
}

#[test]
fn a_flow_with_init_segments_refuses_segments_without() {
    let essence = DataEssence { init_segments: Some(true), data_type: None };
    given(flow_with(|flow| flow.essence_parameters = Some(EssenceParameters::Data(essence))))
        .when(allocate(FLOW, ["o1"]))
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::InitRequired));
}

// Rule 2: no two segments of a Flow share a point.

#[test]
fn adjacent_segments_are_stored_in_any_order_and_listed_in_that_of_time() {
    given(two_flows_and_objects())
        .when(post_one(FLOW, new_segment("o1", "[2:0]")))
        .when(post_one(FLOW, new_segment("o2", "[0:0_1:0)")))
        .when(post_one(FLOW, new_segment("o3", "[1:0_2:0)")))
        .when(post_one(FLOW, new_segment("o4", "[-1:0_-0:500000000)")))
        .then_holds(|state| ranges(state) == ["[-1:0_-0:500000000)", "[0:0_1:0)", "[1:0_2:0)", "[2:0]"]);
}

#[test]
fn one_shared_nanosecond_is_an_overlap() {
    for (asked, free) in [
        ("[0:999999999_2:0)", false),
        ("[1:0_2:0)", true),
        ("[-1:0_0:1)", false),
        ("[-1:0_0:0]", false),
        ("[-1:0_0:0)", true),
        ("[0:500000000]", false),
        ("[-5:0_5:0)", false),
        ("[0:0_1:0)", false),
    ] {
        let then = given([flow_with_segments(["[0:0_1:0)"]), vec![allocated(FLOW, ["new"])]].concat())
            .when(post_one(FLOW, new_segment("new", asked)));
        if free {
            then.then_outcome(&Outcome::Segments { failures: Vec::new() });
        } else {
            then.then_rejected(Rejection::Segment(overlap("[0:0_1:0)")));
        }
    }
}

#[test]
fn of_two_segments_of_one_request_that_overlap_the_first_wins() {
    given(two_flows_and_objects())
        .when(post_list(
            FLOW,
            [
                new_segment("o1", "[0:0_10:0)"),
                new_segment("o2", "[5:0_15:0)"),
                new_segment("o3", "[10:0_20:0)"),
                new_segment("o4", "[-5:0_0:0]"),
            ],
        ))
        .then_failed([("o2", "[5:0_15:0)", overlap("[0:0_10:0)")), ("o4", "[-5:0_0:0]", overlap("[0:0_10:0)"))])
        .then_holds(|state| ranges(state) == ["[0:0_10:0)", "[10:0_20:0)"]);
}

#[test]
fn segments_of_different_flows_do_not_overlap() {
    given([flow_with_segments(["[0:0_1:0)"]), flow_with_source(OTHER_FLOW, OTHER_SOURCE)].concat())
        .when(post_one(OTHER_FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_events([segments_added(OTHER_FLOW, OTHER_SOURCE, [stored_segment("o1", "[0:0_1:0)")])]);
}

// Rule 4: whose object it is.

#[test]
fn an_allocated_object_is_registered_first_on_the_flow_that_it_was_given_to() {
    given(two_flows_and_objects())
        .when(post_one(OTHER_FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::AllocatedElsewhere))
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .when(post_one(OTHER_FLOW, new_segment("o1", "[5:0_6:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::OutsideObject {
            asked: range("[5:0_6:0)"),
            object: range("[0:0_1:0)"),
        }))
        .when(post_one(OTHER_FLOW, NewSegment { ts_offset: timestamp("5:0"), ..new_segment("o1", "[5:0_6:0)") }))
        .then_holds(|state| users(state, "o1") == (vec![FLOW, OTHER_FLOW], Some(FLOW)));
}

#[test]
fn an_unknown_object_needs_addresses() {
    let address = || vec![located("https://example.com/x", "elsewhere")];
    given(two_flows())
        .when(post_one(FLOW, new_segment("x", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownObject))
        .when(post_one(FLOW, external("x", "[0:0_1:0)", address())))
        .then_events([SegmentsAdded {
            flow_id: FLOW,
            source_id: SOURCE,
            collected_by: Membership::default(),
            instances: vec![at_address("https://example.com/x", "elsewhere")],
            init_objects: Vec::new(),
            segments: vec![stored_segment("x", "[0:0_1:0)")],
        }
        .into()])
        .then_holds(|state| instances(state, "x") == [at_address("https://example.com/x", "elsewhere")]);
}

#[test]
fn an_object_that_a_request_registers_is_known_to_the_rest_of_it() {
    let first = external("x", "[0:0_1:0)", vec![located("https://example.com/x", "elsewhere")]);
    let again = NewSegment { ts_offset: timestamp("1:0"), ..new_segment("x", "[1:0_2:0)") };
    let differing = NewSegment { object_timerange: Some(range("[0:0_9:0)")), ..new_segment("x", "[2:0_3:0)") };
    given(two_flows())
        .when(post_list(FLOW, [first, again, differing]))
        .then_failed([("x", "[2:0_3:0)", differs("object_timerange"))])
        .then_holds(|state| ranges(state) == ["[0:0_1:0)", "[1:0_2:0)"])
        .then_holds(|state| users(state, "x") == (vec![FLOW, FLOW], Some(FLOW)));
}

#[test]
fn an_object_that_is_used_again_keeps_its_properties() {
    let registered = Segment {
        object_timerange: Some(range("[0:0_10:0)")),
        key_frame_count: Some(5),
        ..stored_segment("o1", "[0:0_1:0)")
    };
    let events = || [two_flows(), vec![segments_added(FLOW, SOURCE, [registered.clone()])]].concat();
    let again = || new_segment("o1", "[1:0_2:0)");
    for (asked, property) in [
        (NewSegment { object_timerange: Some(range("[0:0_10:0]")), ..again() }, "object_timerange"),
        (NewSegment { key_frame_count: Some(4), ..again() }, "key_frame_count"),
    ] {
        given(events()).when(post_one(FLOW, asked)).then_rejected(Rejection::Segment(differs(property)));
    }
    let same = NewSegment { object_timerange: Some(range("[0:0_10:0)")), key_frame_count: Some(5), ..again() };
    for asked in [again(), same] {
        given(events()).when(post_one(FLOW, asked)).then_events([segments_added(
            FLOW,
            SOURCE,
            [Segment { timerange: range("[1:0_2:0)"), ..registered.clone() }],
        )]);
    }
}

#[test]
fn a_key_frame_count_that_was_never_said_cannot_be_said_later() {
    given(two_flows_and_objects())
        .when(post_one(
            FLOW,
            NewSegment { object_timerange: Some(range("[0:0_9:0)")), ..new_segment("o1", "[0:0_1:0)") },
        ))
        .when(post_one(FLOW, NewSegment { key_frame_count: Some(1), ..new_segment("o1", "[1:0_2:0)") }))
        .then_rejected(Rejection::Segment(differs("key_frame_count")));
}

#[test]
fn an_object_without_segments_may_be_used_again_by_any_flow_as_it_was() {
    let events = || {
        let deleted = segments_deleted("[0:0_1:0)", None, 1);
        [flow_with_segments(["[0:0_1:0)"]), vec![deleted], flow_with_source(OTHER_FLOW, OTHER_SOURCE)].concat()
    };
    given(events())
        .when(post_one(OTHER_FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_holds(|state| users(state, "o1") == (vec![OTHER_FLOW], Some(OTHER_FLOW)));
    given(events())
        .when(post_one(
            OTHER_FLOW,
            NewSegment { object_timerange: Some(range("[0:0_2:0)")), ..new_segment("o1", "[0:0_1:0)") },
        ))
        .then_rejected(Rejection::Segment(differs("object_timerange")));
}

// Rule 5: addresses and their labels.

#[test]
fn the_label_of_a_backend_is_not_that_of_an_address() {
    let kind = SegmentFailureKind::LabelOfBackend { label: BACKEND_LABEL.to_owned() };
    given(two_flows())
        .when(post_one(FLOW, external("x", "[0:0_1:0)", vec![located("https://example.com/x", BACKEND_LABEL)])))
        .then_rejected(Rejection::Segment(kind));
}

#[test]
fn a_label_names_one_address_of_an_object() {
    let taken = || Rejection::Segment(SegmentFailureKind::LabelTaken { label: "a".to_owned() });
    let twice = vec![located("https://example.com/1", "a"), located("https://example.com/2", "a")];
    given(two_flows()).when(post_one(FLOW, external("x", "[0:0_1:0)", twice))).then_rejected(taken());

    let one = |url: &str| vec![located(url, "a")];
    let later = |url: &str| NewSegment { ts_offset: timestamp("1:0"), ..external("x", "[1:0_2:0)", one(url)) };
    given(two_flows())
        .when(post_one(FLOW, external("x", "[0:0_1:0)", one("https://example.com/1"))))
        .when(post_one(FLOW, later("https://example.com/2")))
        .then_rejected(taken())
        .when(post_one(FLOW, later("https://example.com/1")))
        .then_holds(|state| instances(state, "x") == [at_address("https://example.com/1", "a")]);
}

#[test]
fn addresses_given_with_a_known_object_are_added_to_it() {
    let address = || vec![located("https://example.com/1", "a")];
    given(two_flows_and_objects())
        .when(post_list(FLOW, [external("o1", "[0:0_1:0)", address()), new_segment("o2", "[1:0_2:0)")]))
        .then_events([SegmentsAdded {
            flow_id: FLOW,
            source_id: SOURCE,
            collected_by: Membership::default(),
            instances: vec![on_backend(), at_address("https://example.com/1", "a")],
            init_objects: Vec::new(),
            segments: vec![
                Segment { instances: InstanceIndexes::from_slice(&[0, 1]), ..stored_segment("o1", "[0:0_1:0)") },
                stored_segment("o2", "[1:0_2:0)"),
            ],
        }
        .into()])
        .then_holds(|state| instances(state, "o1") == [on_backend(), at_address("https://example.com/1", "a")])
        .then_holds(|state| instances(state, "o2") == [on_backend()]);
}

// Rules 6 to 8: which part of the object it is.

#[test]
fn a_new_object_lies_where_its_segment_does_less_the_offset() {
    given(two_flows_and_objects())
        .when(post_one(FLOW, NewSegment { ts_offset: timestamp("4:0"), ..new_segment("o1", "[10:0_20:0)") }))
        .then_holds(|state| object_range(state, "o1") == range("[6:0_16:0)"))
        .when(post_one(FLOW, NewSegment { ts_offset: timestamp("-4:0"), ..new_segment("o2", "[20:0_21:0]") }))
        .then_holds(|state| object_range(state, "o2") == range("[24:0_25:0]"))
        .when(post_one(
            FLOW,
            NewSegment { object_timerange: Some(range("[20:0_30:0)")), ..new_segment("o3", "[25:0_26:0)") },
        ))
        .then_holds(|state| object_range(state, "o3") == range("[20:0_30:0)"));
}

#[test]
fn a_segment_lies_within_its_object() {
    let shifted = |timerange: &str| NewSegment {
        ts_offset: timestamp("145:0"),
        object_timerange: Some(range("[20:0_21:0)")),
        ..new_segment("o1", timerange)
    };
    for (timerange, asked) in [
        ("[165:500000000_166:500000000)", "[20:500000000_21:500000000)"),
        ("[165:0_166:0]", "[20:0_21:0]"),
        ("[164:999999999_166:0)", "[19:999999999_21:0)"),
    ] {
        given(two_flows_and_objects()).when(post_one(FLOW, shifted(timerange))).then_rejected(Rejection::Segment(
            SegmentFailureKind::OutsideObject { asked: range(asked), object: range("[20:0_21:0)") },
        ));
    }
    given(two_flows_and_objects())
        .when(post_one(FLOW, shifted("[165:0_166:0)")))
        .then_holds(|state| ranges(state) == ["[165:0_166:0)"]);
}

#[test]
fn an_offset_that_leads_beyond_48_bits_of_seconds_is_refused() {
    let asked = NewSegment { ts_offset: Timestamp::MIN, ..new_segment("o1", "[1:0_2:0)") };
    let reason = "timerange less ts_offset leaves the range of timestamps".to_owned();
    given(two_flows_and_objects())
        .when(post_one(FLOW, asked))
        .then_rejected(Rejection::Segment(SegmentFailureKind::Invalid { reason }))
        .when(post_one(FLOW, new_segment("o1", "[281474976710654:0_281474976710655:999999999]")))
        .then_holds(|state| ranges(state) == ["[281474976710654:0_281474976710655:999999999]"]);
}

// Deleting (9.1).

#[test]
fn only_segments_entirely_inside_the_range_go() {
    for (asked, gone) in [
        ("[0:500000000_2:0)", vec!["[1:0_2:0)"]),
        ("[0:0_2:0)", vec!["[0:0_1:0)", "[1:0_2:0)"]),
        ("[0:0_2:0]", vec!["[0:0_1:0)", "[1:0_2:0)", "[2:0]"]),
        ("_1:0)", vec!["[0:0_1:0)"]),
        ("(0:0_", vec!["[1:0_2:0)", "[2:0]"]),
        ("[2:0]", vec!["[2:0]"]),
        ("_", vec!["[0:0_1:0)", "[1:0_2:0)", "[2:0]"]),
    ] {
        let hull = gone.iter().fold(TimeRange::NEVER, |hull, gone| hull.hull(&range(gone)));
        let all = ["[0:0_1:0)", "[1:0_2:0)", "[2:0]"];
        given(flow_with_segments(all))
            .when(delete_segments(FLOW, asked, None))
            .then_events([segments_deleted(&hull.to_string(), None, gone.len() as u64)])
            .then_outcome(&Outcome::Done)
            .then_holds(|state| {
                ranges(state).iter().map(String::as_str).eq(all.into_iter().filter(|one| !gone.contains(one)))
            })
            .then_holds(|state| state.flow(FLOW).unwrap().segments_updated == Some(NOW))
            .then_holds(|state| *state.flow(FLOW).unwrap().flow == stored_flow(FLOW, SOURCE));
    }
}

#[test]
fn an_inclusive_end_is_not_inside_an_exclusive_one() {
    given(flow_with_segments(["[0:0_10:0]"]))
        .when(delete_segments(FLOW, "[0:0_10:0)", None))
        .then_nothing_happens()
        .when(delete_segments(FLOW, "[0:0_10:0]", None))
        .then_events([segments_deleted("[0:0_10:0]", None, 1)]);
}

#[test]
fn where_nothing_matches_nothing_happens() {
    for (timerange, object_id) in [("()", None), ("[5:0_9:0)", None), ("_", Some("unknown")), ("[1:0_9:0)", Some("o1"))]
    {
        given(flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]))
            .when(delete_segments(FLOW, timerange, object_id))
            .then_nothing_happens()
            .then_holds(|state| ranges(state).len() == 2);
    }
}

#[test]
fn a_segment_around_the_origin_does_not_match_the_empty_range() {
    given(flow_with_segments(["[-1:0_1:0)"]))
        .when(delete_segments(FLOW, "()", None))
        .then_nothing_happens()
        .then_holds(|state| {
            let inventory = state.inventory();
            inventory.segments(inventory.flow(FLOW).unwrap(), &TimeRange::NEVER).next().is_none()
        });
}

#[test]
fn a_deletion_may_be_limited_to_one_object() {
    let shifted = |at: &str, offset: &str| Segment { ts_offset: timestamp(offset), ..stored_segment("o1", at) };
    let again = segments_added(FLOW, SOURCE, [shifted("[2:0_3:0)", "2:0"), shifted("[4:0_5:0)", "4:0")]);
    let events = [flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]), vec![again]].concat();
    given(events)
        .when(delete_segments(FLOW, "[0:0_4:0)", Some("o1")))
        .then_events([segments_deleted("[0:0_3:0)", Some("o1"), 2)])
        .then_holds(|state| ranges(state) == ["[1:0_2:0)", "[4:0_5:0)"])
        .then_holds(|state| users(state, "o1") == (vec![FLOW], Some(FLOW)));
}

#[test]
fn an_object_stays_while_another_flow_uses_it() {
    let reuse = segments_added(OTHER_FLOW, OTHER_SOURCE, [stored_segment("o1", "[0:0_1:0)")]);
    let other = flow_with_source(OTHER_FLOW, OTHER_SOURCE);
    let unreferenced = |state: &State| {
        let inventory = state.inventory();
        let object: ObjectId = object("o1");
        let object = inventory.object(inventory.object_slot(&object).unwrap());
        object.state == ObjectState::Unreferenced { range: Some(range("[0:0_1:0)")), since: NOW }
    };
    given([flow_with_segments(["[0:0_1:0)"]), other, vec![reuse]].concat())
        .when(delete_segments(FLOW, "_", None))
        .then_holds(|state| users(state, "o1") == (vec![OTHER_FLOW], None) && !unreferenced(state))
        .when(delete_segments(OTHER_FLOW, "_", None))
        .then_events([SegmentsDeleted {
            flow_id: OTHER_FLOW,
            source_id: OTHER_SOURCE,
            collected_by: Membership::default(),
            timerange: range("[0:0_1:0)"),
            object_id: None,
            count: 1,
        }
        .into()])
        .then_holds(unreferenced);
}
