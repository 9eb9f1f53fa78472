//! The parameters of queries and paths.

use serde_json::{Value, json};
use tapelog_events::{Event, Notification};

use crate::http::as_of;

/// A parameter of a query.
#[derive(Debug)]
pub struct Parameter {
    /// Its name; one in braces stands for any.
    pub name: &'static str,
    kind: Kind,
    text: &'static str,
}

/// What values a parameter has.
#[derive(Debug)]
enum Kind {
    Text,
    Boolean,
    Positive,
    Pixels,
    TimeRange,
    Id,
    Ids,
    Texts,
    MimeType,
    Choice(&'static [&'static str]),
}

const fn parameter(name: &'static str, kind: Kind, text: &'static str) -> Parameter {
    Parameter { name, kind, text }
}

impl Parameter {
    /// As OpenAPI has it.
    pub fn describe(&self) -> Value {
        let schema = match self.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Positive => json!({ "type": "integer", "minimum": 1 }),
            Kind::Pixels => json!({ "type": "integer" }),
            Kind::TimeRange => json!({ "$ref": "#/components/schemas/TimeRange" }),
            Kind::Id => json!({ "$ref": "#/components/schemas/FlowId" }),
            Kind::Ids => json!({ "type": "array", "items": { "$ref": "#/components/schemas/FlowId" } }),
            Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::MimeType => json!({ "type": "string", "pattern": "^[^/ ]+/[^/ ;]+$" }),
            Kind::Choice(choices) => json!({ "type": "string", "enum": choices }),
        };
        let mut described = json!({ "name": self.name, "in": "query", "description": self.text, "schema": schema });
        if matches!(self.kind, Kind::Ids | Kind::Texts) {
            described["style"] = "form".into();
            described["explode"] = false.into();
        }
        described
    }
}

/// A parameter of a path, by its name in the template.
pub fn in_path(name: &str) -> Value {
    let (schema, text) = match name {
        "flowId" => ("FlowId", "The flow."),
        "sourceId" => ("SourceId", "The source."),
        "objectId" => ("ObjectId", "The object, percent-encoded."),
        "profileId" => ("ProfileId", "The profile."),
        "webhookId" => ("WebhookId", "The webhook."),
        "request-id" => ("DeletionRequestId", "The deletion request."),
        "eventId" => ("EventId", "The event: `<incarnation>.<sequence>.<commit>.<event>`."),
        "tokenId" => ("TokenId", "The token."),
        "account" => ("AccountName", "The account."),
        "segment" => {
            ("ObjectId", "The segment: its time range, or its object where no other segment of the flow uses that.")
        }
        _ => ("TagName", "The name of the tag, percent-encoded."),
    };
    let schema = match schema {
        "TagName" | "EventId" => json!({ "type": "string" }),
        schema => json!({ "$ref": format!("#/components/schemas/{schema}") }),
    };
    json!({ "name": name, "in": "path", "required": true, "description": text, "schema": schema })
}

const FORMATS: &[&str] = &[
    "urn:x-nmos:format:video",
    "urn:x-nmos:format:audio",
    "urn:x-tam:format:image",
    "urn:x-nmos:format:data",
    "urn:x-nmos:format:multi",
];
const NOTIFICATIONS: &[&str] = &{
    let mut names = [""; Notification::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Notification::ALL[index].as_str();
        index += 1;
    }
    names
};
const STATUSES: &[&str] = &["awaiting_content", "ingesting", "replication_in_progress", "closed_complete"];

pub const LIMIT: Parameter = parameter(
    "limit",
    Kind::Positive,
    "How many items a page has at the most. A larger number is cut to the server's own.",
);
pub const PAGE: Parameter = parameter("page", Kind::Text, "Where to go on: `X-Paging-NextKey` of the page before.");
pub const AS_OF: Parameter = parameter(
    as_of::AS_OF,
    Kind::Text,
    "Answers as it was true then: a time in RFC 3339, or a position as in `TAMS-Position`. URLs are signed now. An \
     extension.",
);
pub const REVERSE: Parameter = parameter("reverse_order", Kind::Boolean, "The other way round.");
pub const LABEL: Parameter = parameter("label", Kind::Text, "With exactly this label.");
pub const FORMAT: Parameter = parameter("format", Kind::Choice(FORMATS), "Of this format.");
pub const CODEC: Parameter = parameter("codec", Kind::MimeType, "With exactly this codec.");
pub const TAG: Parameter =
    parameter("tag.{name}", Kind::Texts, "With one of these values of the tag, as a whole and in the same letters.");
