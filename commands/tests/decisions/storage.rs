//! Giving out object ids (section 7).

use tapelog_commands::inventory::ObjectState;
use tapelog_commands::{AllocateStorage, ChosenBy, Command, Rejection};
use tapelog_events::{ObjectsAllocated, Outcome};

use crate::harness::*;

fn outcome<const N: usize>(object_ids: [&str; N], content_type: &str) -> Outcome {
    Outcome::Allocated {
        storage_id: BACKEND,
        object_ids: object_ids.map(object).to_vec(),
        content_type: content_type.to_owned(),
    }
}

#[test]
fn ids_are_given_out_in_the_order_of_the_request_under_the_flows_container() {
    given(flow_with_source(FLOW, SOURCE))
        .when(allocate(FLOW, ["b", "a/ü"]))
        .then_events([allocated(FLOW, ["b", "a/ü"])])
        .then_outcome(&outcome(["b", "a/ü"], "application/json"))
        .then_holds(|state| {
            let inventory = state.inventory();
            let known = inventory.object(inventory.object_slot(&object("b")).unwrap());
            let flow = inventory.flow(FLOW).unwrap();
            known.state == ObjectState::Allocated { flow: Some(flow), at: NOW }
                && known.instances.as_slice() == [on_backend()]
        });
}

#[test]
fn a_content_type_that_is_asked_for_comes_before_the_container() {
    let command =
        AllocateStorage { chosen_by: ChosenBy::Server, content_type: text("video/mp4"), ..allocation(FLOW, ["init"]) };
    let event = ObjectsAllocated {
        flow_id: Some(FLOW),
        storage_id: BACKEND,
        object_ids: vec![object("init")],
        content_type: "video/mp4".to_owned(),
    };
    given(flow_with_source(FLOW, SOURCE))
        .when(Command::AllocateStorage(command))
        .then_events([event.into()])
        .then_outcome(&outcome(["init"], "video/mp4"));
}

#[test]
fn no_ids_are_given_out_if_one_of_them_exists_in_any_state() {
    let deleted = segments_deleted("[0:0_1:0)", None, 1);
    let segments = flow_with_segments(["[0:0_1:0)"]);
    for events in [
        [flow_with_source(FLOW, SOURCE), vec![allocated(FLOW, ["o1"])]].concat(),
        segments.clone(),
        [segments, vec![deleted]].concat(),
    ] {
        let refusal = Rejection::ObjectsExist(vec![object("o1")]);
        // A client that ingests HLS looks for these words.
        assert!(refusal.to_string().contains("already exist"));
        given(events)
            .when(allocate(FLOW, ["new", "o1"]))
            .then_rejected(refusal)
            .then_holds(|state| state.inventory().object_slot(&object("new")).is_none());
    }
}

#[test]
fn an_id_is_not_asked_for_twice_in_one_request() {
    given(flow_with_source(FLOW, SOURCE))
        .when(allocate(FLOW, ["a", "b", "a"]))
        .then_rejected(Rejection::ObjectTwice(object("a")));
}

#[test]
fn a_request_for_no_objects_gives_none() {
    given(flow_with_source(FLOW, SOURCE))
        .when(allocate(FLOW, []))
        .then_events([])
        .then_outcome(&outcome([], "application/json"));
}

#[test]
fn a_flow_without_container_has_no_storage() {
    let command =
        AllocateStorage { chosen_by: ChosenBy::Client, content_type: text("video/mp4"), ..allocation(FLOW, ["a"]) };
    given(flow_with(|flow| flow.container = None))
        .when(Command::AllocateStorage(command))
        .then_rejected(Rejection::NoContainer(FLOW));
}
