//! Lays media segments on the timeline of a flow.
//!
//! Within one *epoch*, a stretch without discontinuity, times of the flow are times of the media
//! plus a constant, the segment's `ts_offset`. A discontinuity begins a new epoch, whose constant is
//! chosen so that the timeline goes on where it was. All renditions of one playlist share the epochs
//! that the first one decided, since they share the media's clock; so sound stays with its picture.
//!
//! Segments adjoin exactly: where the next segment begins within half a sample of where this one
//! ends by its own account (clocks round), this one ends at the very nanosecond the next begins.

use tapelog_events::time::{TimeRange, Timestamp};

use super::IngestError;

/// How far apart two renditions may be at a discontinuity and still be taken to adjoin: sound never
/// ends exactly where the picture does.
const SPLICE_SLACK: i128 = 100_000_000;

/// Where the timeline of a flow begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The first picture (or first sound, if there is no picture) is presented at this time. Sound
    /// that leads the picture by a few samples gets times before it.
    At(Timestamp),
    /// The media's own time stamps are kept.
    Media,
}

/// When a media segment is presented, in nanoseconds on the media's own timeline.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// When its first sample begins.
    pub start: i128,
    /// When its last sample ends.
    pub end: i128,
    /// How long the last sample lasts.
    pub sample: i128,
    /// Whether the playlist announces that the media's clock breaks off in front of it.
    pub discontinuity: bool,
}

/// Where a media segment lies on the flow's timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From its first sample to the next segment, or to the end of its last sample.
    pub timerange: TimeRange,
    /// What to add to the media's time to get the flow's.
    pub ts_offset: Timestamp,
}

/// The timeline that all renditions of one input share.
#[derive(Debug)]
pub struct Timeline {
    epochs: Vec<Epoch>,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    media_start: i128,
    offset: i128,
}

impl Timeline {
    /// A timeline on which `media_start` of the leading rendition lies at the origin.
    pub fn new(origin: Origin, media_start: i128) -> Self {
        let offset = match origin {
            Origin::At(timestamp) => timestamp.as_nanos() - media_start,
            Origin::Media => 0,
        };
        Self { epochs: vec![Epoch { media_start, offset }] }
    }

    /// Begins to lay out one rendition.
    pub fn rendition<T>(&mut self) -> Layout<'_, T> {
        let offset = self.epochs[0].offset;
        Layout { timeline: self, epoch: 0, offset, pending: None }
    }
}

/// The layout of one rendition. It holds back one segment, whose end is known with the next.
#[derive(Debug)]
pub struct Layout<'a, T> {
    timeline: &'a mut Timeline,
    epoch: usize,
    offset: i128,
    pending: Option<Pending<T>>,
}

#[derive(Debug)]
struct Pending<T> {
    item: T,
    start: i128,
    end: i128,
    offset: i128,
}

impl<T> Layout<'_, T> {
    /// Where in media time the next segment is expected; `None` after a discontinuity that no
    /// rendition has passed yet.
    pub fn expected(&self, discontinuity: bool) -> Option<i128> {
        match &self.pending {
            Some(_) if discontinuity => self.timeline.epochs.get(self.epoch + 1).map(|epoch| epoch.media_start),
            Some(pending) => Some(pending.end - pending.offset),
            None => Some(self.timeline.epochs[0].media_start),
        }
    }

    /// Takes the next segment and gives back the one before it, now that its end is certain.
    pub fn push(&mut self, item: T, measured: Measured) -> Result<Option<(T, Position)>, IngestError> {
        let previous = self.pending.take();
        let mut slack = measured.sample / 2;
        if let Some(previous) = &previous {
            let start = measured.start + self.offset;
            // A clock that jumps back without announcement: files of several recordings in a row.
            let jumps_back = previous.end - start > measured.sample || start <= previous.start;
            if measured.discontinuity || jumps_back {
                self.begin_epoch(measured.start, previous);
                slack = SPLICE_SLACK;
            }
        }
        let start = measured.start + self.offset;
        let end = measured.end + self.offset;
        self.pending = Some(Pending { item, start, end, offset: self.offset });
        previous
            .map(|mut previous| {
                if previous.end > start || start - previous.end <= slack {
                    previous.end = start;
                }
                previous.place()
            })
            .transpose()
    }

    /// Gives back the last segment.
    pub fn finish(self) -> Result<Option<(T, Position)>, IngestError> {
        self.pending.map(Pending::place).transpose()
    }

    fn begin_epoch(&mut self, media_start: i128, previous: &Pending<T>) {
        self.epoch += 1;
        let decided = self.timeline.epochs.get(self.epoch).map(|epoch| epoch.offset);
        self.offset =
            decided.filter(|offset| media_start + offset > previous.start).unwrap_or(previous.end - media_start);
        if self.epoch == self.timeline.epochs.len() {
            self.timeline.epochs.push(Epoch { media_start, offset: self.offset });
        }
    }
}

