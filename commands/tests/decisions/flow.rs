//! Flows and the Sources that come and go with them (sections 4, 5.1, 5.2, 9.2 and 10).

use tapelog_commands::inventory::ObjectState;
use tapelog_commands::{Command, FlowMetadata, FlowProperty, Rejection, State, Technical};
use tapelog_events::{
    Event, Flow, FlowDeleted, FlowStatus, FlowUpdated, Format, Membership, Outcome, ProfileId, Source, SourceCreated,
    SourceDeleted, SourceId, TagValue, TechnicalMetadata, TimeRange,
};
use uuid::Uuid;

use crate::harness::*;

/// [`stored_flow`] as [`ACTOR`] creates it.
fn created_now() -> Flow {
    Flow {
        created: NOW,
        metadata_updated: NOW,
        created_by: text(ACTOR),
        updated_by: text(ACTOR),
        metadata_version: COMMIT.to_string(),
        ..stored_flow(FLOW, SOURCE)
    }
}

/// [`stored_flow`] as [`ACTOR`] changed it.
fn changed_now(change: impl FnOnce(&mut Flow)) -> Flow {
    let mut flow = Flow {
        metadata_updated: NOW,
        updated_by: text(ACTOR),
        metadata_version: COMMIT.to_string(),
        ..stored_flow(FLOW, SOURCE)
    };
    change(&mut flow);
    flow
}

fn updated(flow: Flow) -> Event {
    FlowUpdated { flow, segments_updated: None, collected_by: Membership::default() }.into()
}

/// What a client that sends back what it was given sends.
fn sent_back(flow: &Flow) -> FlowMetadata {
    FlowMetadata {
        source_id: flow.source_id,
        label: flow.label.clone(),
        description: flow.description.clone(),
        created_by: flow.created_by.clone(),
        updated_by: flow.updated_by.clone(),
        tags: flow.tags.clone(),
        metadata_version: Some(flow.metadata_version.clone()),
        generation: flow.generation,
        status: flow.status,
        read_only: flow.read_only,
        max_bit_rate: flow.max_bit_rate,
        flow_collection: flow.flow_collection.clone(),
        technical: Technical::Own(Box::new(TechnicalMetadata {
            format: flow.format,
            codec: flow.codec.clone(),
            container: flow.container.clone(),
            avg_bit_rate: flow.avg_bit_rate,
            segment_duration: flow.segment_duration,
            container_mapping: flow.container_mapping.clone(),
            essence_parameters: flow.essence_parameters.clone(),
        })),
    }
}

fn full_flow(flow: &mut Flow) {
    flow.label = text("camera one");
    flow.description = text("from the left");
    flow.tags = tags([("place", "studio")]);
    flow.generation = Some(1);
    flow.status = Some(FlowStatus::Ingesting);
    flow.read_only = Some(false);
    flow.max_bit_rate = Some(6000);
    flow.avg_bit_rate = Some(5000);
    flow.codec = text("application/json");
    flow.flow_collection = Some(Vec::new());
}

fn is_gone(state: &State, id: SourceId) -> bool {
    state.source(id).is_none()
}

// Creating.

#[test]
fn the_first_flow_of_a_source_brings_the_source_with_its_label_description_and_tags() {
    let asked = FlowMetadata {
        label: text("camera one"),
        description: text("from the left"),
        tags: tags([("place", "studio")]),
        ..metadata(SOURCE)
    };
    let (label, description, tags) = (asked.label.clone(), asked.description.clone(), asked.tags.clone());
    let source = Source {
        label: label.clone(),
        description: description.clone(),
        tags: tags.clone(),
        created: NOW,
        updated: NOW,
        created_by: text(ACTOR),
        updated_by: text(ACTOR),
        ..stored_source(SOURCE)
    };
    given([])
        .when(put_flow(FLOW, asked))
        .then_events([
            SourceCreated { source }.into(),
            flow_created(Flow { label, description, tags, ..created_now() }),
        ])
        .then_outcome(&Outcome::Created);
}

