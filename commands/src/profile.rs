//! Profiles (5.5): made once, never changed.

use tapelog_events::{Event, Outcome, Profile, ProfileCreated, Tags};

use crate::permit::permit_classes;
use crate::{Context, CreateProfile, Decision, Rejection, State};

pub(crate) fn create(state: &State, context: &Context<'_>, command: &CreateProfile) -> Result<Decision, Rejection> {
    if state.registry().profiles.get(&command.profile_id).is_some() {
        return Err(Rejection::ProfileExists(command.profile_id));
    }
    permit_classes(context, &Tags::new(), &command.tags)?;
    let CreateProfile { profile_id, label, description, tags, created_by, flow_metadata } = command.clone();
    let profile = Profile {
        id: profile_id,
        label,
        description,
        tags,
        created: context.at,
        created_by: created_by.or_else(|| Some(context.actor.to_owned())),
        flow_metadata,
    };
    Ok(Decision { events: vec![Event::ProfileCreated(ProfileCreated { profile })], outcome: Outcome::Created })
}
