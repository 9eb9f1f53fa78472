//! Attempts as the delivery log has them.

use serde::{Deserialize, Serialize};
use tapelog_events::{EventPosition, Notification, WebhookId};

use crate::Attempted;

/// One attempt to deliver one notification to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event.
    pub position: EventPosition,
    /// What it notifies of.
    pub notification: Notification,
    /// Which attempt at this notification it was, counted from 1.
    pub attempt: u32,
    /// When it was, and what it came to.
    pub attempted: Attempted,
    /// Which node made it.
    pub node: String,
}
