//! Collections of Flows, and those of Sources that follow from them (sections 4 and 5.3).

use tapelog_commands::{FlowMetadata, FlowProperty, Rejection, State};
use tapelog_events::{
    CollectionItem, Event, Flow, FlowCreated, FlowDeleted, FlowId, FlowUpdated, Membership, SegmentsAdded,
    SourceCollectionItem, SourceDeleted, SourceId,
};

use crate::harness::*;

/// [`FLOW`], [`OTHER_FLOW`] and [`THIRD_FLOW`], each with a Source of its own and this collection.
fn flows_that_collect(collections: [Vec<CollectionItem>; 3]) -> Vec<Event> {
    let flows = [(FLOW, SOURCE), (OTHER_FLOW, OTHER_SOURCE), (THIRD_FLOW, THIRD_SOURCE)];
    let created = flows.iter().flat_map(|(flow, source)| flow_with_source(*flow, *source));
    let collecting = flows.iter().zip(collections).filter(|(_, members)| !members.is_empty());
    let updated = collecting.map(|((flow, source), members)| {
        let flow = Flow { flow_collection: Some(members), ..stored_flow(*flow, *source) };
        FlowUpdated { flow, segments_updated: None, collected_by: Membership::default() }.into()
    });
    created.chain(updated).collect()
}

fn collect(members: Vec<CollectionItem>) -> FlowProperty {
    FlowProperty::FlowCollection(Some(members))
}

fn collectors(state: &State, flow: FlowId) -> Vec<FlowId> {
    state.flow(flow).unwrap().collected_by.iter().copied().collect()
}

fn members(state: &State, flow: FlowId) -> Vec<FlowId> {
    state.flow(flow).unwrap().flow.members().iter().map(|member| member.id).collect()
}

fn source_members(state: &State, source: SourceId) -> Vec<SourceId> {
    state.collection_of_source(source).into_iter().map(|item| item.id).collect()
}

#[test]
fn a_collection_keeps_its_order_its_repetitions_and_its_roles() {
    let asked = vec![member_as(THIRD_FLOW, "audio"), member(OTHER_FLOW), member_as(THIRD_FLOW, "commentary")];
    let then = given(flows_that_collect([vec![], vec![], vec![]])).when(set(FLOW, collect(asked.clone())));
    assert_eq!(then.updated_flow().flow_collection, Some(asked));
}

#[test]
fn members_and_sources_are_collected_by_what_collects_them() {
    given(flows_that_collect([vec![], vec![], vec![]]))
        .when(set(FLOW, collect(vec![member_as(OTHER_FLOW, "video"), member(THIRD_FLOW)])))
        .then_holds(|state| collectors(state, OTHER_FLOW) == [FLOW] && collectors(state, THIRD_FLOW) == [FLOW])
        .then_holds(|state| state.collectors_of_source(OTHER_SOURCE) == [SOURCE])
        .then_holds(|state| {
            let item = |id, role| SourceCollectionItem { id, role };
            state.collection_of_source(SOURCE) == [item(OTHER_SOURCE, text("video")), item(THIRD_SOURCE, None)]
        })
        .when(set(FLOW, collect(vec![member(THIRD_FLOW)])))
        .then_holds(|state| collectors(state, OTHER_FLOW).is_empty() && collectors(state, THIRD_FLOW) == [FLOW])
        .then_holds(|state| state.collectors_of_source(OTHER_SOURCE).is_empty())
        .when(set(FLOW, FlowProperty::FlowCollection(None)))
        .then_holds(|state| collectors(state, THIRD_FLOW).is_empty() && source_members(state, SOURCE).is_empty());
}

#[test]
fn a_source_collects_another_once_however_many_of_its_flows_do() {
    let second = Flow { flow_collection: Some(vec![member(OTHER_FLOW)]), ..stored_flow(THIRD_FLOW, SOURCE) };
    let first = Flow { flow_collection: Some(vec![member(OTHER_FLOW)]), ..stored_flow(FLOW, SOURCE) };
    let created = [source_created(SOURCE), flow_created(first), flow_created(second)];
    given(flow_with_source(OTHER_FLOW, OTHER_SOURCE).into_iter().chain(created))
        .then_holds_before(|state| source_members(state, SOURCE) == [OTHER_SOURCE])
        .then_holds_before(|state| state.collectors_of_source(OTHER_SOURCE) == [SOURCE])
        .then_holds_before(|state| collectors(state, OTHER_FLOW) == [FLOW, THIRD_FLOW]);
}

#[test]
fn a_member_that_does_not_exist_is_refused() {
    let refusal = || Rejection::UnknownMember(OTHER_FLOW);
    let asked = || vec![member(OTHER_FLOW)];
    given(flow_with_source(FLOW, SOURCE)).when(set(FLOW, collect(asked()))).then_rejected(refusal());
    let put = FlowMetadata { flow_collection: Some(asked()), ..metadata(SOURCE) };
    given([]).when(put_flow(FLOW, put)).then_rejected(refusal());
}

#[test]
fn a_flow_does_not_collect_itself_however_many_steps_away() {
    let chain = || flows_that_collect([vec![], vec![member(THIRD_FLOW)], vec![member(FLOW)]]);
    for through in [FLOW, OTHER_FLOW, THIRD_FLOW] {
        let refusal = Rejection::CollectionCycle(through);
        given(chain()).when(set(FLOW, collect(vec![member(through)]))).then_rejected(refusal.clone());
        let put = FlowMetadata { flow_collection: Some(vec![member(through)]), ..metadata(SOURCE) };
        given(chain()).when(put_flow(FLOW, put)).then_rejected(refusal);
    }
    let new = FlowMetadata { flow_collection: Some(vec![member(FLOW)]), ..metadata(SOURCE) };
    given([]).when(put_flow(FLOW, new)).then_rejected(Rejection::CollectionCycle(FLOW));
}

