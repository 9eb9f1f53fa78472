//! The way of a write from a handler to the sequencer.

use hyper::header::HeaderName;
use tapelog_commands::{Command, IdempotencyKey, Request};
use tapelog_store::sequencer::Submitted;

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
    let request = Request {
        command,
        commit_id: call.id.commit_id,
        actor: call.actor.to_owned(),
        request_id: call.id.given().map(str::to_owned),
        idempotency: idempotency(call)?,
    };
    Ok(call.app.parts.sequencer.submit(request).await?)
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
        key: digest(&[call.actor.as_bytes(), call.head.method.as_str().as_bytes(), path, value.as_bytes()]),
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
