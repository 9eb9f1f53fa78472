//! Deletions that go on after they were answered, and those that are refused (section 9).

use std::time::Duration;

use tapelog_commands::{AdvanceDeletion, Cascade, Command, DeleteFlow, DeleteSegments, FlowProperty, Rejection};
use tapelog_events::{
    DeletionAdvanced, DeletionForgotten, DeletionRequest, DeletionRequestId, DeletionRequested, DeletionStatus, Event,
    FlowDeleted, Instant, Membership, Outcome, SegmentFailureKind, SourceDeleted, TimeRange,
};
use uuid::Uuid;

use crate::harness::*;

const REMEMBERED: Duration = Duration::from_millis(1);

fn delete_slowly(timerange: &str) -> Command {
    Command::DeleteSegments(DeleteSegments {
        flow_id: FLOW,
        timerange: range(timerange),
        object_id: None,
        patience: patience(1),
    })
}

fn delete_flow_slowly() -> Command {
    Command::DeleteFlow(DeleteFlow { patience: patience(1), ..deletion_of(FLOW) })
}

fn advance(segments: usize) -> Command {
    Command::AdvanceDeletion(AdvanceDeletion { request_id: DELETION, segments, remember: REMEMBERED })
}

/// As it was asked for [`NOW`].
fn asked(timerange: &str, remaining: &str) -> DeletionRequest {
    DeletionRequest {
        id: DELETION,
        flow_id: FLOW,
        timerange_to_delete: range(timerange),
        delete_flow: false,
        status: DeletionStatus::Created,
        timerange_remaining: range(remaining),
        created: NOW,
        created_by: ACTOR.to_owned(),
        updated: NOW,
        expiry: None,
    }
}

fn requested(request: DeletionRequest) -> Event {
    DeletionRequested { request }.into()
}

fn started(request: DeletionRequest, remaining: &str) -> Event {
    let (status, timerange_remaining) = (DeletionStatus::Started, range(remaining));
    DeletionAdvanced { request: DeletionRequest { status, timerange_remaining, ..request } }.into()
}

fn done(request: DeletionRequest) -> Event {
    let expiry = Some(NOW.saturating_add(REMEMBERED));
    let (status, timerange_remaining) = (DeletionStatus::Done, TimeRange::NEVER);
    DeletionAdvanced { request: DeletionRequest { status, timerange_remaining, expiry, ..request } }.into()
}

fn goes_on() -> Outcome {
    Outcome::DeletionRequested { request_id: DELETION }
}

fn four_segments() -> Vec<Event> {
    flow_with_segments(["[0:0_1:0)", "[1:0_2:0)", "[2:0_3:0)", "[3:0_4:0)"])
}

#[test]
fn what_is_too_much_for_one_answer_goes_on_until_all_is_gone() {
    let request = || asked("[0:0_3:500000000)", "[0:0_3:0)");
    given(four_segments())
        .when(delete_slowly("[0:0_3:500000000)"))
        .then_events([requested(request())])
        .then_outcome(&goes_on())
        .then_holds(|state| listed(state, FLOW).len() == 4)
        .when(advance(2))
        .then_events([segments_deleted("[0:0_2:0)", None, 2), started(request(), "[2:0_3:0)")])
        .when(advance(2))
        .then_events([segments_deleted("[2:0_3:0)", None, 1), done(request())])
        .then_holds(|state| listed(state, FLOW).len() == 1 && state.registry().all_open_deletions().next().is_none())
        .when(advance(2))
        .then_nothing_happens();
}

#[test]
fn a_flow_with_many_segments_goes_after_its_last() {
    let request = || DeletionRequest { delete_flow: true, ..asked("[0:0_4:0)", "[0:0_4:0)") };
    given(four_segments())
        .when(delete_flow_slowly())
        .then_events([requested(request())])
        .then_outcome(&goes_on())
        .when(advance(3))
        .then_events([segments_deleted("[0:0_3:0)", None, 3), started(request(), "[3:0_4:0)")])
        .when(advance(3))
        .then_events([
            segments_deleted("[3:0_4:0)", None, 1),
            FlowDeleted { flow_id: FLOW, source_id: SOURCE, collected_by: Membership::default() }.into(),
            SourceDeleted { source_id: SOURCE, collected_by: Vec::new(), auth_classes: None }.into(),
            done(request()),
        ])
        .then_holds(|state| state.flow(FLOW).is_none() && state.source(SOURCE).is_none());
}

