//! Profiles, and the Flows that are linked to them (5.5).

use tapelog_commands::{Command, CreateProfile, FlowMetadata, FlowProperty, Rejection, Technical};
use tapelog_events::{
    Event, Flow, FlowUpdated, Format, Membership, Outcome, Profile, ProfileCreated, ProfileId, Tags, TechnicalMetadata,
};
use uuid::Uuid;

use crate::harness::*;

const PROFILE: ProfileId = ProfileId::from_uuid(Uuid::from_u128(0x91));

fn shared() -> TechnicalMetadata {
    TechnicalMetadata { codec: text("application/x"), avg_bit_rate: Some(7), ..technical(Format::Data) }
}

fn create(tags: Tags) -> Command {
    Command::CreateProfile(Box::new(CreateProfile {
        profile_id: PROFILE,
        label: text("shared"),
        description: None,
        tags,
        created_by: None,
        flow_metadata: shared(),
    }))
}

fn created(tags: Tags) -> Event {
    let profile = Profile {
        id: PROFILE,
        label: text("shared"),
        description: None,
        tags,
        created: NOW,
        created_by: text(ACTOR),
        flow_metadata: shared(),
    };
    ProfileCreated { profile }.into()
}

fn put(technical: Technical) -> Command {
    put_flow(FLOW, FlowMetadata { technical, ..metadata(SOURCE) })
}

/// [`stored_flow`] with what the profile says.
fn linked() -> Flow {
    Flow { profile_id: Some(PROFILE), codec: text("application/x"), avg_bit_rate: Some(7), ..stored_flow(FLOW, SOURCE) }
}

#[test]
fn a_profile_is_made_once() {
    given([])
        .when(create(Tags::new()))
        .then_events([created(Tags::new())])
        .then_outcome(&Outcome::Created)
        .when(create(Tags::new()))
        .then_rejected(Rejection::ProfileExists(PROFILE));
}

#[test]
fn a_flow_takes_its_technical_metadata_from_its_profile() {
    given([created(Tags::new())])
        .when(put(Technical::Profile(PROFILE)))
        .then_outcome(&Outcome::Created)
        .then_holds(|state| {
            let flow = &state.flow(FLOW).unwrap().flow;
            (flow.profile_id, &flow.codec, flow.avg_bit_rate) == (Some(PROFILE), &text("application/x"), Some(7))
        })
        .when(set(FLOW, FlowProperty::AvgBitRate(Some(8))))
        .then_rejected(Rejection::FromProfile)
        .when(set(FLOW, FlowProperty::Label(text("x"))))
        .then_holds(|state| state.flow(FLOW).unwrap().flow.profile_id == Some(PROFILE));
}

#[test]
fn a_linked_flow_stays_linked_until_it_is_told_otherwise() {
    let unlinked = Flow {
        profile_id: None,
        codec: None,
        avg_bit_rate: None,
        metadata_updated: NOW,
        updated_by: text(ACTOR),
        metadata_version: COMMIT.to_string(),
        ..linked()
    };
    let updated = FlowUpdated { flow: unlinked, segments_updated: None, collected_by: Membership::default() };
    given([created(Tags::new()), source_created(SOURCE), flow_created(linked())])
        .when(put(Technical::Own(Box::new(technical(Format::Data)))))
        .then_rejected(Rejection::StillLinked)
        .when(put(Technical::Profile(PROFILE)))
        .then_nothing_happens()
        .when(put(Technical::Unlinked(Box::new(technical(Format::Data)))))
        .then_events([updated.into()]);
}

#[test]
fn a_profile_that_is_not_there_or_not_to_be_seen_is_unknown() {
    given([]).when(put(Technical::Profile(PROFILE))).then_rejected(Rejection::UnknownProfile(PROFILE));
    given([created(of_class("news"))])
        .when_by(&access([]), put(Technical::Profile(PROFILE)))
        .then_rejected(Rejection::UnknownProfile(PROFILE));
}

#[test]
fn a_profile_is_made_only_of_classes_that_may_be_written() {
    given([]).when_by(&access([]), create(of_class("news"))).then_rejected(Rejection::Reclassified);
}
