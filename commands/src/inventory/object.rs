//! What the store knows of one object.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use tapelog_events::{Instance, Instant, TimeRange};

use super::FlowSlot;

/// Where an object stands in the inventory. Its own, not stable across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectSlot(pub(super) u32);

/// Where the bytes of an object are, in order of preference.
pub type Instances = SmallVec<[Instance; 1]>;

/// What the store knows of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Where it stands in its life.
    pub state: ObjectState,
    /// Where its bytes are, in order of preference.
    pub instances: Instances,
    /// How many key frames it has, if that was said.
    pub key_frame_count: Option<u64>,
    /// The init object without which it cannot be decoded, if it needs one (5.6); only while it is registered or
    /// unreferenced.
    pub init: Option<ObjectSlot>,
}

/// Where an object stands in its life (section 7).
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectState {
    /// Its id and place were given out; nothing refers to it.
    Allocated {
        /// The Flow that must register it first; any may where none is named.
        flow: Option<FlowSlot>,
        /// When.
        at: Instant,
    },
    /// It holds media, and at least one segment uses it.
    Registered {
        /// Its range on its own timeline.
        range: TimeRange,
        /// The Flow that used it first, unless that uses it no more.
        first: Option<FlowSlot>,
        /// The segments that use it.
        uses: Uses,
    },
    /// At least one segment uses media objects that need it to be decoded (5.6).
    Init {
        /// The Flow that used it first, unless that uses it no more.
        first: Option<FlowSlot>,
        /// How many such segments each Flow has. Empty only while tables are read from a checkpoint.
        flows: BTreeMap<FlowSlot, u64>,
    },
    /// The last segment that used it is gone.
    Unreferenced {
        /// Its range on its own timeline; an init object has none.
        range: Option<TimeRange>,
        /// Since when.
        since: Instant,
    },
    /// It is about to be erased: nothing may refer to it any more (9.4).
    Condemned,
}

/// What an object may be used for now: its [`ObjectState`] without what takes time to gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For whatever it is registered as first, by this Flow, or by any where none is named.
    Open(Option<FlowSlot>),
    /// For media, for ever (5.6).
    Media,
    /// To decode media objects, for ever (5.6).
    Init,
    /// For nothing any more.
    Nothing,
}

/// The segments that use an object, in order of Flow and time.
pub type Uses = SmallVec<[SegmentUse; 1]>;

/// A segment that uses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentUse {
    /// Its Flow.
    pub flow: FlowSlot,
    /// The start of the segment, in nanoseconds.
    pub start: i128,
}

impl Default for Object {
    /// One of which nothing is known yet.
    fn default() -> Self {
        Self {
            state: ObjectState::Unreferenced { range: None, since: Instant::default() },
            instances: Instances::new(),
            key_frame_count: None,
            init: None,
        }
    }
}

impl Object {
    /// The range on the object's own timeline, once it is known. An init object has none.
    pub fn range(&self) -> Option<TimeRange> {
        match &self.state {
            ObjectState::Allocated { .. } | ObjectState::Init { .. } | ObjectState::Condemned => None,
            ObjectState::Registered { range, .. } => Some(*range),
            ObjectState::Unreferenced { range, .. } => *range,
        }
    }

    /// The segments that use it as their media.
    pub fn uses(&self) -> &[SegmentUse] {
        match &self.state {
            ObjectState::Registered { uses, .. } => uses,
            ObjectState::Allocated { .. }
            | ObjectState::Init { .. }
            | ObjectState::Unreferenced { .. }
            | ObjectState::Condemned => &[],
        }
    }

    /// Adds those of these instances that it does not have yet.
    pub(super) fn merge(&mut self, instances: &[Instance]) {
        for instance in instances {
            if !self.instances.contains(instance) {
                self.instances.push(instance.clone());
            }
        }
    }
}
