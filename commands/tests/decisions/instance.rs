//! Instances of objects (section 8).

use tapelog_commands::{
    AddInstance, Command, Errand, FinishCopy, FinishErasure, InstanceName, Rejection, RemoveInstance, State,
};
use tapelog_events::{
    CopyFailed, CopyRequested, Event, Instance, InstanceAdded, InstanceErased, InstanceRemoved, Outcome, Permission,
    StorageId, Tags,
};

use crate::harness::*;

fn elsewhere() -> Instance {
    Instance::Controlled { storage_id: OTHER_BACKEND }
}

fn addition(instance: Instance) -> AddInstance {
    AddInstance { object_id: object("o1"), instance, storage_tags: Tags::new(), reserved_labels: reserved_labels() }
}

fn add(instance: Instance) -> Command {
    Command::AddInstance(addition(instance))
}

fn remove(instance: InstanceName) -> Command {
    Command::RemoveInstance(RemoveInstance { object_id: object("o1"), instance })
}

fn finish(result: Result<(), &str>) -> Command {
    let result = result.map_err(str::to_owned);
    Command::FinishCopy(FinishCopy { object_id: object("o1"), storage_id: OTHER_BACKEND, result })
}

fn erased() -> Command {
    Command::FinishErasure(FinishErasure { object_id: object("o1"), storage_id: OTHER_BACKEND })
}

fn added(instance: Instance) -> Event {
    InstanceAdded { object_id: object("o1"), instance }.into()
}

fn removed(instance: Instance) -> Event {
    InstanceRemoved { object_id: object("o1"), instance }.into()
}

fn requested() -> Event {
    CopyRequested { object_id: object("o1"), storage_id: OTHER_BACKEND }.into()
}

fn failed(reason: &str) -> Event {
    CopyFailed { object_id: object("o1"), storage_id: OTHER_BACKEND, reason: reason.to_owned() }.into()
}

fn errand(state: &State, storage_id: StorageId) -> Option<Errand> {
    state.registry().errands.get(&(object("o1"), storage_id)).copied()
}

/// `o1`, on the backend, is used by [`FLOW`], and these happened to it.
fn object_with<const N: usize>(events: [Event; N]) -> Vec<Event> {
    [flow_with_segments(["[0:0_1:0)"]), events.to_vec()].concat()
}

#[test]
fn an_address_is_an_instance_at_once() {
    let instance = at_address("https://example.com/x", "elsewhere");
    given(object_with([]))
        .when(add(instance.clone()))
        .then_events([added(instance.clone())])
        .then_outcome(&Outcome::Created)
        .then_holds(|state| known(state, "o1").unwrap().instances.as_slice() == [on_backend(), instance.clone()])
        .when(add(at_address("https://example.com/y", "elsewhere")))
        .then_rejected(Rejection::LabelTaken("elsewhere".to_owned()))
        .when(add(at_address("https://example.com/y", BACKEND_LABEL)))
        .then_rejected(Rejection::LabelOfBackend(BACKEND_LABEL.to_owned()));
}

#[test]
fn a_copy_is_an_instance_once_it_was_made() {
    given(object_with([]))
        .when(add(elsewhere()))
        .then_events([requested()])
        .then_outcome(&Outcome::Created)
        .then_holds(|state| known(state, "o1").unwrap().instances.as_slice() == [on_backend()])
        .then_holds(|state| errand(state, OTHER_BACKEND) == Some(Errand::Copy { since: NOW }))
        .when(finish(Ok(())))
        .then_events([added(elsewhere())])
        .then_holds(|state| known(state, "o1").unwrap().instances.as_slice() == [on_backend(), elsewhere()])
        .then_holds(|state| errand(state, OTHER_BACKEND).is_none())
        .when(finish(Ok(())))
        .then_nothing_happens();
}

#[test]
fn a_copy_that_cannot_be_made_may_be_asked_for_again_once_what_there_is_of_it_is_erased() {
    given(object_with([requested()]))
        .when(finish(Err("no bytes")))
        .then_events([failed("no bytes")])
        .then_holds(|state| errand(state, OTHER_BACKEND) == Some(Errand::Erase { since: NOW }))
        .when(add(elsewhere()))
        .then_rejected(Rejection::InstanceExists(OTHER_BACKEND))
        .when(erased())
        .then_events([InstanceErased { object_id: object("o1"), storage_id: OTHER_BACKEND }.into()])
        .when(add(elsewhere()))
        .then_events([requested()]);
}

#[test]
fn no_copy_goes_where_the_object_is_or_will_be_or_has_not_quite_gone() {
    let held = || Rejection::InstanceExists(OTHER_BACKEND);
    for events in [
        object_with([added(elsewhere())]),
        object_with([requested()]),
        object_with([added(elsewhere()), removed(elsewhere())]),
    ] {
        given(events).when(add(elsewhere())).then_rejected(held());
    }
}

