//! Several resources in one request: an extension. Each is a command, and a commit, of its own; they are decided in the
//! order of the request and share records of the log, so that a batch costs little more than one of them. Under an
//! `Idempotency-Key` each has a key of its own, so that a repetition does the ones that are left.

use futures::stream::{self, StreamExt};
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::Command;
use tapelog_events::{Outcome, Seq};
use tapelog_store::sequencer::Submitted;

use super::call::Call;
use super::limits;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::Repeatable;

/// How many commands of a batch wait for the log at once. More than a record takes anyway would only fill the queue that
/// all clients share.
const AT_ONCE: usize = 64;

/// What came of each item.
pub struct Batch {
    items: Vec<Result<Submitted, Problem>>,
}

/// Has the commands of a batch decided.
///
/// # Errors
/// [`Problem::Invalid`] for a bad `Idempotency-Key`, [`Problem::Submit`] for one of another request; the problem of the
/// first item where no item can be written now.
pub async fn submit(
    call: &Call<'_>,
    commands: impl Iterator<Item = Result<Command, Problem>>,
) -> Result<Batch, Problem> {
    let request = Repeatable::of(call).await?;
    // However many items the other request may have had.
    request.check_parts((0..limits::BATCH).map(name_of))?;
    let request = &request;
    let each = commands
        .enumerate()
        .map(|(index, command)| async move { request.submit_part(&name_of(index), command?).await });
    let items: Vec<_> = stream::iter(each).buffered(AT_ONCE).collect().await;
    match items.into_iter().partition::<Vec<_>, _>(|item| matches!(item, Err(problem) if problem.is_passing())) {
        (passing, items) if passing.is_empty() => Ok(Batch { items }),
        (passing, _) => Err(passing.into_iter().find_map(Result::err).unwrap_or(Problem::Internal)),
    }
}

/// What an item is called in its key: repetitions have it in the same place.
fn name_of(index: usize) -> [u8; 8] {
    (index as u64).to_le_bytes()
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchAnswer")]
pub struct Answer {
    /// How many of the items were created.
    created: usize,
    /// How many were changed, or were as asked for already.
    updated: usize,
    failed: Vec<Failure>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchFailure")]
pub struct Failure {
    /// The item's place in the request, from 0.
    index: usize,
    status: u16,
    r#type: &'static str,
    message: String,
}

/// 201 where every item was taken, 200 with the ones that were not otherwise.
pub fn answer(call: &Call<'_>, batch: Batch) -> Response {
    let mut answer = Answer { created: 0, updated: 0, failed: Vec::new() };
    let mut seq = Seq::ZERO;
    for (index, item) in batch.items.into_iter().enumerate() {
        match item {
            Ok(submitted) => {
                seq = seq.max(submitted.seq);
                match submitted.outcome {
                    Outcome::Created => answer.created += 1,
                    Outcome::Done
                    | Outcome::Segments { .. }
                    | Outcome::Allocated { .. }
                    | Outcome::WebhookCreated { .. }
                    | Outcome::DeletionRequested { .. } => answer.updated += 1,
                }
            }
            Err(problem) => {
                let (status, kind) = problem.status_and_kind();
                answer.failed.push(Failure { index, status, r#type: kind, message: problem.to_string() });
            }
        }
    }
    let status = if answer.failed.is_empty() { StatusCode::CREATED } else { StatusCode::OK };
    let response = response::json(status, response::encode(&answer));
    if seq == Seq::ZERO { response } else { call.at(seq, response) }
}
