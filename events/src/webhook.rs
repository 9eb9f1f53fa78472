//! Webhooks as resources (12.1 to 12.4): who wants to be told what, and where.

use serde::{Deserialize, Serialize};

use crate::{Access, FlowId, Instant, SourceId, StorageId, Tags, WebhookId};

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
}
