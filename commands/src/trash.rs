//! Flows that were put aside: back with all their segments, or gone for good.

use tapelog_events::{Event, FlowId, FlowPurged, FlowRestored, Outcome, Permission, SourceCreated};

use crate::permit::permit;
use crate::{Context, Decision, PurgeFlow, Rejection, State};

/// Brings a Flow back. What collected it does not collect it again: those lists may have changed since.
pub(crate) fn restore(state: &State, context: &Context<'_>, flow_id: FlowId) -> Result<Decision, Rejection> {
    let trashed = state.registry().trash.get(&flow_id).ok_or(Rejection::NotInTrash(flow_id))?;
    permit(context, Permission::Write, &trashed.flow.tags, || Rejection::NotInTrash(flow_id))?;
    let mut flow = trashed.flow.clone();
    let new_source = match state.source(flow.source_id) {
        Some(source) if source.source.format != flow.format => {
            return Err(Rejection::FormatOfSource {
                source_id: flow.source_id,
                existing: source.source.format,
                asked: flow.format,
            });
        }
        Some(_) => None,
        None => Some(Event::SourceCreated(SourceCreated { source: trashed.source.clone() })),
    };
    if let Some(members) = &mut flow.flow_collection {
        members.retain(|member| state.flow(member.id).is_some());
    }
    flow.metadata_updated = context.at;
    flow.metadata_version = context.commit_id.to_string();
    flow.updated_by = Some(context.actor.to_owned());
    let collected_by = state.collectors_of_new(&flow);
    let restored = FlowRestored { flow, segments_updated: trashed.segments_updated, collected_by };
    let events = new_source.into_iter().chain([Event::FlowRestored(restored)]).collect();
    Ok(Decision { events, outcome: Outcome::Done })
}

/// Deletes a Flow for good that was put aside long enough ago.
pub(crate) fn purge(state: &State, command: &PurgeFlow) -> Decision {
    match state.registry().trash.get(&command.flow_id) {
        Some(trashed) if trashed.at < command.before => {
            Decision::done(vec![Event::FlowPurged(FlowPurged { flow_id: command.flow_id })])
        }
        Some(_) | None => Decision::nothing(),
    }
}