#[test]
fn a_copy_of_an_object_that_was_condemned_meanwhile_is_erased() {
    given(object_with([requested(), segments_deleted("[0:0_1:0)", None, 1)]))
        .when(condemn(["o1"], NOW))
        .when(finish(Ok(())))
        .then_nothing_happens()
        .then_holds(|state| errand(state, OTHER_BACKEND) == Some(Errand::Erase { since: NOW }))
        .when(erased())
        .then_events([InstanceErased { object_id: object("o1"), storage_id: OTHER_BACKEND }.into()])
        .then_holds(|state| errand(state, OTHER_BACKEND).is_none());
}

#[test]
fn an_instance_is_removed_first_and_its_bytes_erased_after() {
    given(object_with([added(elsewhere())]))
        .when(remove(InstanceName::Controlled(OTHER_BACKEND)))
        .then_events([removed(elsewhere())])
        .then_outcome(&Outcome::Done)
        .then_holds(|state| known(state, "o1").unwrap().instances.as_slice() == [on_backend()])
        .then_holds(|state| errand(state, OTHER_BACKEND) == Some(Errand::Erase { since: NOW }))
        .when(erased())
        .then_holds(|state| errand(state, OTHER_BACKEND).is_none())
        .when(erased())
        .then_nothing_happens();
}

#[test]
fn nothing_is_to_be_erased_of_an_address_that_is_removed() {
    let instance = at_address("https://example.com/x", "elsewhere");
    given(object_with([added(instance.clone())]))
        .when(remove(InstanceName::Label("elsewhere".to_owned())))
        .then_events([removed(instance)])
        .then_holds(|state| state.registry().errands.is_empty());
}

#[test]
fn an_object_keeps_its_last_instance_and_a_copy_to_come_is_none() {
    given(object_with([requested()]))
        .when(remove(InstanceName::Controlled(BACKEND)))
        .then_rejected(Rejection::LastInstance(object("o1")));
}

#[test]
fn a_copy_to_come_may_be_given_up() {
    given(object_with([requested()]))
        .when(remove(InstanceName::Controlled(OTHER_BACKEND)))
        .then_events([failed("cancelled")])
        .when(finish(Ok(())))
        .then_nothing_happens();
}

#[test]
fn what_is_no_instance_cannot_be_removed() {
    let not_found = || Rejection::InstanceNotFound(object("o1"));
    given(object_with([]))
        .when(remove(InstanceName::Controlled(OTHER_BACKEND)))
        .then_rejected(not_found())
        .when(remove(InstanceName::Label("elsewhere".to_owned())))
        .then_rejected(not_found());
}

#[test]
fn an_object_that_no_segment_uses_has_no_instances_to_change() {
    let not_found = || Rejection::ObjectNotFound(object("o1"));
    for events in [
        flow_with_source(FLOW, SOURCE),
        [flow_with_source(FLOW, SOURCE), vec![allocated(FLOW, ["o1"])]].concat(),
        object_with([segments_deleted("[0:0_1:0)", None, 1)]),
    ] {
        given(events)
            .when(add(elsewhere()))
            .then_rejected(not_found())
            .when(remove(InstanceName::Controlled(BACKEND)))
            .then_rejected(not_found());
    }
}

#[test]
fn init_objects_have_instances_of_their_own() {
    let segment = segments_added_with_init(FLOW, SOURCE, "o1", [stored_segment("media", "[0:0_1:0)")]);
    given([init_flow(), vec![segment]].concat())
        .when(add(elsewhere()))
        .when(finish(Ok(())))
        .then_holds(|state| known(state, "o1").unwrap().instances.as_slice() == [on_backend(), elsewhere()])
        .then_holds(|state| known(state, "media").unwrap().instances.as_slice() == [on_backend()]);
}

#[test]
fn instances_are_changed_through_a_flow_that_may_be_changed_on_backends_that_may_be_written() {
    let mut flow = stored_flow(FLOW, SOURCE);
    flow.tags = of_class("news");
    let segments = segments_added(FLOW, SOURCE, [stored_segment("o1", "[0:0_1:0)")]);
    let reader = access([("news", &[Permission::Read])]);
    let writer = access([("news", &[Permission::Read, Permission::Write])]);
    let instance = || at_address("https://example.com/x", "elsewhere");
    let to_vault = Command::AddInstance(AddInstance { storage_tags: of_class("vault"), ..addition(elsewhere()) });
    given(vec![source_created(SOURCE), flow_created(flow), segments])
        .when_by(&access([]), add(instance()))
        .then_rejected(Rejection::ObjectNotFound(object("o1")))
        .when_by(&reader, add(instance()))
        .then_rejected(Rejection::Forbidden("change object o1".to_owned()))
        .when_by(&reader, remove(InstanceName::Controlled(BACKEND)))
        .then_rejected(Rejection::Forbidden("change object o1".to_owned()))
        .when_by(&writer, to_vault)
        .then_rejected(Rejection::Forbidden("store object o1 on that storage backend".to_owned()))
        .when_by(&writer, add(instance()))
        .then_events([added(instance())]);
}