pub const TAG_EXISTS: Parameter = parameter("tag_exists.{name}", Kind::Boolean, "With the tag, or without it.");
pub const COLLECTED_BY: Parameter = parameter(
    "collected_by_ids",
    Kind::Ids,
    "Collected by one of these; an empty list asks for what nothing collects.",
);
pub const SORT_SOURCES: Parameter =
    parameter("sort_by", Kind::Choice(&["created", "updated", "label"]), "Dates newest first, labels A to Z.");
pub const SORT_FLOWS: Parameter =
    parameter("sort_by", Kind::Choice(&["created", "metadata_updated", "label"]), "Dates newest first, labels A to Z.");
pub const SORT_DELETIONS: Parameter =
    parameter("sort_by", Kind::Choice(&["created", "expiry"]), "Newest or latest first.");
pub const SOURCE_ID: Parameter = parameter("source_id", Kind::Id, "Renditions of this source.");
pub const PROFILE_ID: Parameter = parameter("profile_id", Kind::Id, "Linked to this profile.");
pub const FLOW_TIMERANGE: Parameter =
    parameter("timerange", Kind::TimeRange, "With a segment that overlaps it; `()` asks for flows without any.");
pub const STATUS: Parameter = parameter("status", Kind::Choice(STATUSES), "With this status.");
pub const FRAME_WIDTH: Parameter = parameter("frame_width", Kind::Pixels, "Pictures of this width, in pixels.");
pub const FRAME_HEIGHT: Parameter = parameter("frame_height", Kind::Pixels, "Pictures of this height, in pixels.");
pub const INIT_SEGMENTS: Parameter =
    parameter("init_segments", Kind::Boolean, "Whether its objects have init objects; unset is no.");
pub const INCLUDE_TIMERANGE: Parameter =
    parameter("include_timerange", Kind::Boolean, "Adds `timerange`: from the first segment to the last.");
pub const CLIP: Parameter = parameter("timerange", Kind::TimeRange, "Limits the `timerange` that is told.");
pub const CASCADE: Parameter =
    parameter("cascade", Kind::Boolean, "False refuses (409) where something depends on what would go. An extension.");
pub const CASCADE_SOURCE: Parameter =
    parameter("cascade", Kind::Boolean, "Whether the flows of the source may go with it.");
pub const SOFT_DELETE: Parameter =
    parameter("soft_delete", Kind::Boolean, "Puts it aside, so that it can be restored. An extension.");
pub const CONFIRM: Parameter = parameter("confirm", Kind::Boolean, "Must be true.");
pub const OBJECT_ID: Parameter = parameter("object_id", Kind::Text, "Only segments that use this object.");
pub const OVERLAP: Parameter = parameter("timerange", Kind::TimeRange, "Segments that overlap it, wholly or in part.");
pub const INSIDE: Parameter =
    parameter("timerange", Kind::TimeRange, "Segments that lie entirely inside it; absent, all of them.");
pub const OBJECT_TIMERANGE: Parameter =
    parameter("include_object_timerange", Kind::Boolean, "Adds `object_timerange`: the whole of the object.");
pub const INCLUDE_TAGS: Parameter =
    parameter("include_tags", Kind::Boolean, "Adds `tags` to each segment that has some. An extension.");
pub const ACCEPT_GET_URLS: Parameter =
    parameter("accept_get_urls", Kind::Texts, "URLs with one of these labels; an empty list asks for none.");
pub const ACCEPT_STORAGE_IDS: Parameter =
    parameter("accept_storage_ids", Kind::Ids, "URLs of these storage backends; an empty list asks for all.");
pub const PRESIGNED: Parameter =
    parameter("presigned", Kind::Boolean, "Only URLs that need no credentials, or only others.");
pub const VERBOSE_STORAGE: Parameter =
    parameter("verbose_storage", Kind::Boolean, "Adds what is known of the storage of each URL.");
