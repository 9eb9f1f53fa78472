//! The segments of one Flow in order of time, in 12 bytes each where they use their object whole.

use std::collections::BTreeMap;

use tapelog_events::time::Clusivity;

use super::object::ObjectSlot;

/// Rows of one chunk at the most. A chunk is small enough to shift on an insertion, and large enough that the map of
/// chunks costs next to nothing a row.
const CHUNK_ROWS: usize = 512;

/// One segment, without what its object says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Start, in nanoseconds.
    pub start: i128,
    pub object: ObjectSlot,
    /// What cannot be told from the object; absent for a segment that uses its object whole and says no more.
    pub extra: Option<Box<Extra>>,
}

/// What cannot be told from a segment's object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extra {
    /// In nanoseconds.
    pub length: i128,
    pub end: Clusivity,
    /// In nanoseconds.
    pub ts_offset: i128,
    /// In nanoseconds.
    pub last_duration: Option<i128>,
    pub sample_offset: Option<i64>,
    pub sample_count: Option<i64>,
}

/// `packed(4)`: twelve bytes, not sixteen.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
struct Row {
    /// Start less that of the chunk, in nanoseconds.
    delta: u64,
    /// Slot of the object, and [`HAS_EXTRA`].
    object: u32,
}

/// Every byte more is a megabyte more for a million segments.
const _: () = assert!(size_of::<Row>() == 12);

const HAS_EXTRA: u32 = 1 << 31;

/// Segments in order of time. They do not overlap, so their starts differ.
#[derive(Debug, Default, Clone)]
pub(super) struct Timeline {
    /// Chunks by a start that is not after any of theirs.
    chunks: BTreeMap<i128, Vec<Row>>,
    extras: hashbrown::HashMap<i128, Box<Extra>>,
    len: usize,
}

/// Where a row stands: the key of its chunk and its place in it.
type Place = (i128, usize);

impl Timeline {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry whose start no other has.
    pub fn insert(&mut self, entry: Entry) {
        let Entry { start, object, extra } = entry;
        let flag = if extra.is_some() { HAS_EXTRA } else { 0 };
        if let Some(extra) = extra {
            self.extras.insert(start, extra);
        }
        self.len += 1;
        let object = object.0 | flag;
        let Some(key) = self.chunk_for(start) else {
            self.chunks.insert(start, vec![Row { delta: 0, object }]);
            return;
        };
        let rows = self.chunks.get_mut(&key).expect("chunk_for gives keys of chunks");
        let delta = (start - key) as u64;
        let place = rows.partition_point(|row| row.delta < delta);
        if rows.len() < CHUNK_ROWS {
            rows.insert(place, Row { delta, object });
        } else if place == rows.len() {
            // A recording appends: full chunks stay full.
            self.chunks.insert(start, vec![Row { delta: 0, object }]);
        } else {
            let mut upper = rows.split_off(CHUNK_ROWS / 2);
            rows.shrink_to_fit();
            let first = upper[0].delta;
            for row in &mut upper {
                row.delta -= first;
            }
            let upper_key = key + i128::from(first);
            let (key, rows) = if start < upper_key { (key, rows) } else { (upper_key, &mut upper) };
            let delta = (start - key) as u64;
            let place = rows.partition_point(|row| row.delta < delta);
            rows.insert(place, Row { delta, object });
            self.chunks.insert(upper_key, upper);
        }
    }

    /// The key of the chunk that a new start belongs into. The first chunk is moved to an earlier key when it has room,
    /// so that a recording written backwards fills chunks too. `None` when it needs a chunk of its own.
    fn chunk_for(&mut self, start: i128) -> Option<i128> {
        if let Some((key, _)) = self.chunks.range(..=start).next_back() {
            return (start - key <= i128::from(u64::MAX)).then_some(*key);
        }
        let first = self.chunks.first_entry()?;
        let shift = first.key() - start;
        let last_delta = first.get().last().map_or(0, |row| row.delta);
        if first.get().len() == CHUNK_ROWS || i128::from(last_delta) + shift > i128::from(u64::MAX) {
            return None;
        }
        let mut rows = first.remove();
        for row in &mut rows {
            row.delta += shift as u64;
        }
        self.chunks.insert(start, rows);
        Some(start)
    }

    /// Takes out the entry that starts there.
    pub fn remove(&mut self, start: i128) -> Option<Entry> {
        let (key, place) = self.at_or_before(start)?;
        let rows = self.chunks.get_mut(&key)?;
        let row = rows[place];
        if key + i128::from(row.delta) != start {
            return None;
        }
        rows.remove(place);
        if rows.is_empty() {
            self.chunks.remove(&key);
        }
        self.len -= 1;
        let extra = if row.object & HAS_EXTRA == 0 { None } else { self.extras.remove(&start) };
        Some(Entry { start, object: ObjectSlot(row.object & !HAS_EXTRA), extra })
    }

