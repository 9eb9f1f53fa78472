//! The parts that large tables are divided into, so that a checkpoint writes only those that changed.

use tapelog_events::{FlowId, ObjectId, ObjectIdView};

/// Into how many parts segments and objects are divided.
pub(crate) const PARTITIONS: usize = 64;

/// One part of a divided table. Which one a thing is in depends on its id alone and never changes: checkpoints rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition(u8);

impl Partition {
    pub fn of_flow(id: FlowId) -> Self {
        Self::of(id.as_uuid().as_bytes())
    }

    pub fn of_object(id: &ObjectId) -> Self {
        match id.view() {
            ObjectIdView::Uuid(bytes) => Self::of(bytes),
            ObjectIdView::Text(text) => Self::of(text.as_bytes()),
        }
    }

    /// FNV-1a: ids of versions 1 and 5 do not have evenly spread bits everywhere, and this is asked for every segment.
    fn of(bytes: &[u8]) -> Self {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self((hash >> 58) as u8)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS as u8).map(Self)
    }

    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// The part with this number.
    pub fn from_number(number: usize) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| usize::from(*number) < PARTITIONS).map(Self)
    }
}
