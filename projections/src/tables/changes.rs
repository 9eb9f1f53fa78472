//! Which part of which table changed when: a checkpoint writes only what did, and an answer is new only when what it
//! tells of is.

use tapelog_commands::inventory::Inventory;
use tapelog_events::{Commit, Event, FlowId, Instance, ObjectId, SegmentsAdded, Seq};

use super::Tables;
use super::partition::{PARTITIONS, Partition};

/// The record that changed each part last.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    /// The store's name and description.
    pub service: Seq,
    /// Sources.
    pub sources: Seq,
    /// Flows, those that were put aside too, and when their segments changed.
    pub flows: Seq,
    /// Flows that were put aside.
    pub trash: Seq,
    /// Answers by idempotency key.
    pub answers: Seq,
    /// Profiles.
    pub profiles: Seq,
    /// Webhooks.
    pub webhooks: Seq,
    /// Dead letters of webhooks.
    pub dead_letters: Seq,
    /// Deletion requests.
    pub deletions: Seq,
    /// Accounts.
    pub accounts: Seq,
    /// Tokens.
    pub tokens: Seq,
    /// What has to be done about bytes.
    pub errands: Seq,
    /// Segments and their tags, by Flow.
    pub segments: [Seq; PARTITIONS],
    /// Objects.
    pub objects: [Seq; PARTITIONS],
    /// Instances of objects that segments used before.
    pub instances: Seq,
}

impl Default for Changes {
    fn default() -> Self {
        let never = Seq::ZERO;
        Self {
            service: never,
            sources: never,
            flows: never,
            trash: never,
            answers: never,
            profiles: never,
            webhooks: never,
            dead_letters: never,
            deletions: never,
            accounts: never,
            tokens: never,
            errands: never,
            segments: [never; PARTITIONS],
            objects: [never; PARTITIONS],
            instances: never,
        }
    }
}

impl Changes {
    fn note_segments(&mut self, flow_id: FlowId, seq: Seq) {
        self.segments[Partition::of_flow(flow_id).number()] = seq;
    }

    fn note_object(&mut self, id: &ObjectId, seq: Seq) {
        self.objects[Partition::of_object(id).number()] = seq;
    }

    fn note_objects<'a>(&mut self, ids: impl IntoIterator<Item = &'a ObjectId>, seq: Seq) {
        ids.into_iter().for_each(|id| self.note_object(id, seq));
    }

    /// A Flow goes for good. Any object may have been allocated for it, and is now for none.
    fn note_departure(&mut self, flow_id: FlowId, seq: Seq) {
        self.flows = seq;
        self.note_segments(flow_id, seq);
        self.objects = [seq; PARTITIONS];
    }
}

