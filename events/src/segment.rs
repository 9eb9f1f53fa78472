//! Flow segments (section 6).

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{ObjectId, TimeRange, Timestamp};

/// Indexes into the instances of the event that a segment stands in.
pub type InstanceIndexes = SmallVec<[u32; 2]>;

/// A segment as it was added: it pins an object, or part of one, to a range of a Flow's timeline.
///
/// It says all that a notification about it needs: the object's own range is `object_timerange`, or, when that is
/// absent, `timerange - ts_offset` (section 6, rule 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The object that holds the media.
    pub object_id: ObjectId,
    /// Where it lies on the Flow's timeline: finite, with an inclusive start.
    pub timerange: TimeRange,
    /// What is added to the object's own time to give the Flow's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ts_offset: Timestamp,
    /// How long the last sample lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_duration: Option<Timestamp>,
    /// Deprecated by TAMS 8.0, kept and returned: the first sample of the object that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_offset: Option<i64>,
    /// Deprecated by TAMS 8.0, kept and returned: how many samples are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_count: Option<i64>,
    /// The object's range on its own timeline, unless it is `timerange - ts_offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_timerange: Option<TimeRange>,
    /// How many key frames the object has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_frame_count: Option<u64>,
    /// Which of the event's init objects the object needs, where it needs one (5.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_object: Option<u32>,
    /// Which of the event's instances the object has; `[0]` unless given.
    #[serde(default = "first_instance", skip_serializing_if = "is_first_instance")]
    pub instances: InstanceIndexes,
}

impl Segment {
    /// The object's range on its own timeline. `None` only when the shift leaves the range of timestamps, which
    /// no accepted segment does.
    pub fn whole_object(&self) -> Option<TimeRange> {
        self.object_timerange.or_else(|| self.timerange.checked_shift_back(self.ts_offset))
    }
}

fn is_zero(offset: &Timestamp) -> bool {
    *offset == Timestamp::ZERO
}

fn first_instance() -> InstanceIndexes {
    InstanceIndexes::from_slice(&[0])
}

fn is_first_instance(instances: &[u32]) -> bool {
    instances == [0]
}
