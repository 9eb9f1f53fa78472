//! What holds for all timestamps and ranges.

use proptest::prelude::*;

use super::{Clusivity, TimeRange, Timestamp, parse_segment};

/// Points close enough together that the bounds of two ranges often meet, and points anywhere.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    let near = (-2i128..=2, -3i128..=3).prop_map(|(seconds, nanos)| seconds * 1_000_000_000 + nanos);
    let anywhere = Timestamp::MIN.as_nanos()..=Timestamp::MAX.as_nanos();
    prop_oneof![4 => near, 1 => anywhere].prop_map(|nanos| Timestamp::from_nanos(nanos).unwrap())
}

fn bound() -> impl Strategy<Value = Option<(Timestamp, Clusivity)>> {
    let clusivity = prop_oneof![Just(Clusivity::Inclusive), Just(Clusivity::Exclusive)];
    prop::option::weighted(0.8, (timestamp(), clusivity))
}

fn range() -> impl Strategy<Value = TimeRange> {
    (bound(), bound()).prop_map(|(start, end)| TimeRange::new(start, end))
}

proptest! {
    #[test]
    fn text_reads_back_as_what_was_written(timestamp in timestamp(), range in range()) {
        prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
        prop_assert_eq!(range.to_string().parse(), Ok(range));
    }

    #[test]
    fn parts_read_back_as_what_was_split(timestamp in timestamp()) {
        let (seconds, nanoseconds) = timestamp.to_parts();
        prop_assert_eq!(Timestamp::from_parts(seconds, nanoseconds), Some(timestamp));
    }

    #[test]
    fn serde_reads_back_what_it_wrote(timestamp in timestamp(), range in range()) {
        let pair = (timestamp, range);
        let json = serde_json::to_string(&pair).unwrap();
        prop_assert_eq!(serde_json::from_str::<(Timestamp, TimeRange)>(&json).unwrap(), pair);
        let packed = rmp_serde::to_vec_named(&pair).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<(Timestamp, TimeRange)>(&packed).unwrap(), pair);
    }

    #[test]
    fn a_range_is_empty_only_as_never(range in range()) {
        let (from, until) = range.half_open_nanos();
        prop_assert_eq!(from >= until, range.is_never());
    }

    #[test]
    fn overlap_is_symmetric_and_means_that_the_intersection_has_points(left in range(), right in range()) {
        prop_assert_eq!(left.overlaps(&right), right.overlaps(&left));
        prop_assert_eq!(left.overlaps(&right), !left.intersection(&right).is_never());
    }

    #[test]
    fn intersection_holds_the_points_that_are_in_both(left in range(), right in range(), at in timestamp()) {
        let intersection = left.intersection(&right);
        prop_assert_eq!(intersection, right.intersection(&left));
        prop_assert_eq!(intersection.contains(at), left.contains(at) && right.contains(at));
    }

    #[test]
    fn a_range_is_inside_another_exactly_if_their_hull_adds_nothing(outer in range(), inner in range()) {
        prop_assert_eq!(outer.contains_range(&inner), outer.hull(&inner) == outer);
        prop_assert!(outer.contains_range(&outer.intersection(&inner)));
        prop_assert!(outer.hull(&inner).contains_range(&inner));
    }

    #[test]
    fn a_point_is_in_a_range_exactly_if_its_instant_is(range in range(), at in timestamp()) {
        prop_assert_eq!(range.contains(at), range.overlaps(&TimeRange::instant(at)));
    }

    #[test]
    fn a_shift_there_and_back_changes_nothing(range in range(), offset in timestamp()) {
        if let Some(shifted) = range.checked_shift(offset) {
            prop_assert_eq!(shifted.checked_shift_back(offset), Some(range));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic_and_what_it_reads_has_a_canonical_form(
        text in prop_oneof![any::<String>(), "[\\[(]?-?[0-9]{0,20}:?[0-9]{0,10}_?-?[0-9]{0,20}:?[0-9]{0,10}[)\\]]?"],
    ) {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
        }
        if let Ok(range) = text.parse::<TimeRange>() {
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }
        if let Ok(range) = parse_segment(&text) {
            prop_assert_eq!(text.parse(), Ok(range));
        }
    }
}
