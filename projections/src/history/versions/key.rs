//! Keys whose order is that of what they stand for.

use std::io;

use fjall::UserKey;
use smallvec::SmallVec;
use tapelog_events::Seq;
use uuid::Uuid;

use super::Place;

/// Bytes of a [`Place`].
pub const PLACE_BYTES: usize = 16;
/// Bytes of a point on a timeline.
pub const MOMENT_BYTES: usize = 11;
/// More nanoseconds than any point of a timeline has, on either side.
const HALF: i128 = 1 << (8 * MOMENT_BYTES - 1);

/// A key, or its beginning.
#[derive(Debug, Clone)]
pub struct Key(SmallVec<[u8; 64]>);

impl Key {
    pub fn new(kind: u8) -> Self {
        Self(SmallVec::from_slice(&[kind]))
    }

    pub fn uuid(self, uuid: &Uuid) -> Self {
        self.bytes(uuid.as_bytes())
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A point on a timeline in nanoseconds, or the nearest that a key can say.
    pub fn moment(self, nanoseconds: i128) -> Self {
        self.bytes(&moment_bytes(nanoseconds))
    }

    pub fn place(self, (Seq(record), commit, event): Place) -> Self {
        self.bytes(&record.to_be_bytes()).bytes(&commit.to_be_bytes()).bytes(&event.to_be_bytes())
    }

    /// After all keys that begin so and go on with a place.
    pub fn after(self) -> Self {
        self.bytes(&[0xff; PLACE_BYTES + 1])
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }
}

impl From<Key> for UserKey {
    fn from(key: Key) -> Self {
        Self::from(key.as_ref())
    }
}

pub fn moment_bytes(nanoseconds: i128) -> [u8; MOMENT_BYTES] {
    let lifted = (nanoseconds.clamp(-HALF, HALF - 1) + HALF) as u128;
    let mut bytes = [0; MOMENT_BYTES];
    bytes.copy_from_slice(&lifted.to_be_bytes()[16 - MOMENT_BYTES..]);
    bytes
}

pub fn moment_of(bytes: &[u8; MOMENT_BYTES]) -> i128 {
    let mut lifted = [0; 16];
    lifted[16 - MOMENT_BYTES..].copy_from_slice(bytes);
    i128::from_be_bytes(lifted) - HALF
}

/// The place that a key ends with.
pub fn place_in(key: &[u8]) -> Result<Place, fjall::Error> {
    let (_, bytes): (_, &[u8; PLACE_BYTES]) = key.split_last_chunk().ok_or_else(damaged)?;
    let place = u128::from_be_bytes(*bytes);
    Ok((Seq((place >> 64) as u64), (place >> 32) as u32, place as u32))
}

/// The point on a timeline that stands before the place that a key ends with.
pub fn moment_in(key: &[u8]) -> Result<i128, fjall::Error> {
    let (before, _): (_, &[u8; PLACE_BYTES]) = key.split_last_chunk().ok_or_else(damaged)?;
    before.last_chunk().map(moment_of).ok_or_else(damaged)
}

/// What stands in the index is not what was written there.
pub fn damaged() -> fjall::Error {
    fjall::Error::Io(io::Error::new(io::ErrorKind::InvalidData, "an entry of the history has not its form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_what_they_stand_for() {
        let moments = [i128::MIN, -HALF, -1_000_000_000, -1, 0, 1, 1 << 78, i128::MAX];
        let keys: Vec<_> = moments.iter().map(|moment| moment_bytes(*moment)).collect();
        assert!(keys.is_sorted());
        for (moment, key) in moments.iter().zip(&keys).filter(|(moment, _)| (-HALF..HALF).contains(*moment)) {
            assert_eq!(moment_of(key), *moment);
        }
        let places = [(Seq(0), 7, 9), (Seq(1), 0, 0), (Seq(1), 0, 1), (Seq(1), 1, 0), (Seq(256), 0, 0)];
        let keys = places.map(|place| Key::new(b'x').place(place));
        assert!(keys.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().is_sorted());
        assert!(keys.iter().zip(places).all(|(key, place)| place_in(key.as_ref()).unwrap() == place));
    }
}
