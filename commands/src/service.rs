//! The store's own name and description.

use tapelog_events::{Event, ServiceUpdated};

use crate::{Decision, State, UpdateService};

pub(crate) fn update(state: &State, command: &UpdateService) -> Decision {
    let (name, description) = state.service();
    let updated = ServiceUpdated {
        name: command.name.clone().or_else(|| name.map(str::to_owned)),
        description: command.description.clone().or_else(|| description.map(str::to_owned)),
    };
    if (updated.name.as_deref(), updated.description.as_deref()) == (name, description) {
        return Decision::nothing();
    }
    Decision::done(vec![Event::ServiceUpdated(updated)])
}
