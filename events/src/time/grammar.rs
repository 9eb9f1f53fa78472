//! The text of a range.

use std::fmt;
use std::str::FromStr;

use super::text::Text;
use super::{Clusivity, TimeRange, Timestamp, TimestampError};

/// Why a text is no [`TimeRange`], or no range that a segment can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeRangeError {
    /// There is no text. The schema lets it pass, but the specification gives it no meaning.
    #[error("a time range cannot be an empty text: write () for never and _ for eternity")]
    NoText,
    /// It does not have the form of a time range (TAMS schema `timerange.json`).
    #[error("not a time range: expected a form such as [0:0_10:0), [5:0], 10:0_ or _")]
    Malformed,
    /// A timestamp in it cannot be read.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// A segment goes on for ever on one side.
    #[error("the time range of a segment needs both a start and an end")]
    SegmentUnbounded,
    /// A segment does not hold its first point (TAMS schema `flow-segment-post.json`).
    #[error("a segment includes its start: its time range begins with [ and not with (")]
    SegmentExclusiveStart,
    /// A single timestamp with a marker that makes no instant of it.
    #[error("a single timestamp in the time range of a segment is an instant: write it as [5:0]")]
    SegmentInstant,
    /// A segment without any point.
    #[error("the time range of a segment is empty")]
    SegmentEmpty,
}

/// What a text of the right form says, before anything is made of it.
struct Parsed {
    open: Option<Clusivity>,
    start: Option<Timestamp>,
    underscore: bool,
    end: Option<Timestamp>,
    close: Option<Clusivity>,
}

impl Parsed {
    fn from_text(text: &str) -> Result<Self, TimeRangeError> {
        if text.is_empty() {
            return Err(TimeRangeError::NoText);
        }
        let (open, rest) = match text.as_bytes() {
            [b'[', rest @ ..] => (Some(Clusivity::Inclusive), rest),
            [b'(', rest @ ..] => (Some(Clusivity::Exclusive), rest),
            rest => (None, rest),
        };
        let (start, rest) = leading_timestamp(rest)?;
        let (underscore, end, rest) = match rest {
            [b'_', rest @ ..] => {
                let (end, rest) = leading_timestamp(rest)?;
                (true, end, rest)
            }
            _ => (false, None, rest),
        };
        let close = match rest {
            [] => None,
            [b']'] => Some(Clusivity::Inclusive),
            [b')'] => Some(Clusivity::Exclusive),
            _ => return Err(TimeRangeError::Malformed),
        };
        Ok(Self { open, start, underscore, end, close })
    }

    fn range(&self) -> TimeRange {
        match (self.start, self.underscore) {
            (None, false) => TimeRange::NEVER,
            (Some(at), false) => TimeRange::instant(at),
            (start, true) => TimeRange::new(
                start.map(|at| (at, self.open.unwrap_or(Clusivity::Inclusive))),
                self.end.map(|at| (at, self.close.unwrap_or(Clusivity::Inclusive))),
            ),
        }
    }
}

fn leading_timestamp(bytes: &[u8]) -> Result<(Option<Timestamp>, &[u8]), TimestampError> {
    match bytes {
        [b'-' | b'0'..=b'9', ..] => Timestamp::parse_leading(bytes).map(|(timestamp, rest)| (Some(timestamp), rest)),
        _ => Ok((None, bytes)),
    }
}

/// Reads every text that the schema allows except the empty one, as a query gives it.
///
/// What the specification leaves open is read as the BBC's `mediatimestamp` reads it: bounds
/// without a marker are inclusive, markers beside a missing bound mean nothing, a single timestamp
/// is an instant whatever its markers, markers alone are never. Seconds beyond 48 bits, which that
/// library cuts down to the limit, are an error here.
impl FromStr for TimeRange {
    type Err = TimeRangeError;

    fn from_str(text: &str) -> Result<Self, TimeRangeError> {
        Ok(Parsed::from_text(text)?.range())
    }
}

/// Reads the range of a segment that is to be stored: bounded on both sides, start inclusive, not
/// empty, and an instant only as `[5:0]` or `5:0`.
pub fn parse_segment(text: &str) -> Result<TimeRange, TimeRangeError> {
    let parsed = Parsed::from_text(text)?;
    if parsed.underscore && (parsed.start.is_none() || parsed.end.is_none()) {
        return Err(TimeRangeError::SegmentUnbounded);
    }
    if parsed.start.is_some() && !parsed.underscore {
        return match (parsed.open, parsed.close) {
            (None, None) | (Some(Clusivity::Inclusive), Some(Clusivity::Inclusive)) => Ok(parsed.range()),
            _ => Err(TimeRangeError::SegmentInstant),
        };
    }
    let range = parsed.range();
    if range.is_never() {
        return Err(TimeRangeError::SegmentEmpty);
    }
    if parsed.open == Some(Clusivity::Exclusive) {
        return Err(TimeRangeError::SegmentExclusiveStart);
    }
    Ok(range)
}

/// Writes the canonical text: `_`, `()`, `[5:0]` for an instant, no marker on an unbounded side.
impl fmt::Display for TimeRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.text().as_str())
    }
}

