//! Init objects (5.6): what media objects cannot be decoded without.

use tapelog_commands::inventory::ObjectState;
use tapelog_commands::{NewSegment, Rejection, State, handle};
use tapelog_events::{Event, InitObject, InstanceIndexes, Segment, SegmentFailureKind};

use crate::harness::*;

/// [`init_flow`] with the segment `o1`, which needs `i1`.
fn init_flow_with_segment() -> Vec<Event> {
    [init_flow(), vec![segments_added_with_init(FLOW, SOURCE, "i1", [stored_segment("o1", "[0:0_1:0)")])]].concat()
}

fn refused(kind: SegmentFailureKind) -> Rejection {
    Rejection::Segment(kind)
}

fn other_use(property: &str, used_as: &str) -> Rejection {
    refused(SegmentFailureKind::OtherUse { property: property.to_owned(), used_as: used_as.to_owned() })
}

/// How many segments of [`FLOW`] need an init object.
fn needed(state: &State, init: &str) -> Option<u64> {
    let slot = state.inventory().flow(FLOW)?;
    match known(state, init)?.state {
        ObjectState::Init { flows, .. } => flows.get(&slot).copied(),
        _ => None,
    }
}

#[test]
fn an_init_object_is_registered_with_the_first_media_object_that_needs_it() {
    given(init_flow())
        .when(post_list(
            FLOW,
            [new_segment_with_init("o1", "i1", "[0:0_1:0)"), new_segment_with_init("o2", "i1", "[1:0_2:0)")],
        ))
        .then_events([segments_added_with_init(
            FLOW,
            SOURCE,
            "i1",
            [stored_segment("o1", "[0:0_1:0)"), stored_segment("o2", "[1:0_2:0)")],
        )])
        .then_holds(|state| needed(state, "i1") == Some(2))
        .then_holds(|state| users(state, "i1").1 == Some(FLOW) && known(state, "i1").unwrap().range().is_none())
        .then_holds(|state| {
            let inventory = state.inventory();
            let slot = |id| inventory.object_slot(&object(id)).unwrap();
            inventory.init_of(slot("o1")) == Some(slot("i1")) && inventory.flows_using(slot("i1")).eq([FLOW])
        });
}

