//! `Timestamp` and `TimeRange` against the BBC's own library, `mediatimestamp`, case by case.
//!
//! `mediatimestamp_oracle.py` recorded its answers; here every one of them must be ours as well,
//! except where [`Difference`] says why not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use tapelog_events::time::{TimeRange, TimeRangeError, Timestamp, TimestampError};

const MAX_SECONDS: u64 = (1 << 48) - 1;

/// The most that each side of a timestamp can be, where the library saturates.
const MAX: &str = "281474976710655:999999999";

#[derive(Deserialize)]
struct Recorded {
    mediatimestamp: String,
    timestamps: Vec<Reading>,
    sums: Vec<Sum>,
    ranges: Vec<Reading>,
    pairs: Vec<Pair>,
}

/// What a text is to the library: its canonical form, or none if refused.
#[derive(Deserialize)]
struct Reading {
    text: String,
    allowed_by_schema: bool,
    canonical: Option<String>,
}

#[derive(Deserialize)]
struct Sum {
    left: Timestamp,
    right: Timestamp,
    sum: String,
    difference: String,
}

#[derive(Deserialize)]
struct Pair {
    left: TimeRange,
    right: TimeRange,
    right_is_inside_left: bool,
    overlap: bool,
    intersection: String,
    hull: String,
}

fn recorded() -> Recorded {
    let recorded: Recorded = serde_json::from_str(include_str!("data/mediatimestamp.json")).unwrap();
    assert_eq!(recorded.mediatimestamp, "5.2.0");
    recorded
}

/// Where this crate means to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Difference {
    /// The library also reads ISO 8601, decimal fractions, leading zeros, spaces, signs, a second
    /// of nanoseconds and more, and ignores what follows a range. TAMS allows none of that.
    SchemaRefuses,
    /// To the library it is never; a client that sends `timerange=` hardly asks for nothing.
    NoText,
    /// The library cuts seconds down to 48 bits, so that a wrong range looks like a right one.
    BeyondFortyEightBits,
    /// The library has time between two nanoseconds, TAMS has not: `(0:0_0:1)` holds no point.
    BetweenNanoseconds,
    /// The library has never inside every range but itself; here the empty set is inside all.
    NeverInsideNever,
}

impl Difference {
    fn in_reading(reading: &Reading) -> Option<Self> {
        if reading.text.is_empty() {
            Some(Self::NoText)
        } else if !reading.allowed_by_schema {
            Some(Self::SchemaRefuses)
        } else if seconds_of(&reading.text)
            .any(|seconds| !seconds.parse().is_ok_and(|seconds: u64| seconds <= MAX_SECONDS))
        {
            Some(Self::BeyondFortyEightBits)
        } else if reading.canonical.as_deref().is_some_and(is_between_nanoseconds) {
            Some(Self::BetweenNanoseconds)
        } else {
            None
        }
    }
}

/// The digits of the seconds in a text that the schema allows.
fn seconds_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(['[', '(', '_', ')', ']'])
        .filter_map(|timestamp| timestamp.split_once(':'))
        .map(|(seconds, _)| seconds.trim_start_matches('-'))
}

/// Whether a canonical range has two exclusive bounds one nanosecond apart.
fn is_between_nanoseconds(canonical: &str) -> bool {
    canonical
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .and_then(|text| text.split_once('_'))
        .is_some_and(|(start, end)| {
            let [start, end] = [start, end].map(|text| text.parse::<Timestamp>().unwrap().as_nanos());
            end - start == 1
        })
}

#[test]
fn timestamps_read_as_the_library_reads_them() {
    let recorded = recorded();
    let mut differences = HashMap::new();
    for reading in &recorded.timestamps {
        let ours = reading.text.parse::<Timestamp>().ok().map(|timestamp| timestamp.to_string());
        let theirs = match Difference::in_reading(reading) {
            None => reading.canonical.clone(),
            Some(difference) => {
                *differences.entry(difference).or_insert(0) += usize::from(reading.canonical.is_some());
                None
            }
        };
        assert_eq!(ours, theirs, "{:?}", reading.text);
    }
    assert!(recorded.timestamps.len() > 600);
    assert!(differences[&Difference::SchemaRefuses] > 50, "{differences:?}");
    assert!(differences[&Difference::BeyondFortyEightBits] > 5, "{differences:?}");
}

