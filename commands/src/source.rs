//! Sources: they come and go with their Flows (`flow.rs`); here, what clients may change of them (section 4).

use tapelog_events::{Event, SourceUpdated};

use crate::{Context, Decision, Rejection, SetSourceProperty, SourceProperty, State};

pub(crate) fn set_property(
    state: &State,
    context: &Context<'_>,
    command: &SetSourceProperty,
) -> Result<Decision, Rejection> {
    let id = command.source_id;
    let before = state.source(id).ok_or(Rejection::SourceNotFound(id))?;
    let mut source = (*before.source).clone();
    match command.property.clone() {
        SourceProperty::Label(label) => source.label = label,
        SourceProperty::Description(description) => source.description = description,
        SourceProperty::Tag(name, Some(value)) => {
            source.tags.insert(name, value);
        }
        SourceProperty::Tag(name, None) => {
            source.tags.remove(&name).ok_or(Rejection::TagNotFound(name))?;
        }
    }
    if source == *before.source {
        return Ok(Decision::nothing());
    }
    source.updated = context.at;
    source.updated_by = Some(context.actor.to_owned());
    Ok(Decision::done(vec![Event::SourceUpdated(SourceUpdated {
        source,
        collected_by: state.collectors_of_source(id),
        source_collection: state.collection_of_source(id),
    })]))
}
