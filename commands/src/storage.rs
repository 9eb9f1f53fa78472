//! Giving out ids and places for objects to come (section 7).

use hashbrown::HashSet;
use tapelog_events::{Event, ObjectsAllocated, Outcome};

use crate::flow::ensure_writable;
use crate::{AllocateStorage, ChosenBy, Decision, Rejection, State};

pub(crate) fn allocate(state: &State, command: &AllocateStorage) -> Result<Decision, Rejection> {
    let flow = &state.flow(command.flow_id).ok_or(Rejection::FlowNotFound(command.flow_id))?.flow;
    ensure_writable(flow)?;
    let container = flow.container.clone().ok_or(Rejection::NoContainer(flow.id))?;
    let inventory = state.inventory();
    let taken = command.object_ids.iter().filter(|id| inventory.object_slot(id).is_some());
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
        flow_id: flow.id,
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
