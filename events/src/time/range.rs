//! A stretch of a timeline.

use std::cmp::Ordering;
use std::fmt;

use super::Timestamp;

/// Whether a range holds the very point that bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clusivity {
    /// Written `[` or `]`: the point belongs to the range.
    Inclusive,
    /// Written `(` or `)`: the range comes as near to the point as can be, without it.
    Exclusive,
}

/// One side of a range.
type Bound = (Timestamp, Clusivity);

/// A stretch of a timeline, bounded or not on either side (TAMS schema `timerange.json`).
///
/// Bounds stay as they were written: `[0:0_1:0)` and `[0:0_0:999999999]` hold the same points, yet
/// they are two different ranges, because clients compare the text they get back with the text
/// they sent. Nanoseconds are counted for one thing only, to tell whether points are shared:
/// whatever holds no whole nanosecond, such as `[5:0_5:0)`, `[5:0_3:0)` or `(0:0_0:1)`, is
/// [`TimeRange::NEVER`], and no other value is empty.
///
/// In MessagePack it is a tuple of five integers: flags, then seconds and nanoseconds (as in
/// [`Timestamp::to_parts`]) of the start and of the end, zero where there is none. The flags are
/// 1 for a start, 2 if it is exclusive, 4 for an end, 8 if it is exclusive, and 16 alone for never.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange(Extent);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Extent {
    Never,
    Span { start: Option<Bound>, end: Option<Bound> },
}

impl TimeRange {
    /// The whole timeline, `_`.
    pub const ETERNITY: Self = Self(Extent::Span { start: None, end: None });

    /// The range without any point, `()`.
    pub const NEVER: Self = Self(Extent::Never);

    /// The range between two bounds, of which `None` is infinitely far away. Bounds that leave no
    /// nanosecond between them, or are the wrong way round, make [`TimeRange::NEVER`].
    pub fn new(start: Option<(Timestamp, Clusivity)>, end: Option<(Timestamp, Clusivity)>) -> Self {
        let range = Self(Extent::Span { start, end });
        let (from, until) = range.half_open_nanos();
        if from < until { range } else { Self::NEVER }
    }

    /// The usual range of media, `[start_end)`.
    pub fn from_start_end(start: Timestamp, end: Timestamp) -> Self {
        Self::new(Some((start, Clusivity::Inclusive)), Some((end, Clusivity::Exclusive)))
    }

    /// The range of one point, `[at]`.
    pub fn instant(at: Timestamp) -> Self {
        let bound = Some((at, Clusivity::Inclusive));
        Self::new(bound, bound)
    }

    /// Whether no point is in this range.
    pub fn is_never(&self) -> bool {
        *self == Self::NEVER
    }

    /// Whether every point is in this range.
    pub fn is_eternity(&self) -> bool {
        *self == Self::ETERNITY
    }

    /// Where it starts; `None` if it has no beginning, and for [`TimeRange::NEVER`].
    pub fn start(&self) -> Option<(Timestamp, Clusivity)> {
        match self.0 {
            Extent::Never => None,
            Extent::Span { start, .. } => start,
        }
    }

    /// Where it ends; `None` if it goes on for ever, and for [`TimeRange::NEVER`].
    pub fn end(&self) -> Option<(Timestamp, Clusivity)> {
        match self.0 {
            Extent::Never => None,
            Extent::Span { end, .. } => end,
        }
    }

    /// The same points as an interval of integers, first one included and last one not, for
    /// indexes: an unbounded side is the end of `i128`, and never is `(0, 0)`.
    ///
    /// Two ranges share a point if the greater first number is below the lesser second one; asked
    /// that way, never needs no special case.
    pub fn half_open_nanos(&self) -> (i128, i128) {
        match self.0 {
            Extent::Never => (0, 0),
            Extent::Span { start, end } => (
                start.map_or(i128::MIN, |(at, clusivity)| match clusivity {
                    Clusivity::Inclusive => at.as_nanos(),
                    Clusivity::Exclusive => at.as_nanos() + 1,
                }),
                end.map_or(i128::MAX, |(at, clusivity)| match clusivity {
                    Clusivity::Inclusive => at.as_nanos() + 1,
                    Clusivity::Exclusive => at.as_nanos(),
                }),
            ),
        }
    }

