//! Why a command is refused: a "no" of the domain, true at the tip of the log.

use tapelog_events::{
    AccountName, EventPosition, FlowId, Format, ObjectId, ProfileId, SegmentFailureKind, SourceId, StorageId, TokenId,
    WebhookId,
};

/// Why a command is refused. The text is for the client: a sentence that names the field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// No such Flow.
    #[error("flow {0} does not exist")]
    FlowNotFound(FlowId),
    /// There is such a Flow.
    #[error("flow {0} already exists")]
    FlowExists(FlowId),
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
    /// Segments of the Flow rest on what was to be changed (5.4, 5.6).
    #[error("{0} cannot change so while the flow has segments")]
    HasSegments(&'static str),
    /// Object ids are given out once (section 7).
    #[error("object_ids already exist: {}", .0.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    ObjectsExist(Vec<ObjectId>),
    /// An object id stands twice in one request (section 7).
    #[error("object_ids names {0} twice")]
    ObjectTwice(ObjectId),
    /// The one segment of a request was refused.
    #[error("{0}")]
    Segment(SegmentFailureKind),
    /// The caller may see the resource and not do this with it (14.2).
    #[error("you may not {0}")]
    Forbidden(String),
    /// Changing its classes would give away, or take, what is not the caller's (14.2).
    #[error("tags.auth_classes may only gain and lose classes that you may write in, and may not be emptied")]
    Reclassified,
    /// The Flow is on its way out (9.2).
    #[error("flow {0} is being deleted")]
    BeingDeleted(FlowId),
    /// Something depends on what was to be deleted alone.
    #[error("{0}, and cascade is false")]
    HasDependents(String),
    /// The Flow was put aside.
    #[error("flow {0} was put aside by soft_delete; restore it, or wait until it is gone for good")]
    FlowInTrash(FlowId),
    /// No such Flow was put aside.
    #[error("flow {0} was not put aside by soft_delete, or is gone for good")]
    NotInTrash(FlowId),
    /// No segment of the Flow has that name.
    #[error("flow {0} has no such segment")]
    SegmentNotFound(FlowId),
    /// Several segments of the Flow have that name.
    #[error("object {0} is used by several segments of the flow; name the segment by its timerange")]
    SegmentAmbiguous(ObjectId),
    /// Profiles never change (5.5).
    #[error("profile {0} already exists")]
    ProfileExists(ProfileId),
    /// A linked Flow keeps its profile until it is told otherwise (5.5).
    #[error(
        "profile_id is missing, though the flow is linked to a profile; send profile_id as an empty text to unlink it"
    )]
    StillLinked,
    /// No such webhook.
    #[error("webhook {0} does not exist")]
    WebhookNotFound(WebhookId),
    /// A webhook in error can be switched on again, and not off (12.2).
    #[error("status is disabled, but the webhook is in error; send created to switch it on again")]
    WebhookInError,
    /// No such dead letter.
    #[error("webhook {0} has no dead letter {1}")]
    DeadLetterNotFound(WebhookId, EventPosition),
    /// No such object, or none that is registered (section 8).
    #[error("object {0} does not exist")]
    ObjectNotFound(ObjectId),
    /// Segments use the object.
    #[error("object {0} is used by segments, or is the init object of one that is")]
    ObjectInUse(ObjectId),
    /// The object is on that backend already, or on its way there or off it.
    #[error(
        "storage_id {0} is of a storage backend that holds the object, or is about to, or has not let go of it yet"
    )]
    InstanceExists(StorageId),
    /// The object has no such instance.
    #[error("object {0} has no such instance")]
    InstanceNotFound(ObjectId),
    /// An object keeps its last instance (section 8).
    #[error("object {0} has no other instance")]
    LastInstance(ObjectId),
    /// The label is that of a storage backend (section 8).
    #[error("label {0:?} is that of a storage backend")]
    LabelOfBackend(String),
    /// The label is taken (section 8).
    #[error("label {0:?} is given to another instance of the object")]
    LabelTaken(String),
    /// No such account.
    #[error("account {0} does not exist")]
    AccountNotFound(AccountName),
    /// There is such an account.
    #[error("account {0} already exists")]
    AccountExists(AccountName),
    /// The account is locked out.
    #[error("account {0} is disabled")]
    AccountDisabled(AccountName),
    /// No such token: it never was, was revoked, or was traded.
    #[error("token {0} does not exist")]
    TokenNotFound(TokenId),
    /// Another request came with this idempotency key before.
    #[error("the Idempotency-Key was used before, for another request")]
    IdempotencyKeyReused,
}
