//! Leaving out what nobody may read, though it is of little use: sealed secrets and hashes of secrets.

use tapelog_events::{Commit, Event, Webhook};

/// A commit without secrets. That there is one stays visible.
pub(super) fn redact(mut commit: Commit) -> Commit {
    for event in &mut commit.events {
        match event {
            Event::WebhookCreated(event) => redact_webhook(&mut event.webhook),
            Event::WebhookUpdated(event) => redact_webhook(&mut event.webhook),
            Event::AccountSet(event) => event.account.password_hash.iter_mut().for_each(String::clear),
            Event::TokenIssued(event) => event.token.secret_hash = [0; 32],
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
            | Event::SegmentsAdded(_)
            | Event::SegmentsDeleted(_)
            | Event::SegmentTagged(_)
            | Event::ObjectsAllocated(_)
            | Event::ObjectsCondemned(_)
            | Event::ObjectsDeleted(_)
            | Event::ProfileCreated(_)
            | Event::InstanceAdded(_)
            | Event::InstanceRemoved(_)
            | Event::InstanceErased(_)
            | Event::CopyRequested(_)
            | Event::CopyFailed(_)
            | Event::DeletionRequested(_)
            | Event::DeletionAdvanced(_)
            | Event::DeletionForgotten(_)
            | Event::WebhookDeleted(_)
            | Event::DeadLettered(_)
            | Event::RedeliveryRequested(_)
            | Event::DeadLetterResolved(_)
            | Event::ReplayRequested(_)
            | Event::AccountDeleted(_)
            | Event::TokenRevoked(_) => {}
        }
    }
    commit
}

fn redact_webhook(webhook: &mut Webhook) {
    let signing = webhook.signing.iter_mut();
    let secrets = signing.flat_map(|signing| {
        [Some(&mut signing.secret), signing.previous.as_mut().map(|retired| &mut retired.secret)].into_iter().flatten()
    });
    secrets.chain(&mut webhook.subscription.api_key_value).for_each(|secret| secret.sealed.clear());
}
