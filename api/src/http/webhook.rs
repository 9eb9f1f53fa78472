//! Webhooks as resources (section 12).

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, CreateWebhook, KeyChange, PutWebhook, Switch};
use tapelog_events::{
    Failure, FlowId, Notification, Outcome, Permission, SourceId, StorageId, Subscription, Tags, Verdict, Webhook,
    WebhookId, WebhookStatus,
};
use tapelog_projections::{Paging, Tables, WebhookFilter};
use url::Url;
use uuid::Uuid;

use super::body;
use super::body::webhook::{Key, WebhookRequest};
use super::call::{self, Call};
use super::paging;
use super::problem::Problem;
use super::response::{self, Response};
use super::signing;
use super::tag_filter;
use super::write::submit;

/// `webhook-get.json`: all that is known of a webhook but its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub struct Document<'a> {
    id: WebhookId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    url: &'a str,
    events: &'a [Notification],
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_ids: Option<&'a [FlowId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ids: Option<&'a [SourceId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_collected_by_ids: Option<&'a [FlowId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_collected_by_ids: Option<&'a [SourceId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_get_urls: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_storage_ids: Option<&'a [StorageId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presigned: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbose_storage: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_object_timerange: Option<bool>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: &'a Tags,
}

impl<'a> Document<'a> {
    fn of(webhook: &'a Webhook) -> Self {
        let Webhook { id, subscription, status, created: _, owner: _, access: _, signing: _, replay: _ } = webhook;
        let Subscription {
            url,
            events,
            api_key_name,
            api_key_value: _,
            flow_ids,
            source_ids,
            flow_collected_by_ids,
            source_collected_by_ids,
            accept_get_urls,
            accept_storage_ids,
            presigned,
            verbose_storage,
            include_object_timerange,
            tags,
        } = subscription;
        let error = match status {
            WebhookStatus::Created | WebhookStatus::Started | WebhookStatus::Disabled => None,
            WebhookStatus::Error(failure) => Some(failure),
        };
        Self {
            id: *id,
            status: name_of(status),
            error,
            url,
            events,
            api_key_name: api_key_name.as_deref(),
            flow_ids: flow_ids.as_deref(),
            source_ids: source_ids.as_deref(),
            flow_collected_by_ids: flow_collected_by_ids.as_deref(),
            source_collected_by_ids: source_collected_by_ids.as_deref(),
            accept_get_urls: accept_get_urls.as_deref(),
            accept_storage_ids: accept_storage_ids.as_deref(),
            presigned: *presigned,
            verbose_storage: *verbose_storage,
            include_object_timerange: *include_object_timerange,
            tags,
        }
    }
}

/// The name of a status in the API (12.2).
pub const fn name_of(status: &WebhookStatus) -> &'static str {
    match status {
        WebhookStatus::Created => "created",
        WebhookStatus::Started => "started",
        WebhookStatus::Disabled => "disabled",
        WebhookStatus::Error(_) => "error",
    }
}

/// `GET /service/webhooks`. The specification gives this listing no 400: a parameter that cannot be read is as good as
/// absent.
pub fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query().unwrap_or_default();
    let tags = tag_filter::parse(&query, "tag").unwrap_or_default();
    let filter = WebhookFilter { tags, access: call.access().clone() };
    let paging = call::forgiving_paging(call, &query);
    call.read(|tables| {
        let from_start = Paging { cursor: None, ..paging };
        let page = tables.webhooks(&filter, &paging).or_else(|_| tables.webhooks(&filter, &from_start))?;
        Ok(paging::listing(call, &paging, page, |webhook, out| {
            out.extend(response::encode(&Document::of(webhook)));
        }))
    })
}

/// `GET /service/webhooks/{webhookId}`.
pub fn get(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    call.read(|tables| Ok(response::ok(&Document::of(permitted(call, tables, id, Permission::Read)?))))
}

/// `POST /service/webhooks`. Each makes a webhook, also where there is one like it.
pub async fn create(call: &Call<'_>) -> Result<Response, Problem> {
    let WebhookRequest { url, mut subscription, key, switch } = body::webhook::read_new(&call.body)?;
    permit_receiver(call, &url).await?;
    subscription.api_key_value = match key {
        Key::Value(value) => Some(call.app.parts.vault.seal(&value)),
        Key::Untold | Key::None => None,
    };
    let webhook_id = WebhookId::from_uuid(Uuid::new_v4());
    let signing_secret = call.app.parts.vault.seal(&signing::fresh());
    let command = CreateWebhook { webhook_id, subscription, switch, signing_secret };
    // The outcome is the first one's where the request is a repetition: another id than that made up above.
    match submit(call, Command::CreateWebhook(Box::new(command))).await?.outcome {
        Outcome::WebhookCreated { webhook_id } => stored(call, webhook_id),
        outcome => {
            tracing::error!(?outcome, "a registration came to something else");
            Err(Problem::Internal)
        }
    }
}

/// An address that this server must not ask is refused now, so that its mistake is seen by whoever makes it. It is judged
/// again at each delivery (12.5).
async fn permit_receiver(call: &Call<'_>, url: &Url) -> Result<(), Problem> {
    let checked = call.app.parts.guard.check_resolved(url).await;
    checked.map_err(|refused| Problem::invalid(format!("url: {refused}")))
}

/// `PUT /service/webhooks/{webhookId}`: 201, although nothing is created.
pub async fn put(call: &Call<'_>, webhook_id: WebhookId) -> Result<Response, Problem> {
    let WebhookRequest { url, subscription, key, switch } = body::webhook::read(webhook_id, &call.body)?;
    // One whose receiver may not be asked any more can be switched off as it is.
    if switch == Switch::On {
        permit_receiver(call, &url).await?;
    }
    let key = match key {
        Key::Untold => KeyChange::Keep,
        Key::Value(value) => KeyChange::Set(call.app.parts.vault.seal(&value)),
        Key::None => KeyChange::Remove,
    };
    submit(call, Command::PutWebhook(Box::new(PutWebhook { webhook_id, subscription, key, switch }))).await?;
    stored(call, webhook_id)
}

fn stored(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    call.read(|tables| {
        // Another client may have deleted it since: it was stored nonetheless.
        let Ok(webhook) = find(tables, id) else { return Ok(response::empty(StatusCode::CREATED)) };
        Ok(response::json(StatusCode::CREATED, response::encode(&Document::of(webhook))))
    })
}

/// `DELETE /service/webhooks/{webhookId}`.
pub async fn delete(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    let submitted = submit(call, Command::DeleteWebhook(id)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// A webhook on which whoever asks has a permission.
pub fn permitted<'a>(
    call: &Call<'_>,
    tables: &'a Tables,
    id: WebhookId,
    permission: Permission,
) -> Result<&'a Webhook, Problem> {
    let webhook = find(tables, id)?;
    match call.access().judge(permission, &webhook.subscription.tags) {
        Verdict::Granted => Ok(webhook),
        Verdict::Refused if permission != Permission::Read => {
            Err(Problem::Forbidden(format!("you may not change webhook {id}")))
        }
        Verdict::Hidden | Verdict::Refused => Err(unknown(id)),
    }
}

fn find(tables: &Tables, id: WebhookId) -> Result<&Webhook, Problem> {
    tables.registry().webhooks.get(&id).ok_or_else(|| unknown(id))
}

fn unknown(id: WebhookId) -> Problem {
    Problem::NotFound(format!("webhook {id} does not exist"))
}
