//! The words of tapelog: ids, time, the TAMS model, events, records and their codec.
//!
//! Guarantees: every value is valid by its type (parsed once, at the edge); a record that was ever written decodes for
//! ever ([`codec`]); encoding is deterministic, so the hash of a record's bytes is the record's identity in the chain.
//! Assumes nothing: no clock, no randomness, no I/O. Does not judge: whether a thing may happen is decided in
//! `tapelog-commands`.

mod access;
mod account;
pub mod codec;
mod deletion;
mod event;
mod flow;
mod id;
mod instant;
mod object;
mod outcome;
mod profile;
mod record;
#[cfg(feature = "schema")]
mod schema;
mod segment;
mod source;
mod tags;
pub mod time;
mod webhook;

pub use access::{AUTH_CLASSES, Access, InvalidScope, Permission, Scope, Verdict};
pub use account::{Account, AccountName, InvalidAccountName, Token, TokenKind};
pub use deletion::{DeletionRequest, DeletionStatus};
pub use event::{
    AccountDeleted, AccountSet, CopyFailed, CopyRequested, DeadLetterResolved, DeadLettered, DeletionAdvanced,
    DeletionForgotten, DeletionRequested, Event, FlowCreated, FlowDeleted, FlowPurged, FlowRestored, FlowTrashed,
    FlowUpdated, InitObject, InstanceAdded, InstanceErased, InstanceRemoved, LogStarted, Membership, ObjectsAllocated,
    ObjectsCondemned, ObjectsDeleted, ProfileCreated, RedeliveryRequested, ReplayRequested, SegmentTagged,
    SegmentsAdded, SegmentsDeleted, ServiceUpdated, SourceCreated, SourceDeleted, SourceUpdated, TokenIssued,
    TokenRevoked, WebhookCreated, WebhookDeleted, WebhookUpdated,
};
pub use flow::{
    AspectRatio, AudioEssence, AudioTrack, AvcParameters, CodecParameters, CollectionItem, Colorspace, ComponentType,
    ContainerMapping, DataEssence, EssenceParameters, Flow, FlowStatus, Format, ImageEssence, InterlaceMode,
    IsobmffContainer, Mp2tsContainer, MultiEssence, MxfContainer, Rational, TransferCharacteristic, UncAudio,
    UncAudioType, UncVideo, UncVideoType, VideoEssence,
};
pub use id::{
    CommitId, DeletionRequestId, FlowId, Incarnation, InvalidId, ObjectId, ObjectIdView, ProfileId, SourceId,
    StorageId, TokenId, WebhookId,
};
pub use instant::{Instant, InvalidInstant};
pub use object::Instance;
pub use outcome::{Outcome, SegmentFailure, SegmentFailureKind};
pub use profile::{Profile, TechnicalMetadata};
pub use record::{ChainHash, Commit, EventId, EventPosition, Idempotency, Position, Record, Seq};
pub use segment::{InstanceIndexes, Segment};
pub use source::{Source, SourceCollectionItem};
pub use tags::{TagValue, Tags};
pub use time::{TimeRange, Timestamp};
pub use webhook::{
    DeadLetter, Failure, Notification, Replay, Resolution, RetiredSecret, SealedSecret, Signing, Subscription, Webhook,
    WebhookStatus,
};
