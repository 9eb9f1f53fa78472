//! Flows: their metadata, and the Sources that come and go with them (sections 4 and 5).

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashSet;
use tapelog_events::{
    AUTH_CLASSES, CollectionItem, Event, Flow, FlowCreated, FlowDeleted, FlowId, FlowTrashed, FlowUpdated, Membership,
    Outcome, Permission, ProfileId, Source, SourceCreated, SourceDeleted, SourceId, Tags, TechnicalMetadata, Verdict,
};

use crate::permit::{ensure_writable, permit_classes, permit_flow};
use crate::{
    Cascade, Context, Decision, DeleteFlow, Expected, FlowMetadata, FlowProperty, FlowState, Manner, PutFlow,
    Rejection, SetFlowProperty, State, Technical, deletion,
};

/// Creates a Flow, or replaces what clients own of it (5.2).
pub(crate) fn put(state: &State, context: &Context<'_>, command: &PutFlow) -> Result<Decision, Rejection> {
    let before = state.flow(command.flow_id);
    if let Some(before) = before {
        permit_flow(context, Permission::Write, &before.flow)?;
    }
    match (before, command.expected) {
        (Some(_), Expected::Absent) => return Err(Rejection::FlowExists(command.flow_id)),
        (None, Expected::Present) => return Err(Rejection::FlowNotFound(command.flow_id)),
        (Some(_), Expected::Present | Expected::Any) | (None, Expected::Absent | Expected::Any) => {}
    }
    if let Some(before) = before {
        ensure_writable(state, &before.flow)?;
    } else if state.registry().trash.get(&command.flow_id).is_some() {
        return Err(Rejection::FlowInTrash(command.flow_id));
    }
    let flow = merged(state, context, command, before)?;
    permit_classes(context, before.map_or(&Tags::new(), |before| &before.flow.tags), &flow.tags)?;
    if let Some(before) = before
        && before.flow.format != flow.format
    {
        return Err(Rejection::FormatOfFlow { existing: before.flow.format, asked: flow.format });
    }
    if let Some(before) = before {
        check_segments_fit(state, &before.flow, &flow)?;
    }
    check_collection(state, context, flow.id, flow.members())?;
    let joins = before.is_none_or(|before| before.flow.source_id != flow.source_id);
    if let Some(source) = state.source(flow.source_id).filter(|_| joins)
        && context.access.judge(Permission::Write, &source.source.tags) != Verdict::Granted
    {
        return Err(Rejection::Forbidden(format!("add flows to source {}", flow.source_id)));
    }
    let new_source = match state.source(flow.source_id) {
        Some(source) if source.source.format != flow.format => {
            return Err(Rejection::FormatOfSource {
                source_id: flow.source_id,
                existing: source.source.format,
                asked: flow.format,
            });
        }
        Some(_) => None,
        None => Some(Event::SourceCreated(SourceCreated { source: source_of(context, &flow) })),
    };
    let Some(before) = before else {
        let collected_by = state.collectors_of_new(&flow);
        let created = Event::FlowCreated(FlowCreated { flow, collected_by });
        let events = new_source.into_iter().chain([created]).collect();
        return Ok(Decision { events, outcome: Outcome::Created });
    };
    if flow == *before.flow {
        return Ok(Decision::nothing());
    }
    let orphan = orphaned_source(state, before, flow.source_id);
    let updated = updated(state, before, context, flow);
    Ok(Decision::done(new_source.into_iter().chain([updated]).chain(orphan).collect()))
}

/// Changes one property of a Flow.
pub(crate) fn set_property(
    state: &State,
    context: &Context<'_>,
    command: &SetFlowProperty,
) -> Result<Decision, Rejection> {
    let before = state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    permit_flow(context, Permission::Write, &before.flow)?;
    if !matches!(command.property, FlowProperty::ReadOnly(_)) {
        ensure_writable(state, &before.flow)?;
    }
    let mut flow = (*before.flow).clone();
    match command.property.clone() {
        FlowProperty::Label(label) => flow.label = label,
        FlowProperty::Description(description) => flow.description = description,
        FlowProperty::Tag(name, Some(value)) => {
            flow.tags.insert(name, value);
        }
        FlowProperty::Tag(name, None) => {
            flow.tags.remove(&name).ok_or(Rejection::TagNotFound(name))?;
        }
        FlowProperty::Tags(tags) => flow.tags = tags,
        FlowProperty::ReadOnly(read_only) if flow.is_read_only() != read_only => flow.read_only = Some(read_only),
        FlowProperty::ReadOnly(_) => {}
        FlowProperty::FlowCollection(collection) => {
            check_collection(state, context, flow.id, collection.as_deref().unwrap_or_default())?;
            flow.flow_collection = collection;
        }
        FlowProperty::MaxBitRate(rate) => flow.max_bit_rate = rate,
        FlowProperty::AvgBitRate(_) if flow.profile_id.is_some() => return Err(Rejection::FromProfile),
        FlowProperty::AvgBitRate(rate) => flow.avg_bit_rate = rate,
    }
    if flow == *before.flow {
        return Ok(Decision::nothing());
    }
    permit_classes(context, &before.flow.tags, &flow.tags)?;
    flow.metadata_version = context.commit_id.to_string();
    flow.updated_by = Some(context.actor.to_owned());
    Ok(Decision::done(vec![updated(state, before, context, flow)]))
}

