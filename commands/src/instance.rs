//! Instances of objects (section 8): where further copies of their bytes lie, and which have gone.

use tapelog_events::{
    CopyFailed, CopyRequested, Event, Instance, InstanceAdded, InstanceErased, InstanceRemoved, ObjectId, Outcome,
    Permission, Verdict,
};

use crate::inventory::{ObjectSlot, Purpose};
use crate::permit::permit;
use crate::{
    AddInstance, Context, Decision, Errand, FinishCopy, FinishErasure, InstanceName, Rejection, RemoveInstance, State,
};

/// Adds an address of an object, or asks for a copy of it.
pub(crate) fn add(state: &State, context: &Context<'_>, command: &AddInstance) -> Result<Decision, Rejection> {
    let AddInstance { object_id, instance, storage_tags, reserved_labels } = command;
    let slot = changeable(state, context, object_id)?;
    let (instances, _) = state.inventory().object_access(slot);
    let event = match instance {
        Instance::Controlled { storage_id } => {
            permit(context, Permission::Write, storage_tags, || forbidden_backend(command))?;
            let place = (object_id.clone(), *storage_id);
            if instances.contains(instance) || state.registry().errands.get(&place).is_some() {
                return Err(Rejection::InstanceExists(*storage_id));
            }
            Event::CopyRequested(CopyRequested { object_id: object_id.clone(), storage_id: *storage_id })
        }
        Instance::Uncontrolled { label, .. } => {
            if reserved_labels.contains(label) {
                return Err(Rejection::LabelOfBackend(label.clone()));
            }
            if labelled(&instances, label).is_some() {
                return Err(Rejection::LabelTaken(label.clone()));
            }
            Event::InstanceAdded(InstanceAdded { object_id: object_id.clone(), instance: instance.clone() })
        }
    };
    Ok(Decision { events: vec![event], outcome: Outcome::Created })
}

/// Takes away an instance that is not the last, or gives up a copy that is still to be made.
pub(crate) fn remove(state: &State, context: &Context<'_>, command: &RemoveInstance) -> Result<Decision, Rejection> {
    let object_id = &command.object_id;
    let slot = changeable(state, context, object_id)?;
    let (instances, _) = state.inventory().object_access(slot);
    let named = match &command.instance {
        InstanceName::Controlled(storage_id) => {
            let controlled = Instance::Controlled { storage_id: *storage_id };
            if !instances.contains(&controlled)
                && let Some(Errand::Copy { .. }) = state.registry().errands.get(&(object_id.clone(), *storage_id))
            {
                let reason = "cancelled".to_owned();
                let failed = CopyFailed { object_id: object_id.clone(), storage_id: *storage_id, reason };
                return Ok(Decision::done(vec![Event::CopyFailed(failed)]));
            }
            instances.iter().find(|known| **known == controlled)
        }
        InstanceName::Label(label) => labelled(&instances, label),
    };
    let instance = named.ok_or_else(|| Rejection::InstanceNotFound(object_id.clone()))?.clone();
    if instances.len() == 1 {
        return Err(Rejection::LastInstance(object_id.clone()));
    }
    Ok(Decision::done(vec![Event::InstanceRemoved(InstanceRemoved { object_id: object_id.clone(), instance })]))
}

/// Takes note of how a copy went. Whose object has gone meanwhile has become a matter of erasing it.
pub(crate) fn finish_copy(state: &State, command: &FinishCopy) -> Decision {
    let FinishCopy { object_id, storage_id, result } = command;
    let Some(Errand::Copy { .. }) = state.registry().errands.get(&(object_id.clone(), *storage_id)) else {
        return Decision::nothing();
    };
    let (object_id, storage_id) = (object_id.clone(), *storage_id);
    Decision::done(vec![match result {
        Ok(()) => Event::InstanceAdded(InstanceAdded { object_id, instance: Instance::Controlled { storage_id } }),
        Err(reason) => Event::CopyFailed(CopyFailed { object_id, storage_id, reason: reason.clone() }),
    }])
}

/// Takes note that the bytes of an instance are gone.
pub(crate) fn finish_erasure(state: &State, command: &FinishErasure) -> Decision {
    let FinishErasure { object_id, storage_id } = command;
    match state.registry().errands.get(&(object_id.clone(), *storage_id)) {
        Some(Errand::Erase { .. }) => {
            let erased = InstanceErased { object_id: object_id.clone(), storage_id: *storage_id };
            Decision::done(vec![Event::InstanceErased(erased)])
        }
        Some(Errand::Copy { .. }) | None => Decision::nothing(),
    }
}

/// An object that the caller may see and change through a Flow that uses it (14.2).
fn changeable(state: &State, context: &Context<'_>, object_id: &ObjectId) -> Result<ObjectSlot, Rejection> {
    let inventory = state.inventory();
    let not_found = || Rejection::ObjectNotFound(object_id.clone());
    let slot = inventory.object_slot(object_id).ok_or_else(not_found)?;
    match inventory.purpose(slot) {
        Purpose::Media | Purpose::Init => {}
        Purpose::Open(_) | Purpose::Nothing => return Err(not_found()),
    }
    let mut readable = false;
    for flow in inventory.flows_using(slot).filter_map(|id| state.flow(id)) {
        let granted = |permission| context.access.judge(permission, &flow.flow.tags) == Verdict::Granted;
        if granted(Permission::Read) {
            readable = true;
            if granted(Permission::Write) {
                return Ok(slot);
            }
        }
    }
    Err(if readable { Rejection::Forbidden(format!("change object {object_id}")) } else { not_found() })
}

fn labelled<'a>(instances: &'a [Instance], label: &str) -> Option<&'a Instance> {
    instances.iter().find(|known| matches!(known, Instance::Uncontrolled { label: taken, .. } if taken == label))
}

fn forbidden_backend(command: &AddInstance) -> Rejection {
    Rejection::Forbidden(format!("store object {} on that storage backend", command.object_id))
}