    /// Whether some point is in both: the meaning of every `timerange` filter.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (from, until) = self.half_open_nanos();
        let (other_from, other_until) = other.half_open_nanos();
        from.max(other_from) < until.min(other_until)
    }

    /// Whether `at` is in this range.
    pub fn contains(&self, at: Timestamp) -> bool {
        let (from, until) = self.half_open_nanos();
        (from..until).contains(&at.as_nanos())
    }

    /// Whether `inner` lies entirely inside this range, bounds compared as they are written:
    /// `[0:0_1:0)` is not inside `[0:0_0:999999999]`. [`TimeRange::NEVER`] is inside every range,
    /// itself included, as the empty set is a subset of every set.
    pub fn contains_range(&self, inner: &Self) -> bool {
        self.intersection(inner) == *inner
    }

    /// The points that are in both.
    pub fn intersection(&self, other: &Self) -> Self {
        match (self.0, other.0) {
            (Extent::Never, _) | (_, Extent::Never) => Self::NEVER,
            (Extent::Span { start, end }, Extent::Span { start: other_start, end: other_end }) => {
                Self::new(start.max(other_start), std::cmp::min_by(end, other_end, compare_ends))
            }
        }
    }

    /// The smallest range that covers both and whatever lies between them.
    /// [`TimeRange::NEVER`] adds nothing.
    pub fn hull(&self, other: &Self) -> Self {
        match (self.0, other.0) {
            (Extent::Never, _) => *other,
            (_, Extent::Never) => *self,
            (Extent::Span { start, end }, Extent::Span { start: other_start, end: other_end }) => {
                Self::new(start.min(other_start), std::cmp::max_by(end, other_end, compare_ends))
            }
        }
    }

    /// This range `offset` later; `None` if a bound then exceeds 48 bits of seconds. Never and
    /// eternity are where they were.
    pub fn checked_shift(&self, offset: Timestamp) -> Option<Self> {
        self.checked_map(|at| at.checked_add(offset))
    }

    /// This range `offset` earlier, the reverse of [`TimeRange::checked_shift`].
    pub fn checked_shift_back(&self, offset: Timestamp) -> Option<Self> {
        self.checked_map(|at| at.checked_sub(offset))
    }

    fn checked_map(&self, map: impl Fn(Timestamp) -> Option<Timestamp>) -> Option<Self> {
        let Extent::Span { start, end } = self.0 else {
            return Some(Self::NEVER);
        };
        let map_bound = |bound: Option<Bound>| match bound {
            Some((at, clusivity)) => Some(Some((map(at)?, clusivity))),
            None => Some(None),
        };
        Some(Self::new(map_bound(start)?, map_bound(end)?))
    }
}

/// Earlier ends first. Starts have the derived order, in which none comes first and inclusive
/// before exclusive at the same point; ends have both the other way round.
fn compare_ends(left: &Option<Bound>, right: &Option<Bound>) -> Ordering {
    match (left, right) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some((left, left_clusivity)), Some((right, right_clusivity))) => {
            left.cmp(right).then_with(|| right_clusivity.cmp(left_clusivity))
        }
    }
}

