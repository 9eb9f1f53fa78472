//! What commits touch: the things that an audit can be asked about.

use tapelog_events::{Commit, Event, FlowId, ObjectId, ObjectIdView, Record, SourceId, WebhookId};
use uuid::Uuid;

use super::document::{Document, stated};

/// Something that commits are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing<'a> {
    Flow(FlowId),
    /// A Source, also by way of its Flows and their segments.
    Source(SourceId),
    Object(&'a ObjectId),
    Webhook(WebhookId),
    /// Who asked.
    Actor(&'a str),
    /// [`Event::kind`].
    EventType(&'a str),
    /// Only where an event states it as a whole, so that what it was before is found at once.
    Document(Document<'a>),
}

/// A thing in the keys of the index: its kind and 16 bytes, the UUID that it is or a part of the hash of its text. What
/// has the same name is the same thing, but for collisions of hashes.
pub(super) type ThingName = (u8, [u8; 16]);

impl Thing<'_> {
    pub fn name(&self) -> ThingName {
        let uuid = |id: &Uuid| *id.as_bytes();
        match self {
            Self::Flow(id) => (1, uuid(id.as_uuid())),
            Self::Source(id) => (2, uuid(id.as_uuid())),
            Self::Object(id) => match id.view() {
                ObjectIdView::Uuid(bytes) => (3, *bytes),
                ObjectIdView::Text(text) => (3, hashed(text)),
            },
            Self::Webhook(id) => (4, uuid(id.as_uuid())),
            Self::Actor(actor) => (5, hashed(actor)),
            Self::EventType(kind) => (6, hashed(kind)),
            Self::Document(Document::Webhook(id)) => (7, uuid(id.as_uuid())),
            Self::Document(Document::Account(name)) => (8, hashed(name.as_str())),
            Self::Document(Document::Token(id)) => (9, uuid(id.as_uuid())),
            Self::Document(Document::Deletion(id)) => (10, uuid(id.as_uuid())),
            Self::Document(Document::Service) => (11, [0; 16]),
        }
    }
}

fn hashed(text: &str) -> [u8; 16] {
    let mut name = [0; 16];
    name.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    name
}

/// What a commit touches, some of it more than once.
pub(super) fn touched_by<'a>(commit: &'a Commit, mut each: impl FnMut(Thing<'a>)) {
    each(Thing::Actor(&commit.actor));
    for event in &commit.events {
        named(event, &mut each);
    }
}

/// How much a record touches: about as many entries as it has.
pub(super) fn weight(record: &Record) -> usize {
    let mut things = 0;
    for commit in &record.commits {
        touched_by(commit, |_| things += 1);
    }
    things
}

/// What an event names as its subject.
///
/// The Flows and Sources that collect it, or that it collects, are not: what they collect changed with an event of
/// theirs.
fn named<'a>(event: &'a Event, mut each: impl FnMut(Thing<'a>)) {
    each(Thing::EventType(event.kind()));
    if let Some((document, _)) = stated(event) {
        each(Thing::Document(document));
    }
    let mut of_source = |flow_id, source_id| {
        each(Thing::Flow(flow_id));
        each(Thing::Source(source_id));
    };
    match event {
        Event::SourceCreated(event) => each(Thing::Source(event.source.id)),
        Event::SourceUpdated(event) => each(Thing::Source(event.source.id)),
        Event::SourceDeleted(event) => each(Thing::Source(event.source_id)),
        Event::FlowCreated(event) => of_source(event.flow.id, event.flow.source_id),
        Event::FlowUpdated(event) => of_source(event.flow.id, event.flow.source_id),
        Event::FlowRestored(event) => of_source(event.flow.id, event.flow.source_id),
        Event::FlowDeleted(event) => of_source(event.flow_id, event.source_id),
        Event::FlowTrashed(event) => of_source(event.flow_id, event.source_id),
        Event::FlowPurged(event) => each(Thing::Flow(event.flow_id)),
        Event::SegmentsAdded(event) => {
            of_source(event.flow_id, event.source_id);
            event.init_objects.iter().for_each(|init| each(Thing::Object(&init.object_id)));
            event.segments.iter().for_each(|segment| each(Thing::Object(&segment.object_id)));
        }
        Event::SegmentsDeleted(event) => {
            of_source(event.flow_id, event.source_id);
            event.object_id.iter().for_each(|id| each(Thing::Object(id)));
        }
        Event::SegmentTagged(event) => each(Thing::Flow(event.flow_id)),
        Event::ObjectsAllocated(event) => {
            event.flow_id.iter().for_each(|id| each(Thing::Flow(*id)));
            event.object_ids.iter().for_each(|id| each(Thing::Object(id)));
        }
        Event::ObjectsCondemned(event) => event.object_ids.iter().for_each(|id| each(Thing::Object(id))),
        Event::ObjectsDeleted(event) => event.object_ids.iter().for_each(|id| each(Thing::Object(id))),
        Event::InstanceAdded(event) => each(Thing::Object(&event.object_id)),
        Event::InstanceRemoved(event) => each(Thing::Object(&event.object_id)),
        Event::InstanceErased(event) => each(Thing::Object(&event.object_id)),
        Event::CopyRequested(event) => each(Thing::Object(&event.object_id)),
        Event::CopyFailed(event) => each(Thing::Object(&event.object_id)),
        Event::DeletionRequested(event) => each(Thing::Flow(event.request.flow_id)),
        Event::DeletionAdvanced(event) => each(Thing::Flow(event.request.flow_id)),
        Event::WebhookCreated(event) => each(Thing::Webhook(event.webhook.id)),
        Event::WebhookUpdated(event) => each(Thing::Webhook(event.webhook.id)),
        Event::WebhookDeleted(event) => each(Thing::Webhook(event.webhook_id)),
        Event::DeadLettered(event) => each(Thing::Webhook(event.letter.webhook_id)),
        Event::RedeliveryRequested(event) => each(Thing::Webhook(event.webhook_id)),
        Event::DeadLetterResolved(event) => each(Thing::Webhook(event.webhook_id)),
        Event::ReplayRequested(event) => each(Thing::Webhook(event.webhook_id)),
        Event::LogStarted(_)
        | Event::ServiceUpdated(_)
        | Event::ProfileCreated(_)
        | Event::DeletionForgotten(_)
        | Event::AccountSet(_)
        | Event::AccountDeleted(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_) => {}
    }
}
