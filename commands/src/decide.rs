//! From a command to what it leads to.

use tapelog_events::{Commit, Event, Idempotency, Instant, Outcome};

use crate::{
    Command, Context, Corrupt, Rejection, Request, State, account, deletion, delivery, flow, instance, object, profile,
    segment, segment_tags, service, source, storage, trash, webhook,
};

/// What a command leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What happens; nothing where all is already as asked for.
    pub events: Vec<Event>,
    /// What the answer must say.
    pub outcome: Outcome,
}

impl Decision {
    /// These events, and a plain success.
    pub(crate) fn done(events: Vec<Event>) -> Self {
        Self { events, outcome: Outcome::Done }
    }

    /// All is already as asked for.
    pub(crate) fn nothing() -> Self {
        Self::done(Vec::new())
    }
}

/// Decides a command.
///
/// # Errors
/// Why it is refused, given the state. Where others may write too, that is only true of the log's tip.
pub fn decide(state: &State, context: &Context<'_>, command: &Command) -> Result<Decision, Rejection> {
    match command {
        Command::UpdateService(command) => Ok(service::update(state, command)),
        Command::PutFlow(command) => flow::put(state, context, command),
        Command::SetFlowProperty(command) => flow::set_property(state, context, command),
        Command::DeleteFlow(command) => flow::delete(state, context, command),
        Command::SetSourceProperty(command) => source::set_property(state, context, command),
        Command::EditSource(command) => source::edit(state, context, command),
        Command::AllocateStorage(command) => storage::allocate(state, context, command),
        Command::PostSegments(command) => segment::post(state, context, command),
        Command::DeleteSegments(command) => segment::delete(state, context, command),
        Command::TagSegment(command) => segment_tags::change(state, context, command),
        Command::RestoreFlow(flow_id) => trash::restore(state, context, *flow_id),
        Command::PurgeFlow(command) => Ok(trash::purge(state, command)),
        Command::CreateProfile(command) => profile::create(state, context, command),
        Command::CreateWebhook(command) => webhook::create(state, context, command),
        Command::PutWebhook(command) => webhook::put(state, context, command),
        Command::DeleteWebhook(webhook_id) => webhook::delete(state, context, *webhook_id),
        Command::StartWebhook(webhook_id) => Ok(delivery::start(state, *webhook_id)),
        Command::FailWebhook(command) => Ok(delivery::fail(state, command)),
        Command::PutDeadLetter(letter) => Ok(delivery::put_dead_letter(state, letter)),
        Command::RedeliverDeadLetters(command) => delivery::redeliver(state, context, command),
        Command::ResolveDeadLetter(command) => delivery::resolve(state, context, command),
        Command::ReplayWebhook(command) => delivery::replay(state, context, command),
        Command::RotateSigningSecret(command) => delivery::rotate(state, context, command),
        Command::ResealWebhook(command) => Ok(delivery::reseal(state, command)),
        Command::AddInstance(command) => instance::add(state, context, command),
        Command::RemoveInstance(command) => instance::remove(state, context, command),
        Command::FinishCopy(command) => Ok(instance::finish_copy(state, command)),
        Command::FinishErasure(command) => Ok(instance::finish_erasure(state, command)),
        Command::CondemnObjects(command) => Ok(object::condemn(state, command)),
        Command::DeleteObject(object_id) => object::delete(state, context, object_id),
        Command::ForgetObjects(object_ids) => Ok(object::forget(state, object_ids)),
        Command::AdvanceDeletion(command) => Ok(deletion::advance(state, context, command)),
        Command::ForgetDeletions(request_ids) => Ok(deletion::forget(state, context, request_ids)),
        Command::SetAccount(command) => account::set(state, context, command),
        Command::DeleteAccount(name) => account::delete(state, name),
        Command::IssueToken(command) => account::issue(state, context, command),
        Command::RevokeToken(token_id) => account::revoke(state, *token_id),
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Handled {
    /// It leads to this commit, which the state has already taken into account.
    Commit(Box<Commit>, Outcome),
    /// All was already as asked for, or the same request was answered before.
    Nothing(Outcome),
    /// It is refused.
    Rejected(Rejection),
}

/// Decides a request at this moment, and folds what it leads to into the state.
///
/// # Errors
/// When the decision contradicts the state: a fault of the rules, never of the request.
pub fn handle(state: &mut State, request: &Request, now: Instant) -> Result<Handled, Corrupt> {
    if let Some(asked) = &request.idempotency
        && let Some(known) = state.remembered(&asked.key)
    {
        return Ok(if known.request == asked.request {
            Handled::Nothing(known.outcome.clone())
        } else {
            Handled::Rejected(Rejection::IdempotencyKeyReused)
        });
    }
    let at = now.max(state.time());
    let context = Context { at, actor: &request.actor, access: &request.access, commit_id: request.commit_id };
    let Decision { events, outcome } = match decide(state, &context, &request.command) {
        Ok(decision) => decision,
        Err(rejection) => return Ok(Handled::Rejected(rejection)),
    };
    if events.is_empty() {
        return Ok(Handled::Nothing(outcome));
    }
    let idempotency = request.idempotency.as_ref().map(|asked| Idempotency {
        key: asked.key,
        request: asked.request,
        outcome: outcome.clone(),
    });
    let commit = Commit {
        id: request.commit_id,
        at,
        actor: request.actor.clone(),
        request_id: request.request_id.clone(),
        idempotency,
        events,
    };
    state.fold(&commit)?;
    Ok(Handled::Commit(Box::new(commit), outcome))
}
