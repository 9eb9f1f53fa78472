//! The end of objects (sections 7 and 9.4).

use tapelog_commands::inventory::ObjectState;
use tapelog_commands::{Command, NewSegment, Rejection};
use tapelog_events::{
    CopyRequested, Event, Instance, InstanceRemoved, Instant, ObjectsCondemned, ObjectsDeleted, Permission,
    SegmentFailureKind,
};

use crate::harness::*;

fn condemned<const N: usize>(ids: [&str; N]) -> Event {
    ObjectsCondemned { object_ids: ids.map(object).to_vec() }.into()
}

fn forget<const N: usize>(ids: [&str; N]) -> Command {
    Command::ForgetObjects(ids.map(object).to_vec())
}

fn delete(id: &str) -> Command {
    Command::DeleteObject(object(id))
}

/// `free` was given out, `used` is used, `unused` was: all [`EARLIER`].
fn objects_in_every_state() -> Vec<Event> {
    let added = [stored_segment("used", "[0:0_1:0)"), stored_segment("unused", "[1:0_2:0)")];
    [
        flow_with_source(FLOW, SOURCE),
        vec![allocated(FLOW, ["free"]), segments_added(FLOW, SOURCE, added), segments_deleted("[1:0_2:0)", None, 1)],
    ]
    .concat()
}

#[test]
fn only_what_nothing_refers_to_for_long_enough_is_condemned() {
    let all = ["free", "used", "unused", "unknown", "free"];
    given(objects_in_every_state())
        .when(condemn(all, EARLIER))
        .then_nothing_happens()
        .when(condemn(all, NOW))
        .then_events([condemned(["free", "unused"])])
        .then_holds(|state| known(state, "free").unwrap().state == ObjectState::Condemned)
        .when(condemn(all, Instant::from_micros(i64::MAX)))
        .then_nothing_happens();
}

#[test]
fn an_init_object_outlives_the_media_objects_that_name_it() {
    let added = segments_added_with_init(FLOW, SOURCE, "i1", [stored_segment("o1", "[0:0_1:0)")]);
    let deleted = segments_deleted("[0:0_1:0)", None, 1);
    given([init_flow(), vec![added, deleted]].concat())
        .when(condemn(["i1"], NOW))
        .then_nothing_happens()
        .when(delete("i1"))
        .then_rejected(Rejection::ObjectInUse(object("i1")))
        .when(condemn(["o1", "i1"], NOW))
        .then_events([condemned(["o1"])])
        .when(condemn(["o1", "i1"], NOW))
        .then_events([condemned(["i1"])]);
}

