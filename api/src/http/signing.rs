//! The secrets with which notifications of webhooks are signed (Standard Webhooks): an extension.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, RotateSigningSecret};
use tapelog_events::{Instant, Permission, SealedSecret, WebhookId};

use super::call::Call;
use super::problem::Problem;
use super::response::{self, Response};
use super::token::keep_nowhere;
use super::webhook::permitted;
use super::write::submit;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A fresh secret.
pub fn fresh() -> String {
    format!("whsec_{}", STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>()))
}

/// With what the notifications of a webhook are signed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SigningSecret")]
pub struct Document {
    /// The secret.
    secret: String,
    /// The one before, with which they are signed as well for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Retired>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RetiredSigningSecret")]
struct Retired {
    secret: String,
    /// Until when.
    until: Instant,
}

/// `GET /service/webhooks/{webhookId}/secret`, for who may change the webhook.
pub fn get(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    let now: Instant = call.app.now().into();
    let open = |secret: &SealedSecret| {
        let opened = call.app.parts.vault.open(secret);
        opened.map_err(|error| Problem::Conflict(format!("{error}; ask for another one with POST")))
    };
    let mut response = call.read(|tables| {
        let signing = permitted(call, tables, id, Permission::Write)?.signing.as_ref();
        let signing = signing.ok_or_else(|| {
            Problem::NotFound(format!("notifications of webhook {id} are not signed; POST gives it a secret"))
        })?;
        let previous = signing.previous.as_ref().filter(|previous| now < previous.until);
        let previous = previous
            .map(|previous| Ok::<_, Problem>(Retired { secret: open(&previous.secret)?, until: previous.until }));
        Ok(response::ok(&Document { secret: open(&signing.secret)?, previous: previous.transpose()? }))
    })?;
    keep_nowhere(response.headers_mut());
    Ok(response)
}

/// `POST /service/webhooks/{webhookId}/secret`: another secret, beside which the one before signs for a while.
pub async fn rotate(call: &Call<'_>, webhook_id: WebhookId) -> Result<Response, Problem> {
    let secret = call.app.parts.vault.seal(&fresh());
    let grace = call.app.parts.secret_grace;
    submit(call, Command::RotateSigningSecret(RotateSigningSecret { webhook_id, secret, grace })).await?;
    get(call, webhook_id)
}
