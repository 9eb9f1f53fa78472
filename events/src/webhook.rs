//! Webhooks as resources (12.1 to 12.4): who wants to be told what, and where.

use serde::{Deserialize, Serialize};

use crate::{Access, CommitId, EventPosition, FlowId, Instant, SourceId, StorageId, Tags, WebhookId};

/// What can be notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Notification {
    /// A Flow was created.
    #[serde(rename = "flows/created")]
    FlowCreated,
    /// A Flow's metadata changed.
    #[serde(rename = "flows/updated")]
    FlowUpdated,
    /// A Flow was deleted.
    #[serde(rename = "flows/deleted")]
    FlowDeleted,
    /// Segments were added.
    #[serde(rename = "flows/segments_added")]
    SegmentsAdded,
    /// Segments were deleted.
    #[serde(rename = "flows/segments_deleted")]
    SegmentsDeleted,
    /// A Source appeared.
    #[serde(rename = "sources/created")]
    SourceCreated,
    /// A Source's metadata changed.
    #[serde(rename = "sources/updated")]
    SourceUpdated,
    /// A Source went.
    #[serde(rename = "sources/deleted")]
    SourceDeleted,
}

impl Notification {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::FlowCreated,
        Self::FlowUpdated,
        Self::FlowDeleted,
        Self::SegmentsAdded,
        Self::SegmentsDeleted,
        Self::SourceCreated,
        Self::SourceUpdated,
        Self::SourceDeleted,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlowCreated => "flows/created",
            Self::FlowUpdated => "flows/updated",
            Self::FlowDeleted => "flows/deleted",
            Self::SegmentsAdded => "flows/segments_added",
            Self::SegmentsDeleted => "flows/segments_deleted",
            Self::SourceCreated => "sources/created",
            Self::SourceUpdated => "sources/updated",
            Self::SourceDeleted => "sources/deleted",
        }
    }
}

/// A secret that only the servers of this store can open: what stands in the log is of no use to its readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Number used once, and the encrypted and authenticated text after it.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// Where a webhook stands (12.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookStatus {
    /// Registered; nothing is delivered yet.
    Created,
    /// What happens is delivered.
    Started,
    /// Switched off by its client.
    Disabled,
    /// Given up by the server.
    Error(Failure),
}

/// Why something was given up (`error.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// What kind of failure.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in a sentence.
    pub summary: String,
    /// When.
    pub time: Instant,
}

/// What a client asks of a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Where notifications are posted to.
    pub url: String,
    /// What is notified. May be empty.
    pub events: Vec<Notification>,
    /// The header that carries the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_name: Option<String>,
    /// The key. Never told to anybody but the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_value: Option<SealedSecret>,
    /// Only these Flows. An empty list matches none; absent, all (12.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_ids: Option<Vec<FlowId>>,
    /// Only these Sources and their Flows. An empty list matches none; absent, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ids: Option<Vec<SourceId>>,
    /// Only Flows that one of these collects. An empty list matches Flows that nothing collects; absent, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_collected_by_ids: Option<Vec<FlowId>>,
    /// Only Sources that one of these collects, and their Flows. An empty list matches what nothing collects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_collected_by_ids: Option<Vec<SourceId>>,
    /// Labels of the URLs that are told. An empty list asks for none; absent, all (12.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_get_urls: Option<Vec<String>>,
    /// Storage backends whose URLs are told. Empty or absent, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_storage_ids: Option<Vec<StorageId>>,
    /// Only presigned URLs, or only others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presigned: Option<bool>,
    /// Whether URLs come with all that is known of their storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose_storage: Option<bool>,
    /// Whether segments come with the ranges of their objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_object_timerange: Option<bool>,
    /// Free tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Names it; made up by the server.
    pub id: WebhookId,
    /// What its client asks.
    pub subscription: Subscription,
    /// Where it stands.
    pub status: WebhookStatus,
    /// When it was registered.
    pub created: Instant,
    /// Who registered or replaced it last; where it has a key, who gave that.
    pub owner: String,
    /// What the owner may see: every notification is judged by it (AppNote 0016).
    #[serde(default)]
    pub access: Access,
    /// With what its notifications are signed. One that was registered before there were signatures has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// The last replay that was asked of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// With what notifications are signed (Standard Webhooks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The secret.
    pub secret: SealedSecret,
    /// The one before, with which they are signed as well until receivers know the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<RetiredSecret>,
}

/// A secret that another has taken the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredSecret {
    /// The secret.
    pub secret: SealedSecret,
    /// Until when it is still used.
    pub until: Instant,
}

/// All that a webhook was notified of from somewhere on is to be delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The commit that asks for it: each is done once.
    pub id: CommitId,
    /// The first event that is delivered again.
    pub from: EventPosition,
}

/// A notification that a webhook's receiver refused for good: the only kind of gap in what a webhook is told (L10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event.
    pub position: EventPosition,
    /// What it notifies of.
    pub notification: Notification,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed, and when.
    pub failure: Failure,
    /// Since when it is to be tried once more, if somebody asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redelivery: Option<Instant>,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It was delivered after all.
    Delivered,
    /// It was given up by a person.
    Discarded,
}
