//! What becomes of a webhook's notifications: its status as far as the server decides it, dead letters, replays and
//! signatures (12.2, 12.5).

use tapelog_events::{
    DeadLetter, DeadLetterResolved, DeadLettered, Event, EventPosition, Permission, RedeliveryRequested, Replay,
    ReplayRequested, Resolution, RetiredSecret, SealedSecret, Signing, Webhook, WebhookId, WebhookStatus,
    WebhookUpdated,
};

use crate::webhook::find;
use crate::{
    Context, Decision, FailWebhook, RedeliverDeadLetters, Rejection, ReplayWebhook, ResealWebhook, ResolveDeadLetter,
    RotateSigningSecret, State,
};

pub(crate) fn start(state: &State, webhook_id: WebhookId) -> Decision {
    match state.registry().webhooks.get(&webhook_id) {
        Some(webhook) if webhook.status == WebhookStatus::Created => {
            updated(Webhook { status: WebhookStatus::Started, ..webhook.clone() })
        }
        Some(_) | None => Decision::nothing(),
    }
}

pub(crate) fn fail(state: &State, command: &FailWebhook) -> Decision {
    let Some(webhook) = state.registry().webhooks.get(&command.webhook_id) else { return Decision::nothing() };
    let delivers = match webhook.status {
        WebhookStatus::Created | WebhookStatus::Started => true,
        WebhookStatus::Disabled | WebhookStatus::Error(_) => false,
    };
    if !delivers || webhook.subscription.url != command.url {
        return Decision::nothing();
    }
    updated(Webhook { status: WebhookStatus::Error(command.failure.clone()), ..webhook.clone() })
}

/// One that was tried once more takes the place of what it was, unless that was given up meanwhile.
pub(crate) fn put_dead_letter(state: &State, letter: &DeadLetter) -> Decision {
    let registry = state.registry();
    let is_known = registry.dead_letters.get(&(letter.webhook_id, letter.position)).is_some();
    if registry.webhooks.get(&letter.webhook_id).is_none() || (letter.redelivery.is_some() && !is_known) {
        return Decision::nothing();
    }
    Decision::done(vec![Event::DeadLettered(DeadLettered {
        letter: DeadLetter { redelivery: None, ..letter.clone() },
    })])
}

pub(crate) fn redeliver(
    state: &State,
    context: &Context<'_>,
    command: &RedeliverDeadLetters,
) -> Result<Decision, Rejection> {
    let webhook_id = command.webhook_id;
    find(state, context, Permission::Write, webhook_id)?;
    for position in &command.positions {
        find_letter(state, webhook_id, *position)?;
    }
    let named = |letter: &&DeadLetter| command.positions.is_empty() || command.positions.contains(&letter.position);
    let waiting = |letter: &&DeadLetter| letter.redelivery.is_none();
    let letters = state.registry().dead_letters_of(webhook_id).filter(named).filter(waiting);
    let positions: Vec<_> = letters.map(|letter| letter.position).collect();
    if positions.is_empty() {
        return Ok(Decision::nothing());
    }
    Ok(Decision::done(vec![Event::RedeliveryRequested(RedeliveryRequested { webhook_id, positions })]))
}

pub(crate) fn resolve(
    state: &State,
    context: &Context<'_>,
    command: &ResolveDeadLetter,
) -> Result<Decision, Rejection> {
    let ResolveDeadLetter { webhook_id, position, resolution } = *command;
    match resolution {
        // What was delivered after all may have been discarded meanwhile, or its webhook deleted: that is as good.
        Resolution::Delivered if find_letter(state, webhook_id, position).is_err() => return Ok(Decision::nothing()),
        Resolution::Delivered => {}
        Resolution::Discarded => {
            find(state, context, Permission::Write, webhook_id)?;
            find_letter(state, webhook_id, position)?;
        }
    }
    Ok(Decision::done(vec![Event::DeadLetterResolved(DeadLetterResolved { webhook_id, position, resolution })]))
}

pub(crate) fn replay(state: &State, context: &Context<'_>, command: &ReplayWebhook) -> Result<Decision, Rejection> {
    let ReplayWebhook { webhook_id, from } = *command;
    find(state, context, Permission::Write, webhook_id)?;
    let replay = Replay { id: context.commit_id, from };
    Ok(Decision::done(vec![Event::ReplayRequested(ReplayRequested { webhook_id, replay })]))
}

pub(crate) fn rotate(
    state: &State,
    context: &Context<'_>,
    command: &RotateSigningSecret,
) -> Result<Decision, Rejection> {
    let before = find(state, context, Permission::Write, command.webhook_id)?;
    let retired = before.signing.as_ref().map(|signing| RetiredSecret {
        secret: signing.secret.clone(),
        until: context.at.saturating_add(command.grace),
    });
    let signing = Signing { secret: command.secret.clone(), previous: retired };
    Ok(updated(Webhook { signing: Some(signing), ..before.clone() }))
}

pub(crate) fn reseal(state: &State, command: &ResealWebhook) -> Decision {
    let Some(before) = state.registry().webhooks.get(&command.webhook_id) else { return Decision::nothing() };
    let mut webhook = before.clone();
    let signing = webhook.signing.iter_mut().flat_map(|signing| {
        [Some(&mut signing.secret), signing.previous.as_mut().map(|previous| &mut previous.secret)]
    });
    let secrets = signing.flatten().chain(&mut webhook.subscription.api_key_value);
    secrets.for_each(|secret| replace(secret, &command.secrets));
    if webhook == *before { Decision::nothing() } else { updated(webhook) }
}

fn replace(secret: &mut SealedSecret, resealed: &[(SealedSecret, SealedSecret)]) {
    if let Some((_, now)) = resealed.iter().find(|(before, _)| before == secret) {
        secret.clone_from(now);
    }
}

fn updated(webhook: Webhook) -> Decision {
    Decision::done(vec![Event::WebhookUpdated(WebhookUpdated { webhook })])
}

fn find_letter(state: &State, webhook_id: WebhookId, position: EventPosition) -> Result<&DeadLetter, Rejection> {
    let letter = state.registry().dead_letters.get(&(webhook_id, position));
    letter.ok_or(Rejection::DeadLetterNotFound(webhook_id, position))
}
