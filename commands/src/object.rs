//! The end of objects (9.4). First they are condemned, so that nothing refers to them any more; then their bytes are
//! erased; then they are forgotten and their ids are free.

use tapelog_events::{Access, Event, ObjectId, ObjectsCondemned, ObjectsDeleted, Permission};

use crate::inventory::Purpose;
use crate::permit::permit;
use crate::{CondemnObjects, Context, Decision, Rejection, State};

/// Gives up those of these objects whose time has come.
pub(crate) fn condemn(state: &State, command: &CondemnObjects) -> Decision {
    let inventory = state.inventory();
    let expired = |id: &&ObjectId| {
        inventory
            .object_slot(id)
            .is_some_and(|slot| inventory.is_expired(slot, command.unregistered_before, command.unreferenced_before))
    };
    let object_ids = distinct(command.object_ids.iter().filter(expired));
    if object_ids.is_empty() {
        return Decision::nothing();
    }
    Decision::done(vec![Event::ObjectsCondemned(ObjectsCondemned { object_ids })])
}

/// Gives up an object that nothing refers to at once.
pub(crate) fn delete(state: &State, context: &Context<'_>, object_id: &ObjectId) -> Result<Decision, Rejection> {
    let inventory = state.inventory();
    let not_found = || Rejection::ObjectNotFound(object_id.clone());
    let slot = inventory.object_slot(object_id).ok_or_else(not_found)?;
    match inventory.purpose(slot) {
        Purpose::Nothing => return Err(not_found()),
        Purpose::Open(flow) => {
            if let Some(flow) = flow.and_then(|flow| inventory.flow_id(flow)).and_then(|id| state.flow(id)) {
                permit(context, Permission::Write, &flow.flow.tags, not_found)?;
            }
        }
        Purpose::Media | Purpose::Init if inventory.is_in_use(slot) => {
            let mut flows = inventory.flows_using(slot).filter_map(|id| state.flow(id));
            let seen =
                *context.access == Access::Unrestricted || flows.any(|flow| context.access.may_read(&flow.flow.tags));
            return Err(if seen { Rejection::ObjectInUse(object_id.clone()) } else { not_found() });
        }
        Purpose::Media | Purpose::Init => {}
    }
    Ok(Decision::done(vec![Event::ObjectsCondemned(ObjectsCondemned { object_ids: vec![object_id.clone()] })]))
}

/// Takes note that the bytes of these objects are gone.
pub(crate) fn forget(state: &State, object_ids: &[ObjectId]) -> Decision {
    let inventory = state.inventory();
    let condemned =
        |id: &&ObjectId| inventory.object_slot(id).is_some_and(|slot| inventory.purpose(slot) == Purpose::Nothing);
    let object_ids = distinct(object_ids.iter().filter(condemned));
    if object_ids.is_empty() {
        return Decision::nothing();
    }
    Decision::done(vec![Event::ObjectsDeleted(ObjectsDeleted { object_ids })])
}

/// These ids, each once, in the order of their first mention.
fn distinct<'a>(ids: impl Iterator<Item = &'a ObjectId>) -> Vec<ObjectId> {
    let mut seen = hashbrown::HashSet::new();
    ids.filter(|id| seen.insert(*id)).cloned().collect()
}
