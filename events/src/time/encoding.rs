//! Both types in serde: their text where people read it, and tuples of integers where they do not.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Clusivity, TimeRange, Timestamp};

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.text().as_str())
        } else {
            self.to_parts().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserialize_text(deserializer, "a timestamp, <seconds>:<nanoseconds>");
        }
        let (seconds, nanoseconds) = <(i64, u32)>::deserialize(deserializer)?;
        Self::from_parts(seconds, nanoseconds).ok_or_else(|| D::Error::custom("not a timestamp"))
    }
}

impl Serialize for TimeRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.text().as_str())
        } else {
            self.to_parts().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserialize_text(deserializer, "a time range such as [0:0_10:0)");
        }
        Self::from_parts(Parts::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("not a time range in its one encoding"))
    }
}

/// Flags and the two bounds, as they stand in MessagePack.
type Parts = (u8, i64, u32, i64, u32);

/// Bits of the first number of [`Parts`].
mod flag {
    pub(super) const START: u8 = 1;
    pub(super) const START_EXCLUSIVE: u8 = 2;
    pub(super) const END: u8 = 4;
    pub(super) const END_EXCLUSIVE: u8 = 8;
    pub(super) const NEVER: u8 = 16;
}

impl TimeRange {
    fn to_parts(self) -> Parts {
        if self.is_never() {
            return (flag::NEVER, 0, 0, 0, 0);
        }
        let side = |bound: Option<(Timestamp, Clusivity)>, present, exclusive| match bound {
            None => (0, (0, 0)),
            Some((at, Clusivity::Inclusive)) => (present, at.to_parts()),
            Some((at, Clusivity::Exclusive)) => (present | exclusive, at.to_parts()),
        };
        let (start_flags, start) = side(self.start(), flag::START, flag::START_EXCLUSIVE);
        let (end_flags, end) = side(self.end(), flag::END, flag::END_EXCLUSIVE);
        (start_flags | end_flags, start.0, start.1, end.0, end.1)
    }

    fn from_parts(parts: Parts) -> Option<Self> {
        let (flags, start_seconds, start_nanoseconds, end_seconds, end_nanoseconds) = parts;
        let start = Timestamp::from_parts(start_seconds, start_nanoseconds)?;
        let end = Timestamp::from_parts(end_seconds, end_nanoseconds)?;
        let side = |at, present, exclusive| match (flags & present, flags & exclusive) {
            (0, _) => None,
            (_, 0) => Some((at, Clusivity::Inclusive)),
            _ => Some((at, Clusivity::Exclusive)),
        };
        let range = match flags {
            flag::NEVER => Self::NEVER,
            _ => Self::new(side(start, flag::START, flag::START_EXCLUSIVE), side(end, flag::END, flag::END_EXCLUSIVE)),
        };
        // One range, one encoding: this refuses unknown flags, whatever is said of a side that is
        // not there, and bounds that should have been written as never.
        (range.to_parts() == parts).then_some(range)
    }
}

/// Reads a value from a string, borrowed wherever the format can lend it.
fn deserialize_text<'de, T, D>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(TextVisitor { expecting, value: PhantomData })
}

struct TextVisitor<T> {
    expecting: &'static str,
    value: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn messagepack_of_a_timestamp_is_frozen() {
        for (text, bytes) in [
            ("0:0", "920000"),
            ("-1:500000000", "92fece1dcd6500"),
            ("1694429247:40000000", "92ce64fef03fce02625a00"),
            ("281474976710655:999999999", "92cf0000ffffffffffffce3b9ac9ff"),
            ("-281474976710655:999999999", "92d3ffff00000000000001"),
        ] {
            let timestamp: Timestamp = text.parse().unwrap();
            let encoded = rmp_serde::to_vec_named(&timestamp).unwrap();
            assert_eq!(hex::encode(&encoded), bytes, "{text}");
            assert_eq!(rmp_serde::from_slice::<Timestamp>(&encoded).unwrap(), timestamp);
        }
        let second_of_nanos = rmp_serde::to_vec_named(&(0i64, 1_000_000_000u32)).unwrap();
        rmp_serde::from_slice::<Timestamp>(&second_of_nanos).unwrap_err();
    }

    #[test]
    fn messagepack_of_a_range_is_frozen() {
        for (text, bytes) in [
            ("_", "950000000000"),
            ("()", "951000000000"),
            ("[0:0_10:0)", "950d00000a00"),
            ("[5:0]", "950505000500"),
            ("(0:0_10:0]", "950700000a00"),
            ("[5:0_", "950105000000"),
            ("(5:0_", "950305000000"),
            ("_5:0)", "950c00000500"),
            ("_5:0]", "950400000500"),
            ("[-0:500000000_0:0)", "950dffce1dcd65000000"),
            ("[1694429247:0_1694429248:40000000)", "950dce64fef03f00ce64fef040ce02625a00"),
        ] {
            let range: TimeRange = text.parse().unwrap();
            let encoded = rmp_serde::to_vec_named(&range).unwrap();
            assert_eq!(hex::encode(&encoded), bytes, "{text}");
            assert_eq!(rmp_serde::from_slice::<TimeRange>(&encoded).unwrap(), range);
        }
    }

    #[test]
    fn a_second_encoding_of_a_range_is_refused() {
        let bounds: [Parts; 8] = [
            (flag::NEVER, 1, 0, 0, 0),
            (flag::NEVER | flag::START, 0, 0, 0, 0),
            (flag::START_EXCLUSIVE, 0, 0, 0, 0),
            (flag::END, 1, 0, 1, 0),
            (flag::START | flag::END, 5, 0, 3, 0),
            (flag::START | flag::END | flag::END_EXCLUSIVE, 5, 0, 5, 0),
            (flag::START | flag::END, 0, 0, 1, 1_000_000_000),
            (32, 0, 0, 0, 0),
        ];
        for parts in bounds {
            let encoded = rmp_serde::to_vec_named(&parts).unwrap();
            assert!(rmp_serde::from_slice::<TimeRange>(&encoded).is_err(), "{parts:?}");
        }
    }

    #[test]
    fn json_is_the_canonical_text_and_reads_every_form() {
        let range: TimeRange = serde_json::from_str("\"0:0_10:0)\"").unwrap();
        assert_eq!(serde_json::to_string(&range).unwrap(), "\"[0:0_10:0)\"");
        let timestamp: Timestamp = serde_json::from_str("\"-0:0\"").unwrap();
        assert_eq!(serde_json::to_string(&timestamp).unwrap(), "\"0:0\"");
        for json in ["\"\"", "\"bad\"", "5", "null", "[13,0,0,10,0]"] {
            assert!(serde_json::from_str::<TimeRange>(json).is_err(), "{json}");
            assert!(serde_json::from_str::<Timestamp>(json).is_err(), "{json}");
        }
    }
}
