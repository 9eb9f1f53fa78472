//! Tags of single segments. They are none of the Flow's metadata, whose dates stay as they are.

use tapelog_events::{Event, FlowId, Permission, SegmentTagged, Tags, Timestamp};

use crate::inventory::{FlowSlot, Inventory};
use crate::permit::{ensure_writable, permit_flow};
use crate::{Context, Decision, Rejection, SegmentName, State, TagSegment, TagsChange};

/// Changes the tags of one segment.
pub(crate) fn change(state: &State, context: &Context<'_>, command: &TagSegment) -> Result<Decision, Rejection> {
    let flow_id = command.flow_id;
    let flow = state.flow(flow_id).ok_or(Rejection::FlowNotFound(flow_id))?;
    permit_flow(context, Permission::Write, &flow.flow)?;
    ensure_writable(state, &flow.flow)?;
    let inventory = state.inventory();
    let slot = inventory.flow(flow_id).ok_or(Rejection::FlowNotFound(flow_id))?;
    let start = find(inventory, flow_id, slot, &command.segment)?;
    let before = inventory.segment_tags(slot, start);
    let mut tags: Tags = before.cloned().unwrap_or_default();
    match command.change.clone() {
        TagsChange::Replace(all) => tags = all,
        TagsChange::Set(name, value) => {
            tags.insert(name, value);
        }
        TagsChange::Remove(name) => {
            tags.remove(&name).ok_or(Rejection::TagNotFound(name))?;
        }
    }
    if tags == before.cloned().unwrap_or_default() {
        return Ok(Decision::nothing());
    }
    Ok(Decision::done(vec![Event::SegmentTagged(SegmentTagged { flow_id, start, tags })]))
}

/// Where the segment of that name starts.
fn find(inventory: &Inventory, flow_id: FlowId, flow: FlowSlot, name: &SegmentName) -> Result<Timestamp, Rejection> {
    let not_found = Rejection::SegmentNotFound(flow_id);
    match name {
        SegmentName::At(start) => match inventory.segment_at(flow, start.as_nanos()) {
            Some(_) => Ok(*start),
            None => Err(not_found),
        },
        SegmentName::Object(id) => {
            let object = inventory.object_slot(id);
            let mut starts = object.into_iter().flat_map(|object| inventory.starts_on(object, flow));
            match (starts.next(), starts.next()) {
                (Some(start), None) => Ok(start),
                (Some(_), Some(_)) => Err(Rejection::SegmentAmbiguous(id.clone())),
                (None, _) => Err(not_found),
            }
        }
    }
}
