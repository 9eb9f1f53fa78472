//! The first record of every log, which names this life of it.

use bytes::Bytes;
use tapelog_events::{ChainHash, Commit, CommitId, Event, Incarnation, Instant, LogStarted, Record, codec};

use crate::sequencer::ACTOR;

/// The first record of a log that starts at this moment.
pub(super) fn genesis(incarnation: Incarnation, commit_id: CommitId, at: Instant) -> Bytes {
    let commit = Commit {
        id: commit_id,
        at,
        actor: ACTOR.to_owned(),
        request_id: None,
        idempotency: None,
        events: vec![Event::LogStarted(LogStarted { incarnation })],
    };
    let record = Record { format: codec::FORMAT, prev_hash: ChainHash::ZERO, commits: vec![commit] };
    codec::encode(&record).into()
}

/// Which life of the log a first record names; `None` when it is not a first record.
pub(super) fn incarnation_of(payload: &[u8]) -> Option<Incarnation> {
    let record = codec::decode(payload).ok()?;
    match record.commits.first()?.events.first()? {
        Event::LogStarted(started) if record.prev_hash == ChainHash::ZERO => Some(started.incarnation),
        _ => None,
    }
}