#[test]
fn a_flow_on_its_way_out_takes_no_change_and_may_be_deleted_again() {
    for command in [
        set(FLOW, FlowProperty::Label(text("x"))),
        put_flow(FLOW, metadata(SOURCE)),
        allocate(FLOW, ["new"]),
        post_one(FLOW, new_segment("o1", "[9:0_10:0)")),
        delete_segments(FLOW, "_", None),
    ] {
        given(four_segments())
            .when(delete_flow_slowly())
            .when(command)
            .then_rejected(Rejection::BeingDeleted(FLOW))
            .when(delete_flow(FLOW))
            .then_events([])
            .then_outcome(&goes_on());
    }
}

#[test]
fn no_segment_is_added_where_some_are_being_deleted() {
    let refused = SegmentFailureKind::BeingDeleted { remaining: range("[0:0_3:0)") };
    given([four_segments(), vec![allocated(FLOW, ["new"])]].concat())
        .when(delete_slowly("[0:0_3:0)"))
        .when(delete_segments(FLOW, "[1:0_2:0)", None))
        .when(post_one(FLOW, new_segment("new", "[1:0_2:0)")))
        .then_rejected(Rejection::Segment(refused))
        .when(post_one(FLOW, new_segment("new", "[4:0_5:0)")))
        .then_holds(|state| listed(state, FLOW).len() == 4)
        .when(advance(9))
        .when(post_one(FLOW, new_segment("o1", "[0:0_1:0)")))
        .then_holds(|state| listed(state, FLOW).len() == 3);
}

#[test]
fn a_deletion_whose_flow_went_meanwhile_is_done() {
    let request = || asked("_", "[0:0_4:0)");
    given(four_segments())
        .when(delete_slowly("_"))
        .then_events([requested(request())])
        .when(delete_flow(FLOW))
        .when(advance(1))
        .then_events([done(request())]);
}

#[test]
fn an_ended_deletion_is_remembered_until_it_expires() {
    let ended = || {
        let request = asked("_", "[0:0_1:0)");
        [flow_with_source(FLOW, SOURCE), vec![requested(request.clone()), done(request)]].concat()
    };
    let unknown = DeletionRequestId::from_uuid(Uuid::from_u128(0xdd));
    let forget = || request(Command::ForgetDeletions(vec![DELETION, unknown]));
    let expiry = NOW.saturating_add(REMEMBERED);
    given(ended())
        .when_asked(forget(), Instant::from_micros(expiry.as_micros() - 1))
        .then_nothing_happens()
        .when_asked(forget(), expiry)
        .then_events([DeletionForgotten { request_id: DELETION }.into()])
        .then_holds(|state| state.registry().deletions.is_empty());
}

#[test]
fn without_cascade_a_flow_goes_only_if_nothing_depends_on_it() {
    let alone = || Command::DeleteFlow(DeleteFlow { cascade: Cascade::No, ..deletion_of(FLOW) });
    given(four_segments()).when(alone()).then_rejected(Rejection::HasDependents(format!("flow {FLOW} has 4 segments")));
    let mut collector = stored_flow(OTHER_FLOW, OTHER_SOURCE);
    collector.flow_collection = Some(vec![member(FLOW)]);
    given([flow_with_source(FLOW, SOURCE), vec![source_created(OTHER_SOURCE), flow_created(collector)]].concat())
        .when(alone())
        .then_rejected(Rejection::HasDependents(format!("flow {FLOW} is collected by flow {OTHER_FLOW}")));
    given(flow_with_source(FLOW, SOURCE)).when(alone()).then_holds(|state| state.flow(FLOW).is_none());
}
