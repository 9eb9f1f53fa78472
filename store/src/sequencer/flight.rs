//! From sending a record to knowing what became of it.
//!
//! A record that expects `head` can only ever stand right after it. So there are two certain endings: our bytes stand
//! there, or others do. Until one of them is seen, the same bytes may be sent again without harm, and nothing is guessed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tapelog_events::Instant;
use tokio::select;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::batch::Sealed;
use super::writer::{DELIVERY_PATIENCE, FIRST_PAUSE, LAST_PAUSE, Writer, delivered, overdue};
use super::{Counters, Halt};
use crate::log::{AppendError, Broken, Entry, Head, Log, Unreachable, holds};

/// What became of a record.
pub(super) enum Fate {
    /// It is in the log.
    Landed,
    /// This one stands in its place: it never will be in the log.
    Lost(Entry),
    /// The log does not take records of this size.
    TooLarge,
    /// It was certainly never taken, and the log does not answer.
    Unreachable,
}

/// What to do next about a record.
#[derive(Clone, Copy)]
enum Step {
    Append,
    /// Something stands in its place: see what.
    Look,
}

enum Answer {
    Append(Result<(), AppendError>),
    Look(Result<Place, Unreachable>),
}

/// What stands where the record would.
enum Place {
    Record(Bytes),
    Nothing,
    /// Not even the record before it is there any more.
    Gone,
}

impl<L: Log, C: Fn() -> Instant + Send + 'static> Writer<L, C> {
    /// Appends a record and finds out what became of it, however long that takes. Once it takes long, requests that wait
    /// behind it are turned away.
    pub async fn resolve(&mut self, sealed: &Sealed) -> Result<Fate, Halt> {
        let log = Arc::clone(&self.log);
        let mut patience = pin!(sleep(self.settings.unreachable_after));
        let mut unreachable = false;
        // Whether an attempt may have reached the log.
        let mut in_doubt = false;
        let mut step = Step::Append;
        let mut wait = Duration::ZERO;
        loop {
            let mut attempt = pin!(attempt(&*log, self.head, &sealed.payload, step, wait));
            let answer = loop {
                select! {
                    biased;
                    answer = &mut attempt => break answer,
                    entry = self.tail.next() => {
                        let entry = delivered(entry)?;
                        // The tail may be quicker than the acknowledgement.
                        if entry.seq > self.head.seq {
                            return Ok(judge(entry, sealed));
                        }
                    }
                    () = &mut patience, if !unreachable => {
                        unreachable = true;
                        self.not_reached();
                    }
                    Some(request) = self.queue.recv(), if unreachable => request.refuse(self.unavailable()),
                    () = overdue(&mut self.closing) => return Err(Halt::CloseTimeout),
                }
            };
            match answer {
                Answer::Append(Ok(())) => return Ok(Fate::Landed),
                Answer::Append(Err(AppendError::Conflict)) => {
                    debug!(seq = %sealed.head.seq, "another record stands there");
                    (step, wait) = (Step::Look, DELIVERY_PATIENCE);
                    continue;
                }
                Answer::Append(Err(AppendError::TooLarge)) if !in_doubt => return Ok(Fate::TooLarge),
                Answer::Append(Err(AppendError::Unknown(cause))) => {
                    warn!(seq = %sealed.head.seq, error = &*cause as &dyn std::error::Error, "the outcome of a record is unknown; sending it again");
                    Counters::count(&self.shared.counters.unknown_outcomes, 1);
                    in_doubt = true;
                }
                Answer::Append(Err(error @ (AppendError::Refused(_) | AppendError::TooLarge))) => {
                    debug!(seq = %sealed.head.seq, error = &error as &dyn std::error::Error, "a record was refused");
                }
                Answer::Look(Ok(Place::Record(payload))) => {
                    return Ok(judge(Entry { seq: sealed.head.seq, payload }, sealed));
                }
                Answer::Look(Ok(Place::Gone)) => return Err(Broken::Rewound(self.head.seq).into()),
                // The leader that saw a record there has lost its place, and the record with it.
                Answer::Look(Ok(Place::Nothing)) => step = Step::Append,
                Answer::Look(Err(_)) => {}
            }
            if unreachable && !in_doubt {
                return Ok(Fate::Unreachable);
            }
            wait = (wait * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        }
    }
}

async fn attempt<L: Log>(log: &L, head: Head, payload: &Bytes, step: Step, wait: Duration) -> Answer {
    if !wait.is_zero() {
        sleep(wait).await;
    }
    match step {
        Step::Append => Answer::Append(log.append(head.seq, payload.clone()).await),
        Step::Look => Answer::Look(look(log, head).await),
    }
}

async fn look<L: Log>(log: &L, head: Head) -> Result<Place, Unreachable> {
    if let Some(payload) = log.read(head.seq.next()).await? {
        return Ok(Place::Record(payload));
    }
    Ok(if holds(log, head).await? { Place::Nothing } else { Place::Gone })
}

/// What a record in our record's place means. Ours is known by its bytes: they name the commits, each by an id of its own.
fn judge(entry: Entry, sealed: &Sealed) -> Fate {
    if entry.payload == sealed.payload { Fate::Landed } else { Fate::Lost(entry) }
}
