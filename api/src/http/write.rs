//! The way of a write from a handler to the sequencer.
//!
//! A client may name a write by an `Idempotency-Key`, so that a repetition of it is answered as the first one was, and
//! not done again: within a day, unless a million others came since. The key is bound to who asks, to the method and to
//! the path; under it, another request is refused. It is remembered with the commit that the write came to: what was
//! refused, or changed nothing, is judged anew, and harms nothing.

use std::sync::Arc;

use hyper::header::HeaderName;
use tapelog_commands::{Command, IdempotencyKey, Rejection, Request};
use tapelog_events::CommitId;
use tapelog_store::sequencer::{SubmitError, Submitted};
use uuid::{Builder, Uuid};

use super::call::Call;
use super::limits;
use super::position;
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

/// Has a command decided and made durable that has to do with secrets, in the name of somebody who may be another than
/// who asks. An `Idempotency-Key` means nothing to it: the answer to a repetition could not hold the secret again, and a
/// digest of a password would be a way to guess it.
///
/// # Errors
/// Where the command was refused or could not be written.
pub async fn submit_once(call: &Call<'_>, actor: &str, command: Command) -> Result<Submitted, SubmitError> {
    let request = Request { actor: actor.to_owned(), ..request(call, call.id.commit_id, command) };
    call.app.parts.sequencer.submit(request).await
}

/// A request whose answer depends on more than one decision: it comes to several commands, or the tables are looked at
/// before there is a command. What its client may have been answered under the same key before is known here.
pub struct Repeatable<'a> {
    call: &'a Call<'a>,
    key: Option<IdempotencyKey>,
}

impl<'a> Repeatable<'a> {
    /// The request, once the tables hold all that anybody was told of before it came: another node may have answered it
    /// the first time.
    ///
    /// # Errors
    /// [`Problem::Invalid`] for a bad `Idempotency-Key`, or those of [`position::reach_tip`].
    pub async fn of(call: &'a Call<'a>) -> Result<Self, Problem> {
        let key = idempotency(call)?;
        if key.is_some() {
            position::reach_tip(call.app).await?;
        }
        Ok(Self { call, key })
    }

    /// What the request as a whole came to, if it was answered before.
    ///
    /// # Errors
    /// Where another request was answered under its key.
    pub fn answered(&self) -> Result<Option<Submitted>, Problem> {
        let Some(asked) = self.key else { return Ok(None) };
        self.call.app.parts.tables.read(|tables| {
            let (seq, known) = (tables.position(), tables.remembered(&asked.key));
            match known {
                None => Ok(None),
                Some(known) if known.request == asked.request => {
                    Ok(Some(Submitted { seq, outcome: known.outcome.clone() }))
                }
                Some(_) => Err(SubmitError::Rejected { rejection: Rejection::IdempotencyKeyReused, seq }.into()),
            }
        })
    }

    /// Makes sure that no part of another request with these parts was answered under the key.
    ///
    /// # Errors
    /// Where one was.
    pub fn check_parts<N: AsRef<[u8]>>(&self, names: impl Iterator<Item = N>) -> Result<(), Problem> {
        let Some(whole) = self.key else { return Ok(()) };
        for name in names {
            Self { call: self.call, key: Some(part(whole, name.as_ref())) }.answered()?;
        }
        Ok(())
    }

    /// Has one of the commands of the request decided and made durable, under a commit id of its own, and under a key of
    /// its own that is made of the request's and of the name of the part. A repetition does what is left, also after
    /// the server had died half-way.
    ///
    /// # Errors
    /// [`Problem::Submit`] where the command was refused or could not be written.
    pub async fn submit_part(&self, name: &[u8], command: Command) -> Result<Submitted, Problem> {
        let idempotency = self.key.map(|whole| part(whole, name));
        let commit_id = CommitId::from_uuid(Uuid::now_v7());
        let request = Request { idempotency, ..request(self.call, commit_id, command) };
        Ok(self.call.app.parts.sequencer.submit(request).await?)
    }

    /// Has commands decided one after the other, the last one under the key of the request as a whole, so that the request
    /// counts as answered once all are done. Answers what the last one came to; `None` where there is none.
    ///
    /// # Errors
    /// [`Problem::Submit`] where one was refused or could not be written; those before it stay done.
    pub async fn submit_each(&self, commands: Vec<(Uuid, Command)>) -> Result<Option<Submitted>, Problem> {
        let mut commands = commands;
        let Some((_, last)) = commands.pop() else { return Ok(None) };
        for (name, command) in commands {
            self.submit_part(name.as_bytes(), command).await?;
        }
        Ok(Some(submit(self.call, last).await?))
    }
}

/// The key of a part of a request.
fn part(whole: IdempotencyKey, name: &[u8]) -> IdempotencyKey {
    IdempotencyKey { key: digest(&[&whole.key, b"part", name]), ..whole }
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
