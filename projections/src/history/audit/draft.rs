//! What each event says of a change, in the shape in which the API serves it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use tapelog_events::{
    DeletionRequest, DeletionStatus, Event, Failure, FlowId, ObjectId, SegmentsAdded, SegmentsDeleted, SourceId,
    TimeRange, Timestamp, Webhook, WebhookId, WebhookStatus,
};

use crate::history::document::{Document, Statement, stated};

/// How many objects of one event are told of; all of them stand in the event.
const TOLD_OBJECTS: usize = 100;

/// A change, but for what has to be looked up.
pub(super) struct Draft<'a> {
    pub resource: (&'static str, String),
    pub before: Before<'a>,
    pub after: Option<Value>,
}

/// Where it stands what something was before.
pub(super) enum Before<'a> {
    /// It was not.
    Nothing,
    /// In the event.
    Said(Value),
    /// The Flow as it was last.
    Flow(FlowId),
    /// The Flow as it was when it was put aside.
    TrashedFlow(FlowId),
    /// The Source as it was last.
    Source(SourceId),
    /// The tags of the segment of the Flow that starts there.
    SegmentTags(FlowId, Timestamp),
    /// In an event before.
    Document(Document<'a>),
}

impl<'a> Draft<'a> {
    fn new(kind: &'static str, id: impl ToString, before: Before<'a>, after: Option<Value>) -> Vec<Self> {
        vec![Self { resource: (kind, id.to_string()), before, after }]
    }

    fn of_objects(ids: &[ObjectId], change: impl Fn() -> (Before<'a>, Option<Value>)) -> Vec<Self> {
        let objects = ids.iter().take(TOLD_OBJECTS).map(|id| {
            let (before, after) = change();
            Self { resource: ("object", id.to_string()), before, after }
        });
        objects.collect()
    }

    fn of_object(id: &ObjectId, after: Value) -> Vec<Self> {
        Self::new("object", id, Before::Nothing, Some(after))
    }

    fn of_webhook(id: WebhookId, after: Value) -> Vec<Self> {
        Self::new("webhook", id, Before::Nothing, Some(after))
    }

    /// Of an event that states a document.
    fn of_document(event: &'a Event, before: impl Fn(Document<'a>) -> Before<'a>) -> Vec<Self> {
        let Some((document, statement)) = stated(event) else { return Vec::new() };
        let (kind, id) = match document {
            Document::Webhook(id) => ("webhook", id.to_string()),
            Document::Account(name) => ("account", name.to_string()),
            Document::Token(id) => ("token", id.to_string()),
            Document::Deletion(id) => ("deletion_request", id.to_string()),
            Document::Service => ("service", String::new()),
        };
        Self::new(kind, id, before(document), written(statement))
    }
}

/// What an event changed: nothing, one thing, or several.
pub(super) fn drafts(event: &Event) -> Vec<Draft<'_>> {
    let new = Before::Nothing;
    match event {
        Event::LogStarted(event) => Draft::new("log", event.incarnation, new, Some(as_json(event))),
        Event::SourceCreated(event) => Draft::new("source", event.source.id, new, Some(as_json(&event.source))),
        Event::SourceUpdated(event) => {
            let id = event.source.id;
            Draft::new("source", id, Before::Source(id), Some(as_json(&event.source)))
        }
        Event::SourceDeleted(event) => Draft::new("source", event.source_id, Before::Source(event.source_id), None),
        Event::FlowCreated(event) => Draft::new("flow", event.flow.id, new, Some(as_json(&event.flow))),
        Event::FlowUpdated(event) => {
            let id = event.flow.id;
            Draft::new("flow", id, Before::Flow(id), Some(as_json(&event.flow)))
        }
        Event::FlowRestored(event) => Draft::new("flow", event.flow.id, new, Some(as_json(&event.flow))),
        Event::FlowDeleted(event) => Draft::new("flow", event.flow_id, Before::Flow(event.flow_id), None),
        Event::FlowTrashed(event) => Draft::new("flow", event.flow_id, Before::Flow(event.flow_id), None),
        Event::FlowPurged(event) => Draft::new("flow", event.flow_id, Before::TrashedFlow(event.flow_id), None),
        Event::SegmentsAdded(event) => Draft::new("flow", event.flow_id, new, Some(added_json(event))),
        Event::SegmentsDeleted(event) => Draft::new("flow", event.flow_id, Before::Said(deleted_json(event)), None),
        Event::SegmentTagged(event) => {
            let after = json!({ "segment": { "start": event.start, "tags": event.tags } });
            Draft::new("flow", event.flow_id, Before::SegmentTags(event.flow_id, event.start), Some(after))
        }
        Event::ProfileCreated(event) => Draft::new("profile", event.profile.id, new, Some(as_json(&event.profile))),
        Event::ObjectsAllocated(event) => {
            let mut allocated = json!({ "storage_id": event.storage_id, "content_type": event.content_type });
            if let Some(id) = event.flow_id {
                allocated["flow_id"] = as_json(&id);
            }
            Draft::of_objects(&event.object_ids, || (Before::Nothing, Some(allocated.clone())))
        }
        Event::ObjectsCondemned(event) => {
            Draft::of_objects(&event.object_ids, || (Before::Nothing, Some(json!({ "condemned": true }))))
        }
        Event::ObjectsDeleted(event) => {
            Draft::of_objects(&event.object_ids, || (Before::Said(json!({ "condemned": true })), None))
        }
        Event::InstanceAdded(event) => Draft::of_object(&event.object_id, json!({ "instance": event.instance })),
        Event::InstanceRemoved(event) => {
            let before = Before::Said(json!({ "instance": event.instance }));
            Draft::new("object", &event.object_id, before, None)
        }
        Event::InstanceErased(event) => Draft::of_object(&event.object_id, json!({ "erased_from": event.storage_id })),
        Event::CopyRequested(event) => Draft::of_object(&event.object_id, json!({ "copy_to": event.storage_id })),
        Event::CopyFailed(event) => {
            let after = json!({ "copy_to": event.storage_id, "failed": event.reason });
            Draft::of_object(&event.object_id, after)
        }
        Event::WebhookCreated(_) | Event::TokenIssued(_) | Event::DeletionRequested(_) => {
            Draft::of_document(event, |_| Before::Nothing)
        }
        Event::ServiceUpdated(_)
        | Event::WebhookUpdated(_)
        | Event::WebhookDeleted(_)
        | Event::AccountSet(_)
        | Event::AccountDeleted(_)
        | Event::TokenRevoked(_)
        | Event::DeletionAdvanced(_)
        | Event::DeletionForgotten(_) => Draft::of_document(event, Before::Document),
        Event::DeadLettered(event) => {
            let letter = &event.letter;
            let after = json!({
                "position": letter.position.to_string(),
                "notification": letter.notification,
                "attempts": letter.attempts,
                "failure": letter.failure,
            });
            Draft::of_webhook(letter.webhook_id, json!({ "dead_letter": after }))
        }
        Event::RedeliveryRequested(event) => {
            let positions: Vec<String> = event.positions.iter().map(ToString::to_string).collect();
            Draft::of_webhook(event.webhook_id, json!({ "redelivery": positions }))
        }
        Event::DeadLetterResolved(event) => {
            let after = json!({ "position": event.position.to_string(), "resolution": event.resolution });
            Draft::of_webhook(event.webhook_id, json!({ "dead_letter": after }))
        }
        Event::ReplayRequested(event) => {
            Draft::of_webhook(event.webhook_id, json!({ "replay": { "from": event.replay.from.to_string() } }))
        }
    }
}