impl TimeRange {
    pub(super) fn text(&self) -> Text {
        let mut text = Text::new();
        match (self.start(), self.end()) {
            _ if self.is_never() => {
                text.push(b'(');
                text.push(b')');
            }
            (Some((start, _)), Some((end, _))) if start == end => {
                text.push(b'[');
                start.write(&mut text);
                text.push(b']');
            }
            (start, end) => {
                if let Some((at, clusivity)) = start {
                    text.push(match clusivity {
                        Clusivity::Inclusive => b'[',
                        Clusivity::Exclusive => b'(',
                    });
                    at.write(&mut text);
                }
                text.push(b'_');
                if let Some((at, clusivity)) = end {
                    at.write(&mut text);
                    text.push(match clusivity {
                        Clusivity::Inclusive => b']',
                        Clusivity::Exclusive => b')',
                    });
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn every_form_means_what_the_specification_or_else_the_library_of_the_bbc_says() {
        for (forms, canonical) in [
            (["_", "[_]", "(_)", "[_)", "(_", "_]"].as_slice(), "_"),
            (&["()", "[]", "[)", "(]", "[", "]", "(", ")"], "()"),
            (&["[5:0_5:0)", "(5:0_5:0]", "(5:0_5:0)"], "()"),
            (&["[5:0_3:0)", "[5:0_3:0]", "5:0_3:0", "(0:0_0:1)"], "()"),
            (&["[0:0_10:0)", "0:0_10:0)", "[-0:0_10:0)"], "[0:0_10:0)"),
            (&["[0:0_10:0]", "0:0_10:0", "[0:0_10:0", "0:0_10:0]"], "[0:0_10:0]"),
            (&["(0:0_10:0]", "(0:0_10:0"], "(0:0_10:0]"),
            (&["(0:0_10:0)"], "(0:0_10:0)"),
            (&["[5:0_", "[5:0_)", "[5:0_]", "5:0_", "5:0_)"], "[5:0_"),
            (&["(5:0_", "(5:0_)"], "(5:0_"),
            (&["_5:0)", "[_5:0)", "(_5:0)"], "_5:0)"),
            (&["_5:0]", "[_5:0]", "(_5:0]", "_5:0"], "_5:0]"),
            (&["[5:0]", "[5:0_5:0]", "5:0", "5:0_5:0", "[5:0", "5:0]"], "[5:0]"),
            (&["(5:0)", "[5:0)", "(5:0]", "(5:0", "5:0)"], "[5:0]"),
            (&["-0:0"], "[0:0]"),
            (&["[-1:500000000_-0:500000000)"], "[-1:500000000_-0:500000000)"),
            (
                &["(-281474976710655:999999999_-281474976710655:999999998]"],
                "(-281474976710655:999999999_-281474976710655:999999998]",
            ),
        ] {
            for form in forms {
                let range: TimeRange = form.parse().unwrap_or_else(|error| panic!("{form}: {error}"));
                assert_eq!(range.to_string(), canonical, "{form}");
            }
        }
    }

    #[test]
    fn what_the_schema_refuses_and_what_48_bits_cannot_hold_is_an_error() {
        let read = str::parse::<TimeRange>;
        assert_eq!(read(""), Err(TimeRangeError::NoText));
        for text in
            ["bad", " _", "_ ", "__", "([", ")(", "[0:0_1:0)x", "[0:0__1:0)", "0:0,1:0", "[0:0_+1:0)", "é", "\0"]
        {
            assert_eq!(read(text), Err(TimeRangeError::Malformed), "{text}");
        }
        for text in ["[0:0_1:0000000001)", "[0:0_1:1000000000)", "[0:0_1)", "[00:0_1:0)", "[-_1:0)", "1.5"] {
            assert_eq!(read(text), Err(TimeRangeError::Timestamp(TimestampError::Malformed)), "{text}");
        }
        for text in ["[0:0_281474976710656:0)", "_-281474976710656:0]", "99999999999999999999999:0"] {
            assert_eq!(read(text), Err(TimeRangeError::Timestamp(TimestampError::OutOfRange)), "{text}");
        }
    }

    #[test]
    fn a_segment_is_bounded_starts_inclusive_and_is_not_empty() {
        for (text, canonical) in [
            ("[0:0_1:0)", "[0:0_1:0)"),
            ("[-1:0_-0:500000000)", "[-1:0_-0:500000000)"),
            ("[0:0_1:0]", "[0:0_1:0]"),
            ("0:0_1:0", "[0:0_1:0]"),
            ("[2:0]", "[2:0]"),
            ("2:0", "[2:0]"),
            ("[2:0_2:0]", "[2:0]"),
        ] {
            assert_eq!(parse_segment(text).unwrap().to_string(), canonical, "{text}");
        }
        for (texts, error) in [
            ([""].as_slice(), TimeRangeError::NoText),
            (&["bad", "[0:0_1:0) "], TimeRangeError::Malformed),
            (&["_", "[0:0_", "[0:0_)", "_1:0)"], TimeRangeError::SegmentUnbounded),
            (&["(0:0_1:0)", "(0:0_1:0]", "(0:0_1:0"], TimeRangeError::SegmentExclusiveStart),
            (&["(2:0)", "[2:0)", "(2:0]", "[2:0", "2:0]"], TimeRangeError::SegmentInstant),
            (&["()", "[", "[1:0_1:0)", "(1:0_1:0]", "[5:0_3:0)"], TimeRangeError::SegmentEmpty),
        ] {
            for text in texts {
                assert_eq!(parse_segment(text), Err(error), "{text}");
            }
        }
    }
}
