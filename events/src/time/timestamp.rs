//! A point on a timeline.

use std::fmt;
use std::str::FromStr;

use super::text::Text;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// TAMS models seconds on PTP, which has 48 bits of them.
const MAX_SECONDS: u64 = (1 << 48) - 1;

/// A point on a timeline, or the distance between two, in whole nanoseconds.
///
/// Seconds have 48 bits and a sign, as in PTP: far more than an `i64` of nanoseconds can hold.
/// The text is `<seconds>:<nanoseconds>`, where nanoseconds are a count and not a decimal fraction
/// (`1:5` is five nanoseconds past one second) and a leading `-` applies to the whole value
/// (`-1:500000000` is one and a half seconds before the origin). In MessagePack it is the pair of
/// [`Timestamp::to_parts`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i128);

impl Timestamp {
    /// The origin of the timeline, `0:0`.
    pub const ZERO: Self = Self(0);
    /// The latest point there is, `281474976710655:999999999`.
    pub const MAX: Self = Self((1 << 48) * NANOS_PER_SECOND as i128 - 1);
    /// The earliest point there is, as far before the origin as [`Timestamp::MAX`] is after it.
    pub const MIN: Self = Self(-Self::MAX.0);

    /// The point this many nanoseconds after the origin; `None` beyond 48 bits of seconds.
    pub const fn from_nanos(nanos: i128) -> Option<Self> {
        if Self::MIN.0 <= nanos && nanos <= Self::MAX.0 { Some(Self(nanos)) } else { None }
    }

    /// The point `seconds` and then `nanoseconds` after the origin, so that minus half a second is
    /// `(-1, 500_000_000)`. `None` for a whole second of nanoseconds or more, and beyond 48 bits of
    /// seconds.
    pub fn from_parts(seconds: i64, nanoseconds: u32) -> Option<Self> {
        if i64::from(nanoseconds) >= NANOS_PER_SECOND {
            return None;
        }
        Self::from_nanos(i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanoseconds))
    }

    /// The whole seconds at or before this point and the nanoseconds from there, the reverse of
    /// [`Timestamp::from_parts`].
    pub fn to_parts(self) -> (i64, u32) {
        // Almost every real timestamp is within the 292 years that 64 bits cover, where a division
        // by a constant costs a few multiplications; in 128 bits it is a call.
        if let Ok(nanos) = i64::try_from(self.0) {
            (nanos.div_euclid(NANOS_PER_SECOND), nanos.rem_euclid(NANOS_PER_SECOND) as u32)
        } else {
            let second = i128::from(NANOS_PER_SECOND);
            (self.0.div_euclid(second) as i64, self.0.rem_euclid(second) as u32)
        }
    }

    /// Nanoseconds after the origin, negative before it.
    pub const fn as_nanos(self) -> i128 {
        self.0
    }

    /// The point `offset` later; `None` beyond 48 bits of seconds.
    pub const fn checked_add(self, offset: Self) -> Option<Self> {
        Self::from_nanos(self.0 + offset.0)
    }

    /// The point `offset` earlier, or the way from `offset` to here; `None` beyond 48 bits of
    /// seconds.
    pub const fn checked_sub(self, offset: Self) -> Option<Self> {
        Self::from_nanos(self.0 - offset.0)
    }

    /// Whether this point is before the origin.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Reads the timestamp that `bytes` begins with and returns it with what follows it.
    pub(super) fn parse_leading(bytes: &[u8]) -> Result<(Self, &[u8]), TimestampError> {
        let (negative, rest) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, bytes),
        };
        let (seconds, rest) = leading_number(rest).ok_or(TimestampError::Malformed)?;
        let rest = rest.strip_prefix(b":").ok_or(TimestampError::Malformed)?;
        let (nanoseconds, rest) = leading_number(rest).ok_or(TimestampError::Malformed)?;
        if nanoseconds >= NANOS_PER_SECOND as u64 {
            return Err(TimestampError::Malformed);
        }
        if seconds > MAX_SECONDS {
            return Err(TimestampError::OutOfRange);
        }
        let magnitude = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanoseconds);
        Ok((Self(if negative { -magnitude } else { magnitude }), rest))
    }

    /// Appends the canonical text.
    pub(super) fn write(self, text: &mut Text) {
        if self.is_negative() {
            text.push(b'-');
        }
        let (seconds, nanoseconds) = Self(self.0.abs()).to_parts();
        text.push_number(seconds.unsigned_abs());
        text.push(b':');
        text.push_number(u64::from(nanoseconds));
    }

    pub(super) fn text(self) -> Text {
        let mut text = Text::new();
        self.write(&mut text);
        text
    }
}

/// The number in decimal digits that `bytes` begins with, and what follows it. No leading zeros;
/// too large for 64 bits is the largest there is, which is out of every range asked for here.
fn leading_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(length);
    if matches!(digits, [] | [b'0', _, ..]) {
        return None;
    }
    let number =
        digits.iter().fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some((number, rest))
}

/// Why a text is no [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// It does not have the form of a timestamp (TAMS schema `timestamp.json`).
    #[error(
        "not a timestamp: expected <seconds>:<nanoseconds> without leading zeros and with fewer than 1000000000 nanoseconds, such as 10:40000000 or -1:0"
    )]
    Malformed,
    /// It has the form, which sets no limit, but is too far from the origin for 48 bits.
    #[error("the seconds of a timestamp do not fit in 48 bits")]
    OutOfRange,
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        match Self::parse_leading(text.as_bytes())? {
            (timestamp, []) => Ok(timestamp),
            _ => Err(TimestampError::Malformed),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.text().as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Timestamp({self})")
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn nanoseconds_are_a_count_and_the_sign_is_of_the_whole() {
        for (text, nanos) in [
            ("0:0", 0),
            ("-0:0", 0),
            ("1:5", 1_000_000_005),
            ("1:40000000", 1_040_000_000),
            ("-1:500000000", -1_500_000_000),
            ("-0:800000000", -800_000_000),
            ("281474976710655:999999999", Timestamp::MAX.as_nanos()),
            ("-281474976710655:999999999", Timestamp::MIN.as_nanos()),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().as_nanos(), nanos, "{text}");
        }
        assert_eq!("-0:0".parse::<Timestamp>().unwrap().to_string(), "0:0");
    }

    #[test]
    fn what_the_schema_refuses_is_malformed() {
        for text in [
            "",
            "-",
            ":",
            "1",
            "1:",
            ":1",
            "1.5",
            "+1:0",
            "--1:0",
            "0:05",
            "01:0",
            "-00:0",
            "1:1000000000",
            "1:0000000001",
            "1:-1",
            " 1:0",
            "1:0 ",
            "1:0\n",
            "1:0:0",
            "１:0",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn seconds_beyond_48_bits_are_refused_and_never_wrap() {
        let huge = format!("{}:0", "9".repeat(400));
        for text in ["281474976710656:0", "-281474976710656:0", "18446744073709551616:0", &huge] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::OutOfRange), "{text}");
        }
        let nanosecond = Timestamp::from_nanos(1).unwrap();
        assert_eq!(Timestamp::MAX.checked_add(nanosecond), None);
        assert_eq!(Timestamp::MIN.checked_sub(nanosecond), None);
        assert_eq!(Timestamp::from_nanos(i128::MAX), None);
        assert_eq!(Timestamp::from_parts(i64::MIN, 0), None);
        assert_eq!(Timestamp::from_parts(0, 1_000_000_000), None);
    }
}