#[test]
fn a_further_flow_of_a_source_leaves_the_source_as_it_is() {
    let asked = FlowMetadata { label: text("camera two"), ..metadata(SOURCE) };
    given(flow_with_source(FLOW, SOURCE))
        .when(put_flow(OTHER_FLOW, asked))
        .then_events([flow_created(Flow { id: OTHER_FLOW, label: text("camera two"), ..created_now() })])
        .then_holds(|state| *state.source(SOURCE).unwrap().source == stored_source(SOURCE));
}

#[test]
fn who_creates_a_flow_may_say_who_and_which_version() {
    let asked = FlowMetadata {
        created_by: text("ingester"),
        updated_by: text("editor"),
        metadata_version: text("mine"),
        ..metadata(SOURCE)
    };
    let then = given(flow_with_source(OTHER_FLOW, SOURCE)).when(put_flow(FLOW, asked));
    then.then_events([flow_created(Flow {
        created_by: text("ingester"),
        updated_by: text("editor"),
        metadata_version: "mine".to_owned(),
        ..created_now()
    })]);
}

#[test]
fn a_flow_of_another_format_than_its_source_is_refused() {
    let asked = FlowMetadata { technical: Technical::Own(Box::new(technical(Format::Audio))), ..metadata(SOURCE) };
    let refusal = Rejection::FormatOfSource { source_id: SOURCE, existing: Format::Data, asked: Format::Audio };
    given(flow_with_source(FLOW, SOURCE)).when(put_flow(OTHER_FLOW, asked)).then_rejected(refusal);
}

#[test]
fn a_profile_that_does_not_exist_is_refused() {
    let profile = ProfileId::from_uuid(Uuid::from_u128(9));
    let asked = FlowMetadata { technical: Technical::Profile(profile), ..metadata(SOURCE) };
    given([]).when(put_flow(FLOW, asked)).then_rejected(Rejection::UnknownProfile(profile));
}

// Replacing.

#[test]
fn a_flow_that_is_sent_back_as_it_was_given_changes_nothing() {
    let given = given(flow_with(full_flow));
    let asked = sent_back(&given.state.flow(FLOW).unwrap().flow);
    given.when(put_flow(FLOW, asked)).then_nothing_happens();
}

#[test]
fn what_is_left_out_of_a_replacement_becomes_unset() {
    given(flow_with(full_flow))
        .when(put_flow(FLOW, metadata(SOURCE)))
        .then_events([updated(changed_now(|_| {}))])
        .then_outcome(&Outcome::Done);
}

#[test]
fn a_replacement_keeps_who_created_the_flow_and_when() {
    let asked = FlowMetadata { created_by: text("impostor"), label: text("new"), ..metadata(SOURCE) };
    given(flow_with_source(FLOW, SOURCE))
        .when(put_flow(FLOW, asked))
        .then_events([updated(changed_now(|flow| flow.label = text("new")))]);
}

#[test]
fn a_change_under_the_old_version_or_none_makes_a_new_version() {
    for version in [None, text(FIRST_VERSION)] {
        let asked = FlowMetadata { metadata_version: version, label: text("new"), ..metadata(SOURCE) };
        let flow = given(flow_with_source(FLOW, SOURCE)).when(put_flow(FLOW, asked)).updated_flow();
        assert_eq!(flow.metadata_version, COMMIT.to_string());
    }
}

#[test]
fn a_version_that_the_client_gives_is_taken_even_when_nothing_else_changes() {
    let asked = FlowMetadata { metadata_version: text("second"), ..metadata(SOURCE) };
    given(flow_with_source(FLOW, SOURCE))
        .when(put_flow(FLOW, asked))
        .then_events([updated(changed_now(|flow| flow.metadata_version = "second".to_owned()))]);
}

