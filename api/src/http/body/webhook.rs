//! The bodies of `POST /service/webhooks` and `PUT /service/webhooks/{webhookId}` (12.1 to 12.4).

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_commands::Switch;
use tapelog_events::{FlowId, Notification, SourceId, StorageId, Subscription, WebhookId};
use url::Url;

use super::property::TagsBody;
use crate::http::limits;
use crate::http::problem::Problem;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WebhookPut")]
pub struct WebhookBody {
    id: Option<WebhookId>,
    status: Option<StatusBody>,
    url: String,
    events: Vec<Notification>,
    api_key_name: Option<String>,
    api_key_value: Option<String>,
    flow_ids: Option<Vec<FlowId>>,
    source_ids: Option<Vec<SourceId>>,
    flow_collected_by_ids: Option<Vec<FlowId>>,
    source_collected_by_ids: Option<Vec<SourceId>>,
    accept_get_urls: Option<Vec<String>>,
    accept_storage_ids: Option<Vec<StorageId>>,
    presigned: Option<bool>,
    verbose_storage: Option<bool>,
    include_object_timerange: Option<bool>,
    tags: Option<TagsBody>,
}

/// What a client may make of a webhook's status. The others are the server's.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookSwitch")]
#[serde(rename_all = "snake_case")]
enum StatusBody {
    Created,
    Disabled,
}

impl From<StatusBody> for Switch {
    fn from(status: StatusBody) -> Self {
        match status {
            StatusBody::Created => Self::On,
            StatusBody::Disabled => Self::Off,
        }
    }
}

/// What is asked of a webhook.
#[derive(Debug)]
pub struct WebhookRequest {
    /// Where notifications are to be posted to.
    pub url: Url,
    /// What is asked, but for the value of the key.
    pub subscription: Subscription,
    /// What is said of the key.
    pub key: Key,
    /// Its status.
    pub switch: Switch,
}

/// What is said of a webhook's key. It has no `Debug`: what it holds is a secret.
pub enum Key {
    /// Nothing: it has a name, and its value is not told.
    Untold,
    /// This is its value.
    Value(String),
    /// There is none.
    None,
}

/// Reads a webhook to be.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read_new(body: &[u8]) -> Result<WebhookRequest, Problem> {
    let body: WebhookBody = super::object(body)?;
    let switch = body.status.map_or(Switch::On, Switch::from);
    body.checked(switch)
}

/// Reads what the webhook with this id is to become.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(webhook_id: WebhookId, body: &[u8]) -> Result<WebhookRequest, Problem> {
    let body: WebhookBody = super::object(body)?;
    match body.id {
        Some(id) if id == webhook_id => {}
        Some(id) => return Err(Problem::invalid(format!("id is {id}, but the path names webhook {webhook_id}"))),
        None => return Err(Problem::invalid("id is missing")),
    }
    let status = body.status.ok_or_else(|| Problem::invalid("status is missing"))?;
    body.checked(status.into())
}

impl WebhookBody {
    fn checked(self, switch: Switch) -> Result<WebhookRequest, Problem> {
        let url = parse_url(&self.url)?;
        let ids = limits::WEBHOOK_IDS;
        for (field, count, most) in [
            ("events", self.events.len(), limits::EVENTS),
            ("flow_ids", self.flow_ids.as_ref().map_or(0, Vec::len), ids),
            ("source_ids", self.source_ids.as_ref().map_or(0, Vec::len), ids),
            ("flow_collected_by_ids", self.flow_collected_by_ids.as_ref().map_or(0, Vec::len), ids),
            ("source_collected_by_ids", self.source_collected_by_ids.as_ref().map_or(0, Vec::len), ids),
            ("accept_get_urls", self.accept_get_urls.as_ref().map_or(0, Vec::len), ids),
            ("accept_storage_ids", self.accept_storage_ids.as_ref().map_or(0, Vec::len), ids),
        ] {
            limits::count(field, count, most)?;
        }
        for (index, label) in self.accept_get_urls.iter().flatten().enumerate() {
            limits::text(&format!("accept_get_urls[{index}]"), label, limits::LABEL_BYTES)?;
        }
        let (api_key_name, key) = key(self.api_key_name, self.api_key_value)?;
        let subscription = Subscription {
            url: self.url,
            events: self.events,
            api_key_name,
            api_key_value: None,
            flow_ids: self.flow_ids,
            source_ids: self.source_ids,
            flow_collected_by_ids: self.flow_collected_by_ids,
            source_collected_by_ids: self.source_collected_by_ids,
            accept_get_urls: self.accept_get_urls,
            accept_storage_ids: self.accept_storage_ids,
            presigned: self.presigned,
            verbose_storage: self.verbose_storage,
            include_object_timerange: self.include_object_timerange,
            tags: self.tags.unwrap_or_default().checked()?,
        };
        Ok(WebhookRequest { url, subscription, key, switch })
    }
}

