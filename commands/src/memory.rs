//! What was answered to requests with an idempotency key. Derived from the log, and so the same on every node.

use std::collections::VecDeque;

use hashbrown::HashMap;
use tapelog_events::{Idempotency, Instant};

/// How long a key is remembered, in seconds of the log's own time.
const REMEMBERED_SECONDS: i64 = 24 * 60 * 60;
/// How many keys are remembered at the most: about 150 MB of them.
const REMEMBERED_KEYS: usize = 1_000_000;

/// The keys of the last day, with what was answered to each.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    by_key: HashMap<[u8; 32], Idempotency>,
    by_age: VecDeque<(Instant, [u8; 32])>,
}

impl Memory {
    /// What was answered under a key.
    pub fn get(&self, key: &[u8; 32]) -> Option<&Idempotency> {
        self.by_key.get(key)
    }

    /// Remembers a key.
    pub fn remember(&mut self, at: Instant, entry: &Idempotency) {
        self.by_age.push_back((at, entry.key));
        self.by_key.insert(entry.key, entry.clone());
    }

    /// Forgets what is too old at this moment.
    pub fn trim(&mut self, at: Instant) {
        while let Some((age, key)) = self.by_age.front()
            && (at.seconds_since(*age) > REMEMBERED_SECONDS || self.by_age.len() > REMEMBERED_KEYS)
        {
            self.by_key.remove(key);
            self.by_age.pop_front();
        }
    }

    /// Undoes the last [`Self::remember`] of a key that was not known before.
    pub fn forget_last(&mut self) {
        if let Some((_, key)) = self.by_age.pop_back() {
            self.by_key.remove(&key);
        }
    }

    /// Every remembered key, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &Idempotency)> + '_ {
        self.by_age.iter().filter_map(|(at, key)| Some((*at, self.by_key.get(key)?)))
    }
}
