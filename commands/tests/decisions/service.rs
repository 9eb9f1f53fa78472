//! The store's own name and description.

use tapelog_commands::{Command, UpdateService};
use tapelog_events::{Event, Incarnation, LogStarted, ServiceUpdated};
use uuid::Uuid;

use crate::harness::given;

fn named(name: Option<&str>, description: Option<&str>) -> Event {
    ServiceUpdated { name: name.map(str::to_owned), description: description.map(str::to_owned) }.into()
}

fn update(name: Option<&str>, description: Option<&str>) -> Command {
    Command::UpdateService(UpdateService { name: name.map(str::to_owned), description: description.map(str::to_owned) })
}

#[test]
fn a_new_name_leaves_the_description_as_it_was() {
    given([named(Some("archive"), Some("tapes"))])
        .when(update(Some("vault"), None))
        .then_events([named(Some("vault"), Some("tapes"))])
        .then_holds(|state| state.service() == (Some("vault"), Some("tapes")));
}

#[test]
fn the_name_that_it_has_changes_nothing() {
    given([named(Some("archive"), None)]).when(update(Some("archive"), None)).then_nothing_happens();
    given([]).when(update(None, None)).then_nothing_happens();
}

#[test]
fn the_first_event_of_a_log_names_its_life() {
    let incarnation = Incarnation::from_uuid(Uuid::from_u128(7));
    let state = given([LogStarted { incarnation }.into()]).state;
    assert_eq!(state.incarnation(), Some(incarnation));
}
