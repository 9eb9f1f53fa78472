//! Moments of the past, as positions in the log.

use tapelog_events::{EventPosition, Instant, Seq};
use tapelog_store::log::Log;

use super::record::{ReadError, read_record};

/// A moment of the log: all that stands before a record, and the first commits of that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// The record.
    pub seq: Seq,
    /// How many of its commits; [`u32::MAX`]: all.
    pub commits: u32,
}

impl Moment {
    /// Before the first commit.
    pub const START: Self = Self { seq: Seq::ZERO, commits: 0 };

    /// After this record.
    pub const fn after(seq: Seq) -> Self {
        Self { seq, commits: u32::MAX }
    }

    /// Where the first event after it stands, or will stand.
    pub const fn next_event(&self) -> EventPosition {
        match self.commits {
            u32::MAX => EventPosition::start_of(self.seq.next()),
            commit => EventPosition { seq: self.seq, commit, event: 0 },
        }
    }

    /// Whether the commit with this index in this record had happened.
    pub fn has(&self, seq: Seq, commit: u32) -> bool {
        seq < self.seq || (seq == self.seq && commit < self.commits)
    }
}

/// The moment after the last commit that was decided at this time or before, in the log up to and with record `tip`.
///
/// Reads one record for each bit of `tip`: the time of commits never runs backwards along the log.
///
/// # Errors
/// When a record cannot be read.
pub async fn moment_at<L: Log>(log: &L, tip: Seq, time: Instant) -> Result<Moment, ReadError> {
    // The last record that had begun at that time lies in `begun..after`, or is `begun`.
    let (mut begun, mut after) = (Moment::START, tip.next());
    while begun.seq.next() < after {
        let middle = Seq(begun.seq.0.midpoint(after.0));
        let record = read_record(log, middle).await?.record;
        match record.commits.partition_point(|commit| commit.at <= time) {
            0 => after = middle,
            all if all == record.commits.len() => begun = Moment::after(middle),
            some => return Ok(Moment { seq: middle, commits: u32::try_from(some).unwrap_or(u32::MAX) }),
        }
    }
    Ok(begun)
}