#[test]
fn a_new_updated_by_is_taken_and_the_old_one_sent_back_is_not() {
    for (sent, taken) in [("editor", "editor"), (FOUNDER, ACTOR)] {
        let asked = FlowMetadata { updated_by: text(sent), label: text("new"), ..metadata(SOURCE) };
        let flow = given(flow_with_source(FLOW, SOURCE)).when(put_flow(FLOW, asked)).updated_flow();
        assert_eq!(flow.updated_by, text(taken));
    }
}

#[test]
fn the_format_of_a_flow_never_changes() {
    let asked = FlowMetadata { technical: Technical::Own(Box::new(technical(Format::Audio))), ..metadata(SOURCE) };
    given(flow_with_source(FLOW, SOURCE))
        .when(put_flow(FLOW, asked))
        .then_rejected(Rejection::FormatOfFlow { existing: Format::Data, asked: Format::Audio });
}

#[test]
fn a_change_of_the_flow_does_not_reach_its_source() {
    given(flow_with_source(FLOW, SOURCE))
        .when(put_flow(FLOW, FlowMetadata { label: text("new"), ..metadata(SOURCE) }))
        .then_holds(|state| *state.source(SOURCE).unwrap().source == stored_source(SOURCE));
}

#[test]
fn a_flow_that_moves_to_another_source_may_create_it_and_end_the_one_it_leaves() {
    let source = Source { created: NOW, updated: NOW, updated_by: text(ACTOR), ..stored_source(OTHER_SOURCE) };
    given(flow_with_source(FLOW, SOURCE))
        .when(put_flow(FLOW, metadata(OTHER_SOURCE)))
        .then_events([
            SourceCreated { source }.into(),
            updated(changed_now(|flow| flow.source_id = OTHER_SOURCE)),
            SourceDeleted { source_id: SOURCE, collected_by: Vec::new(), auth_classes: None }.into(),
        ])
        .then_holds(|state| is_gone(state, SOURCE) && !is_gone(state, OTHER_SOURCE));
}

#[test]
fn a_flow_that_moves_to_another_source_leaves_a_source_with_other_flows() {
    let third = flow_created(stored_flow(THIRD_FLOW, SOURCE));
    given([two_flows(), vec![third]].concat())
        .when(put_flow(FLOW, metadata(OTHER_SOURCE)))
        .then_events([updated(changed_now(|flow| flow.source_id = OTHER_SOURCE))])
        .then_holds(|state| state.source(SOURCE).unwrap().flows.iter().eq([&THIRD_FLOW]))
        .then_holds(|state| state.source(OTHER_SOURCE).unwrap().flows.iter().eq([&FLOW, &OTHER_FLOW]));
}

// Properties.

/// A property set, the same unset, and what the first makes of a Flow.
type SetUnset = (FlowProperty, FlowProperty, fn(&mut Flow));

#[test]
fn each_property_is_set_and_unset_and_unsetting_it_again_changes_nothing() {
    let tag = || "a/b c".to_owned();
    let value = TagValue::Many(vec!["x".to_owned(), "y".to_owned()]);
    let cases: [SetUnset; 5] = [
        (FlowProperty::Label(text("l")), FlowProperty::Label(None), |flow| flow.label = text("l")),
        (FlowProperty::Description(text("d")), FlowProperty::Description(None), |flow| flow.description = text("d")),
        (FlowProperty::MaxBitRate(Some(0)), FlowProperty::MaxBitRate(None), |flow| flow.max_bit_rate = Some(0)),
        (FlowProperty::AvgBitRate(Some(5000)), FlowProperty::AvgBitRate(None), |flow| flow.avg_bit_rate = Some(5000)),
        (FlowProperty::FlowCollection(Some(Vec::new())), FlowProperty::FlowCollection(None), |flow| {
            flow.flow_collection = Some(Vec::new());
        }),
    ];
    for (set_to, unset, change) in cases {
        given(flow_with_source(FLOW, SOURCE))
            .when(set(FLOW, set_to.clone()))
            .then_events([updated(changed_now(change))])
            .when(set(FLOW, set_to))
            .then_nothing_happens()
            .when(set(FLOW, unset.clone()))
            .then_events([updated(changed_now(|_| {}))])
            .when(set(FLOW, unset))
            .then_nothing_happens();
    }
    given(flow_with_source(FLOW, SOURCE))
        .when(set(FLOW, FlowProperty::Tag(tag(), Some(value.clone()))))
        .then_events([updated(changed_now(|flow| drop(flow.tags.insert(tag(), value))))])
        .when(set(FLOW, FlowProperty::Tag(tag(), None)))
        .then_events([updated(changed_now(|_| {}))])
        .when(set(FLOW, FlowProperty::Tag(tag(), None)))
        .then_rejected(Rejection::TagNotFound(tag()));
}

