//! Who changed what, and when: commits by what they touched, with what they changed.
//!
//! The index names the records that hold what is asked for, and only those are read: the log is never gone through. A
//! record may hold several commits, so one that meets all conditions only between its commits is read in vain; what a page
//! may read is bounded, and one that comes to the bound ends early.

mod candidates;
mod change;
mod draft;
mod records;
mod redact;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tapelog_events::{ChainHash, Commit, FlowId, ObjectId, Seq, SourceId, WebhookId};
use tapelog_store::log::Log;
use tokio::task::spawn_blocking;

use super::record::StoredRecord;
use super::thing::{Thing, touched_by};
use super::{History, HistoryError, Moment, ReadError};
use crate::Direction;
use candidates::Candidates;
use change::changes;
use records::Records;
use redact::redact;

/// How many records are looked up in the index at once.
const LOOKED_UP: usize = 64;
/// How many records are read from the log at once: a leader answers each on its own, in about the time of a round trip.
const READ_AT_ONCE: usize = 8;
/// How many bytes of records a page is made from: as many as are read and decoded within about a second.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// Which commits are asked for: those that meet all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those that touched this Flow.
    pub flow_id: Option<FlowId>,
    /// Only those that touched this Source, or a Flow of it.
    pub source_id: Option<SourceId>,
    /// Only those that touched this object.
    pub object_id: Option<ObjectId>,
    /// Only those that touched this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Only those that this actor asked for.
    pub actor: Option<String>,
    /// Only those with an event of this type, as [`tapelog_events::Event::kind`] names it.
    pub kind: Option<String>,
    /// Only those that came after this moment.
    pub from: Option<Moment>,
    /// Only those that had come at this moment.
    pub to: Option<Moment>,
}

/// A commit, its place in the chain of hashes, and what it changed.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedCommit {
    /// The record that it stands in.
    pub seq: Seq,
    /// Its index there.
    pub index: u32,
    /// The hash of the record.
    pub hash: ChainHash,
    /// The hash of the record before.
    pub prev_hash: ChainHash,
    /// The commit, with its secrets left out.
    pub commit: Commit,
    /// What it changed, in the order of its events.
    pub changes: Vec<Change>,
}

/// What an event changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The index of the event in its commit.
    pub event: u32,
    /// The type of the event.
    pub kind: &'static str,
    /// What changed: its kind and its id.
    pub resource: (&'static str, String),
    /// The members that changed, as they were; `None` of what came into being.
    pub before: Option<Value>,
    /// The members that changed, as they are from then on; `None` of what is gone.
    pub after: Option<Value>,
}

/// Some of the commits that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The commits, in the order that was asked for: fewer than the limit, or none, where finding more takes long.
    pub commits: Vec<AuditedCommit>,
    /// After which commit, a record and an index, to go on; `None` when there are no more.
    pub next: Option<(Seq, u32)>,
}

/// An audit cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The index cannot be asked.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<fjall::Error> for AuditError {
    fn from(error: fjall::Error) -> Self {
        HistoryError::from(error).into()
    }
}

impl AuditFilter {
    /// What a commit must have touched.
    fn things(&self) -> Vec<Thing<'_>> {
        let Self { flow_id, source_id, object_id, webhook_id, actor, kind, from: _, to: _ } = self;
        let things = [
            flow_id.map(Thing::Flow),
            source_id.map(Thing::Source),
            object_id.as_ref().map(Thing::Object),
            webhook_id.map(Thing::Webhook),
            actor.as_deref().map(Thing::Actor),
            kind.as_deref().map(Thing::EventType),
        ];
        things.into_iter().flatten().collect()
    }
}

/// Where the commits lie that are asked for.
struct Span {
    from: Moment,
    to: Moment,
    after: Option<(Seq, u32)>,
    direction: Direction,
}

impl Span {
    /// The first and the last record that may hold some.
    fn records(&self) -> (Seq, Seq) {
        let (first, last) = (self.from.seq.max(Seq::ZERO.next()), self.to.seq);
        match (self.after, self.direction) {
            (None, _) => (first, last),
            // A page that ended with all of a record does not read it again: large ones would never end.
            (Some((seq, u32::MAX)), Direction::Usual) => (first.max(Seq(seq.0.saturating_add(1))), last),
            (Some((seq, 0)), Direction::Reversed) => (first, last.min(Seq(seq.0.saturating_sub(1)))),
            (Some((seq, _)), Direction::Usual) => (first.max(seq), last),
            (Some((seq, _)), Direction::Reversed) => (first, last.min(seq)),
        }
    }

    fn has(&self, seq: Seq, index: u32) -> bool {
        let is_ahead = self.after.is_none_or(|after| match self.direction {
            Direction::Usual => (seq, index) > after,
            Direction::Reversed => (seq, index) < after,
        });
        is_ahead && self.to.has(seq, index) && !self.from.has(seq, index)
    }
}

