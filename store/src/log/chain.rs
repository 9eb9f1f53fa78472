//! The chain of hashes that makes loss and tampering visible (L2).

use tapelog_events::codec;
use tapelog_events::{ChainHash, Record, Seq};

use super::{Broken, Entry, Log, Unreachable};

/// Up to and with which record the log was read: what the next one must follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The record's number.
    pub seq: Seq,
    /// The record's hash.
    pub hash: ChainHash,
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self { seq: Seq::ZERO, hash: ChainHash::ZERO };

    /// Reads the entry that comes next, and says where the chain stands after it.
    ///
    /// # Errors
    /// When it is not the next record of this chain, or not a record that this version knows.
    pub fn read_next(self, entry: &Entry) -> Result<(Record, Self), Broken> {
        let seq = entry.seq;
        if seq != self.seq.next() {
            return Err(Broken::Missing(self.seq.next()));
        }
        let record = codec::decode(&entry.payload).map_err(|source| Broken::Undecodable { seq, source })?;
        if record.prev_hash != self.hash {
            return Err(Broken::Chain(seq));
        }
        Ok((record, Self { seq, hash: ChainHash::of(&entry.payload) }))
    }
}

/// Whether this head is in the log: if not, what was folded up to it is not a fold of this log.
///
/// # Errors
/// When the log cannot be asked.
pub async fn holds<L: Log>(log: &L, head: Head) -> Result<bool, Unreachable> {
    if head == Head::START {
        return Ok(true);
    }
    Ok(log.read(head.seq).await?.is_some_and(|payload| ChainHash::of(&payload) == head.hash))
}