#[test]
fn two_ways_to_one_member_are_no_cycle() {
    given(flows_that_collect([vec![], vec![member(THIRD_FLOW)], vec![]]))
        .when(set(FLOW, collect(vec![member(THIRD_FLOW), member(OTHER_FLOW)])))
        .then_holds(|state| collectors(state, THIRD_FLOW) == [FLOW, OTHER_FLOW]);
}

#[test]
fn a_new_flow_may_collect_and_is_told_what_collects_its_source() {
    let asked = FlowMetadata { flow_collection: Some(vec![member(THIRD_FLOW)]), ..metadata(OTHER_SOURCE) };
    let new = FlowId::from_uuid(uuid::Uuid::from_u128(0xf4));
    let then = given(flows_that_collect([vec![member(OTHER_FLOW)], vec![], vec![]])).when(put_flow(new, asked));
    let Event::FlowCreated(FlowCreated { collected_by, .. }) = then.only_event() else { panic!("no creation") };
    assert_eq!(collected_by, Membership { flow: Vec::new(), source: vec![SOURCE], auth_classes: None });
    then.then_holds(|state| collectors(state, THIRD_FLOW) == [new]);
}

#[test]
fn a_deleted_member_leaves_the_collections_that_hold_it_even_locked_ones() {
    let mut events =
        flows_that_collect([vec![member(OTHER_FLOW), member(THIRD_FLOW), member(OTHER_FLOW)], vec![], vec![]]);
    let Some(Event::FlowUpdated(FlowUpdated { flow: collector, .. })) = events.last_mut() else { unreachable!() };
    collector.read_only = Some(true);
    let collector = Flow {
        flow_collection: Some(vec![member(THIRD_FLOW)]),
        metadata_updated: NOW,
        metadata_version: COMMIT.to_string(),
        updated_by: text(ACTOR),
        ..collector.clone()
    };
    given(events)
        .when(delete_flow(OTHER_FLOW))
        .then_events([
            FlowUpdated { flow: collector, segments_updated: None, collected_by: Membership::default() }.into(),
            FlowDeleted {
                flow_id: OTHER_FLOW,
                source_id: OTHER_SOURCE,
                collected_by: Membership { flow: vec![FLOW], source: vec![SOURCE], auth_classes: None },
            }
            .into(),
            SourceDeleted { source_id: OTHER_SOURCE, collected_by: vec![SOURCE], auth_classes: None }.into(),
        ])
        .then_holds(|state| members(state, FLOW) == [THIRD_FLOW] && source_members(state, SOURCE) == [THIRD_SOURCE]);
}

#[test]
fn members_outlive_what_collects_them() {
    given(flows_that_collect([vec![member(OTHER_FLOW), member(THIRD_FLOW)], vec![member(THIRD_FLOW)], vec![]]))
        .when(delete_flow(FLOW))
        .then_holds(|state| collectors(state, OTHER_FLOW).is_empty())
        .then_holds(|state| collectors(state, THIRD_FLOW) == [OTHER_FLOW])
        .then_holds(|state| state.collectors_of_source(OTHER_SOURCE).is_empty());
}

#[test]
fn events_of_a_member_tell_what_collects_it_and_its_source() {
    let membership = || Membership { flow: vec![FLOW], source: vec![SOURCE], auth_classes: None };
    let external = || {
        let get_urls = vec![located("https://example.com/o1", "elsewhere")];
        tapelog_commands::NewSegment { get_urls, ..new_segment("o1", "[0:0_1:0)") }
    };
    let then = given(flows_that_collect([vec![member(OTHER_FLOW)], vec![], vec![]]))
        .when(post_one(OTHER_FLOW, external()))
        .then_events([SegmentsAdded {
            flow_id: OTHER_FLOW,
            source_id: OTHER_SOURCE,
            collected_by: membership(),
            instances: vec![at_address("https://example.com/o1", "elsewhere")],
            init_objects: Vec::new(),
            segments: vec![stored_segment("o1", "[0:0_1:0)")],
        }
        .into()])
        .when(set(OTHER_FLOW, FlowProperty::Label(text("new"))));
    let Event::FlowUpdated(updated) = then.only_event() else { panic!("no update") };
    assert_eq!(updated.collected_by, membership());
    let then = then.when(delete_segments(OTHER_FLOW, "_", None));
    let Event::SegmentsDeleted(deleted) = then.only_event() else { panic!("no deletion") };
    assert_eq!(deleted.collected_by, membership());
}

#[test]
fn a_flow_that_moves_to_another_source_takes_what_collects_it_along() {
    let then = given(flows_that_collect([vec![member(OTHER_FLOW)], vec![], vec![]]))
        .when(put_flow(OTHER_FLOW, metadata(THIRD_SOURCE)));
    let Some(Event::FlowUpdated(updated)) = then.events().into_iter().next() else { panic!("no update") };
    assert_eq!(updated.collected_by, Membership { flow: vec![FLOW], source: vec![SOURCE], auth_classes: None });
    then.then_holds(|state| source_members(state, SOURCE) == [THIRD_SOURCE]);
}