impl Tables {
    /// Notes what a commit, not folded yet, is going to change.
    pub(super) fn note_changes(&mut self, seq: Seq, commit: &Commit) {
        let changes = &mut self.changes;
        if commit.idempotency.is_some() {
            changes.answers = seq;
        }
        for event in &commit.events {
            match event {
                Event::LogStarted(_) => {}
                Event::ServiceUpdated(_) => changes.service = seq,
                Event::SourceCreated(_) | Event::SourceUpdated(_) | Event::SourceDeleted(_) => changes.sources = seq,
                Event::FlowCreated(_) | Event::FlowUpdated(_) => changes.flows = seq,
                Event::FlowDeleted(event) => changes.note_departure(event.flow_id, seq),
                Event::FlowTrashed(event) => {
                    (changes.flows, changes.trash) = (seq, seq);
                    changes.note_segments(event.flow_id, seq);
                }
                Event::FlowRestored(event) => {
                    (changes.flows, changes.trash) = (seq, seq);
                    changes.note_segments(event.flow.id, seq);
                }
                Event::FlowPurged(event) => {
                    changes.trash = seq;
                    changes.note_departure(event.flow_id, seq);
                }
                Event::ObjectsAllocated(event) => changes.note_objects(&event.object_ids, seq),
                Event::ObjectsCondemned(event) => {
                    changes.note_objects(&event.object_ids, seq);
                    // What was being copied is to be erased.
                    changes.errands = seq;
                }
                Event::ObjectsDeleted(event) => changes.note_objects(&event.object_ids, seq),
                Event::SegmentsAdded(event) => {
                    changes.flows = seq;
                    changes.note_segments(event.flow_id, seq);
                    changes.note_objects(event.segments.iter().map(|segment| &segment.object_id), seq);
                    changes.note_objects(event.init_objects.iter().map(|init| &init.object_id), seq);
                    if adds_instances(self.state.inventory(), event) {
                        changes.instances = seq;
                    }
                }
                Event::SegmentsDeleted(event) => {
                    changes.flows = seq;
                    changes.note_segments(event.flow_id, seq);
                    let inventory = self.state.inventory();
                    // Objects of segments that the same commit adds are noted with those.
                    let object = event.object_id.as_ref().and_then(|id| inventory.object_slot(id));
                    let flow = inventory.flow(event.flow_id);
                    let deleted =
                        flow.into_iter().flat_map(|flow| inventory.segments_inside(flow, &event.timerange, object));
                    for segment in deleted {
                        let init = inventory.init_of(segment.object);
                        let objects = std::iter::once(segment.object).chain(init);
                        objects.for_each(|object| changes.note_object(&inventory.object_id(object), seq));
                    }
                }
                Event::SegmentTagged(event) => changes.note_segments(event.flow_id, seq),
                Event::ProfileCreated(_) => changes.profiles = seq,
                Event::InstanceAdded(event) => {
                    changes.note_object(&event.object_id, seq);
                    (changes.errands, changes.instances) = (seq, seq);
                }
                Event::InstanceRemoved(event) => {
                    changes.note_object(&event.object_id, seq);
                    (changes.errands, changes.instances) = (seq, seq);
                }
                Event::InstanceErased(_) | Event::CopyRequested(_) | Event::CopyFailed(_) => changes.errands = seq,
                Event::DeletionRequested(_) | Event::DeletionAdvanced(_) | Event::DeletionForgotten(_) => {
                    changes.deletions = seq;
                }
                Event::WebhookCreated(_) | Event::WebhookUpdated(_) | Event::ReplayRequested(_) => {
                    changes.webhooks = seq;
                }
                Event::WebhookDeleted(_) => (changes.webhooks, changes.dead_letters) = (seq, seq),
                Event::DeadLettered(_) | Event::RedeliveryRequested(_) | Event::DeadLetterResolved(_) => {
                    changes.dead_letters = seq;
                }
                Event::AccountSet(_) => changes.accounts = seq,
                Event::AccountDeleted(_) => (changes.accounts, changes.tokens) = (seq, seq),
                Event::TokenIssued(_) | Event::TokenRevoked(_) => changes.tokens = seq,
            }
        }
    }
}

/// Whether segments that are not folded yet give objects that are known an instance more. Only addresses come so: what
/// lies on a storage backend was allocated there.
fn adds_instances(inventory: &Inventory, event: &SegmentsAdded) -> bool {
    let is_address = |instance: &Instance| match instance {
        Instance::Uncontrolled { .. } => true,
        Instance::Controlled { .. } => false,
    };
    let adds = |id: &ObjectId, numbers: &[u32]| {
        inventory.object_slot(id).is_some_and(|slot| {
            let (known, _) = inventory.object_access(slot);
            let mut instances = numbers.iter().filter_map(|number| event.instances.get(*number as usize));
            instances.any(|instance| !known.contains(instance))
        })
    };
    event.instances.iter().any(is_address)
        && (event.segments.iter().any(|segment| adds(&segment.object_id, &segment.instances))
            || event.init_objects.iter().any(|init| adds(&init.object_id, &init.instances)))
}
