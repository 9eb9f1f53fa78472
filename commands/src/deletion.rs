//! Deletions that go on after they were answered (section 9): chunk by chunk, so that nothing else waits for them.

use tapelog_events::{
    DeletionAdvanced, DeletionForgotten, DeletionRequest, DeletionRequestId, DeletionRequested, DeletionStatus, Event,
    FlowId, Outcome, SegmentsDeleted, TimeRange,
};

use crate::{AdvanceDeletion, Context, Decision, FlowState, Patience, State, flow};

/// A deletion that is too large for one commit: its request.
pub(crate) fn request(
    context: &Context<'_>,
    flow_id: FlowId,
    asked: TimeRange,
    remaining: TimeRange,
    delete_flow: bool,
    patience: Patience,
) -> Decision {
    let request = DeletionRequest {
        id: patience.request_id,
        flow_id,
        timerange_to_delete: asked,
        delete_flow,
        status: DeletionStatus::Created,
        timerange_remaining: remaining,
        created: context.at,
        created_by: context.actor.to_owned(),
        updated: context.at,
        expiry: None,
    };
    Decision {
        events: vec![Event::DeletionRequested(DeletionRequested { request })],
        outcome: Outcome::DeletionRequested { request_id: patience.request_id },
    }
}

/// Deletes the next segments of a deletion that goes on, and its Flow after the last where that was asked for.
pub(crate) fn advance(state: &State, context: &Context<'_>, command: &AdvanceDeletion) -> Decision {
    let open = state.registry().deletions.get(&command.request_id).filter(|request| request.is_open());
    let Some(before) = open else { return Decision::nothing() };
    let mut events = Vec::new();
    let mut left = TimeRange::NEVER;
    if let Some((flow, slot)) = state.flow(before.flow_id).zip(state.inventory().flow(before.flow_id)) {
        let remaining = before.timerange_remaining;
        let mut segments = state.inventory().segments_inside(slot, &remaining, None);
        let (timerange, count) = segments
            .by_ref()
            .take(command.segments)
            .fold((TimeRange::NEVER, 0), |(hull, count), segment| (hull.hull(&segment.timerange), count + 1));
        if count > 0 {
            events.push(Event::SegmentsDeleted(deleted(state, flow, timerange, count)));
        }
        if let Some(next) = segments.next() {
            left = TimeRange::new(next.timerange.start(), remaining.end());
        } else if before.delete_flow {
            events.extend(flow::deletion(state, context, flow));
        }
    }
    let mut request = DeletionRequest { timerange_remaining: left, updated: context.at, ..before.clone() };
    request.status = if left.is_never() {
        request.expiry = Some(context.at.saturating_add(command.remember));
        DeletionStatus::Done
    } else {
        DeletionStatus::Started
    };
    events.push(Event::DeletionAdvanced(DeletionAdvanced { request }));
    Decision::done(events)
}

/// The event of these many segments of a Flow that are deleted.
pub(crate) fn deleted(state: &State, flow: &FlowState, timerange: TimeRange, count: u64) -> SegmentsDeleted {
    SegmentsDeleted {
        flow_id: flow.flow.id,
        source_id: flow.flow.source_id,
        collected_by: state.membership(flow),
        timerange,
        object_id: None,
        count,
    }
}

/// Forgets those of these deletions that have ended and expired.
pub(crate) fn forget(state: &State, context: &Context<'_>, request_ids: &[DeletionRequestId]) -> Decision {
    let expired = |request: &&DeletionRequest| request.expiry.is_some_and(|expiry| expiry <= context.at);
    let ended = request_ids.iter().filter_map(|id| state.registry().deletions.get(id)).filter(expired);
    let forgotten = ended.map(|request| Event::DeletionForgotten(DeletionForgotten { request_id: request.id }));
    Decision::done(forgotten.collect())
}