impl fmt::Debug for TimeRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TimeRange({self})")
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn range(text: &str) -> TimeRange {
        text.parse().unwrap()
    }

    fn timestamp(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_overlap_when_a_nanosecond_is_in_both() {
        for (left, right, expected) in [
            ("[1:0_2:0)", "[2:0]", false),
            ("[1:0_2:0]", "[2:0_3:0)", true),
            ("[10:0_20:0)", "[9:0_10:0]", true),
            ("[10:0_20:0)", "[9:0_10:0)", false),
            ("[10:0_20:0)", "[20:0_21:0)", false),
            ("[10:0_20:0)", "[19:0_21:0)", true),
            ("[20:0]", "[20:0_21:0)", true),
            ("[20:0]", "[19:0_20:0)", false),
            ("(1:0_2:0)", "[0:0_1:0]", false),
            ("(0:0_", "[0:0_0:1)", false),
            ("(0:0_", "[0:0_0:2)", true),
            ("_1:0)", "[0:0_1:0)", true),
            ("_1:0)", "[1:0_2:0)", false),
            ("_", "[281474976710655:999999999]", true),
            ("_", "_", true),
            ("()", "_", false),
            ("()", "[-1:0_1:0)", false),
            ("()", "()", false),
        ] {
            assert_eq!(range(left).overlaps(&range(right)), expected, "{left} {right}");
        }
    }

    #[test]
    fn bounds_keep_their_clusivity_in_intersection_and_hull() {
        for (left, right, intersection, hull) in [
            ("[0:0_2:0)", "(1:0_3:0]", "(1:0_2:0)", "[0:0_3:0]"),
            ("[0:0_1:0)", "(0:0_1:0]", "(0:0_1:0)", "[0:0_1:0]"),
            ("[0:0_1:0]", "[1:0_2:0)", "[1:0]", "[0:0_2:0)"),
            ("[0:0_1:0)", "[5:0_6:0)", "()", "[0:0_6:0)"),
            ("_1:0)", "[0:0_", "[0:0_1:0)", "_"),
            ("()", "(0:0_1:0)", "()", "(0:0_1:0)"),
        ] {
            assert_eq!(range(left).intersection(&range(right)), range(intersection), "{left} {right}");
            assert_eq!(range(left).hull(&range(right)), range(hull), "{left} {right}");
        }
    }

    #[test]
    fn a_range_inside_another_is_judged_by_its_bounds_as_written() {
        for (outer, inner, expected) in [
            ("[0:0_1:0)", "[0:0_1:0)", true),
            ("[0:0_1:0]", "[0:0_1:0)", true),
            ("[0:0_1:0)", "[0:0_1:0]", false),
            ("(0:0_1:0)", "[0:0_1:0)", false),
            ("[0:0_0:999999999]", "[0:0_1:0)", false),
            ("_", "[0:0_", true),
            ("[0:0_", "_", false),
            ("[0:0]", "()", true),
            ("()", "()", true),
            ("()", "[0:0]", false),
        ] {
            assert_eq!(range(outer).contains_range(&range(inner)), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn half_open_nanoseconds_hold_exactly_the_points_of_the_range() {
        for (text, interval) in [
            ("[0:5_0:9)", (5, 9)),
            ("[0:5_0:9]", (5, 10)),
            ("(0:5_0:9)", (6, 9)),
            ("(0:5_0:9]", (6, 10)),
            ("[0:5]", (5, 6)),
            ("()", (0, 0)),
            ("_", (i128::MIN, i128::MAX)),
            ("(0:5_", (6, i128::MAX)),
            ("_-0:5]", (i128::MIN, -4)),
        ] {
            assert_eq!(range(text).half_open_nanos(), interval, "{text}");
        }
        assert!(range("[0:5_0:9)").contains(timestamp("0:5")));
        assert!(!range("[0:5_0:9)").contains(timestamp("0:9")));
        assert!(TimeRange::ETERNITY.contains(Timestamp::MAX) && TimeRange::ETERNITY.contains(Timestamp::MIN));
    }

    #[test]
    fn a_shift_moves_the_bounds_or_says_that_it_cannot() {
        let offset = timestamp("145:0");
        assert_eq!(range("[20:0_21:0)").checked_shift(offset), Some(range("[165:0_166:0)")));
        assert_eq!(range("(165:0_").checked_shift_back(offset), Some(range("(20:0_")));
        assert_eq!(TimeRange::NEVER.checked_shift(offset), Some(TimeRange::NEVER));
        assert_eq!(TimeRange::ETERNITY.checked_shift(offset), Some(TimeRange::ETERNITY));
        assert_eq!(TimeRange::instant(Timestamp::MAX).checked_shift(offset), None);
        assert_eq!(range("_0:0)").checked_shift_back(Timestamp::MIN), Some(range("_281474976710655:999999999)")));
        assert_eq!(range("_1:0)").checked_shift_back(Timestamp::MIN), None);
    }
}
