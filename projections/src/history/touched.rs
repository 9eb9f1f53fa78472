//! Which records touched what: one entry for each thing and record, found by thing, in log order either way.

use fjall::config::FilterPolicy;
use fjall::{Database, Guard, Iter, Keyspace, OwnedWriteBatch};
use tapelog_events::{Record, Seq};
use tapelog_store::log::Head;

use super::store::options;
use super::thing::{ThingName, touched_by};
use crate::Direction;

/// Kind, name and sequence number, all in an order that is that of the bytes.
const KEY_BYTES: usize = 1 + 16 + 8;
/// How many entries a posting passes over, one after the other, before it seeks: about what a seek costs.
const STEPS: usize = 16;

type Key = [u8; KEY_BYTES];

fn key((kind, name): ThingName, seq: Seq) -> Key {
    let mut key = [0; KEY_BYTES];
    key[0] = kind;
    key[1..17].copy_from_slice(&name);
    key[17..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

fn seq_of(key: &[u8]) -> Seq {
    let number = key.last_chunk().expect("every key of this keyspace ends with a sequence number");
    Seq(u64::from_be_bytes(*number))
}

pub(super) struct Touched {
    entries: Keyspace,
}

impl Touched {
    pub fn open(database: &Database) -> Result<Self, fjall::Error> {
        // Entries are looked for in ranges, which filters do not help.
        let options = || options().filter_policy(FilterPolicy::disabled());
        Ok(Self { entries: database.keyspace("touched", options)? })
    }

    /// Enters what records touch.
    pub fn index(&self, batch: &mut OwnedWriteBatch, records: &[(Head, Record)]) {
        let mut keys = Vec::new();
        for (head, record) in records {
            for commit in &record.commits {
                touched_by(commit, |thing| keys.push(key(thing.name(), head.seq)));
            }
        }
        // In order they are stored quicker.
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            batch.insert(&self.entries, key, []);
        }
    }

    /// The last record before this one that touched a thing.
    pub fn last_before(&self, name: ThingName, before: Seq) -> Result<Option<Seq>, fjall::Error> {
        let mut earlier = self.entries.range(key(name, Seq::ZERO)..key(name, before));
        earlier.next_back().map(seq).transpose()
    }

    /// The records from the first to the last of these that touched a thing, to be gone through in one direction.
    pub fn postings(&self, name: ThingName, (first, last): (Seq, Seq), direction: Direction) -> Postings {
        Postings { entries: self.entries.clone(), name, first, last, direction, at: None, ahead: None }
    }
}

fn seq(entry: Guard) -> Result<Seq, fjall::Error> {
    Ok(seq_of(&entry.key()?))
}

/// The records that touched a thing, in one direction.
pub(super) struct Postings {
    entries: Keyspace,
    name: ThingName,
    first: Seq,
    last: Seq,
    direction: Direction,
    /// The record that was found last.
    at: Option<Seq>,
    /// The entries after that.
    ahead: Option<Iter>,
}

impl Postings {
    /// The nearest record from this one on, which lies not before the one that was asked for last.
    pub fn seek(&mut self, wanted: Seq) -> Result<Option<Seq>, fjall::Error> {
        if let Some(at) = self.at.filter(|at| self.is_reached(*at, wanted)) {
            return Ok(Some(at));
        }
        if self.ahead.is_some() {
            for _ in 0..STEPS {
                self.at = self.step()?;
                match self.at {
                    None => return Ok(None),
                    Some(at) if self.is_reached(at, wanted) => return Ok(self.at),
                    Some(_) => {}
                }
            }
        }
        let range = match self.direction {
            Direction::Usual => key(self.name, wanted)..=key(self.name, self.last),
            Direction::Reversed => key(self.name, self.first)..=key(self.name, wanted),
        };
        self.ahead = Some(self.entries.range(range));
        self.at = self.step()?;
        Ok(self.at)
    }

    fn is_reached(&self, at: Seq, wanted: Seq) -> bool {
        match self.direction {
            Direction::Usual => at >= wanted,
            Direction::Reversed => at <= wanted,
        }
    }

    fn step(&mut self) -> Result<Option<Seq>, fjall::Error> {
        let entry = self.ahead.as_mut().and_then(|ahead| match self.direction {
            Direction::Usual => ahead.next(),
            Direction::Reversed => ahead.next_back(),
        });
        entry.map(seq).transpose()
    }
}
