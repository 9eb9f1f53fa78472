//! Moments of wall-clock time: when something was recorded. Media time is [`crate::Timestamp`].

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC, in microseconds since the Unix epoch. JSON form: RFC 3339 with a `Z` (section 11), which has the
/// years 0 to 9999 and no others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

/// A text that is not an RFC 3339 date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time with an offset")]
pub struct InvalidInstant;

impl Instant {
    /// The first moment of the year 0.
    pub const MIN: Self = Self(-62_167_219_200_000_000);

    /// The last moment of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The moment this many microseconds after the Unix epoch, or the nearest that there is.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// The moment so much later, or the last that there is.
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(duration)))
    }

    /// The moment so much earlier, or the first that there is.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(duration)))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to this moment; negative when this one is the earlier.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}

/// The moment on a clock; before the Unix epoch, the epoch.
impl From<SystemTime> for Instant {
    fn from(clock: SystemTime) -> Self {
        let micros = clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).map_err(|_| fmt::Error)?;
        let (date, clock) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.microsecond()
        )
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({})", self.0)
    }
}

impl FromStr for Instant {
    type Err = InvalidInstant;

    fn from_str(text: &str) -> Result<Self, InvalidInstant> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidInstant)?;
        let micros = i64::try_from(moment.unix_timestamp_nanos().div_euclid(1000)).map_err(|_| InvalidInstant)?;
        if (Self::MIN.0..=Self::MAX.0).contains(&micros) { Ok(Self(micros)) } else { Err(InvalidInstant) }
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            let micros = i64::deserialize(deserializer)?;
            let moment = Self::from_micros(micros);
            if moment.0 == micros { Ok(moment) } else { Err(serde::de::Error::custom(InvalidInstant)) }
        }
    }
}
