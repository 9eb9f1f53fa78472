//! Flows that are put aside: nobody finds them, and they come back or go for good.

use tapelog_commands::{Command, DeleteFlow, FlowMetadata, Manner, PurgeFlow, Rejection, State};
use tapelog_events::{
    Event, Flow, FlowId, FlowPurged, FlowRestored, FlowTrashed, FlowUpdated, Format, Instant, Membership, Permission,
    SourceDeleted,
};

use crate::harness::*;

fn put_aside(flow_id: FlowId) -> Command {
    Command::DeleteFlow(DeleteFlow { manner: Manner::Aside, ..deletion_of(flow_id) })
}

fn purge(before: Instant) -> Command {
    Command::PurgeFlow(PurgeFlow { flow_id: FLOW, before })
}

fn trashed() -> Event {
    FlowTrashed { flow_id: FLOW, source_id: SOURCE, collected_by: Membership::default() }.into()
}

fn source_deleted() -> Event {
    SourceDeleted { source_id: SOURCE, collected_by: Vec::new(), auth_classes: None }.into()
}

/// [`FLOW`] with two segments, put aside.
fn flow_in_trash() -> Vec<Event> {
    [flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]), vec![trashed(), source_deleted()]].concat()
}

fn is_found(state: &State) -> bool {
    let inventory = state.inventory();
    let slot = inventory.object_slot(&object("o1")).unwrap();
    state.flow(FLOW).is_some() || inventory.flow(FLOW).is_some() || inventory.flows_using(slot).next().is_some()
}

#[test]
fn what_is_put_aside_is_not_found_and_what_it_uses_stays() {
    given(flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]))
        .when(put_aside(FLOW))
        .then_events([trashed(), source_deleted()])
        .then_holds(|state| !is_found(state) && state.source(SOURCE).is_none())
        .then_holds(|state| state.inventory().segment_count() == 2)
        .when(condemn(["o1", "o2"], Instant::from_micros(i64::MAX)))
        .then_nothing_happens()
        .when(Command::DeleteObject(object("o1")))
        .then_rejected(Rejection::ObjectInUse(object("o1")))
        .when(delete_flow(FLOW))
        .then_rejected(Rejection::FlowNotFound(FLOW))
        .when(put_flow(FLOW, metadata(SOURCE)))
        .then_rejected(Rejection::FlowInTrash(FLOW));
}

#[test]
fn what_was_put_aside_comes_back_with_its_source_and_its_segments() {
    let flow = Flow {
        metadata_updated: NOW,
        updated_by: text(ACTOR),
        metadata_version: COMMIT.to_string(),
        ..stored_flow(FLOW, SOURCE)
    };
    let restored = FlowRestored { flow, segments_updated: Some(EARLIER), collected_by: Membership::default() };
    given(flow_in_trash())
        .when(Command::RestoreFlow(FLOW))
        .then_events([source_created(SOURCE), restored.into()])
        .then_holds(|state| is_found(state) && listed(state, FLOW).len() == 2)
        .then_holds(|state| users(state, "o1") == (vec![FLOW], Some(FLOW)))
        .then_holds(|state| state.flow(FLOW).unwrap().segments_updated == Some(EARLIER))
        .when(Command::RestoreFlow(FLOW))
        .then_rejected(Rejection::NotInTrash(FLOW));
}

#[test]
fn collections_lose_what_is_put_aside_and_do_not_get_it_back() {
    let mut collector = stored_flow(OTHER_FLOW, OTHER_SOURCE);
    collector.flow_collection = Some(vec![member(FLOW)]);
    let events = [flow_with_source(FLOW, SOURCE), vec![source_created(OTHER_SOURCE), flow_created(collector)]].concat();
    let handled = given(events).when(put_aside(FLOW));
    assert!(matches!(&handled.events()[0], Event::FlowUpdated(FlowUpdated { flow, .. }) if flow.members().is_empty()));
    handled
        .when(Command::RestoreFlow(FLOW))
        .then_holds(|state| state.flow(FLOW).unwrap().collected_by.is_empty())
        .then_holds(|state| state.flow(OTHER_FLOW).unwrap().flow.members().is_empty());
}

#[test]
fn what_comes_back_collects_those_that_are_still_there() {
    let mut collector = stored_flow(FLOW, SOURCE);
    collector.flow_collection = Some(vec![member(OTHER_FLOW), member(THIRD_FLOW)]);
    let members = [flow_with_source(OTHER_FLOW, OTHER_SOURCE), flow_with_source(THIRD_FLOW, THIRD_SOURCE)].concat();
    given([members, vec![source_created(SOURCE), flow_created(collector)]].concat())
        .when(put_aside(FLOW))
        .then_holds(|state| state.flow(OTHER_FLOW).unwrap().collected_by.is_empty())
        .when(delete_flow(OTHER_FLOW))
        .when(Command::RestoreFlow(FLOW))
        .then_holds(|state| state.flow(FLOW).unwrap().flow.members() == [member(THIRD_FLOW)])
        .then_holds(|state| state.flow(THIRD_FLOW).unwrap().collected_by.contains(&FLOW));
}

#[test]
fn what_was_put_aside_does_not_come_back_under_a_source_of_another_format() {
    let mut technical = technical(Format::Audio);
    technical.container = None;
    let technical = tapelog_commands::Technical::Own(Box::new(technical));
    given(flow_in_trash())
        .when(put_flow(OTHER_FLOW, FlowMetadata { technical, ..metadata(SOURCE) }))
        .when(Command::RestoreFlow(FLOW))
        .then_rejected(Rejection::FormatOfSource { source_id: SOURCE, existing: Format::Audio, asked: Format::Data });
}

#[test]
fn what_was_put_aside_for_long_enough_goes_for_good() {
    given(flow_in_trash())
        .when(purge(EARLIER))
        .then_nothing_happens()
        .when(purge(NOW))
        .then_events([FlowPurged { flow_id: FLOW }.into()])
        .then_holds(|state| state.inventory().segment_count() == 0 && state.registry().trash.is_empty())
        .when(purge(NOW))
        .then_nothing_happens()
        .when(Command::RestoreFlow(FLOW))
        .then_rejected(Rejection::NotInTrash(FLOW))
        .when(put_flow(FLOW, metadata(SOURCE)))
        .then_holds(|state| listed(state, FLOW).is_empty())
        .when(condemn(["o1", "o2"], Instant::from_micros(i64::MAX)))
        .then_holds(|state| state.inventory().condemned(0, 100).0.len() == 2);
}

#[test]
fn only_who_may_write_brings_a_flow_back() {
    let mut flow = stored_flow(FLOW, SOURCE);
    flow.tags = of_class("news");
    given(vec![source_created(SOURCE), flow_created(flow), trashed(), source_deleted()])
        .when_by(&access([]), Command::RestoreFlow(FLOW))
        .then_rejected(Rejection::NotInTrash(FLOW))
        .when_by(&access([("news", &[Permission::Read])]), Command::RestoreFlow(FLOW))
        .then_rejected(Rejection::Forbidden("change it".to_owned()))
        .when_by(&access([("news", &[Permission::Write])]), Command::RestoreFlow(FLOW))
        .then_holds(|state| state.flow(FLOW).is_some());
}
