//! How an object is stored: what is kept of each, and what only some need.

use tapelog_events::Instant;

use super::FlowSlot;
use super::object::{Instances, SegmentUse, Uses};

/// An object as it is stored. `packed(4)` saves the four bytes that eight-byte alignment would add to each of millions.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct Row {
    /// The 16 bytes of a UUID, or the number of a text (see `Objects::pack_id`).
    pub id: [u8; 16],
    /// Registered: start of the using segment, or of the object's range when [`Row::users`] names a list; nanoseconds.
    /// Allocated: when, in microseconds. [`WIDE`] when the value does not fit and stands in `Objects::wide`.
    pub start: i64,
    /// Number of the shape; only of media objects.
    pub shape: u32,
    /// The one Flow that uses or allocated it, or [`LIST`] and the number of a list of uses. Of an init object: the
    /// number of its uses.
    pub users: u32,
    /// State, and either details' number or key frames and backend (see [`Meta`]).
    pub meta: u32,
}

/// Every byte more is a megabyte more for a million objects.
const _: () = assert!(size_of::<Row>() == 36);

impl Row {
    pub const fn state(&self) -> u32 {
        (self.meta >> Meta::STATE_SHIFT) & Meta::STATE_MASK
    }

    pub const fn is_media(&self) -> bool {
        matches!(self.state(), Meta::REGISTERED | Meta::UNREFERENCED)
    }

    /// The Flow that must register an allocated object first.
    pub fn allocated_for(&self) -> Option<FlowSlot> {
        let users = self.users;
        (users != ANY_FLOW).then_some(FlowSlot(users))
    }
}

/// In place of a start that does not fit.
pub(super) const WIDE: i64 = i64::MIN;
/// Says that what follows is the number of a list.
pub(super) const LIST: u32 = 1 << 31;
/// In place of the Flow that allocated an object, where any may register it.
pub(super) const ANY_FLOW: u32 = u32::MAX;

/// The uses of an object that is not used by exactly one segment.
#[derive(Debug, Clone)]
pub(super) struct UseList {
    pub first: Option<FlowSlot>,
    /// Sorted.
    pub uses: Uses,
    pub since: Instant,
}

impl UseList {
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    pub fn add(&mut self, usage: SegmentUse) {
        let place = self.uses.partition_point(|other| *other < usage);
        self.uses.insert(place, usage);
    }

    /// Takes a use out. A Flow that no longer uses the object is no longer said to have used it first.
    pub fn remove(&mut self, usage: SegmentUse) {
        if let Ok(place) = self.uses.binary_search(&usage) {
            self.uses.remove(place);
        }
        self.first = self.first.filter(|first| !self.of_flow(*first).is_empty());
    }

    /// The Flows in it, each once, in order.
    pub fn flows(&self) -> impl Iterator<Item = FlowSlot> + '_ {
        let mut rest = self.uses.as_slice();
        std::iter::from_fn(move || {
            let flow = rest.first()?.flow;
            rest = &rest[rest.partition_point(|usage| usage.flow <= flow)..];
            Some(flow)
        })
    }

    pub fn of_flow(&self, flow: FlowSlot) -> &[SegmentUse] {
        let from = self.uses.partition_point(|usage| usage.flow < flow);
        let to = self.uses.partition_point(|usage| usage.flow <= flow);
        &self.uses[from..to]
    }
}

/// What few objects have.
#[derive(Debug, Clone)]
pub(super) struct Details {
    pub instances: Instances,
    pub key_frame_count: Option<u64>,
}

/// The bits of [`Row::meta`].
pub(super) struct Meta;

impl Meta {
    pub const DETAILS: u32 = 1 << 31;
    pub const STATE_SHIFT: u32 = 28;
    pub const STATE_MASK: u32 = 0b111;
    pub const ALLOCATED: u32 = 0;
    /// A media object that segments use.
    pub const REGISTERED: u32 = 1;
    /// A media object that no segment uses any more.
    pub const UNREFERENCED: u32 = 2;
    /// An init object, used or not.
    pub const INIT: u32 = 3;
    pub const CONDEMNED: u32 = 4;
    /// No object stands here.
    pub const FREE: u32 = 5;
    pub const PAYLOAD_MASK: u32 = (1 << Self::STATE_SHIFT) - 1;
    /// Key frames plus one; zero when their number was not said.
    pub const KEY_FRAMES_SHIFT: u32 = 19;
    pub const MAX_KEY_FRAMES: u64 = (1 << (Self::STATE_SHIFT - Self::KEY_FRAMES_SHIFT)) - 2;
    pub const BACKEND_MASK: u32 = (1 << Self::KEY_FRAMES_SHIFT) - 1;
}
