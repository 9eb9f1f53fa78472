//! What can be asked for.

use tapelog_events::{
    CollectionItem, CommitId, ContainerMapping, EssenceParameters, FlowId, FlowStatus, Format, Instant, ObjectId,
    ProfileId, Rational, SegmentFailure, SourceId, StorageId, TagValue, Tags, TimeRange, Timestamp,
};

/// A command with all that the outside world adds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// Names the commit that may come of it. A UUIDv7.
    pub commit_id: CommitId,
    /// Who asks.
    pub actor: String,
    /// Names the request in logs and in the commit.
    pub request_id: Option<String>,
    /// What makes a repetition recognisable, where the client gave a key.
    pub idempotency: Option<IdempotencyKey>,
}

/// What makes a repetition of a request recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Digest of who asks, for what, under which client's key.
    pub key: [u8; 32],
    /// Digest of the request.
    pub request: [u8; 32],
}

/// What a decision may know besides the state.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The moment of the decision.
    pub at: Instant,
    /// Who asks.
    pub actor: &'a str,
    /// Names the commit; also serves as the fresh `metadata_version`.
    pub commit_id: CommitId,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `POST /service`.
    UpdateService(UpdateService),
    /// `PUT /flows/{flowId}`.
    PutFlow(Box<PutFlow>),
    /// `PUT` or `DELETE` of one property of a Flow.
    SetFlowProperty(SetFlowProperty),
    /// `DELETE /flows/{flowId}`.
    DeleteFlow(DeleteFlow),
    /// `PUT` or `DELETE` of one property of a Source.
    SetSourceProperty(SetSourceProperty),
    /// `POST /flows/{flowId}/storage`.
    AllocateStorage(AllocateStorage),
    /// `POST /flows/{flowId}/segments`.
    PostSegments(PostSegments),
    /// `DELETE /flows/{flowId}/segments`.
    DeleteSegments(DeleteSegments),
}

/// Names or describes the store; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateService {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
}

/// Creates a Flow or replaces all metadata that clients own (5.2).
#[derive(Debug, Clone, PartialEq)]
pub struct PutFlow {
    /// The Flow.
    pub flow_id: FlowId,
    /// Its metadata.
    pub metadata: FlowMetadata,
}

/// The metadata of a Flow that clients own.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the field of `Flow` with its name")]
pub struct FlowMetadata {
    pub source_id: SourceId,
    pub label: Option<String>,
    pub description: Option<String>,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
    pub tags: Tags,
    pub metadata_version: Option<String>,
    pub generation: Option<u64>,
    pub status: Option<FlowStatus>,
    pub read_only: Option<bool>,
    pub max_bit_rate: Option<u64>,
    pub flow_collection: Option<Vec<CollectionItem>>,
    pub technical: Technical,
}

/// Where the technical metadata of a Flow come from (5.5).
#[derive(Debug, Clone, PartialEq)]
pub enum Technical {
    /// From a profile.
    Profile(ProfileId),
    /// From the request.
    Own(Box<TechnicalMetadata>),
}

/// The technical metadata of a Flow (`flow-technical.json` and what its format adds).
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the field of `Flow` with its name")]
pub struct TechnicalMetadata {
    pub format: Format,
    pub codec: Option<String>,
    pub container: Option<String>,
    pub avg_bit_rate: Option<u64>,
    pub segment_duration: Option<Rational>,
    pub container_mapping: Option<ContainerMapping>,
    pub essence_parameters: Option<EssenceParameters>,
}

/// Changes one property of a Flow.
#[derive(Debug, Clone, PartialEq)]
pub struct SetFlowProperty {
    /// The Flow.
    pub flow_id: FlowId,
    /// The property with its new value.
    pub property: FlowProperty,
}

/// A property of a Flow with its new value; `None` unsets it.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowProperty {
    /// `label`.
    Label(Option<String>),
    /// `description`.
    Description(Option<String>),
    /// One tag: its name and value.
    Tag(String, Option<TagValue>),
    /// `read_only`, the one property of a locked Flow that may change.
    ReadOnly(bool),
    /// `flow_collection`.
    FlowCollection(Option<Vec<CollectionItem>>),
    /// `max_bit_rate`, in kbit/s.
    MaxBitRate(Option<u64>),
    /// `avg_bit_rate`, in kbit/s.
    AvgBitRate(Option<u64>),
}

/// Deletes a Flow with all its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteFlow {
    /// The Flow.
    pub flow_id: FlowId,
}

/// Changes one property of a Source.
#[derive(Debug, Clone, PartialEq)]
pub struct SetSourceProperty {
    /// The Source.
    pub source_id: SourceId,
    /// The property with its new value.
    pub property: SourceProperty,
}

/// A property of a Source with its new value; `None` unsets it.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceProperty {
    /// `label`.
    Label(Option<String>),
    /// `description`.
    Description(Option<String>),
    /// One tag: its name and value.
    Tag(String, Option<TagValue>),
}

/// Gives out ids and places for objects to come (section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocateStorage {
    /// The Flow that will register them.
    pub flow_id: FlowId,
    /// The ids.
    pub object_ids: Vec<ObjectId>,
    /// Who chose the ids.
    pub chosen_by: ChosenBy,
    /// Where their bytes will go.
    pub storage_id: StorageId,
    /// The MIME type that they are uploaded with; the Flow's container unless given.
    pub content_type: Option<String>,
}

/// Who chose object ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChosenBy {
    /// The client named each.
    Client,
    /// The server made them up.
    Server,
}

/// Adds segments to a Flow. Each is judged on its own where the request is a list.
#[derive(Debug, Clone, PartialEq)]
pub struct PostSegments {
    /// The Flow.
    pub flow_id: FlowId,
    /// The segments, in the order of the request; an `Err` was refused when it was read.
    pub segments: Vec<Result<NewSegment, SegmentFailure>>,
    /// What a refused segment means to the request.
    pub shape: RequestShape,
    /// Labels of storage backends, which no uncontrolled instance may have.
    pub reserved_labels: std::sync::Arc<[String]>,
}

/// Whether a request held one thing or a list of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestShape {
    /// One: its refusal is the request's.
    Single,
    /// A list: refusals are part of a successful answer.
    List,
}

/// A segment as a client posts it (`flow-segment-post.json`).
#[derive(Debug, Clone, PartialEq)]
pub struct NewSegment {
    /// See [`tapelog_events::Segment::object_id`].
    pub object_id: ObjectId,
    /// Finite, with an inclusive start, not empty.
    pub timerange: TimeRange,
    /// See [`tapelog_events::Segment::ts_offset`].
    pub ts_offset: Timestamp,
    /// Finite, with an inclusive start, not empty.
    pub object_timerange: Option<TimeRange>,
    /// Not negative.
    pub last_duration: Option<Timestamp>,
    /// Deprecated by TAMS 8.0, kept.
    pub sample_offset: Option<i64>,
    /// Deprecated by TAMS 8.0, kept.
    pub sample_count: Option<i64>,
    /// How many key frames the object has.
    pub key_frame_count: Option<u64>,
    /// Addresses of the object outside this store.
    pub get_urls: Vec<UncontrolledInstance>,
}

/// An address of an object outside this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncontrolledInstance {
    /// The address.
    pub url: String,
    /// Its name among the object's instances.
    pub label: String,
}

/// Deletes the segments that lie entirely inside a range (9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteSegments {
    /// The Flow.
    pub flow_id: FlowId,
    /// The range.
    pub timerange: TimeRange,
    /// Only those that use this object.
    pub object_id: Option<ObjectId>,
}