    /// The last entry that starts at or before this moment.
    pub fn last_at_or_before(&self, start: i128) -> Option<EntryRef<'_>> {
        let (key, place) = self.at_or_before(start)?;
        Some(self.entry(key, self.chunks[&key][place]))
    }

    /// The entry that starts exactly there.
    pub fn at(&self, start: i128) -> Option<EntryRef<'_>> {
        self.last_at_or_before(start).filter(|entry| entry.start == start)
    }

    fn at_or_before(&self, start: i128) -> Option<Place> {
        let (key, rows) = self.chunks.range(..=start).next_back()?;
        let delta = u64::try_from(start.saturating_sub(*key)).unwrap_or(u64::MAX);
        let place = rows.partition_point(|row| row.delta <= delta);
        // A chunk is never empty, and its first row is at or after its key, but perhaps after `start`.
        match place.checked_sub(1) {
            Some(place) => Some((*key, place)),
            None => {
                let (key, rows) = self.chunks.range(..*key).next_back()?;
                Some((*key, rows.len() - 1))
            }
        }
    }

    pub fn first(&self) -> Option<EntryRef<'_>> {
        let (key, rows) = self.chunks.first_key_value()?;
        Some(self.entry(*key, *rows.first()?))
    }

    pub fn last(&self) -> Option<EntryRef<'_>> {
        let (key, rows) = self.chunks.last_key_value()?;
        Some(self.entry(*key, *rows.last()?))
    }

    /// Entries that start in `from..to`, ascending; the cost of finding the first and the last does not grow with the
    /// entries between.
    pub fn range(&self, from: i128, to: i128) -> impl DoubleEndedIterator<Item = EntryRef<'_>> {
        let first_chunk = self.chunks.range(..=from).next_back().map_or(from, |(key, _)| *key);
        let chunks = if from < to { Some(self.chunks.range(first_chunk..to)) } else { None };
        chunks.into_iter().flatten().flat_map(move |(key, rows)| {
            let within = |bound: i128| rows.partition_point(|row| i128::from(row.delta) < bound.saturating_sub(*key));
            let (first, last) = (within(from), within(to));
            rows[first..last].iter().map(move |row| self.entry(*key, *row))
        })
    }

    fn entry(&self, key: i128, row: Row) -> EntryRef<'_> {
        let start = key + i128::from(row.delta);
        let extra = if row.object & HAS_EXTRA == 0 { None } else { self.extras.get(&start).map(Box::as_ref) };
        EntryRef { start, object: ObjectSlot(row.object & !HAS_EXTRA), extra }
    }
}

/// A borrowed [`Entry`].
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryRef<'a> {
    pub start: i128,
    pub object: ObjectSlot,
    pub extra: Option<&'a Extra>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: i128 = 4 * CHUNK_ROWS as i128;

    fn timeline(starts: impl Iterator<Item = i128>) -> Timeline {
        let mut timeline = Timeline::default();
        starts.for_each(|start| timeline.insert(Entry { start, object: ObjectSlot(0), extra: None }));
        timeline
    }

    #[test]
    fn a_recording_fills_its_chunks_forwards_and_backwards() {
        assert_eq!(timeline(0..ROWS).chunks.len(), 4);
        assert_eq!(timeline((0..ROWS).rev()).chunks.len(), 4);
    }

    #[test]
    fn chunks_that_were_split_are_at_least_half_full_and_go_when_they_are_empty() {
        // 1021 is prime, so that every place has its turn.
        let mut timeline = timeline((0..ROWS).map(|number| number * 1021 % ROWS));
        assert!(timeline.chunks.len() <= 8, "{}", timeline.chunks.len());
        assert!(timeline.range(0, ROWS).map(|entry| entry.start).eq(0..ROWS));
        assert!((0..ROWS).all(|start| timeline.remove(start).is_some()));
        assert_eq!((timeline.len(), timeline.chunks.len()), (0, 0));
    }

    #[test]
    fn starts_further_apart_than_64_bits_of_nanoseconds_stand_in_chunks_of_their_own() {
        let far = i128::from(u64::MAX);
        let starts = [-far - 1, 0, far, far + 1, 3 * far];
        let timeline = timeline(starts.into_iter().rev());
        assert!(timeline.range(i128::MIN, i128::MAX).map(|entry| entry.start).eq(starts));
        assert!(timeline.last_at_or_before(i128::MAX).is_some_and(|entry| entry.start == 3 * far));
    }
}
