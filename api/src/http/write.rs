//! The way of a write from a handler to the sequencer.

use std::sync::Arc;

use hyper::header::HeaderName;
use tapelog_commands::{Command, IdempotencyKey, Request};
use tapelog_events::CommitId;
use tapelog_store::sequencer::{SubmitError, Submitted};
use uuid::{Builder, Uuid};

use super::call::Call;
use super::limits;
use super::problem::Problem;

/// With this header a client names a write, so that a repetition of it is answered and not done again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Has a command decided and made durable. Once this returns, the tables hold what came of it.
///
/// # Errors
/// [`Problem::Invalid`] for a bad `Idempotency-Key`, [`Problem::Submit`] where the command was refused or could not be
/// written.
pub async fn submit(call: &Call<'_>, command: Command) -> Result<Submitted, Problem> {
    let request = Request { idempotency: idempotency(call)?, ..request(call, call.id.commit_id, command) };
    Ok(call.app.parts.sequencer.submit(request).await?)
}

/// Has one of several commands of a request decided and made durable, under a commit id of its own. A repetition of the
/// request is not recognised.
///
/// # Errors
/// [`Problem::Submit`] where the command was refused or could not be written.
pub async fn submit_as(call: &Call<'_>, commit_id: CommitId, command: Command) -> Result<Submitted, Problem> {
    Ok(call.app.parts.sequencer.submit(request(call, commit_id, command)).await?)
}

fn request(call: &Call<'_>, commit_id: CommitId, command: Command) -> Request {
    Request {
        command,
        commit_id,
        actor: call.principal.name.to_string(),
        access: Arc::clone(&call.principal.access),
        request_id: call.id.given().map(str::to_owned),
        idempotency: None,
    }
}

/// Has a command decided and made durable that has to do with secrets, or is done in the name of somebody else than who
/// asks. An `Idempotency-Key` means nothing to it: the answer to a repetition could not hold the secret again, and a digest
/// of a password would be a way to guess it.
///
/// # Errors
/// Where the command was refused or could not be written.
pub async fn submit_once(call: &Call<'_>, actor: &str, command: Command) -> Result<Submitted, SubmitError> {
    let request = Request {
        command,
        commit_id: call.id.commit_id,
        actor: actor.to_owned(),
        access: Arc::clone(&call.principal.access),
        request_id: call.id.given().map(str::to_owned),
        idempotency: None,
    };
    call.app.parts.sequencer.submit(request).await
}

/// An id for something that a request makes, of which the request calls it this. Under an `Idempotency-Key` it is the same
/// at each repetition: what is told then is what the first answer told of.
///
/// # Errors
/// [`Problem::Invalid`] for a bad `Idempotency-Key`.
pub fn fresh_id(call: &Call<'_>, what: &str) -> Result<Uuid, Problem> {
    let Some(IdempotencyKey { key, request }) = idempotency(call)? else { return Ok(Uuid::new_v4()) };
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(&[&key, &request, what.as_bytes()])[..16]);
    Ok(Builder::from_random_bytes(bytes).into_uuid())
}

/// Digests of who asks for what under which key, and of the request itself.
fn idempotency(call: &Call<'_>) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = call.head.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    if !(1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&value.len()) {
        return Err(Problem::invalid(format!(
            "header Idempotency-Key has {} bytes, but may have 1 to {}",
            value.len(),
            limits::IDEMPOTENCY_KEY_BYTES
        )));
    }
    let path = call.head.uri.path().as_bytes();
    Ok(Some(IdempotencyKey {
        key: digest(&[call.principal.name.as_bytes(), call.head.method.as_str().as_bytes(), path, value.as_bytes()]),
        request: digest(&[call.raw_query().as_bytes(), &call.body]),
    }))
}

/// The hash of these parts, each with its length before it, so that no two lists of parts are hashed alike.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}
