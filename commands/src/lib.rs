//! Decisions: what may happen next, given all that has happened.
//!
//! [`decide`] reads the [`State`] and says which events a [`Command`] leads to, or why it is refused; [`State::fold`]
//! takes what happened into account and never judges. Both are pure: no I/O, no clock, no randomness; times and fresh
//! ids arrive in the command's [`Context`]. The state is a fold of the log and nothing else, so that every node that has
//! read the same records decides alike.
//!
//! Guarantees, where commands are decided one after the other against the state of the log's tip: segments of a Flow do
//! not overlap (L6), an object goes only when nothing refers to it, be it the init object of another or used by a Flow
//! that was put aside (L7), a Source exists exactly while it has a Flow (L8),
//! `collected_by` is the inverse of `flow_collection` (L9).

mod account;
mod command;
mod decide;
mod deletion;
mod delivery;
mod flow;
mod instance;
pub mod inventory;
mod memory;
mod object;
mod permit;
mod profile;
mod registry;
mod rejection;
mod segment;
mod segment_tags;
mod service;
mod source;
mod state;
mod storage;
mod trash;
mod webhook;

pub use command::{
    AddInstance, AdvanceDeletion, AllocateStorage, Cascade, ChosenBy, Command, CondemnObjects, Context, CreateProfile,
    CreateWebhook, DeleteFlow, DeleteSegments, EditSource, Expected, FailWebhook, FinishCopy, FinishErasure,
    FlowMetadata, FlowProperty, IdempotencyKey, InstanceName, IssueToken, KeyChange, Manner, NewSegment, Patience,
    PostSegments, PurgeFlow, PutFlow, PutWebhook, RedeliverDeadLetters, RemoveInstance, ReplayWebhook, Request,
    RequestShape, ResealWebhook, ResolveDeadLetter, RotateSigningSecret, SegmentName, SetAccount, SetFlowProperty,
    SetSourceProperty, SourceProperty, Switch, TagSegment, TagsChange, Technical, UncontrolledInstance, UpdateService,
};
pub use decide::{Decision, Handled, decide, handle};
pub use memory::Memory;
pub use registry::{Errand, Register, Registry, RegistryParts, TrashedFlow};
pub use rejection::Rejection;
pub use state::{Corrupt, FlowState, SourceState, State, StateParts};