#[test]
fn a_change_of_metadata_leaves_when_segments_changed_as_it_was() {
    given(flow_with_segments(["[0:0_1:0)"]))
        .when(set(FLOW, FlowProperty::Label(text("new"))))
        .then_events([FlowUpdated {
            flow: changed_now(|flow| flow.label = text("new")),
            segments_updated: Some(EARLIER),
            collected_by: Membership::default(),
        }
        .into()])
        .then_holds(|state| state.flow(FLOW).unwrap().segments_updated == Some(EARLIER));
}

#[test]
fn the_average_bit_rate_of_a_flow_with_a_profile_is_the_profiles() {
    let with_profile = |flow: &mut Flow| flow.profile_id = Some(ProfileId::from_uuid(Uuid::from_u128(9)));
    for rate in [Some(5000), None] {
        given(flow_with(with_profile))
            .when(set(FLOW, FlowProperty::AvgBitRate(rate)))
            .then_rejected(Rejection::FromProfile);
    }
    let then = given(flow_with(with_profile)).when(set(FLOW, FlowProperty::MaxBitRate(Some(6000))));
    assert_eq!(then.updated_flow().max_bit_rate, Some(6000));
}

// Locking.

/// Every command that changes [`FLOW`] or its content.
fn every_change_of_the_flow() -> Vec<Command> {
    let properties = [
        FlowProperty::Label(text("new")),
        FlowProperty::Description(None),
        FlowProperty::Tag("place".to_owned(), Some(TagValue::One("studio".to_owned()))),
        FlowProperty::Tag("place".to_owned(), None),
        FlowProperty::FlowCollection(None),
        FlowProperty::MaxBitRate(None),
        FlowProperty::AvgBitRate(None),
    ];
    let properties = properties.map(|property| set(FLOW, property));
    let others = [
        delete_flow(FLOW),
        allocate(FLOW, ["o1"]),
        post_one(FLOW, new_segment("o1", "[0:0_1:0)")),
        post_list(FLOW, []),
        delete_segments(FLOW, "_", None),
    ];
    properties.into_iter().chain(others).collect()
}

#[test]
fn a_locked_flow_refuses_every_change() {
    let unlocking_put = put_flow(FLOW, FlowMetadata { read_only: Some(false), ..metadata(SOURCE) });
    for command in every_change_of_the_flow().into_iter().chain([unlocking_put]) {
        given(flow_with(|flow| flow.read_only = Some(true))).when(command).then_rejected(Rejection::ReadOnly(FLOW));
    }
}

#[test]
fn a_locked_flow_is_unlocked_by_its_read_only_property() {
    given(flow_with(|flow| flow.read_only = Some(true)))
        .when(set(FLOW, FlowProperty::ReadOnly(false)))
        .then_events([updated(changed_now(|flow| flow.read_only = Some(false)))])
        .when(set(FLOW, FlowProperty::Label(text("new"))))
        .then_holds(|state| state.flow(FLOW).unwrap().flow.label == text("new"));
}

