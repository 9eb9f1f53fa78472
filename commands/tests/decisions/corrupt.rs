//! An event that cannot have happened stops the fold: it is never skipped, and never applied as far as it goes.

use tapelog_commands::inventory::Contradiction;
use tapelog_commands::{Corrupt, State};
use tapelog_events::{
    Event, FlowDeleted, FlowRestored, InstanceAdded, InstanceIndexes, InstanceRemoved, Membership, ObjectsCondemned,
    ObjectsDeleted, Segment, SegmentTagged, SourceDeleted, Tags,
};

use crate::harness::*;

#[track_caller]
fn assert_refuted(given: Vec<Event>, event: Event, expected: Corrupt) {
    let mut state = State::default();
    state.fold(&commit_of(given)).unwrap();
    assert_eq!(state.fold(&commit_of(vec![event])), Err(expected));
}

fn one_flow() -> Vec<Event> {
    flow_with_source(FLOW, SOURCE)
}

#[test]
fn a_segment_over_another() {
    let over = segments_added(FLOW, SOURCE, [stored_segment("o2", "[0:5_2:0)")]);
    let overlap = Contradiction::Overlap { added: range("[0:5_2:0)"), stored: range("[0:0_1:0)") };
    assert_refuted(flow_with_segments(["[0:0_1:0)"]), over, overlap.into());
}

#[test]
fn a_segment_without_a_range_that_segments_have() {
    for text in ["_", "()", "[0:0_", "_1:0)", "(0:0_1:0)"] {
        let event = segments_added(FLOW, SOURCE, [stored_segment("o1", text)]);
        assert_refuted(one_flow(), event, Contradiction::Endless(range(text)).into());
    }
    let endless = Segment { object_timerange: Some(range("[0:0_")), ..stored_segment("o1", "[0:0_1:0)") };
    let event = segments_added(FLOW, SOURCE, [endless]);
    assert_refuted(one_flow(), event, Contradiction::Endless(range("[0:0_1:0)")).into());
}

#[test]
fn a_segment_at_an_instance_that_is_not_listed() {
    let instances = InstanceIndexes::from_slice(&[0, 1]);
    let event = segments_added(FLOW, SOURCE, [Segment { instances, ..stored_segment("o1", "[0:0_1:0)") }]);
    assert_refuted(one_flow(), event, Contradiction::UnknownInstance(1).into());
}

#[test]
fn another_number_of_deleted_segments() {
    let event = segments_deleted("[0:0_1:0)", None, 2);
    let expected = Corrupt::DeletedCount { flow_id: FLOW, recorded: 2, found: 1 };
    assert_refuted(flow_with_segments(["[0:0_1:0)"]), event, expected);
}

#[test]
fn a_flow_or_source_that_does_not_exist() {
    let unknown_flow = || Corrupt::from(Contradiction::UnknownFlow(FLOW));
    let deleted = FlowDeleted { flow_id: FLOW, source_id: SOURCE, collected_by: Membership::default() };
    assert_refuted(Vec::new(), deleted.into(), unknown_flow());
    assert_refuted(Vec::new(), segments_added(FLOW, SOURCE, []), unknown_flow());
    assert_refuted(Vec::new(), allocated(FLOW, ["o1"]), unknown_flow());
    assert_refuted(Vec::new(), flow_created(stored_flow(FLOW, SOURCE)), Corrupt::UnknownSource(SOURCE));
    let deleted = SourceDeleted { source_id: SOURCE, collected_by: Vec::new(), auth_classes: None };
    assert_refuted(Vec::new(), deleted.into(), Corrupt::UnknownSource(SOURCE));
    let mut collector = stored_flow(FLOW, SOURCE);
    collector.flow_collection = Some(vec![member(OTHER_FLOW)]);
    let expected = Contradiction::UnknownFlow(OTHER_FLOW).into();
    assert_refuted(vec![source_created(SOURCE)], flow_created(collector), expected);
}

#[test]
fn what_exists_created_again_or_a_source_deleted_under_its_flows() {
    assert_refuted(one_flow(), source_created(SOURCE), Corrupt::SourceExists(SOURCE));
    assert_refuted(one_flow(), flow_created(stored_flow(FLOW, SOURCE)), Corrupt::FlowExists(FLOW));
    let deleted = SourceDeleted { source_id: SOURCE, collected_by: Vec::new(), auth_classes: None };
    assert_refuted(one_flow(), deleted.into(), Corrupt::SourceInUse(SOURCE));
    let exists = Corrupt::ObjectExists(object("o1"));
    assert_refuted(flow_with_segments(["[0:0_1:0)"]), allocated(FLOW, ["o2", "o1"]), exists);
}

#[test]
fn a_segment_that_needs_an_init_object_that_is_not_listed() {
    let event = segments_added(FLOW, SOURCE, [Segment { init_object: Some(2), ..stored_segment("o1", "[0:0_1:0)") }]);
    assert_refuted(one_flow(), event, Contradiction::UnknownInitObject(2).into());
}

#[test]
fn tags_of_a_segment_that_is_not_there() {
    let event = SegmentTagged { flow_id: FLOW, start: timestamp("0:500000000"), tags: Tags::new() };
    let expected = Contradiction::UnknownSegment(timestamp("0:500000000"));
    assert_refuted(flow_with_segments(["[0:0_1:0)"]), event.into(), expected.into());
}

#[test]
fn an_object_at_another_place_of_its_life() {
    let life = |id: &str, does| Corrupt::from(Contradiction::Life { object_id: object(id), does });
    let condemned = |id| -> Event { ObjectsCondemned { object_ids: vec![object(id)] }.into() };
    let deleted = |id| -> Event { ObjectsDeleted { object_ids: vec![object(id)] }.into() };
    let used = || flow_with_segments(["[0:0_1:0)"]);
    let gone = || [one_flow(), vec![allocated(FLOW, ["o1"]), condemned("o1")]].concat();
    let uses = || segments_added(FLOW, SOURCE, [stored_segment("o1", "[5:0_6:0)")]);
    assert_refuted(used(), condemned("o1"), life("o1", "condemns"));
    assert_refuted(used(), deleted("o1"), life("o1", "deletes"));
    assert_refuted(gone(), condemned("o1"), life("o1", "condemns"));
    assert_refuted(gone(), uses(), life("o1", "adds a segment of"));
    let added = InstanceAdded { object_id: object("o1"), instance: on_backend() };
    assert_refuted(gone(), added.into(), life("o1", "adds an instance to"));
    let removed = InstanceRemoved { object_id: object("unknown"), instance: on_backend() };
    assert_refuted(used(), removed.into(), life("unknown", "takes an instance from"));

    let needs = |init, media| segments_added_with_init(FLOW, SOURCE, init, [stored_segment(media, "[7:0_8:0)")]);
    assert_refuted(used(), needs("o1", "o2"), life("o1", "needs as init object"));
    assert_refuted(used(), needs("unknown", "o2"), life("unknown", "needs"));
    assert_refuted(
        [used(), vec![allocated(FLOW, ["i1"])]].concat(),
        needs("i1", "o1"),
        life("o1", "changes the init object of"),
    );
    let init = [one_flow(), vec![allocated(FLOW, ["o1"]), needs("o1", "o2")]].concat();
    assert_refuted(init, uses(), life("o1", "adds a segment of"));
}

#[test]
fn a_flow_that_was_never_put_aside_comes_back() {
    let flow = stored_flow(FLOW, SOURCE);
    let event = FlowRestored { flow, segments_updated: None, collected_by: Membership::default() };
    assert_refuted(one_flow(), event.into(), Corrupt::FlowExists(FLOW));
}