#[test]
fn segments_of_one_request_may_need_different_init_objects() {
    let handled = given(init_flow()).when(post_list(
        FLOW,
        [new_segment_with_init("o1", "i1", "[0:0_1:0)"), new_segment_with_init("o2", "i2", "[1:0_2:0)")],
    ));
    let Event::SegmentsAdded(event) = handled.only_event() else { panic!("no segments") };
    let init = |id| InitObject { object_id: object(id), instances: InstanceIndexes::from_slice(&[0]) };
    assert_eq!(event.init_objects, [init("i1"), init("i2")]);
    assert_eq!(event.segments.iter().map(|segment| segment.init_object).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn a_flow_has_init_objects_for_all_of_its_media_objects_or_for_none() {
    given(init_flow())
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_rejected(refused(SegmentFailureKind::InitRequired));
    given([flow_with_source(FLOW, SOURCE), vec![allocated(FLOW, ["o1", "i1"])]].concat())
        .when(post_one(FLOW, new_segment_with_init("o1", "i1", "[0:0_1:0)")))
        .then_rejected(refused(SegmentFailureKind::InitForbidden));
}

#[test]
fn media_objects_move_only_between_flows_of_the_same_kind() {
    let other = || flow_with_source(OTHER_FLOW, OTHER_SOURCE);
    given([init_flow_with_segment(), other()].concat())
        .when(post_one(OTHER_FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_rejected(refused(SegmentFailureKind::InitForbidden));
    let plain = segments_added(OTHER_FLOW, OTHER_SOURCE, [stored_segment("plain", "[0:0_1:0)")]);
    given([init_flow(), other(), vec![plain]].concat())
        .when(post_one(FLOW, new_segment("plain", "[0:0_1:0)")))
        .then_rejected(refused(SegmentFailureKind::InitRequired));
}

#[test]
fn an_object_that_is_used_again_keeps_its_init_object_and_the_event_says_it() {
    let again = |init: Option<&str>| NewSegment {
        ts_offset: timestamp("1:0"),
        init_object_id: init.map(object),
        ..new_segment("o1", "[1:0_2:0)")
    };
    let stored = Segment { ts_offset: timestamp("1:0"), ..stored_segment("o1", "[1:0_2:0)") };
    for same in [None, Some("i1")] {
        given(init_flow_with_segment())
            .when(post_one(FLOW, again(same)))
            .then_events([segments_added_with_init(FLOW, SOURCE, "i1", [stored.clone()])])
            .then_holds(|state| needed(state, "i1") == Some(2));
    }
    let differs = SegmentFailureKind::ObjectDiffers { property: "init_object_id".to_owned() };
    given(init_flow_with_segment()).when(post_one(FLOW, again(Some("i2")))).then_rejected(refused(differs));
}

#[test]
fn an_object_is_media_or_init_for_ever() {
    given(init_flow_with_segment())
        .when(post_one(FLOW, new_segment_with_init("i1", "i2", "[1:0_2:0)")))
        .then_rejected(other_use("object_id", "an init object"))
        .when(post_one(FLOW, new_segment_with_init("o2", "o1", "[1:0_2:0)")))
        .then_rejected(other_use("init_object_id", "a media object"))
        .when(post_one(FLOW, new_segment_with_init("o2", "o2", "[1:0_2:0)")))
        .then_rejected(other_use("init_object_id", "a media object"));
    let other = |property: &str, used_as: &str| SegmentFailureKind::OtherUse {
        property: property.to_owned(),
        used_as: used_as.to_owned(),
    };
    given(init_flow())
        .when(post_list(
            FLOW,
            [
                new_segment_with_init("o1", "i1", "[0:0_1:0)"),
                new_segment_with_init("i1", "i2", "[1:0_2:0)"),
                new_segment_with_init("o2", "o1", "[2:0_3:0)"),
            ],
        ))
        .then_failed([
            ("i1", "[1:0_2:0)", other("object_id", "an init object")),
            ("o2", "[2:0_3:0)", other("init_object_id", "a media object")),
        ]);
}

#[test]
fn an_init_object_that_nothing_uses_any_more_is_still_no_media_object() {
    given(init_flow_with_segment())
        .when(delete_segments(FLOW, "_", None))
        .then_holds(|state| known(state, "i1").unwrap().state == ObjectState::Unreferenced { range: None, since: NOW })
        .when(post_one(FLOW, new_segment_with_init("i1", "i2", "[1:0_2:0)")))
        .then_rejected(other_use("object_id", "an init object"))
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_holds(|state| needed(state, "i1") == Some(1) && users(state, "i1").1 == Some(FLOW));
}

#[test]
fn an_init_object_is_allocated_to_the_flow_or_to_any_or_known_as_one() {
    let unknown = || refused(SegmentFailureKind::UnknownInitObject);
    let elsewhere = [flow_with_source(OTHER_FLOW, OTHER_SOURCE), vec![allocated(OTHER_FLOW, ["elsewhere"])]].concat();
    given([init_flow(), elsewhere, vec![allocated(None, ["anybodys"])]].concat())
        .when(post_one(FLOW, new_segment_with_init("o1", "nowhere", "[0:0_1:0)")))
        .then_rejected(unknown())
        .when(post_one(FLOW, new_segment_with_init("o1", "elsewhere", "[0:0_1:0)")))
        .then_rejected(unknown())
        .when(post_one(FLOW, new_segment_with_init("o1", "anybodys", "[0:0_1:0)")))
        .then_holds(|state| needed(state, "anybodys") == Some(1));
}

#[test]
fn a_condemned_init_object_is_unknown() {
    given(init_flow())
        .when(condemn(["i1"], NOW))
        .when(post_one(FLOW, new_segment_with_init("o1", "i1", "[0:0_1:0)")))
        .then_rejected(refused(SegmentFailureKind::UnknownInitObject));
}

#[test]
fn a_refused_segment_registers_no_init_object() {
    given(init_flow_with_segment())
        .when(post_list(
            FLOW,
            [new_segment_with_init("o2", "i2", "[0:0_1:0)"), new_segment_with_init("i2", "i1", "[1:0_2:0)")],
        ))
        .then_failed([("o2", "[0:0_1:0)", SegmentFailureKind::Overlap { with: range("[0:0_1:0)") })])
        .then_holds(|state| known(state, "i2").unwrap().range() == Some(range("[1:0_2:0)")));
}

#[test]
fn a_rollback_leaves_an_init_object_without_use_since_when_it_was() {
    let mut state = given([init_flow_with_segment(), vec![segments_deleted("[0:0_1:0)", None, 1)]].concat()).state;
    state.begin();
    for command in [post_one(FLOW, new_segment("o1", "[0:0_1:0)")), delete_segments(FLOW, "_", None)] {
        handle(&mut state, &request(command), NOW).unwrap();
    }
    let since = |state: &State| known(state, "i1").unwrap().state;
    assert_eq!(since(&state), ObjectState::Unreferenced { range: None, since: NOW });
    state.rollback();
    assert_eq!(since(&state), ObjectState::Unreferenced { range: None, since: EARLIER });
}
