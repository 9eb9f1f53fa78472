//! Since when a listing is as it is, so that a client that has it already is not sent it again.

use tapelog_events::{FlowId, Seq};

use super::Tables;
use super::partition::Partition;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Flows.
    Flows,
    /// Sources, with the collections that their Flows put them into.
    Sources,
    /// Segments of a Flow, with the instances of their objects.
    Segments(FlowId),
    /// Webhooks.
    Webhooks,
    /// Dead letters of webhooks.
    DeadLetters,
}

impl Tables {
    /// The record that changed a listing last, or a later one: below it, whatever was listed is listed still.
    pub fn changed(&self, listed: Listed) -> Seq {
        let changes = self.changes();
        match listed {
            Listed::Flows => changes.flows,
            Listed::Sources => changes.sources.max(changes.flows),
            Listed::Segments(flow_id) => {
                // Whichever Flow it is whose object gained or lost an instance.
                changes.segments[Partition::of_flow(flow_id).number()].max(changes.instances)
            }
            Listed::Webhooks => changes.webhooks,
            Listed::DeadLetters => changes.dead_letters,
        }
    }
}
