//! Sources: they come and go with their Flows (`flow.rs`); here, what clients may change of them (section 4).

use tapelog_events::{Event, Permission, Source, SourceId, SourceUpdated};

use crate::permit::{permit, permit_classes};
use crate::{Context, Decision, EditSource, Rejection, SetSourceProperty, SourceProperty, State};

pub(crate) fn set_property(
    state: &State,
    context: &Context<'_>,
    command: &SetSourceProperty,
) -> Result<Decision, Rejection> {
    change(state, context, command.source_id, |source| {
        match command.property.clone() {
            SourceProperty::Label(label) => source.label = label,
            SourceProperty::Description(description) => source.description = description,
            SourceProperty::Tag(name, Some(value)) => {
                source.tags.insert(name, value);
            }
            SourceProperty::Tag(name, None) => {
                source.tags.remove(&name).ok_or(Rejection::TagNotFound(name))?;
            }
            SourceProperty::Tags(tags) => source.tags = tags,
        }
        Ok(())
    })
}

pub(crate) fn edit(state: &State, context: &Context<'_>, command: &EditSource) -> Result<Decision, Rejection> {
    change(state, context, command.source_id, |source| {
        let EditSource { source_id: _, label, description, tags } = command.clone();
        source.label = label.or(source.label.take());
        source.description = description.or(source.description.take());
        if let Some(tags) = tags {
            source.tags = tags;
        }
        Ok(())
    })
}

fn change(
    state: &State,
    context: &Context<'_>,
    id: SourceId,
    change: impl FnOnce(&mut Source) -> Result<(), Rejection>,
) -> Result<Decision, Rejection> {
    let before = state.source(id).ok_or(Rejection::SourceNotFound(id))?;
    permit(context, Permission::Write, &before.source.tags, || Rejection::SourceNotFound(id))?;
    let mut source = (*before.source).clone();
    change(&mut source)?;
    if source == *before.source {
        return Ok(Decision::nothing());
    }
    permit_classes(context, &before.source.tags, &source.tags)?;
    source.updated = context.at;
    source.updated_by = Some(context.actor.to_owned());
    Ok(Decision::done(vec![Event::SourceUpdated(SourceUpdated {
        source,
        collected_by: state.collectors_of_source(id),
        source_collection: state.collection_of_source(id),
    })]))
}