#[test]
fn a_flow_may_be_created_locked_and_an_unlocked_one_unlocked_again() {
    let locked = FlowMetadata { read_only: Some(true), ..metadata(SOURCE) };
    given([])
        .when(put_flow(FLOW, locked))
        .when(set(FLOW, FlowProperty::Label(text("new"))))
        .then_rejected(Rejection::ReadOnly(FLOW));
    given(flow_with_source(FLOW, SOURCE)).when(set(FLOW, FlowProperty::ReadOnly(false))).then_nothing_happens();
}

// Deleting.

#[test]
fn a_deleted_flow_takes_its_segments_and_its_source_along() {
    given(flow_with_segments(["[0:0_1:0)", "[1:0_2:0)"]))
        .when(delete_flow(FLOW))
        .then_events([
            FlowDeleted { flow_id: FLOW, source_id: SOURCE, collected_by: Membership::default() }.into(),
            SourceDeleted { source_id: SOURCE, collected_by: Vec::new(), auth_classes: None }.into(),
        ])
        .then_holds(|state| state.flow(FLOW).is_none() && is_gone(state, SOURCE))
        .then_holds(|state| listed(state, FLOW).is_empty() && state.inventory().segment_count() == 0)
        .then_holds(|state| {
            let inventory = state.inventory();
            let object = inventory.object(inventory.object_slot(&object("o2")).unwrap());
            object.state == ObjectState::Unreferenced { range: Some(range("[1:0_2:0)")), since: NOW }
        });
}

#[test]
fn a_source_stays_while_it_has_another_flow() {
    given([flow_with_source(FLOW, SOURCE), vec![flow_created(stored_flow(OTHER_FLOW, SOURCE))]].concat())
        .when(delete_flow(FLOW))
        .then_events([FlowDeleted { flow_id: FLOW, source_id: SOURCE, collected_by: Membership::default() }.into()])
        .then_holds(|state| state.source(SOURCE).unwrap().flows.iter().eq([&OTHER_FLOW]));
}

#[test]
fn objects_of_a_deleted_flow_stay_for_the_flows_that_use_them_too() {
    let reuse = segments_added(OTHER_FLOW, OTHER_SOURCE, [stored_segment("o1", "[0:0_1:0)")]);
    let other = flow_with_source(OTHER_FLOW, OTHER_SOURCE);
    given([flow_with_segments(["[0:0_1:0)"]), other, vec![reuse]].concat())
        .then_holds_before(|state| users(state, "o1") == (vec![FLOW, OTHER_FLOW], Some(FLOW)))
        .when(delete_flow(FLOW))
        .then_holds(|state| users(state, "o1") == (vec![OTHER_FLOW], None))
        .then_holds(|state| listed(state, OTHER_FLOW) == [("o1".to_owned(), "[0:0_1:0)".to_owned())]);
}

#[test]
fn a_flow_under_the_id_of_a_deleted_one_starts_empty() {
    given(flow_with_segments(["[0:0_1:0)"]))
        .when(delete_flow(FLOW))
        .when(put_flow(FLOW, metadata(SOURCE)))
        .then_outcome(&Outcome::Created)
        .then_holds(|state| {
            let flow = state.flow(FLOW).unwrap();
            flow.segments_updated.is_none() && flow.flow.created == NOW
        })
        .then_holds(|state| {
            let inventory = state.inventory();
            inventory.flow_range(inventory.flow(FLOW).unwrap()) == TimeRange::NEVER
        });
}

#[test]
fn a_flow_that_does_not_exist_refuses_everything_but_its_creation() {
    for command in every_change_of_the_flow() {
        given([]).when(command).then_rejected(Rejection::FlowNotFound(FLOW));
    }
    given(flow_with_source(FLOW, SOURCE))
        .when(delete_flow(FLOW))
        .when(delete_flow(FLOW))
        .then_rejected(Rejection::FlowNotFound(FLOW));
}
