//! Secrets of webhooks that were sealed with an earlier key of the store.

use tapelog_commands::{Command, ResealWebhook};
use tapelog_events::{SealedSecret, Webhook, WebhookId};
use tapelog_projections::Live;
use tapelog_store::sequencer::Sequencer;

use crate::auth::Vault;

/// Has every secret sealed with the present key that was sealed with an earlier one, so that the earlier key can be
/// forgotten. What no key opens is told of in the log of this server, and stays.
pub async fn reseal(sequencer: &Sequencer, tables: &Live, vault: &Vault) {
    let found = tables.read(|tables| {
        tables.registry().webhooks.values().map(|webhook| (webhook.id, look(webhook, vault))).collect::<Vec<_>>()
    });
    for (webhook_id, Found { secrets, unopened }) in found {
        if unopened > 0 {
            tracing::error!(
                %webhook_id,
                unopened,
                "no key of this server opens the secrets of a webhook: nothing is delivered to it until its key is set \
                 and its signing secret rotated anew"
            );
        }
        if !secrets.is_empty() {
            reseal_webhook(sequencer, webhook_id, secrets).await;
        }
    }
}

async fn reseal_webhook(sequencer: &Sequencer, webhook_id: WebhookId, secrets: Vec<(SealedSecret, SealedSecret)>) {
    let count = secrets.len();
    match sequencer.submit_own(Command::ResealWebhook(ResealWebhook { webhook_id, secrets })).await {
        Ok(_) => tracing::info!(%webhook_id, secrets = count, "secrets of a webhook are sealed with the present key"),
        Err(error) => {
            tracing::warn!(%webhook_id, %error, "secrets of a webhook stay sealed with an earlier key until the next start");
        }
    }
}

/// What was found of a webhook's secrets.
#[derive(Default)]
struct Found {
    /// Those that were sealed with an earlier key, as they are and sealed anew.
    secrets: Vec<(SealedSecret, SealedSecret)>,
    /// How many no key opens.
    unopened: usize,
}

fn look(webhook: &Webhook, vault: &Vault) -> Found {
    let signing = webhook.signing.iter();
    let signing =
        signing.flat_map(|signing| [Some(&signing.secret), signing.previous.as_ref().map(|retired| &retired.secret)]);
    let mut found = Found::default();
    for secret in signing.flatten().chain(&webhook.subscription.api_key_value) {
        match vault.reseal(secret) {
            Ok(None) => {}
            Ok(Some(resealed)) => found.secrets.push((secret.clone(), resealed)),
            Err(_) => found.unopened += 1,
        }
    }
    found
}
