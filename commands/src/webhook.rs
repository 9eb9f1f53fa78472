//! Webhooks as resources (section 12). What is delivered, and what becomes of those that fail, is their dispatcher's.

use tapelog_events::{
    Event, Outcome, Permission, Signing, Subscription, Tags, Webhook, WebhookCreated, WebhookDeleted, WebhookId,
    WebhookStatus, WebhookUpdated,
};

use crate::permit::{permit, permit_classes};
use crate::{Context, CreateWebhook, Decision, KeyChange, PutWebhook, Rejection, State, Switch};

pub(crate) fn create(state: &State, context: &Context<'_>, command: &CreateWebhook) -> Result<Decision, Rejection> {
    permit_classes(context, &Tags::new(), &command.subscription.tags)?;
    permit_targets(state, context, &command.subscription)?;
    let webhook = Webhook {
        id: command.webhook_id,
        subscription: command.subscription.clone(),
        status: switched(command.switch),
        created: context.at,
        owner: context.actor.to_owned(),
        access: context.access.clone(),
        signing: Some(Signing { secret: command.signing_secret.clone(), previous: None }),
        replay: None,
    };
    let outcome = Outcome::WebhookCreated { webhook_id: webhook.id };
    Ok(Decision { events: vec![Event::WebhookCreated(WebhookCreated { webhook })], outcome })
}

pub(crate) fn put(state: &State, context: &Context<'_>, command: &PutWebhook) -> Result<Decision, Rejection> {
    let before = find(state, context, Permission::Write, command.webhook_id)?;
    permit_classes(context, &before.subscription.tags, &command.subscription.tags)?;
    permit_targets(state, context, &command.subscription)?;
    let status = match (&before.status, command.switch) {
        (WebhookStatus::Error(_), Switch::Off) => return Err(Rejection::WebhookInError),
        // The usual way to change a webhook that delivers, which goes on delivering.
        (WebhookStatus::Started, Switch::On) => WebhookStatus::Started,
        (_, switch) => switched(switch),
    };
    let mut webhook = Webhook {
        subscription: command.subscription.clone(),
        status,
        owner: context.actor.to_owned(),
        access: context.access.clone(),
        ..before.clone()
    };
    webhook.subscription.api_key_value = match &command.key {
        KeyChange::Keep => before.subscription.api_key_value.clone(),
        KeyChange::Set(sealed) => Some(sealed.clone()),
        KeyChange::Remove => None,
    };
    // Nobody can read a key: nor may they have it sent to where they read it. It stays with whoever gave it.
    if command.key == KeyChange::Keep && webhook.subscription.api_key_value.is_some() && context.actor != before.owner {
        if webhook.subscription.url != before.subscription.url {
            return Err(Rejection::Forbidden(
                "have a key that another gave sent elsewhere: give api_key_value".to_owned(),
            ));
        }
        (webhook.owner, webhook.access) = (before.owner.clone(), before.access.clone());
    }
    if webhook == *before {
        return Ok(Decision::nothing());
    }
    Ok(Decision::done(vec![Event::WebhookUpdated(WebhookUpdated { webhook })]))
}

pub(crate) fn delete(state: &State, context: &Context<'_>, webhook_id: WebhookId) -> Result<Decision, Rejection> {
    find(state, context, Permission::Write, webhook_id)?;
    Ok(Decision::done(vec![Event::WebhookDeleted(WebhookDeleted { webhook_id })]))
}

/// A webhook on which the caller has a permission.
pub(crate) fn find<'a>(
    state: &'a State,
    context: &Context<'_>,
    permission: Permission,
    id: WebhookId,
) -> Result<&'a Webhook, Rejection> {
    let webhook = state.registry().webhooks.get(&id).ok_or(Rejection::WebhookNotFound(id))?;
    permit(context, permission, &webhook.subscription.tags, || Rejection::WebhookNotFound(id))?;
    Ok(webhook)
}

const fn switched(switch: Switch) -> WebhookStatus {
    match switch {
        Switch::On => WebhookStatus::Created,
        Switch::Off => WebhookStatus::Disabled,
    }
}

/// Whoever names Flows and Sources must be able to see them (14.2). Ones that do not exist harm nobody.
fn permit_targets(state: &State, context: &Context<'_>, subscription: &Subscription) -> Result<(), Rejection> {
    let flows = [&subscription.flow_ids, &subscription.flow_collected_by_ids].into_iter().flatten().flatten();
    let sources = [&subscription.source_ids, &subscription.source_collected_by_ids].into_iter().flatten().flatten();
    let of_flows = flows.filter_map(|id| state.flow(*id)).map(|flow| &flow.flow.tags);
    let of_sources = sources.filter_map(|id| state.source(*id)).map(|source| &source.source.tags);
    if of_flows.chain(of_sources).all(|tags| context.access.may_read(tags)) {
        return Ok(());
    }
    Err(Rejection::Forbidden("see every flow and source that the webhook names".to_owned()))
}