impl<T> Pending<T> {
    fn place(self) -> Result<(T, Position), IngestError> {
        let timestamp = |nanoseconds| Timestamp::from_nanos(nanoseconds).ok_or(IngestError::BeyondTimeline);
        let position = Position {
            timerange: TimeRange::from_start_end(timestamp(self.start)?, timestamp(self.end)?),
            ts_offset: timestamp(self.offset)?,
        };
        Ok((self.item, position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::nanoseconds;

    const FRAME: i128 = 40_000_000;
    const SECOND: i128 = 1_000_000_000;

    fn measured(start: i128, end: i128) -> Measured {
        Measured { start, end, sample: FRAME, discontinuity: false }
    }

    fn lay_out(timeline: &mut Timeline, segments: &[Measured]) -> Vec<(String, String)> {
        let mut layout = timeline.rendition();
        let mut placed = Vec::new();
        for segment in segments {
            placed.extend(layout.push((), *segment).unwrap());
        }
        placed.extend(layout.finish().unwrap());
        placed
            .into_iter()
            .map(|((), position)| (position.timerange.to_string(), position.ts_offset.to_string()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(range, offset)| ((*range).to_owned(), (*offset).to_owned())).collect()
    }

    #[test]
    fn the_first_segment_begins_at_the_origin_and_ts_offset_is_segment_minus_media() {
        let segments = [measured(SECOND, 3 * SECOND), measured(3 * SECOND, 5 * SECOND)];
        let zero = Origin::At(Timestamp::ZERO);
        assert_eq!(
            lay_out(&mut Timeline::new(zero, SECOND), &segments),
            pairs(&[("[0:0_2:0)", "-1:0"), ("[2:0_4:0)", "-1:0")])
        );
        let later = Origin::At("100:0".parse().unwrap());
        assert_eq!(
            lay_out(&mut Timeline::new(later, SECOND), &segments),
            pairs(&[("[100:0_102:0)", "99:0"), ("[102:0_104:0)", "99:0")])
        );
        assert_eq!(
            lay_out(&mut Timeline::new(Origin::Media, SECOND), &segments),
            pairs(&[("[1:0_3:0)", "0:0"), ("[3:0_5:0)", "0:0")])
        );
    }

    #[test]
    fn segments_of_a_rate_without_whole_ticks_adjoin_to_the_nanosecond() {
        let segments: Vec<Measured> = (0..50_i64)
            .map(|index| {
                let at = |frame: i64| nanoseconds(126_000 + frame * 3003, 90_000);
                let last = at(60 * index + 59);
                Measured { start: at(60 * index), end: last + 33_366_667, sample: 33_366_667, discontinuity: false }
            })
            .collect();
        let mut timeline = Timeline::new(Origin::At(Timestamp::ZERO), segments[0].start);
        let mut layout = timeline.rendition();
        let mut end = Timestamp::ZERO;
        for segment in &segments {
            if let Some((_, position)) = layout.push((), *segment).unwrap() {
                let (start, _) = position.timerange.start().unwrap();
                assert_eq!(start, end);
                (end, _) = position.timerange.end().unwrap();
            }
        }
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let segments = [measured(0, 2 * SECOND), measured(4 * SECOND, 6 * SECOND)];
        assert_eq!(
            lay_out(&mut Timeline::new(Origin::Media, 0), &segments),
            pairs(&[("[0:0_2:0)", "0:0"), ("[4:0_6:0)", "0:0")])
        );
    }

    #[test]
    fn the_timeline_goes_on_over_a_discontinuity_announced_or_not() {
        for discontinuity in [true, false] {
            let segments =
                [measured(10 * SECOND, 12 * SECOND), Measured { discontinuity, ..measured(SECOND, 3 * SECOND) }];
            assert_eq!(
                lay_out(&mut Timeline::new(Origin::At(Timestamp::ZERO), 10 * SECOND), &segments),
                pairs(&[("[0:0_2:0)", "-10:0"), ("[2:0_4:0)", "1:0")])
            );
        }
    }

    #[test]
    fn a_second_rendition_follows_the_clock_of_the_first_over_discontinuities() {
        let mut timeline = Timeline::new(Origin::At(Timestamp::ZERO), 10 * SECOND);
        let splice = |segment: Measured| Measured { discontinuity: true, ..segment };
        lay_out(&mut timeline, &[measured(10 * SECOND, 12 * SECOND), splice(measured(SECOND, 3 * SECOND))]);
        let early = FRAME / 2;
        let sound =
            [measured(10 * SECOND - early, 12 * SECOND + early), splice(measured(SECOND - early, 3 * SECOND - early))];
        assert_eq!(
            lay_out(&mut timeline, &sound),
            pairs(&[("[-0:20000000_1:980000000)", "-10:0"), ("[1:980000000_3:980000000)", "1:0")])
        );
    }
}
