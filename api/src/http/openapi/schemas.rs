//! Schemas of the documents that are written by hand, field by field, since they are written by the million. The others
//! are derived from what is serialised.
#![expect(dead_code, reason = "these types are never made: their schemas are what they are for")]

use schemars::JsonSchema;
use tapelog_events::{
    Flow, FlowId, Instant, ObjectId, Source, SourceCollectionItem, SourceId, StorageId, Tags, TimeRange, Timestamp,
};

/// A flow.
#[derive(JsonSchema)]
#[schemars(rename = "Flow")]
pub struct FlowDocument {
    #[serde(flatten)]
    flow: Flow,
    /// When its segments changed last.
    segments_updated: Option<Instant>,
    /// The flows that collect it.
    collected_by: Option<Vec<FlowId>>,
    /// From its first segment to its last, where that was asked for.
    timerange: Option<TimeRange>,
}

/// A source.
#[derive(JsonSchema)]
#[schemars(rename = "Source")]
pub struct SourceDocument {
    #[serde(flatten)]
    source: Source,
    /// The sources that it collects, as the collections of its flows say.
    source_collection: Option<Vec<SourceCollectionItem>>,
    /// The sources that collect it.
    collected_by: Option<Vec<SourceId>>,
}

/// One address of an object. What follows `label` is told with `verbose_storage` alone.
#[derive(JsonSchema)]
pub struct GetUrl {
    /// The address.
    url: String,
    /// Whether it needs no credentials.
    presigned: Option<bool>,
    /// The name by which it is chosen.
    label: Option<String>,
    /// The same for `HEAD`, where `presigned_head` asks for it.
    head_url: Option<String>,
    /// The storage backend.
    storage_id: Option<StorageId>,
    /// Whether this store manages what lies there.
    controlled: Option<bool>,
    /// What kind of storage it is.
    store_type: Option<String>,
    /// Who provides it.
    provider: Option<String>,
    /// In which region.
    region: Option<String>,
    /// In which zone of the region.
    availability_zone: Option<String>,
    /// What product it is.
    store_product: Option<String>,
    /// The tags of the backend.
    tags: Option<Tags>,
}

/// The object without which a segment's own cannot be decoded.
#[derive(JsonSchema)]
pub struct SegmentInitObject {
    /// Names it.
    object_id: ObjectId,
    /// Where it lies, best first.
    get_urls: Option<Vec<GetUrl>>,
}

/// A segment.
#[derive(JsonSchema)]
#[schemars(rename = "Segment")]
pub struct SegmentDocument {
    /// Its object.
    object_id: ObjectId,
    /// Where it lies on the timeline of its flow.
    timerange: TimeRange,
    /// What is added to the object's own time to give the flow's.
    ts_offset: Option<Timestamp>,
    /// How long the last sample lasts.
    last_duration: Option<Timestamp>,
    /// The first sample that is used. Deprecated.
    sample_offset: Option<i64>,
    /// How many samples are used. Deprecated.
    sample_count: Option<i64>,
    /// The whole of the object on its own timeline, where that was asked for.
    object_timerange: Option<TimeRange>,
    /// How many key frames the object has.
    key_frame_count: Option<u64>,
    /// Its tags, where they were asked for and it has some.
    tags: Option<Tags>,
    /// Where the object lies, best first.
    get_urls: Option<Vec<GetUrl>>,
    /// What is needed before it.
    init_object: Option<SegmentInitObject>,
}

/// The object without which another cannot be decoded.
#[derive(JsonSchema)]
pub struct ObjectInitObject {
    /// Names it.
    id: ObjectId,
    /// Where it lies, best first.
    get_urls: Option<Vec<GetUrl>>,
}

/// An object.
#[derive(JsonSchema)]
#[schemars(rename = "Object")]
pub struct ObjectDocument {
    /// Names it.
    id: ObjectId,
    /// The flows that use it, a page of them.
    referenced_by_flows: Vec<FlowId>,
    /// The flow that used it first, while it does.
    first_referenced_by_flow: Option<FlowId>,
    /// The whole of it on its own timeline; init objects have none.
    timerange: Option<TimeRange>,
    /// How many key frames it has.
    key_frame_count: Option<u64>,
    /// Where it lies, best first.
    get_urls: Option<Vec<GetUrl>>,
    /// What is needed before it.
    init_object: Option<ObjectInitObject>,
}

/// A flow that collects others, with those.
#[derive(JsonSchema)]
pub struct CollectionDocument {
    /// The flow that collects.
    collection: FlowDocument,
    /// What it collects, in order.
    members: Vec<FlowDocument>,
}

/// A source that collects others, with those.
#[derive(JsonSchema)]
pub struct SourceCollectionDocument {
    /// The source that collects.
    collection: SourceDocument,
    /// What it collects.
    members: Vec<SourceDocument>,
}

/// A tag, and how many have it.
#[derive(JsonSchema)]
pub struct TagCount {
    /// Its name.
    name: String,
    /// How many flows have it.
    flows: u64,
    /// How many sources have it.
    sources: u64,
    /// How many segments have it.
    segments: u64,
    /// How many different texts it has.
    values: u64,
}

/// A text of a tag, and how many have the tag with it.
#[derive(JsonSchema)]
pub struct TagValueCount {
    /// The text.
    value: String,
    /// How many flows have it.
    flows: u64,
    /// How many sources have it.
    sources: u64,
    /// How many segments have it.
    segments: u64,
}

/// What is traded for an access token. The client may name itself here or by `Authorization: Basic`.
#[derive(JsonSchema)]
pub struct TokenForm {
    /// `client_credentials` or `refresh_token`.
    grant_type: String,
    /// The account.
    client_id: Option<String>,
    /// Its password, or a token of it.
    client_secret: Option<String>,
    /// The refresh token.
    refresh_token: Option<String>,
    /// Scopes, with spaces between them; fewer than the account has narrow the token.
    scope: Option<String>,
}
