//! What can have happened: one enum, past tense, facts only.
//!
//! An event carries what a notification about it needs, so that a subscriber who is hours late is still told the truth
//! of that moment from the log alone. Structs are frozen once released: optional fields may be added; anything else is
//! a new version with an upcaster in [`Event`]'s decoder, and its golden bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use serde::{Deserialize as DeriveDeserialize, Serialize as DeriveSerialize};

use crate::{
    Account, AccountName, DeadLetter, DeletionRequest, DeletionRequestId, EventPosition, Flow, FlowId, Incarnation,
    Instance, InstanceIndexes, Instant, ObjectId, Profile, Replay, Resolution, Segment, Source, SourceCollectionItem,
    SourceId, StorageId, TagValue, Tags, TimeRange, Timestamp, Token, TokenId, Webhook, WebhookId,
};

/// Declares [`Event`] with its written form: a tuple of type, version and payload. Type and version stand outside the
/// payload so that it decodes directly; a tag inside it would have to be searched for first.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($payload:ty) = $tag:literal, $version:literal;)*) => {
        /// Something that happened.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $variant($payload),)*
        }

        impl Event {
            /// The names of all types.
            pub const KINDS: &[&str] = &[$($tag),*];

            /// The name of the event's type in the log.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $tag,)*
                }
            }
        }

        $(impl From<$payload> for Event {
            fn from(payload: $payload) -> Self {
                Self::$variant(payload)
            }
        })*

        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut tuple = serializer.serialize_tuple(3)?;
                match self {
                    $(Self::$variant(payload) => {
                        tuple.serialize_element($tag)?;
                        tuple.serialize_element(&($version as u16))?;
                        tuple.serialize_element(payload)?;
                    })*
                }
                tuple.end()
            }
        }

        impl<'de> Visitor<'de> for EventVisitor {
            type Value = Event;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event: its type, version and payload")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Event, A::Error> {
                let kind: &str = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let version: u16 = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                match (kind, version) {
                    $(($tag, $version) => {
                        let payload = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &self))?;
                        Ok(Event::$variant(payload))
                    })*
                    _ => Err(A::Error::custom(format_args!(
                        "event {kind:?} version {version} is not known to this version of tapelog"
                    ))),
                }
            }
        }
    };
}

struct EventVisitor;

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(3, EventVisitor)
    }
}

events! {
    /// The first event of every log.
    LogStarted(LogStarted) = "log_started", 1;
    /// The store was given a name or description.
    ServiceUpdated(ServiceUpdated) = "service_updated", 1;
    /// A Source appeared, with its first Flow.
    SourceCreated(SourceCreated) = "source_created", 1;
    /// A Source's metadata changed.
    SourceUpdated(SourceUpdated) = "source_updated", 1;
    /// A Source went, with its last Flow.
    SourceDeleted(SourceDeleted) = "source_deleted", 1;
    /// A Flow was created.
    FlowCreated(FlowCreated) = "flow_created", 1;
    /// A Flow's metadata changed.
    FlowUpdated(FlowUpdated) = "flow_updated", 1;
    /// A Flow was deleted, with all its segments.
    FlowDeleted(FlowDeleted) = "flow_deleted", 1;
    /// Ids and places were given out for objects to come.
    ObjectsAllocated(ObjectsAllocated) = "objects_allocated", 1;
    /// Segments were added to a Flow.
    SegmentsAdded(SegmentsAdded) = "segments_added", 1;
    /// Segments were deleted from a Flow.
    SegmentsDeleted(SegmentsDeleted) = "segments_deleted", 1;
    /// Tags of one segment changed.
    SegmentTagged(SegmentTagged) = "segment_tagged", 1;
    /// A Flow was put aside with its segments, to be restored or deleted later.
    FlowTrashed(FlowTrashed) = "flow_trashed", 1;
    /// A Flow that was put aside is back.
    FlowRestored(FlowRestored) = "flow_restored", 1;
    /// A Flow that was put aside was deleted for good.
    FlowPurged(FlowPurged) = "flow_purged", 1;
    /// A profile was created.
    ProfileCreated(ProfileCreated) = "profile_created", 1;
    /// An object has one more instance.
    InstanceAdded(InstanceAdded) = "instance_added", 1;
    /// An object has one instance less.
    InstanceRemoved(InstanceRemoved) = "instance_removed", 1;
    /// The bytes of an instance that was removed are gone.
    InstanceErased(InstanceErased) = "instance_erased", 1;
    /// A copy of an object on another storage backend was asked for.
    CopyRequested(CopyRequested) = "copy_requested", 1;
    /// A copy that was asked for will not come.
    CopyFailed(CopyFailed) = "copy_failed", 1;
    /// Objects that nothing refers to are about to go: nothing may refer to them any more.
    ObjectsCondemned(ObjectsCondemned) = "objects_condemned", 1;
    /// Condemned objects are gone, with their bytes.
    ObjectsDeleted(ObjectsDeleted) = "objects_deleted", 1;
    /// A deletion goes on after it was answered.
    DeletionRequested(DeletionRequested) = "deletion_requested", 1;
    /// A deletion made progress, or ended.
    DeletionAdvanced(DeletionAdvanced) = "deletion_advanced", 1;
    /// A deletion that ended was forgotten.
    DeletionForgotten(DeletionForgotten) = "deletion_forgotten", 1;
    /// A webhook was registered.
    WebhookCreated(WebhookCreated) = "webhook_created", 1;
    /// A webhook was replaced, or its status changed.
    WebhookUpdated(WebhookUpdated) = "webhook_updated", 1;
    /// A webhook was deleted.
    WebhookDeleted(WebhookDeleted) = "webhook_deleted", 1;
    /// A webhook's receiver refused a notification for good.
    DeadLettered(DeadLettered) = "dead_lettered", 1;
    /// Dead letters are to be tried once more.
    RedeliveryRequested(RedeliveryRequested) = "redelivery_requested", 1;
    /// A dead letter is none any more.
    DeadLetterResolved(DeadLetterResolved) = "dead_letter_resolved", 1;
    /// A webhook's notifications are to be delivered again from somewhere on.
    ReplayRequested(ReplayRequested) = "replay_requested", 1;
    /// An account was made or changed.
    AccountSet(AccountSet) = "account_set", 1;
    /// An account was deleted, with its tokens.
    AccountDeleted(AccountDeleted) = "account_deleted", 1;
    /// A token was given out.
    TokenIssued(TokenIssued) = "token_issued", 1;
    /// A token holds no longer.
    TokenRevoked(TokenRevoked) = "token_revoked", 1;
}

