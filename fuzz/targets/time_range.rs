//! A time range is what its text says, and two of them, one on each line, obey the laws of sets of points.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapelog_events::TimeRange;
use tapelog_events::time::parse_segment;

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, "_"));
    let Some(first) = read(first) else { return };
    let Some(second) = read(second) else { return };

    let intersection = first.intersection(&second);
    assert_eq!(intersection, second.intersection(&first));
    assert_eq!(first.overlaps(&second), second.overlaps(&first));
    assert_eq!(first.overlaps(&second), !intersection.is_never());
    let (from, until) = first.half_open_nanos();
    let (other_from, other_until) = second.half_open_nanos();
    if first.overlaps(&second) {
        assert_eq!(intersection.half_open_nanos(), (from.max(other_from), until.min(other_until)));
    }

    let hull = first.hull(&second);
    assert_eq!(hull, second.hull(&first));
    for range in [first, second] {
        assert!(range.contains_range(&intersection));
        assert!(hull.contains_range(&range));
    }
    assert_eq!(first.contains_range(&second), hull == first);
});

/// The range that a text says, in agreement with itself.
fn read(text: &str) -> Option<TimeRange> {
    let of_segment = parse_segment(text).ok();
    let Ok(range) = text.parse::<TimeRange>() else {
        assert_eq!(of_segment, None, "a segment's range is a range");
        return None;
    };
    assert_eq!(range.to_string().parse(), Ok(range));
    assert_eq!(TimeRange::new(range.start(), range.end()) == range, !range.is_never());
    let (from, until) = range.half_open_nanos();
    assert_eq!(from >= until, range.is_never());
    assert_eq!(range.intersection(&range), range);
    assert_eq!(range.hull(&range), range);
    assert!(range.contains_range(&TimeRange::NEVER));
    if let Some((start, _)) = range.start()
        && let Some(shifted) = range.checked_shift(start)
    {
        assert_eq!(shifted.checked_shift_back(start), Some(range));
    }
    if let Some(of_segment) = of_segment {
        assert_eq!(of_segment, range);
        assert_eq!(parse_segment(&range.to_string()), Ok(range), "what is stored can be sent back");
    }
    Some(range)
}
