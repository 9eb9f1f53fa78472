//! Requests that are decided together, and the record that comes of them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tapelog_commands::{Corrupt, Handled, Rejection, Request, State, handle};
use tapelog_events::{ChainHash, Commit, Event, Instant, Outcome, Record, codec};
use tokio::time::Instant as Moment;

use super::SubmitError;
use super::delivery::{Answer, Receipts};
use crate::log::Head;

/// A request that waits to be decided.
#[derive(Debug)]
pub(super) struct Waiting {
    pub request: Request,
    pub arrived: Moment,
    pub answer: Answer,
}

impl Waiting {
    /// Turns the request away.
    pub fn refuse(self, error: SubmitError) {
        // A client that has gone does not need its answer.
        self.answer.send(Err(error)).ok();
    }
}

/// A request with what will be answered if its batch stands.
#[derive(Debug)]
struct Decided {
    waiting: Waiting,
    result: Result<Outcome, Rejection>,
}

/// How much one batch takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How many requests.
    pub requests: usize,
    /// At about how many bytes it is full.
    pub bytes: usize,
}

/// Requests that were decided together: all of their commits will be in the log, or none.
#[derive(Debug)]
pub(super) struct Batch {
    decided: Vec<Decided>,
    commits: Vec<Commit>,
}

impl Batch {
    /// Decides requests in the order in which they wait, until the batch is full. The state takes each into account
    /// before the next.
    pub fn decide(
        state: &mut State,
        waiting: &mut VecDeque<Waiting>,
        now: Instant,
        limits: Limits,
    ) -> Result<Self, Corrupt> {
        let most = waiting.len().min(limits.requests);
        let mut batch = Self { decided: Vec::with_capacity(most), commits: Vec::with_capacity(most) };
        let mut bytes = 0;
        while batch.decided.len() < limits.requests
            && bytes < limits.bytes
            && let Some(next) = waiting.pop_front()
        {
            let result = match handle(state, &next.request, now)? {
                Handled::Commit(commit, outcome) => {
                    bytes += estimated_bytes(&commit);
                    batch.commits.push(*commit);
                    Ok(outcome)
                }
                Handled::Nothing(outcome) => Ok(outcome),
                Handled::Rejected(rejection) => Err(rejection),
            };
            batch.decided.push(Decided { waiting: next, result });
        }
        Ok(batch)
    }

    /// How many requests were decided.
    pub fn len(&self) -> usize {
        self.decided.len()
    }

    /// The record of what happened, to stand after `head`; `None` when nothing did.
    pub fn record(&mut self, head: Head) -> Option<Sealed> {
        if self.commits.is_empty() {
            return None;
        }
        let commits = std::mem::take(&mut self.commits);
        let record = Record { format: codec::FORMAT, prev_hash: head.hash, commits };
        let payload = Bytes::from(codec::encode(&record));
        let head = Head { seq: head.seq.next(), hash: ChainHash::of(&payload) };
        Some(Sealed { head, record: Arc::new(record), payload })
    }

    /// The answers, true of this record of the log.
    pub fn into_receipts(self, head: Head) -> Receipts {
        let answers = self.decided.into_iter().map(|Decided { waiting, result }| (waiting.answer, result)).collect();
        Receipts::new(head.seq, answers)
    }

    /// The requests, to be decided again or turned away.
    pub fn into_requests(self) -> impl DoubleEndedIterator<Item = Waiting> {
        self.decided.into_iter().map(|decided| decided.waiting)
    }
}

/// A record as it will stand in the log.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Where the chain stands after it.
    pub head: Head,
    pub record: Arc<Record>,
    pub payload: Bytes,
}

/// About how many bytes a commit takes, without encoding it. Only decides when a batch is full; a record that comes out
/// too large is decided again in parts.
fn estimated_bytes(commit: &Commit) -> usize {
    const COMMIT: usize = 128;
    const DOCUMENT: usize = 1024;
    const SEGMENT: usize = 128;
    const INSTANCE: usize = 256;
    const OBJECT: usize = 48;
    let event = |event: &Event| match event {
        Event::SegmentsAdded(event) => {
            event.segments.len() * SEGMENT + event.instances.len() * INSTANCE + event.init_objects.len() * OBJECT
        }
        Event::ObjectsAllocated(event) => event.object_ids.len() * OBJECT,
        Event::ObjectsCondemned(event) => event.object_ids.len() * OBJECT,
        Event::ObjectsDeleted(event) => event.object_ids.len() * OBJECT,
        Event::LogStarted(_)
        | Event::ServiceUpdated(_)
        | Event::SourceCreated(_)
        | Event::SourceUpdated(_)
        | Event::SourceDeleted(_)
        | Event::FlowCreated(_)
        | Event::FlowUpdated(_)
        | Event::FlowDeleted(_)
        | Event::FlowTrashed(_)
        | Event::FlowRestored(_)
        | Event::FlowPurged(_)
        | Event::SegmentsDeleted(_)
        | Event::SegmentTagged(_)
        | Event::ProfileCreated(_)
        | Event::InstanceAdded(_)
        | Event::InstanceRemoved(_)
        | Event::InstanceErased(_)
        | Event::CopyRequested(_)
        | Event::CopyFailed(_)
        | Event::DeletionRequested(_)
        | Event::DeletionAdvanced(_)
        | Event::DeletionForgotten(_)
        | Event::WebhookCreated(_)
        | Event::WebhookUpdated(_)
        | Event::WebhookDeleted(_)
        | Event::DeadLettered(_)
        | Event::RedeliveryRequested(_)
        | Event::DeadLetterResolved(_)
        | Event::ReplayRequested(_)
        | Event::AccountSet(_)
        | Event::AccountDeleted(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_) => DOCUMENT,
    };
    COMMIT + commit.events.iter().map(event).sum::<usize>()
}
