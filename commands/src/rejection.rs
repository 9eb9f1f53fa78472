//! Why a command is refused: a "no" of the domain, true at the tip of the log.

use tapelog_events::{FlowId, Format, ObjectId, ProfileId, SegmentFailureKind, SourceId};

/// Why a command is refused. The text is for the client: a sentence that names the field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// No such Flow.
    #[error("flow {0} does not exist")]
    FlowNotFound(FlowId),
    /// No such Source.
    #[error("source {0} does not exist")]
    SourceNotFound(SourceId),
    /// No such tag.
    #[error("tag {0:?} is not set")]
    TagNotFound(String),
    /// The Flow is locked (5.2).
    #[error("flow {0} is read_only; PUT false to its read_only property first")]
    ReadOnly(FlowId),
    /// Flows of one Source have one format.
    #[error("format is {asked}, but source {source_id} has {existing}", asked = .asked.as_str(), existing = .existing.as_str())]
    FormatOfSource {
        /// The Source.
        source_id: SourceId,
        /// The format of its Flows.
        existing: Format,
        /// The format that was asked for.
        asked: Format,
    },
    /// The format of a Flow never changes.
    #[error("format is {asked}, but the flow was created as {existing}", asked = .asked.as_str(), existing = .existing.as_str())]
    FormatOfFlow {
        /// The format of the Flow.
        existing: Format,
        /// The format that was asked for.
        asked: Format,
    },
    /// Members of a collection must exist (5.3).
    #[error("flow_collection names flow {0}, which does not exist")]
    UnknownMember(FlowId),
    /// A collection must not contain itself, however many steps away (5.3).
    #[error("flow_collection names flow {0}, through which the flow would collect itself")]
    CollectionCycle(FlowId),
    /// No such profile (5.5).
    #[error("profile_id {0} does not exist")]
    UnknownProfile(ProfileId),
    /// The value comes from a profile (5.5).
    #[error("avg_bit_rate comes from the flow's profile and cannot be changed on the flow")]
    FromProfile,
    /// A Flow without container owns no segments (5.4).
    #[error("flow {0} has no container, so it can have no segments; set its container first")]
    NoContainer(FlowId),
    /// Object ids are given out once (section 7).
    #[error("object_ids already exist: {}", .0.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    ObjectsExist(Vec<ObjectId>),
    /// An object id stands twice in one request (section 7).
    #[error("object_ids names {0} twice")]
    ObjectTwice(ObjectId),
    /// The one segment of a request was refused.
    #[error("{0}")]
    Segment(SegmentFailureKind),
    /// Another request came with this idempotency key before.
    #[error("the Idempotency-Key was used before, for another request")]
    IdempotencyKeyReused,
}
