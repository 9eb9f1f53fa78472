//! The words of tapelog: ids, time, the TAMS model, events, records and their codec.
//!
//! Guarantees: every value is valid by its type (parsed once, at the edge); a record that was ever written decodes for
//! ever ([`codec`]); encoding is deterministic, so the hash of a record's bytes is the record's identity in the chain.
//! Assumes nothing: no clock, no randomness, no I/O. Does not judge: whether a thing may happen is decided in
//! `tapelog-commands`.

pub mod codec;
mod event;
mod flow;
mod id;
mod instant;
mod object;
mod outcome;
mod record;
mod segment;
mod source;
mod tags;
pub mod time;

pub use event::{
    Event, FlowCreated, FlowDeleted, FlowUpdated, LogStarted, Membership, ObjectsAllocated, SegmentsAdded,
    SegmentsDeleted, ServiceUpdated, SourceCreated, SourceDeleted, SourceUpdated,
};
pub use flow::{
    AspectRatio, AudioEssence, AudioTrack, AvcParameters, CodecParameters, CollectionItem, Colorspace, ComponentType,
    ContainerMapping, DataEssence, EssenceParameters, Flow, FlowStatus, Format, ImageEssence, InterlaceMode,
    IsobmffContainer, Mp2tsContainer, MultiEssence, MxfContainer, Rational, TransferCharacteristic, UncAudio,
    UncAudioType, UncVideo, UncVideoType, VideoEssence,
};
pub use id::{CommitId, FlowId, Incarnation, InvalidId, ObjectId, ObjectIdView, ProfileId, SourceId, StorageId};
pub use instant::{Instant, InvalidInstant};
pub use object::Instance;
pub use outcome::{Outcome, SegmentFailure, SegmentFailureKind};
pub use record::{ChainHash, Commit, Idempotency, Position, Record, Seq};
pub use segment::{InstanceIndexes, Segment};
pub use source::{Source, SourceCollectionItem};
pub use tags::{TagValue, Tags};
pub use time::{TimeRange, Timestamp};
