//! Giving out ids and places for objects to come (section 7).

use hashbrown::HashSet;
use tapelog_events::{Event, ObjectId, ObjectsAllocated, Outcome, Permission, StorageId};

use crate::permit::{ensure_writable, permit, permit_flow};
use crate::{AllocateStorage, ChosenBy, Context, Decision, Rejection, State};

pub(crate) fn allocate(state: &State, context: &Context<'_>, command: &AllocateStorage) -> Result<Decision, Rejection> {
    let container = match command.flow_id {
        Some(flow_id) => {
            let flow = &state.flow(flow_id).ok_or(Rejection::FlowNotFound(flow_id))?.flow;
            permit_flow(context, Permission::Write, flow)?;
            ensure_writable(state, flow)?;
            flow.container.clone().ok_or(Rejection::NoContainer(flow_id))?
        }
        None => "application/octet-stream".to_owned(),
    };
    permit(context, Permission::Write, &command.storage_tags, || {
        Rejection::Forbidden(format!("store objects on storage backend {}", command.storage_id))
    })?;
    // Where bytes of an object that is gone are still being erased, a new one of its id would lose its own.
    let is_taken = |id: &&ObjectId| state.inventory().object_slot(id).is_some() || has_errand(state, id);
    let taken = command.object_ids.iter().filter(is_taken);
    let taken: Vec<_> = taken.cloned().collect();
    if !taken.is_empty() {
        return Err(Rejection::ObjectsExist(taken));
    }
    match command.chosen_by {
        ChosenBy::Server => {}
        ChosenBy::Client => {
            let mut seen = HashSet::with_capacity(command.object_ids.len());
            if let Some(twice) = command.object_ids.iter().find(|id| !seen.insert(*id)) {
                return Err(Rejection::ObjectTwice(twice.clone()));
            }
        }
    }
    let content_type = command.content_type.clone().unwrap_or(container);
    let allocated = ObjectsAllocated {
        flow_id: command.flow_id,
        storage_id: command.storage_id,
        object_ids: command.object_ids.clone(),
        content_type: content_type.clone(),
    };
    let events = if allocated.object_ids.is_empty() { Vec::new() } else { vec![Event::ObjectsAllocated(allocated)] };
    Ok(Decision {
        events,
        outcome: Outcome::Allocated {
            storage_id: command.storage_id,
            object_ids: command.object_ids.clone(),
            content_type,
        },
    })
}

fn has_errand(state: &State, id: &ObjectId) -> bool {
    let from = (id.clone(), StorageId::from_uuid(uuid::Uuid::nil()));
    state.registry().errands.range(from..).next().is_some_and(|((object_id, _), _)| object_id == id)
}