/// What collected a Flow and its Source at that moment, which subscribers filter by (12.3), and the classes that the Flow
/// belonged to, by which it is judged what they may be told (14.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct Membership {
    /// The Flows that collect the Flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flow: Vec<FlowId>,
    /// The Sources that collect the Source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<SourceId>,
    /// The Flow's tag `auth_classes`, where the event does not hold the Flow itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_classes: Option<TagValue>,
}

impl Membership {
    fn is_none(&self) -> bool {
        self.flow.is_empty() && self.source.is_empty() && self.auth_classes.is_none()
    }
}

/// The first event of every log.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct LogStarted {
    /// Names this life of the log.
    pub incarnation: Incarnation,
}

/// The store was given a name or description.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct ServiceUpdated {
    /// The name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The description, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A Source appeared, with its first Flow.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct SourceCreated {
    /// The Source.
    pub source: Source,
}

/// A Source's metadata changed.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct SourceUpdated {
    /// The Source, as it is from now on.
    pub source: Source,
    /// The Sources that collect it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collected_by: Vec<SourceId>,
    /// The Sources that it collects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_collection: Vec<SourceCollectionItem>,
}

/// A Source went, with its last Flow.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct SourceDeleted {
    /// The Source.
    pub source_id: SourceId,
    /// The Sources that collected it until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collected_by: Vec<SourceId>,
    /// Its tag `auth_classes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_classes: Option<TagValue>,
}

/// A Flow was created.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct FlowCreated {
    /// The Flow.
    pub flow: Flow,
    /// The Sources that collect its Source.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
}

/// A Flow's metadata changed.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct FlowUpdated {
    /// The Flow, as it is from now on.
    pub flow: Flow,
    /// When its segments changed last, if they ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments_updated: Option<Instant>,
    /// What collects it.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
}

/// A Flow was deleted, with all its segments.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct FlowDeleted {
    /// The Flow.
    pub flow_id: FlowId,
    /// Its Source.
    pub source_id: SourceId,
    /// What collected it until then.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
}

/// Ids and places were given out for objects to come (section 7).
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct ObjectsAllocated {
    /// The Flow that must register them first; any may where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<FlowId>,
    /// Where their bytes go.
    pub storage_id: StorageId,
    /// Their ids.
    pub object_ids: Vec<ObjectId>,
    /// The MIME type that they are uploaded with.
    pub content_type: String,
}

/// Segments were added to a Flow (section 6).
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct SegmentsAdded {
    /// The Flow.
    pub flow_id: FlowId,
    /// Its Source.
    pub source_id: SourceId,
    /// What collects it.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
    /// Where the objects' bytes lie; segments refer to these by index.
    pub instances: Vec<Instance>,
    /// The init objects of the objects; segments refer to these by index (5.6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_objects: Vec<InitObject>,
    /// The segments, in the order of the request.
    pub segments: Vec<Segment>,
}

/// Segments were deleted from a Flow (9.1): all that lay entirely inside the range, or, when an object is named, those
/// of them that used it.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct SegmentsDeleted {
    /// The Flow.
    pub flow_id: FlowId,
    /// Its Source.
    pub source_id: SourceId,
    /// What collects it.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
    /// From the start of the first deleted segment to the end of the last.
    pub timerange: TimeRange,
    /// The object that deleted segments used, where the deletion was limited to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<ObjectId>,
    /// How many segments went.
    pub count: u64,
}

