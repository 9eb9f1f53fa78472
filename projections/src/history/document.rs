//! Events that state the whole of something: what it was before is what the last of them said. Those of Flows and Sources
//! are kept as versions, since what is asked as of a moment needs them at once.

use tapelog_events::{
    Account, AccountName, DeletionRequest, DeletionRequestId, Event, ServiceUpdated, Token, TokenId, Webhook, WebhookId,
};

/// Something that events state as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document<'a> {
    Webhook(WebhookId),
    Account(&'a AccountName),
    Token(TokenId),
    Deletion(DeletionRequestId),
    /// The store's name and description.
    Service,
}

/// What an event says that a document is from now on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statement<'a> {
    Webhook(&'a Webhook),
    Account(&'a Account),
    Token(&'a Token),
    Deletion(&'a DeletionRequest),
    Service(&'a ServiceUpdated),
    Gone,
}

/// Which document an event states, and what it says of it.
pub(super) fn stated(event: &Event) -> Option<(Document<'_>, Statement<'_>)> {
    match event {
        Event::ServiceUpdated(event) => Some((Document::Service, Statement::Service(event))),
        Event::DeletionRequested(event) => {
            Some((Document::Deletion(event.request.id), Statement::Deletion(&event.request)))
        }
        Event::DeletionAdvanced(event) => {
            Some((Document::Deletion(event.request.id), Statement::Deletion(&event.request)))
        }
        Event::DeletionForgotten(event) => Some((Document::Deletion(event.request_id), Statement::Gone)),
        Event::WebhookCreated(event) => Some((Document::Webhook(event.webhook.id), Statement::Webhook(&event.webhook))),
        Event::WebhookUpdated(event) => Some((Document::Webhook(event.webhook.id), Statement::Webhook(&event.webhook))),
        Event::WebhookDeleted(event) => Some((Document::Webhook(event.webhook_id), Statement::Gone)),
        Event::AccountSet(event) => Some((Document::Account(&event.account.name), Statement::Account(&event.account))),
        Event::AccountDeleted(event) => Some((Document::Account(&event.name), Statement::Gone)),
        Event::TokenIssued(event) => Some((Document::Token(event.token.id), Statement::Token(&event.token))),
        Event::TokenRevoked(event) => Some((Document::Token(event.token_id), Statement::Gone)),
        Event::LogStarted(_)
        | Event::SourceCreated(_)
        | Event::SourceUpdated(_)
        | Event::SourceDeleted(_)
        | Event::FlowCreated(_)
        | Event::FlowUpdated(_)
        | Event::FlowDeleted(_)
        | Event::FlowTrashed(_)
        | Event::FlowRestored(_)
        | Event::FlowPurged(_)
        | Event::ObjectsAllocated(_)
        | Event::SegmentsAdded(_)
        | Event::SegmentsDeleted(_)
        | Event::SegmentTagged(_)
        | Event::ProfileCreated(_)
        | Event::InstanceAdded(_)
        | Event::InstanceRemoved(_)
        | Event::InstanceErased(_)
        | Event::CopyRequested(_)
        | Event::CopyFailed(_)
        | Event::ObjectsCondemned(_)
        | Event::ObjectsDeleted(_)
        | Event::DeadLettered(_)
        | Event::RedeliveryRequested(_)
        | Event::DeadLetterResolved(_)
        | Event::ReplayRequested(_) => None,
    }
}