#[test]
fn a_condemned_object_is_unknown_until_it_is_forgotten_and_its_id_is_free_again() {
    let located = |id| NewSegment {
        get_urls: vec![located("https://example.com/x", "elsewhere")],
        ..new_segment(id, "[5:0_6:0)")
    };
    given(objects_in_every_state())
        .when(condemn(["free", "unused"], NOW))
        .when(post_one(FLOW, new_segment("free", "[5:0_6:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownObject))
        .when(post_one(FLOW, located("unused")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::UnknownObject))
        .when(allocate(FLOW, ["free"]))
        .then_rejected(Rejection::ObjectsExist(vec![object("free")]))
        .when(forget(["free", "used", "unknown", "free"]))
        .then_events([ObjectsDeleted { object_ids: vec![object("free")] }.into()])
        .then_holds(|state| known(state, "free").is_none())
        .when(allocate(FLOW, ["free"]))
        .then_events([allocated(FLOW, ["free"])]);
}

#[test]
fn an_id_is_not_given_out_while_bytes_under_it_are_still_being_erased() {
    let gone = Instance::Controlled { storage_id: OTHER_BACKEND };
    let removed = InstanceRemoved { object_id: object("free"), instance: gone };
    let deleted = ObjectsDeleted { object_ids: vec![object("free")] };
    given([objects_in_every_state(), vec![removed.into(), condemned(["free"]), deleted.into()]].concat())
        .when(allocate(FLOW, ["free"]))
        .then_rejected(Rejection::ObjectsExist(vec![object("free")]));
}

#[test]
fn what_is_being_copied_is_erased_when_its_object_is_condemned() {
    let requested = CopyRequested { object_id: object("unused"), storage_id: OTHER_BACKEND };
    given([objects_in_every_state(), vec![requested.into()]].concat()).when(condemn(["unused"], NOW)).then_holds(
        |state| {
            let errand = state.registry().errands.get(&(object("unused"), OTHER_BACKEND));
            errand == Some(&tapelog_commands::Errand::Erase { since: NOW })
        },
    );
}

#[test]
fn an_object_is_deleted_at_once_unless_it_is_used() {
    given(objects_in_every_state())
        .when(delete("used"))
        .then_rejected(Rejection::ObjectInUse(object("used")))
        .when(delete("unknown"))
        .then_rejected(Rejection::ObjectNotFound(object("unknown")))
        .when(delete("free"))
        .then_events([condemned(["free"])])
        .when(delete("free"))
        .then_rejected(Rejection::ObjectNotFound(object("free")))
        .when(delete("unused"))
        .then_events([condemned(["unused"])]);
}

#[test]
fn deleting_what_was_allocated_needs_write_on_its_flow() {
    let mut flow = stored_flow(FLOW, SOURCE);
    flow.tags = of_class("news");
    let events = || {
        let added = segments_added(FLOW, SOURCE, [stored_segment("used", "[0:0_1:0)")]);
        let given_out = [allocated(FLOW, ["free"]), allocated(None, ["anybodys"]), added];
        [vec![source_created(SOURCE), flow_created(flow.clone())], given_out.to_vec()].concat()
    };
    let reader = access([("news", &[Permission::Read])]);
    let writer = access([("news", &[Permission::Read, Permission::Write])]);
    given(events())
        .when_by(&access([]), delete("free"))
        .then_rejected(Rejection::ObjectNotFound(object("free")))
        .when_by(&access([]), delete("used"))
        .then_rejected(Rejection::ObjectNotFound(object("used")))
        .when_by(&reader, delete("used"))
        .then_rejected(Rejection::ObjectInUse(object("used")))
        .when_by(&reader, delete("free"))
        .then_rejected(Rejection::Forbidden("change it".to_owned()))
        .when_by(&writer, delete("free"))
        .then_events([condemned(["free"])])
        .when_by(&reader, delete("anybodys"))
        .then_events([condemned(["anybodys"])]);
}

#[test]
fn a_sweep_in_slices_finds_what_one_in_a_piece_finds() {
    given(objects_in_every_state()).when(delete("free")).then_holds(|state| {
        let inventory = state.inventory();
        let (mut expired, mut condemned, mut from) = (Vec::new(), Vec::new(), Some(0));
        while let Some(place) = from {
            let (found, next) = inventory.expired(place, 1, NOW, NOW);
            expired.extend(found);
            condemned.extend(inventory.condemned(place, 1).0);
            from = next;
        }
        expired == [object("unused")]
            && condemned.len() == 1
            && (condemned[0].0 == object("free") && condemned[0].1.as_slice() == [on_backend()])
            && inventory.expired(0, 100, NOW, NOW) == (expired, None)
            && inventory.condemned(0, 100) == (condemned, None)
    });
}

// Who may register an object that was given out.

#[test]
fn what_was_given_out_to_any_flow_is_registered_by_any() {
    given([two_flows(), vec![allocated(None, ["o1"])]].concat())
        .when(post_one(OTHER_FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_events([segments_added(OTHER_FLOW, OTHER_SOURCE, [stored_segment("o1", "[0:0_1:0)")])]);
}

#[test]
fn what_was_given_out_to_a_flow_that_is_gone_is_registered_by_nobody() {
    given([two_flows(), vec![allocated(FLOW, ["o1"])]].concat())
        .when(delete_flow(FLOW))
        .when(post_one(OTHER_FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::AllocatedElsewhere))
        .when(put_flow(FLOW, metadata(SOURCE)))
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_rejected(Rejection::Segment(SegmentFailureKind::AllocatedElsewhere))
        .when(condemn(["o1"], NOW))
        .then_events([condemned(["o1"])]);
}