pub const BACKEND_TAG: Parameter = parameter(
    "storage_backend_tag.{name}",
    Kind::Texts,
    "URLs of storage backends with one of these values of the tag.",
);
pub const BACKEND_TAG_EXISTS: Parameter = parameter(
    "storage_backend_tag_exists.{name}",
    Kind::Boolean,
    "URLs of storage backends with the tag, or without it.",
);
pub const PRESIGNED_HEAD: Parameter =
    parameter("presigned_head", Kind::Boolean, "Adds `head_url`, for HEAD, to each presigned URL. An extension.");
pub const FLOW_TAG: Parameter =
    parameter("flow_tag.{name}", Kind::Texts, "References by flows with one of these values of the tag.");
pub const FLOW_TAG_EXISTS: Parameter =
    parameter("flow_tag_exists.{name}", Kind::Boolean, "References by flows with the tag, or without it.");
pub const STORAGE_ID: Parameter = parameter("storage_id", Kind::Id, "The instance on this storage backend.");
pub const INSTANCE_LABEL: Parameter = parameter("label", Kind::Text, "The instance outside the store with this label.");
pub const SINCE: Parameter = parameter("since", Kind::Text, "Not earlier than this moment, as RFC 3339 has it.");
pub const PREFIX: Parameter = parameter("prefix", Kind::Text, "Names that begin so.");
pub const AUDIT_FLOW: Parameter = parameter("flow_id", Kind::Id, "That touched this flow.");
pub const AUDIT_SOURCE: Parameter = parameter("source_id", Kind::Id, "That touched this source, or a flow of it.");
pub const AUDIT_OBJECT: Parameter = parameter("object_id", Kind::Text, "That touched this object.");
pub const AUDIT_WEBHOOK: Parameter = parameter("webhook_id", Kind::Id, "That touched this webhook.");
pub const AUDIT_ACTOR: Parameter = parameter("actor", Kind::Text, "That this actor asked for.");
pub const AUDIT_TYPE: Parameter = parameter("type", Kind::Choice(Event::KINDS), "With an event of this type.");
pub const AUDIT_FROM: Parameter =
    parameter("from", Kind::Text, "At this time or later, in RFC 3339, or from this position on.");
pub const AUDIT_TO: Parameter =
    parameter("to", Kind::Text, "At this time or earlier, in RFC 3339, or up to and with this position.");
pub const AUDIT_FORMAT: Parameter = parameter(
    "format",
    Kind::Choice(&["json", "jsonl", "csv"]),
    "A list, a commit a line, or a change a row. Without it, as `Accept` says.",
);
pub const DELIVERY_RESULT: Parameter = parameter(
    "result",
    Kind::Choice(&["delivered", "failed", "refused"]),
    "That came to this: `failed` where the receiver could take nothing, `refused` where it did not take this.",
);
pub const DELIVERY_TYPE: Parameter = parameter("event_type", Kind::Choice(NOTIFICATIONS), "Of events of this type.");
pub const DELIVERY_EVENT: Parameter = parameter("event", Kind::Text, "Of this event.");
pub const DELIVERY_FROM: Parameter = parameter("from", Kind::Text, "That began at this time or later, in RFC 3339.");
pub const DELIVERY_TO: Parameter = parameter("to", Kind::Text, "That began before this time, in RFC 3339.");
pub const EVENTS: Parameter =
    parameter("events", Kind::Texts, "Only these kinds of events; an empty list asks for none. Absent: all of them.");
pub const FLOW_IDS: Parameter = parameter("flow_ids", Kind::Ids, "Only events of these flows, and of sources.");
pub const SOURCE_IDS: Parameter = parameter("source_ids", Kind::Ids, "Only events of these sources and their flows.");
pub const FLOW_COLLECTED_BY: Parameter = parameter(
    "flow_collected_by_ids",
    Kind::Ids,
    "Only events of flows that one of these flows collects, and of sources. An empty list: of flows that nothing collects.",
);
pub const SOURCE_COLLECTED_BY: Parameter = parameter(
    "source_collected_by_ids",
    Kind::Ids,
    "Only events of sources that one of these collects, and of their flows. An empty list: that nothing collects.",
);
pub const LAST_EVENT_ID: Parameter = parameter(
    "last_event_id",
    Kind::Text,
    "Goes on after the event with this id, or after the record of a `TAMS-Position`. The header `Last-Event-ID` goes before it.",
);
pub const FROM_EVENT: Parameter =
    parameter("from", Kind::Text, "Begins with this event or record, or at this time. Absent: with what happens next.");
