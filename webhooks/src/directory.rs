//! What a dispatcher has to know of webhooks: the seam to whoever keeps the tables.

use std::sync::Arc;

use tapelog_events::{DeadLetter, Seq, Webhook, WebhookId};
use tokio::sync::watch;

/// The webhooks as the tables of this node show them.
pub trait Directory: Send + Sync + 'static {
    /// Every webhook, whatever its status.
    fn webhooks(&self) -> Vec<Arc<Webhook>>;

    /// The webhook with this id, if there is one.
    fn webhook(&self, id: WebhookId) -> Option<Arc<Webhook>>;

    /// The dead letters that somebody asked to be tried once more, in log order per webhook.
    fn to_redeliver(&self) -> Vec<DeadLetter>;

    /// The record that changed a webhook, or a dead letter of one, last.
    fn changed(&self) -> Seq;

    /// The record up to and with which the log is applied to the tables. Once it says so, the other functions answer
    /// with what that record changed.
    fn applied(&self) -> watch::Receiver<Seq>;
}