/// An object without which those of some segments cannot be decoded (5.6).
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct InitObject {
    /// Names it.
    pub object_id: ObjectId,
    /// Which of the event's instances it has.
    pub instances: InstanceIndexes,
}

/// Tags of one segment changed.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct SegmentTagged {
    /// The Flow.
    pub flow_id: FlowId,
    /// Where the segment starts.
    pub start: Timestamp,
    /// Its tags, from now on.
    pub tags: Tags,
}

/// A Flow was put aside with its segments: nobody sees it, and what it uses stays.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct FlowTrashed {
    /// The Flow.
    pub flow_id: FlowId,
    /// Its Source.
    pub source_id: SourceId,
    /// What collected it until then.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
}

/// A Flow that was put aside is back, with its segments.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct FlowRestored {
    /// The Flow, as it is from now on.
    pub flow: Flow,
    /// When its segments changed last, if they ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments_updated: Option<Instant>,
    /// The Sources that collect its Source.
    #[serde(default, skip_serializing_if = "Membership::is_none")]
    pub collected_by: Membership,
}

/// A Flow that was put aside was deleted for good, with its segments.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct FlowPurged {
    /// The Flow.
    pub flow_id: FlowId,
}

/// A profile was created (5.5).
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct ProfileCreated {
    /// The profile.
    pub profile: Profile,
}

/// An object has one more instance (section 8).
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct InstanceAdded {
    /// The object.
    pub object_id: ObjectId,
    /// The instance.
    pub instance: Instance,
}

/// An object has one instance less. The bytes of a controlled one are still to be erased.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct InstanceRemoved {
    /// The object.
    pub object_id: ObjectId,
    /// The instance.
    pub instance: Instance,
}

/// The bytes of a controlled instance that was removed are gone.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct InstanceErased {
    /// The object.
    pub object_id: ObjectId,
    /// The backend on which it was.
    pub storage_id: StorageId,
}

/// A copy of an object on another storage backend was asked for (section 8).
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct CopyRequested {
    /// The object.
    pub object_id: ObjectId,
    /// The backend that the copy goes to.
    pub storage_id: StorageId,
}

/// A copy that was asked for will not come.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct CopyFailed {
    /// The object.
    pub object_id: ObjectId,
    /// The backend that the copy was to go to.
    pub storage_id: StorageId,
    /// Why, in a sentence.
    pub reason: String,
}

/// Objects that nothing refers to are about to go. From here on nothing may refer to them, so that their bytes can be
/// erased without a race (L7).
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct ObjectsCondemned {
    /// The objects.
    pub object_ids: Vec<ObjectId>,
}

/// Condemned objects are gone, with their bytes; their ids are free again.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct ObjectsDeleted {
    /// The objects.
    pub object_ids: Vec<ObjectId>,
}

/// A deletion goes on after it was answered (9.3).
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct DeletionRequested {
    /// The request.
    pub request: DeletionRequest,
}

/// A deletion made progress, or ended.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct DeletionAdvanced {
    /// The request, as it is from now on.
    pub request: DeletionRequest,
}

/// A deletion that ended was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct DeletionForgotten {
    /// The request.
    pub request_id: DeletionRequestId,
}

/// A webhook was registered (section 12).
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct WebhookCreated {
    /// The webhook.
    pub webhook: Webhook,
}

/// A webhook was replaced, or its status changed.
#[derive(Debug, Clone, PartialEq, DeriveSerialize, DeriveDeserialize)]
pub struct WebhookUpdated {
    /// The webhook, as it is from now on.
    pub webhook: Webhook,
}

/// A webhook was deleted.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct WebhookDeleted {
    /// The webhook.
    pub webhook_id: WebhookId,
}

/// A webhook's receiver refused a notification for good; those after it go on.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct DeadLettered {
    /// What was not delivered, and why.
    pub letter: DeadLetter,
}

/// Dead letters are to be tried once more.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct RedeliveryRequested {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Their events.
    pub positions: Vec<EventPosition>,
}

/// A dead letter is none any more.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct DeadLetterResolved {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Its event.
    pub position: EventPosition,
    /// What became of it.
    pub resolution: Resolution,
}

/// A webhook's notifications are to be delivered again from somewhere on.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct ReplayRequested {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// From where, and which request this is.
    pub replay: Replay,
}

/// An account was made or changed.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct AccountSet {
    /// The account, as it is from now on.
    pub account: Account,
}

/// An account was deleted, with its tokens.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct AccountDeleted {
    /// The account.
    pub name: AccountName,
}

/// A token was given out.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct TokenIssued {
    /// The token.
    pub token: Token,
}

/// A token holds no longer.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, DeriveDeserialize)]
pub struct TokenRevoked {
    /// The token.
    pub token_id: TokenId,
}