/// Deletes a Flow with its segments, or puts it aside. One with many segments goes bit by bit.
pub(crate) fn delete(state: &State, context: &Context<'_>, command: &DeleteFlow) -> Result<Decision, Rejection> {
    let before = state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    permit_flow(context, Permission::Delete, &before.flow)?;
    if let Some(request) = state.registry().open_deletions(command.flow_id).find(|request| request.delete_flow) {
        return Ok(Decision { events: Vec::new(), outcome: Outcome::DeletionRequested { request_id: request.id } });
    }
    ensure_writable(state, &before.flow)?;
    let inventory = state.inventory();
    let slot = inventory.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?;
    let segments = inventory.segments_of(slot);
    match command.cascade {
        Cascade::Yes => {}
        Cascade::No if segments > 0 => {
            return Err(Rejection::HasDependents(format!("flow {} has {segments} segments", command.flow_id)));
        }
        Cascade::No => {
            if let Some(collector) = before.collected_by.first() {
                let dependent = format!("flow {} is collected by flow {collector}", command.flow_id);
                return Err(Rejection::HasDependents(dependent));
            }
        }
    }
    match command.manner {
        // What is still to be deleted of it would come back with it.
        Manner::Aside if state.registry().open_deletions(command.flow_id).next().is_some() => {
            Err(Rejection::BeingDeleted(command.flow_id))
        }
        Manner::Aside => Ok(Decision::done(leaving(state, context, before, |collected_by| {
            let (flow_id, source_id) = (before.flow.id, before.flow.source_id);
            Event::FlowTrashed(FlowTrashed { flow_id, source_id, collected_by })
        }))),
        Manner::ForGood if segments <= command.patience.segments => {
            Ok(Decision::done(deletion(state, context, before)))
        }
        Manner::ForGood => {
            let range = inventory.flow_range(slot);
            Ok(deletion::request(context, command.flow_id, range, range, true, command.patience))
        }
    }
}

/// The events by which a Flow goes for good.
pub(crate) fn deletion(state: &State, context: &Context<'_>, flow: &FlowState) -> Vec<Event> {
    leaving(state, context, flow, |collected_by| {
        let (flow_id, source_id) = (flow.flow.id, flow.flow.source_id);
        Event::FlowDeleted(FlowDeleted { flow_id, source_id, collected_by })
    })
}

/// What comes with the end of a Flow: collections that held it lose it first; its Source goes with its last Flow.
fn leaving(
    state: &State,
    context: &Context<'_>,
    before: &FlowState,
    end: impl FnOnce(Membership) -> Event,
) -> Vec<Event> {
    let id = before.flow.id;
    let collectors = before.collected_by.iter().filter_map(|collector| state.flow(*collector));
    let mut events: Vec<Event> = collectors
        .map(|collector| {
            let mut flow = (*collector.flow).clone();
            if let Some(members) = &mut flow.flow_collection {
                members.retain(|member| member.id != id);
            }
            flow.metadata_version = context.commit_id.to_string();
            flow.updated_by = Some(context.actor.to_owned());
            updated(state, collector, context, flow)
        })
        .collect();
    events.push(end(state.membership(before)));
    events.extend(deleted_source_without(state, before));
    events
}

/// The Flow as it is after a PUT. Equal to the Flow before it where nothing changes.
fn merged(
    state: &State,
    context: &Context<'_>,
    command: &PutFlow,
    before: Option<&FlowState>,
) -> Result<Flow, Rejection> {
    let FlowMetadata {
        source_id,
        label,
        description,
        created_by,
        updated_by,
        tags,
        metadata_version,
        generation,
        status,
        read_only,
        max_bit_rate,
        flow_collection,
        technical,
    } = command.metadata.clone();
    let (profile_id, technical) = match technical {
        Technical::Profile(profile_id) => (Some(profile_id), of_profile(state, context, profile_id)?),
        Technical::Own(_) if before.is_some_and(|before| before.flow.profile_id.is_some()) => {
            return Err(Rejection::StillLinked);
        }
        Technical::Own(technical) | Technical::Unlinked(technical) => (None, *technical),
    };
    let TechnicalMetadata {
        format,
        codec,
        container,
        avg_bit_rate,
        segment_duration,
        container_mapping,
        essence_parameters,
    } = technical;
    let actor = || Some(context.actor.to_owned());
    let fresh_version = || context.commit_id.to_string();
    let mut flow = Flow {
        id: command.flow_id,
        source_id,
        label,
        description,
        created_by: created_by.or_else(actor),
        updated_by: updated_by.clone().or_else(actor),
        tags,
        metadata_version: metadata_version.clone().unwrap_or_else(fresh_version),
        generation,
        created: context.at,
        metadata_updated: context.at,
        status,
        read_only,
        max_bit_rate,
        avg_bit_rate,
        flow_collection,
        profile_id,
        format,
        codec,
        container,
        segment_duration,
        container_mapping,
        essence_parameters,
    };
    let Some(FlowState { flow: before, .. }) = before else { return Ok(flow) };
    flow.created = before.created;
    flow.created_by.clone_from(&before.created_by);
    flow.metadata_updated = before.metadata_updated;
    flow.updated_by.clone_from(&before.updated_by);
    flow.metadata_version.clone_from(&before.metadata_version);
    let client_version = metadata_version.filter(|version| *version != before.metadata_version);
    if flow == **before && client_version.is_none() {
        return Ok(flow);
    }
    // A client that sends back what it was given has not said who it is, nor which version this makes.
    let client_updater = updated_by.filter(|updater| Some(updater) != before.updated_by.as_ref());
    flow.updated_by = client_updater.or_else(actor);
    flow.metadata_version = client_version.unwrap_or_else(fresh_version);
    Ok(flow)
}