/// Whether it may be asked is not judged here.
fn parse_url(text: &str) -> Result<Url, Problem> {
    limits::text("url", text, limits::URL_BYTES)?;
    let url = Url::parse(text).map_err(|error| Problem::invalid(format!("url: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Problem::invalid("url is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::invalid("url holds credentials; send them as api_key_name and api_key_value"));
    }
    Ok(url)
}

/// Whether a header is one by which a request is sent, or by which a notification is told from others (12.5).
fn is_ours(header: &HeaderName) -> bool {
    const OURS: [HeaderName; 10] =
        [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT];
    OURS.contains(header) || header.as_str().starts_with("webhook-")
}

/// The header that carries a key, and the key.
fn key(name: Option<String>, value: Option<String>) -> Result<(Option<String>, Key), Problem> {
    if let Some(name) = &name {
        limits::text("api_key_name", name, limits::NAME_BYTES)?;
        let header =
            HeaderName::try_from(name).map_err(|_| Problem::invalid("api_key_name is not the name of a header"))?;
        if is_ours(&header) {
            return Err(Problem::invalid(format!("api_key_name is {header}, which says something else already")));
        }
    }
    if let Some(value) = &value {
        limits::text("api_key_value", value, limits::KEY_BYTES)?;
        HeaderValue::try_from(value).map_err(|_| Problem::invalid("api_key_value is not the value of a header"))?;
    }
    let key = match (&name, value) {
        (None, Some(value)) if !value.is_empty() => {
            return Err(Problem::invalid("api_key_value is given, but not api_key_name, the header that carries it"));
        }
        (None, Some(_) | None) => Key::None,
        (Some(_), None) => Key::Untold,
        (Some(_), Some(value)) if value.is_empty() => Key::None,
        (Some(_), Some(value)) => Key::Value(value),
    };
    Ok((name, key))
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Untold => "Untold",
            Self::Value(_) => "Value",
            Self::None => "None",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";

    fn put(member: &str, value: Value) -> Result<WebhookRequest, Problem> {
        let mut body = json!({
            "id": ID, "status": "created", "url": "https://a.example/b", "events": ["flows/created"],
            "api_key_name": "X-Key",
        });
        body[member] = value;
        read(ID.parse().unwrap(), body.to_string().as_bytes())
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (member, value) in [
            ("id", json!("5f79cfd1-c057-47f4-8e4d-1b126ca7bf34")),
            ("id", json!(null)),
            ("status", json!("started")),
            ("status", json!(null)),
            ("url", json!("/relative")),
            ("url", json!("ftp://a.example")),
            ("url", json!("https://user:password@a.example")),
            ("url", json!("http://")),
            ("events", json!(["flows/moved"])),
            ("events", json!(null)),
            ("api_key_name", json!("with space")),
            ("api_key_value", json!("two\nlines")),
            ("flow_ids", json!(["x"])),
            ("source_collected_by_ids", json!("all")),
            ("accept_get_urls", json!([1])),
            ("presigned", json!("yes")),
            ("tags", json!({ "a": 1 })),
        ] {
            let refused = put(member, value.clone()).expect_err(member).to_string();
            assert!(refused.contains(member), "{value}: {refused}");
        }
        let nameless = read_new(br#"{"url":"http://a.example","events":[],"api_key_value":"x"}"#);
        assert!(nameless.unwrap_err().to_string().contains("api_key_name"));
    }

    #[test]
    fn a_key_stays_unless_it_is_told_or_taken_away() {
        let key = |member: &str, value: Value| put(member, value).unwrap().key;
        assert!(matches!(key("presigned", json!(true)), Key::Untold));
        assert!(matches!(key("api_key_value", json!("x")), Key::Value(value) if value == "x"));
        assert!(matches!(key("api_key_value", json!("")), Key::None));
        assert!(matches!(key("api_key_name", json!(null)), Key::None));
    }

    #[test]
    fn an_empty_filter_is_not_an_absent_one() {
        assert_eq!(put("flow_ids", json!([])).unwrap().subscription.flow_ids, Some(vec![]));
        assert_eq!(put("flow_ids", json!(null)).unwrap().subscription.flow_ids, None);
        assert_eq!(read_new(br#"{"url":"http://a.example","events":[]}"#).unwrap().switch, Switch::On);
    }
}
