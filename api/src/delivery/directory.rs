//! The webhooks as the tables show them, for the dispatcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tapelog_events::{DeadLetter, Seq, Webhook, WebhookId};
use tapelog_projections::{Listed, Live};
use tapelog_webhooks::Directory;
use tokio::sync::watch;

/// The webhooks of the tables in use. They are copied only when one has changed.
pub struct TablesDirectory {
    tables: Arc<Live>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    webhooks: BTreeMap<WebhookId, Arc<Webhook>>,
    /// The record that had changed webhooks last when they were copied.
    webhooks_at: Option<Seq>,
    to_redeliver: Vec<DeadLetter>,
    dead_letters_at: Option<Seq>,
}

impl TablesDirectory {
    /// Those of these tables.
    pub fn new(tables: Arc<Live>) -> Self {
        Self { tables, known: Mutex::default() }
    }

    /// Looks at what is known, once that is as new as the tables.
    fn look<R>(&self, at: impl FnOnce(&Known) -> R) -> R {
        let mut known = self.known.lock();
        self.tables.read(|tables| {
            let registry = tables.registry();
            let webhooks_at = Some(tables.changed(Listed::Webhooks));
            if known.webhooks_at != webhooks_at {
                let mut before = std::mem::take(&mut known.webhooks);
                let shared = |webhook: &Webhook| match before.remove(&webhook.id) {
                    Some(same) if *same == *webhook => same,
                    Some(_) | None => Arc::new(webhook.clone()),
                };
                known.webhooks = registry.webhooks.values().map(shared).map(|webhook| (webhook.id, webhook)).collect();
                known.webhooks_at = webhooks_at;
            }
            let dead_letters_at = Some(tables.changed(Listed::DeadLetters));
            if known.dead_letters_at != dead_letters_at {
                let asked_for = registry.dead_letters.values().filter(|letter| letter.redelivery.is_some());
                known.to_redeliver = asked_for.cloned().collect();
                known.dead_letters_at = dead_letters_at;
            }
        });
        at(&known)
    }
}

impl Directory for TablesDirectory {
    fn webhooks(&self) -> Vec<Arc<Webhook>> {
        self.look(|known| known.webhooks.values().cloned().collect())
    }

    fn webhook(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        self.look(|known| known.webhooks.get(&id).cloned())
    }

    fn to_redeliver(&self) -> Vec<DeadLetter> {
        self.look(|known| known.to_redeliver.clone())
    }

    fn changed(&self) -> Seq {
        self.tables.read(|tables| tables.changed(Listed::Webhooks).max(tables.changed(Listed::DeadLetters)))
    }

    fn applied(&self) -> watch::Receiver<Seq> {
        self.tables.applied()
    }
}