/// The technical metadata that a profile gives its Flows.
fn of_profile(state: &State, context: &Context<'_>, id: ProfileId) -> Result<TechnicalMetadata, Rejection> {
    let profile = state.registry().profiles.get(&id).filter(|profile| context.access.may_read(&profile.tags));
    Ok(profile.ok_or(Rejection::UnknownProfile(id))?.flow_metadata.clone())
}

/// The event of a changed Flow, whose `metadata_updated` becomes now.
fn updated(state: &State, before: &FlowState, context: &Context<'_>, mut flow: Flow) -> Event {
    flow.metadata_updated = context.at;
    let mut collected_by = state.collectors(before);
    if flow.source_id != before.flow.source_id {
        // The Flow takes what collects it along to its new Source.
        let collectors = before.collected_by.iter().filter_map(|collector| state.flow(*collector));
        let along = collectors.map(|collector| collector.flow.source_id);
        let sources: BTreeSet<_> = state.collectors_of_source(flow.source_id).into_iter().chain(along).collect();
        collected_by.source = sources.into_iter().collect();
    }
    Event::FlowUpdated(FlowUpdated { flow, segments_updated: before.segments_updated, collected_by })
}

/// A new Source takes format, label, description and tags from its first Flow, once (section 4).
fn source_of(context: &Context<'_>, flow: &Flow) -> Source {
    Source {
        id: flow.source_id,
        format: flow.format,
        label: flow.label.clone(),
        description: flow.description.clone(),
        tags: flow.tags.clone(),
        created_by: flow.created_by.clone(),
        updated_by: flow.updated_by.clone(),
        created: context.at,
        updated: context.at,
    }
}

/// The end of the Source that a Flow leaves for another, if that was its last Flow.
fn orphaned_source(state: &State, before: &FlowState, source_id: SourceId) -> Option<Event> {
    if before.flow.source_id == source_id { None } else { deleted_source_without(state, before) }
}

/// The end of a Flow's Source, if it has no other Flow (L8).
fn deleted_source_without(state: &State, flow: &FlowState) -> Option<Event> {
    let source_id = flow.flow.source_id;
    let source = state.source(source_id)?;
    let is_last = source.flows.len() == 1;
    let collected_by = state.collectors_of_source(source_id);
    let auth_classes = source.source.tags.get(AUTH_CLASSES).cloned();
    is_last.then_some(Event::SourceDeleted(SourceDeleted { source_id, collected_by, auth_classes }))
}

/// While a Flow has segments, what those rest on stays: that it has a container (5.4), and whether its objects have init
/// objects (5.6).
fn check_segments_fit(state: &State, before: &Flow, after: &Flow) -> Result<(), Rejection> {
    let inventory = state.inventory();
    if inventory.flow(before.id).is_none_or(|slot| inventory.segments_of(slot) == 0) {
        return Ok(());
    }
    let has_init = |flow: &Flow| flow.essence_parameters.as_ref().is_some_and(|essence| essence.init_segments());
    if after.container.is_none() {
        return Err(Rejection::HasSegments("container"));
    }
    if has_init(before) != has_init(after) {
        return Err(Rejection::HasSegments("essence_parameters.init_segments"));
    }
    Ok(())
}

/// Members of a collection exist, and none leads back to the collecting Flow (5.3).
fn check_collection(
    state: &State,
    context: &Context<'_>,
    collector: FlowId,
    members: &[CollectionItem],
) -> Result<(), Rejection> {
    let mut seen = HashSet::new();
    for member in members {
        if member.id == collector {
            return Err(Rejection::CollectionCycle(member.id));
        }
        let flow = state.flow(member.id).filter(|flow| context.access.may_read(&flow.flow.tags));
        let flow = flow.ok_or(Rejection::UnknownMember(member.id))?;
        let mut pending: Vec<&Arc<Flow>> = vec![&flow.flow];
        while let Some(flow) = pending.pop() {
            if flow.id == collector {
                return Err(Rejection::CollectionCycle(member.id));
            }
            if seen.insert(flow.id) {
                pending.extend(flow.members().iter().filter_map(|inner| state.flow(inner.id)).map(|inner| &inner.flow));
            }
        }
    }
    Ok(())
}
