//! What a command came to, as far as an answer to it must say: kept with the commit when the client gave an
//! idempotency key, so that a repeated request gets the first one's answer.

use serde::{Deserialize, Serialize};

use crate::{DeletionRequestId, ObjectId, StorageId, TimeRange, WebhookId};

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A resource was created.
    Created,
    /// A resource was changed or deleted, or was already as asked for.
    Done,
    /// Segments were judged one by one; these were refused.
    Segments {
        /// The refused ones, in the order of the request.
        failures: Vec<SegmentFailure>,
    },
    /// Objects were allocated.
    Allocated {
        /// Where their bytes go.
        storage_id: StorageId,
        /// Their ids, in the order of the request.
        object_ids: Vec<ObjectId>,
        /// The MIME type that they are uploaded with.
        content_type: String,
    },
    /// A webhook was registered.
    WebhookCreated {
        /// The id that the server gave it.
        webhook_id: WebhookId,
    },
    /// A deletion goes on after the answer.
    DeletionRequested {
        /// The request that says how far it is.
        request_id: DeletionRequestId,
    },
}

/// A segment that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentFailure {
    /// Its object.
    pub object_id: ObjectId,
    /// Its range.
    pub timerange: TimeRange,
    /// Why.
    pub kind: SegmentFailureKind,
}

/// Why a segment was refused (section 6). The text says it in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SegmentFailureKind {
    /// It is not a segment that could be stored, whatever stands in the store.
    #[error("{reason}")]
    Invalid {
        /// Which field, and why.
        reason: String,
    },
    /// Rule 9.
    #[error("init_object_id is missing: the flow's essence_parameters say init_segments")]
    InitRequired,
    /// 5.6: only Flows that say so have init objects.
    #[error(
        "init_object_id is given, or the object has one, but the flow's essence_parameters do not say init_segments"
    )]
    InitForbidden,
    /// 5.6: the init object is neither known nor allocated to this Flow.
    #[error("init_object_id is unknown: allocate it by POST /flows/{{flowId}}/storage with its content_type")]
    UnknownInitObject,
    /// 5.6: an object is for media or for initialisation, for ever.
    #[error("{property} names an object that is used the other way, as {used_as}")]
    OtherUse {
        /// The field that names it.
        property: String,
        /// What the object is.
        used_as: String,
    },
    /// The caller may not read the object.
    #[error("object_id is of an object that you may not read")]
    NotReadable,
    /// A deletion that goes on covers the range (9.1).
    #[error("timerange overlaps {remaining}, which is being deleted; try again when that deletion is done")]
    BeingDeleted {
        /// What is still to be deleted.
        remaining: TimeRange,
    },
    /// Rule 2.
    #[error("timerange overlaps the segment {with} of this flow")]
    Overlap {
        /// The segment that stands there.
        with: TimeRange,
    },
    /// Rule 4: the id is unknown and no addresses were given.
    #[error("object_id is unknown: allocate it by POST /flows/{{flowId}}/storage, or give get_urls of where it lies")]
    UnknownObject,
    /// Rule 4.
    #[error("object_id was allocated for another flow, which must register it first")]
    AllocatedElsewhere,
    /// Rule 4: an object's properties do not change with its re-use.
    #[error("{property} differs from that of the object, which was registered before")]
    ObjectDiffers {
        /// Which property.
        property: String,
    },
    /// Rule 7.
    #[error("timerange less ts_offset, {asked}, lies outside the object's own range {object}")]
    OutsideObject {
        /// What the segment would use, on the object's timeline.
        asked: TimeRange,
        /// What there is.
        object: TimeRange,
    },
    /// Rule 5.
    #[error("get_urls label {label:?} is that of a storage backend")]
    LabelOfBackend {
        /// The label.
        label: String,
    },
    /// Rule 5.
    #[error("get_urls label {label:?} is given to another address of the object")]
    LabelTaken {
        /// The label.
        label: String,
    },
}
