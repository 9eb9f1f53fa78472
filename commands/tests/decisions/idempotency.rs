//! A request that is repeated under its idempotency key gets the first one's answer.

use tapelog_commands::{FlowProperty, Handled, Rejection};
use tapelog_events::{Instant, Outcome};

use crate::harness::*;

fn hours_later(hours: i64) -> Instant {
    Instant::from_micros(NOW.as_micros() + hours * 3_600_000_000)
}

#[test]
fn a_repeated_request_is_answered_as_the_first_time_and_not_carried_out_again() {
    let failing = || {
        let segments = [new_segment("o1", "[0:0_1:0)"), new_segment("unknown", "[1:0_2:0)")];
        under_key(post_list(FLOW, segments), 1, 1)
    };
    let events = [flow_with_source(FLOW, SOURCE), vec![allocated(FLOW, ["o1"])]].concat();
    let first = given(events).when_asked(failing(), NOW);
    let Handled::Commit(commit, outcome) = &first.handled else { panic!("no commit") };
    assert_eq!(commit.idempotency.as_ref().unwrap().outcome, *outcome);
    let outcome = outcome.clone();
    let again = first.when_asked(failing(), NOW);
    assert_eq!(again.handled, Handled::Nothing(outcome));
}

#[test]
fn a_repeated_creation_is_answered_as_a_creation() {
    let create = || under_key(put_flow(FLOW, metadata(SOURCE)), 1, 1);
    given([]).when_asked(create(), NOW).when_asked(create(), hours_later(24)).then_outcome(&Outcome::Created);
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    given([])
        .when_asked(under_key(put_flow(FLOW, metadata(SOURCE)), 1, 1), NOW)
        .when_asked(under_key(delete_flow(FLOW), 1, 2), NOW)
        .then_rejected(Rejection::IdempotencyKeyReused)
        .when_asked(under_key(delete_flow(FLOW), 2, 2), NOW)
        .then_outcome(&Outcome::Done);
}

#[test]
fn a_refused_request_may_be_repeated_until_it_succeeds() {
    let create = || under_key(put_flow(FLOW, metadata(SOURCE)), 1, 1);
    let lock = || under_key(set(FLOW, FlowProperty::ReadOnly(true)), 2, 2);
    given([])
        .when_asked(lock(), NOW)
        .then_rejected(Rejection::FlowNotFound(FLOW))
        .when_asked(create(), NOW)
        .when_asked(lock(), NOW)
        .then_outcome(&Outcome::Done)
        .then_holds(|state| state.flow(FLOW).unwrap().flow.is_read_only());
}

#[test]
fn a_key_is_remembered_for_a_day_of_the_logs_time() {
    let lock = || under_key(set(FLOW, FlowProperty::ReadOnly(true)), 1, 1);
    let unlock = || request(set(FLOW, FlowProperty::ReadOnly(false)));
    given(flow_with_source(FLOW, SOURCE))
        .when_asked(lock(), NOW)
        .when_asked(unlock(), hours_later(24))
        .when_asked(lock(), hours_later(24))
        .then_outcome(&Outcome::Done)
        .then_holds(|state| !state.flow(FLOW).unwrap().flow.is_read_only())
        .when_asked(request(set(FLOW, FlowProperty::Label(text("late")))), hours_later(25))
        .when_asked(lock(), hours_later(25))
        .then_holds(|state| state.flow(FLOW).unwrap().flow.is_read_only());
}

#[test]
fn what_is_rolled_back_was_never_answered() {
    let create = under_key(put_flow(FLOW, metadata(SOURCE)), 1, 1);
    let mut given = given([]);
    given.state.begin();
    let mut then = given.when_asked(create.clone(), NOW);
    then.state.rollback();
    let again = then.when_asked(create, hours_later(1));
    assert!(matches!(&again.handled, Handled::Commit(commit, Outcome::Created) if commit.at == hours_later(1)));
}

#[test]
fn a_commit_says_who_asked_when_and_under_which_request() {
    let mut asked = request(put_flow(FLOW, metadata(SOURCE)));
    asked.request_id = text("r-1");
    let then = given([]).when_asked(asked, NOW);
    let Handled::Commit(commit, _) = then.handled else { panic!("no commit") };
    assert_eq!((commit.id, commit.at, commit.actor.as_str()), (COMMIT, NOW, ACTOR));
    assert_eq!((commit.request_id, commit.idempotency), (text("r-1"), None));
}

#[test]
fn a_clock_that_is_set_back_does_not_turn_the_time_of_the_log() {
    let then = given(flow_with_source(FLOW, SOURCE))
        .when_asked(request(set(FLOW, FlowProperty::Label(text("new")))), Instant::from_micros(5));
    let Handled::Commit(commit, _) = &then.handled else { panic!("no commit") };
    assert_eq!(commit.at, EARLIER);
    assert_eq!(then.updated_flow().metadata_updated, EARLIER);
}