#[test]
fn sums_of_timestamps_are_those_of_the_library_or_refused_where_it_saturates() {
    let mut saturated = 0;
    for Sum { left, right, sum, difference } in recorded().sums {
        for (ours, theirs) in [(left.checked_add(right), sum), (left.checked_sub(right), difference)] {
            match ours {
                Some(ours) => assert_eq!(ours.to_string(), theirs, "{left} and {right}"),
                None => {
                    assert_eq!(theirs.trim_start_matches('-'), MAX, "{left} and {right}");
                    saturated += 1;
                }
            }
        }
    }
    assert!(saturated > 20, "{saturated}");
}

#[test]
fn ranges_read_as_the_library_reads_them() {
    let recorded = recorded();
    let mut differences = HashMap::new();
    for reading in &recorded.ranges {
        let ours = reading.text.parse::<TimeRange>();
        let difference = Difference::in_reading(reading);
        let context = format!("{:?}, {difference:?}", reading.text);
        match difference {
            None => {
                let ours = ours.ok().map(|range| range.to_string());
                assert_eq!(ours, reading.canonical, "{context}");
            }
            Some(Difference::BetweenNanoseconds) => assert_eq!(ours, Ok(TimeRange::NEVER), "{context}"),
            Some(Difference::NoText) => assert_eq!(ours, Err(TimeRangeError::NoText), "{context}"),
            Some(Difference::BeyondFortyEightBits) => {
                assert_eq!(ours, Err(TimeRangeError::Timestamp(TimestampError::OutOfRange)), "{context}");
            }
            Some(Difference::SchemaRefuses) => assert!(ours.is_err(), "{context}"),
            Some(Difference::NeverInsideNever) => unreachable!("a difference between two ranges, not in one text"),
        }
        if let Some(difference) = difference {
            *differences.entry(difference).or_insert(0) += usize::from(reading.canonical.is_some());
        }
    }
    assert!(recorded.ranges.len() > 3000);
    assert!(differences[&Difference::SchemaRefuses] > 300, "{differences:?}");
    assert!(differences[&Difference::BeyondFortyEightBits] > 20, "{differences:?}");
    assert_eq!(differences[&Difference::BetweenNanoseconds], 1, "{differences:?}");
    assert_eq!(differences[&Difference::NoText], 1, "{differences:?}");
}

#[test]
fn every_form_of_the_grammar_is_among_the_recorded_ranges() {
    let recorded = recorded();
    let texts: HashSet<&str> = recorded.ranges.iter().map(|reading| reading.text.as_str()).collect();
    let middles = ["", "_", "5:0", "-0:0", "5:0_", "_5:0", "0:0_10:0", "5:0_5:0", "5:0_3:0"];
    for middle in middles {
        for open in ["", "[", "("] {
            for close in ["", "]", ")"] {
                let text = format!("{open}{middle}{close}");
                assert!(texts.contains(text.as_str()), "{text}");
            }
        }
    }
}

#[test]
fn two_ranges_compare_and_combine_as_in_the_library() {
    let recorded = recorded();
    let mut differences = HashMap::new();
    for pair in &recorded.pairs {
        let Pair { left, right, .. } = pair;
        let context = format!("{left} and {right}");

        let never_inside_never = left.is_never() && right.is_never();
        let inside = pair.right_is_inside_left || never_inside_never;
        assert_eq!(left.contains_range(right), inside, "{context}");

        let between_nanoseconds = is_between_nanoseconds(&pair.intersection);
        let intersection = if between_nanoseconds { "()" } else { &pair.intersection };
        assert_eq!(left.intersection(right).to_string(), intersection, "{context}");
        assert_eq!(left.overlaps(right), pair.overlap && !between_nanoseconds, "{context}");

        assert_eq!(left.hull(right).to_string(), pair.hull, "{context}");

        for (difference, found) in
            [(Difference::NeverInsideNever, never_inside_never), (Difference::BetweenNanoseconds, between_nanoseconds)]
        {
            *differences.entry(difference).or_insert(0) += usize::from(found);
        }
    }
    assert!(recorded.pairs.len() > 2500);
    assert!(differences[&Difference::BetweenNanoseconds] > 10, "{differences:?}");
    assert_eq!(differences[&Difference::NeverInsideNever], 1, "{differences:?}");
}
