//! What the sequencer hands on: records in order, and with them the answers to those who wait for them.

use std::mem;
use std::sync::Arc;

use tapelog_commands::Rejection;
use tapelog_events::{Outcome, Record, Seq};
use tokio::sync::oneshot;

use super::{SubmitError, Submitted};
use crate::log::Head;

/// Whoever waits for an answer.
pub(super) type Answer = oneshot::Sender<Result<Submitted, SubmitError>>;

/// What the sequencer hands on.
#[derive(Debug)]
pub enum Delivery {
    /// The next record of the log.
    Record(Committed),
    /// Answers that say nothing new: they may go once everything that was handed on before is applied.
    Confirmed(Confirmed),
}

/// A record that is in the log.
#[derive(Debug)]
pub struct Committed {
    /// Its number and hash.
    pub head: Head,
    /// What it says.
    pub record: Arc<Record>,
    /// Who waits for it to be applied; nobody, when another node wrote it.
    pub receipts: Receipts,
}

/// Answers that say nothing new.
#[derive(Debug)]
pub struct Confirmed {
    /// The last record that was handed on before.
    pub seq: Seq,
    /// Who waits.
    pub receipts: Receipts,
}

/// Answers that are true of the log, and wait until this node's tables show it. They go when this value does.
#[derive(Debug)]
pub struct Receipts {
    seq: Seq,
    answers: Vec<(Answer, Result<Outcome, Rejection>)>,
}

impl Receipts {
    pub(super) fn new(seq: Seq, answers: Vec<(Answer, Result<Outcome, Rejection>)>) -> Self {
        Self { seq, answers }
    }

    pub(super) fn none(seq: Seq) -> Self {
        Self::new(seq, Vec::new())
    }

    /// Lets the answers go: the tables hold everything up to and with the record.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        let seq = self.seq;
        for (answer, result) in mem::take(&mut self.answers) {
            let result = match result {
                Ok(outcome) => Ok(Submitted { seq, outcome }),
                Err(rejection) => Err(SubmitError::Rejected { rejection, seq }),
            };
            // A client that has gone does not need its answer.
            answer.send(result).ok();
        }
    }
}