/// The commits that meet a filter, from the oldest on or, reversed, from the newest on; at most `limit`, after the commit
/// `after` where one is given. Knows as much of the log as the index does: wait for that first ([`History::wait_for`]).
///
/// # Errors
/// When the index or the log cannot be read.
pub async fn audit<L: Log>(
    history: &History,
    log: &L,
    filter: &AuditFilter,
    direction: Direction,
    after: Option<(Seq, u32)>,
    limit: usize,
) -> Result<AuditPage, AuditError> {
    let known = Moment::after(history.head().seq);
    let from = filter.from.unwrap_or(Moment::START);
    let span = Span { from, to: filter.to.map_or(known, |to| to.min(known)), after, direction };
    let records = Records::of(log);
    let (found, next) = find(history, &records, filter, &span, limit).await?;
    let commits = stream::iter(found).map(|place| tell(history, &records, place)).buffered(READ_AT_ONCE);
    Ok(AuditPage { commits: commits.try_collect().await?, next })
}

/// A commit: its record and its index there.
type Place = (Arc<StoredRecord>, u32);

/// The commits that a page consists of, and where to go on.
async fn find<L: Log>(
    history: &History,
    records: &Records<'_, L>,
    filter: &AuditFilter,
    span: &Span,
    limit: usize,
) -> Result<(Vec<Place>, Option<(Seq, u32)>), AuditError> {
    let things = filter.things();
    let names: Vec<_> = things.iter().map(Thing::name).collect();
    let mut candidates = Candidates::new(history, &names, span.records(), span.direction);
    let mut found: Vec<Place> = Vec::new();
    let mut bytes = 0;
    loop {
        let looked_up;
        (looked_up, candidates) = blocking(move || (candidates.take(LOOKED_UP), candidates)).await;
        let seqs = looked_up?;
        let is_last = seqs.len() < LOOKED_UP;
        let mut read = stream::iter(seqs).map(|seq| records.read(seq)).buffered(READ_AT_ONCE);
        while let Some(stored) = read.try_next().await? {
            let seq = stored.seq;
            for index in matching(&stored, &things, span) {
                if found.len() == limit {
                    let last = found.last().map(|(stored, index)| (stored.seq, *index));
                    return Ok((found, last));
                }
                found.push((Arc::clone(&stored), index));
            }
            bytes += stored.bytes;
            if bytes >= PAGE_BYTES {
                let done_with = match span.direction {
                    Direction::Usual => (seq, u32::MAX),
                    Direction::Reversed => (seq, 0),
                };
                return Ok((found, Some(done_with)));
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
}

/// The commits of a record that are asked for.
fn matching(stored: &StoredRecord, things: &[Thing<'_>], span: &Span) -> Vec<u32> {
    let commits = (0..).zip(&stored.record.commits);
    let asked = commits.filter(|(index, commit)| span.has(stored.seq, *index) && touches(commit, things));
    let mut indexes: Vec<u32> = asked.map(|(index, _)| index).collect();
    if span.direction == Direction::Reversed {
        indexes.reverse();
    }
    indexes
}

/// Whether a commit touched all of these.
fn touches(commit: &Commit, things: &[Thing<'_>]) -> bool {
    things.iter().all(|wanted| {
        let mut is_touched = false;
        touched_by(commit, |thing| is_touched |= thing == *wanted);
        is_touched
    })
}

/// All that is told of a commit.
async fn tell<L: Log>(
    history: &History,
    records: &Records<'_, L>,
    (stored, index): Place,
) -> Result<AuditedCommit, AuditError> {
    let changes = changes(history, records, &stored, index).await?;
    let StoredRecord { seq, hash, record, .. } = &*stored;
    let commit = redact(record.commits[index as usize].clone());
    Ok(AuditedCommit { seq: *seq, index, hash: *hash, prev_hash: record.prev_hash, commit, changes })
}

/// The index is asked on a thread that may wait for a disk.
async fn blocking<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(question).await.expect("asking the index does not panic, and nothing aborts it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_page_that_ended_with_all_of_a_record_that_one_is_not_read_again() {
        let to = Moment::after(Seq(9));
        let records = |after, direction| Span { from: Moment::START, to, after: Some(after), direction }.records();
        assert_eq!(records((Seq(5), 2), Direction::Usual), (Seq(5), Seq(9)));
        assert_eq!(records((Seq(5), u32::MAX), Direction::Usual), (Seq(6), Seq(9)));
        assert_eq!(records((Seq(5), 2), Direction::Reversed), (Seq(1), Seq(5)));
        assert_eq!(records((Seq(5), 0), Direction::Reversed), (Seq(1), Seq(4)));
    }
}