fn added_json(event: &SegmentsAdded) -> Value {
    let SegmentsAdded { segments, .. } = event;
    let timerange = segments.iter().fold(TimeRange::NEVER, |hull, segment| hull.hull(&segment.timerange));
    let object_ids: Vec<_> = segments.iter().map(|segment| &segment.object_id).take(TOLD_OBJECTS).collect();
    json!({ "segments": { "count": segments.len(), "timerange": timerange, "object_ids": object_ids } })
}

fn deleted_json(event: &SegmentsDeleted) -> Value {
    let mut segments = json!({ "count": event.count, "timerange": event.timerange });
    if let Some(id) = &event.object_id {
        segments["object_id"] = as_json(id);
    }
    json!({ "segments": segments })
}

/// A document as it is told; `None` when it is gone.
pub(super) fn written(statement: Statement<'_>) -> Option<Value> {
    match statement {
        Statement::Webhook(webhook) => Some(webhook_json(webhook)),
        Statement::Account(account) => Some(as_json(account)),
        Statement::Token(token) => Some(as_json(token)),
        Statement::Deletion(request) => Some(deletion_json(request)),
        Statement::Service(service) => Some(as_json(service)),
        Statement::Gone => None,
    }
}

pub(super) fn as_json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("every type of the log can be written as JSON")
}

fn members<T: Serialize>(value: &T) -> Map<String, Value> {
    let Value::Object(members) = as_json(value) else { unreachable!("it is a struct") };
    members
}

/// As the API serves it (12.2): what was asked for beside what became of it. A replay is told with its own event.
fn webhook_json(webhook: &Webhook) -> Value {
    let Webhook { id, subscription, status, created, owner, access, signing, replay: _ } = webhook;
    let (status, error) = match status {
        WebhookStatus::Created => ("created", None),
        WebhookStatus::Started => ("started", None),
        WebhookStatus::Disabled => ("disabled", None),
        WebhookStatus::Error(failure) => ("error", Some(failure)),
    };
    let mut all = members(subscription);
    all.extend([("id".to_owned(), as_json(id)), ("created".to_owned(), as_json(created))]);
    all.extend([("owner".to_owned(), as_json(owner)), ("access".to_owned(), as_json(access))]);
    all.extend(signing.iter().map(|signing| ("signing".to_owned(), as_json(signing))));
    all.extend(status_members(status, error));
    Value::Object(all)
}

/// As the API serves it (9.3).
fn deletion_json(request: &DeletionRequest) -> Value {
    let (status, error) = match &request.status {
        DeletionStatus::Created => ("created", None),
        DeletionStatus::Started => ("started", None),
        DeletionStatus::Done => ("done", None),
        DeletionStatus::Error(failure) => ("error", Some(failure)),
    };
    let mut all = members(request);
    all.extend(status_members(status, error));
    Value::Object(all)
}

fn status_members(status: &str, error: Option<&Failure>) -> impl Iterator<Item = (String, Value)> {
    let error = error.map(|failure| ("error".to_owned(), as_json(failure)));
    [("status".to_owned(), Value::from(status))].into_iter().chain(error)
}
