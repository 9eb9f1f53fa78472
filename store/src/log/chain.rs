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
        let link = Link::read(entry)?;
        let head = self.join(&link)?;
        Ok((link.record, head))
    }

    /// Where the chain stands after this record, if it is the next one.
    pub(super) fn join(self, link: &Link) -> Result<Self, Broken> {
        if link.head.seq != self.seq.next() {
            return Err(Broken::Missing(self.seq.next()));
        }
        if link.record.prev_hash != self.hash {
            return Err(Broken::Chain(link.head.seq));
        }
        Ok(link.head)
    }
}

/// A record that was read, and is not known to follow from the one before it.
#[derive(Debug)]
pub(super) struct Link {
    pub record: Record,
    /// Where the chain stands after it, if it follows.
    pub head: Head,
}

impl Link {
    pub fn read(entry: &Entry) -> Result<Self, Broken> {
        let seq = entry.seq;
        let record = codec::decode(&entry.payload).map_err(|source| Broken::Undecodable { seq, source })?;
        Ok(Self { record, head: Head { seq, hash: ChainHash::of(&entry.payload) } })
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
