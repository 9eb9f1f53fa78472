//! The shapes of bodies, by hand from the specification's schemas: what must be there, and that nothing else is where
//! a schema is closed.

use serde_json::{Map, Value};
use tapelog_events::{FlowId, TimeRange, Timestamp};

/// What a member of an object has to be.
type Kind = fn(&Value) -> bool;

/// The members that an object may have.
struct Shape {
    name: &'static str,
    required: &'static [&'static str],
    members: &'static [(&'static str, Kind)],
    closed: bool,
}

/// Checks the body of a `GET` of this path that was answered with success. Paths without a shape of their own pass.
///
/// # Errors
/// A sentence that names what is wrong.
pub fn check(path: &str, body: &[u8]) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let (shape, list) = match segments[..] {
        ["service"] => (&SERVICE, false),
        ["service", "storage-backends"] => (&STORAGE_BACKEND, true),
        ["service", "profiles"] => (&PROFILE, true),
        ["service", "profiles", _] => (&PROFILE, false),
        ["service", "webhooks"] => (&WEBHOOK, true),
        ["service", "webhooks", _] => (&WEBHOOK, false),
        ["sources"] => (&SOURCE, true),
        ["sources", _] => (&SOURCE, false),
        ["flows"] => (&FLOW, true),
        ["flows", _] => (&FLOW, false),
        ["flows", _, "segments"] => (&SEGMENT, true),
        ["objects", _] => (&OBJECT, false),
        ["flow-delete-requests"] => (&DELETION_REQUEST, true),
        ["flow-delete-requests", _] => (&DELETION_REQUEST, false),
        _ => return Ok(()),
    };
    let value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match value {
        Value::Array(items) if list => items.iter().try_for_each(|item| shape.check(item)),
        value if !list => shape.check(&value),
        other => Err(format!("{other} is not a list")),
    }
}

impl Shape {
    fn check(&self, value: &Value) -> Result<(), String> {
        let wrong = |what: String| Err(format!("{} {what}: {value}", self.name));
        let Value::Object(members) = value else { return wrong("is not an object".to_owned()) };
        if let Some(missing) = self.required.iter().find(|name| !members.contains_key(**name)) {
            return wrong(format!("has no {missing}"));
        }
        for (name, member) in members {
            match self.members.iter().find(|(known, _)| known == name) {
                Some((_, kind)) if kind(member) => {}
                Some(_) => return wrong(format!("has a wrong {name}")),
                None if self.closed => return wrong(format!("may not have {name}")),
                None => {}
            }
        }
        Ok(())
    }
}

const SERVICE: Shape = Shape {
    name: "service",
    required: &["type", "api_version", "min_object_timeout", "min_presigned_url_timeout"],
    members: &[
        ("type", |value| value.as_str().is_some_and(|urn| urn.starts_with("urn:x-tams:service"))),
        ("api_version", |value| value == "8.2"),
        ("min_object_timeout", is_timestamp),
        ("min_presigned_url_timeout", is_timestamp),
        ("name", is_text),
        ("description", is_text),
        ("service_version", is_text),
        ("event_stream_mechanisms", |value| every(value, |mechanism| MECHANISM.check(mechanism).is_ok())),
    ],
    closed: false,
};

const MECHANISM: Shape = Shape {
    name: "event stream mechanism",
    required: &["name"],
    members: &[("name", is_text), ("docs", is_text), ("config", Value::is_object)],
    closed: false,
};

const STORAGE_BACKEND: Shape = Shape {
    name: "storage backend",
    required: &["id", "store_type", "provider", "store_product"],
    members: &[
        ("id", is_uuid),
        ("store_type", |value| value == "http_object_store"),
        ("provider", is_text),
        ("store_product", is_text),
        ("label", is_text),
        ("region", is_text),
        ("availability_zone", is_text),
        ("default_storage", Value::is_boolean),
        ("tags", is_tags),
    ],
    closed: false,
};

const PROFILE: Shape = Shape {
    name: "profile",
    required: &["id", "flow_metadata"],
    members: &[
        ("id", is_uuid),
        ("flow_metadata", |value| is_format(&value["format"]) && is_text(&value["codec"])),
        ("label", is_text),
        ("description", is_text),
        ("created", is_moment),
        ("created_by", is_text),
        ("tags", is_tags),
    ],
    closed: true,
};

/// What a webhook reads as. The value of its key is not among the members.
const WEBHOOK: Shape = Shape {
    name: "webhook",
    required: &["id", "url", "events", "status"],
    members: &[
        ("id", is_uuid),
        ("url", is_text),
        ("events", |value| every(value, is_text)),
        ("status", |value| matches!(value.as_str(), Some("created" | "started" | "disabled" | "error"))),
        ("error", Value::is_object),
        ("api_key_name", is_text),
        ("flow_ids", |value| every(value, is_uuid)),
        ("source_ids", |value| every(value, is_uuid)),
        ("flow_collected_by_ids", |value| every(value, is_uuid)),
        ("source_collected_by_ids", |value| every(value, is_uuid)),
        ("accept_get_urls", |value| every(value, is_text)),
        ("accept_storage_ids", |value| every(value, is_uuid)),
        ("presigned", Value::is_boolean),
        ("verbose_storage", Value::is_boolean),
        ("include_object_timerange", Value::is_boolean),
        ("tags", is_tags),
    ],
    closed: true,
};

const DELETION_REQUEST: Shape = Shape {
    name: "deletion request",
    required: &["id", "flow_id", "timerange_to_delete", "delete_flow", "status"],
    members: &[
        ("id", is_uuid),
        ("flow_id", is_uuid),
        ("timerange_to_delete", is_timerange),
        ("timerange_remaining", is_timerange),
        ("delete_flow", Value::is_boolean),
        ("status", |value| matches!(value.as_str(), Some("created" | "started" | "done" | "error"))),
        ("created", is_moment),
        ("created_by", is_text),
        ("updated", is_moment),
        ("expiry", is_moment),
        ("error", Value::is_object),
    ],
    closed: true,
};

const SOURCE: Shape = Shape {
    name: "source",
    required: &["id", "format", "created", "updated"],
    members: &[
        ("id", is_uuid),
        ("format", is_format),
        ("label", is_text),
        ("description", is_text),
        ("created_by", is_text),
        ("updated_by", is_text),
        ("created", is_moment),
        ("updated", is_moment),
        ("tags", is_tags),
        ("source_collection", |value| every(value, |item| is_uuid(&item["id"]))),
        ("collected_by", |value| every(value, is_uuid)),
    ],
    closed: true,
};

const FLOW: Shape = Shape {
    name: "flow",
    required: &["id", "source_id", "format", "created", "metadata_updated", "metadata_version"],
    members: &[
        ("id", is_uuid),
        ("source_id", is_uuid),
        ("profile_id", is_uuid),
        ("format", is_format),
        ("label", is_text),
        ("description", is_text),
        ("created_by", is_text),
        ("updated_by", is_text),
        ("tags", is_tags),
        ("metadata_version", is_text),
        ("generation", Value::is_u64),
        ("created", is_moment),
        ("metadata_updated", is_moment),
        ("segments_updated", is_moment),
        ("status", is_text),
        ("read_only", Value::is_boolean),
        ("max_bit_rate", Value::is_u64),
        ("avg_bit_rate", Value::is_u64),
        ("timerange", is_timerange),
        ("flow_collection", |value| every(value, |item| is_uuid(&item["id"]))),
        ("collected_by", |value| every(value, is_uuid)),
        ("codec", is_text),
        ("container", is_text),
        ("segment_duration", |value| value["numerator"].is_u64()),
        ("container_mapping", Value::is_object),
        ("essence_parameters", Value::is_object),
    ],
    closed: true,
};

const SEGMENT: Shape = Shape {
    name: "segment",
    required: &["object_id", "timerange"],
    members: &[
        ("object_id", is_text),
        ("timerange", is_timerange),
        ("ts_offset", is_timestamp),
        ("last_duration", is_timestamp),
        ("object_timerange", is_timerange),
        ("sample_offset", Value::is_i64),
        ("sample_count", Value::is_i64),
        ("key_frame_count", Value::is_u64),
        ("get_urls", are_get_urls),
        ("init_object", |value| is_text(&value["object_id"]) && are_get_urls(&value["get_urls"])),
    ],
    closed: true,
};

const OBJECT: Shape = Shape {
    name: "object",
    // One that holds what stands in front of media has no place in time.
    required: &["id", "referenced_by_flows"],
    members: &[
        ("id", is_text),
        ("referenced_by_flows", |value| every(value, is_uuid)),
        ("first_referenced_by_flow", is_uuid),
        ("timerange", is_timerange),
        ("key_frame_count", Value::is_u64),
        ("get_urls", are_get_urls),
        ("init_object", |value| is_text(&value["id"]) && are_get_urls(&value["get_urls"])),
    ],
    closed: true,
};

const GET_URL: Shape = Shape {
    name: "get_urls",
    required: &["url"],
    members: &[
        ("url", |value| value.as_str().is_some_and(|url| url.contains("://"))),
        ("label", is_text),
        ("presigned", Value::is_boolean),
        ("controlled", Value::is_boolean),
        ("storage_id", is_uuid),
        ("store_type", |value| value == "http_object_store"),
        ("provider", is_text),
        ("region", is_text),
        ("availability_zone", is_text),
        ("store_product", is_text),
        ("tags", is_tags),
    ],
    closed: true,
};

const ERROR: Shape = Shape {
    name: "error",
    required: &["type", "summary", "time", "message"],
    members: &[("type", is_text), ("summary", is_text), ("time", is_moment), ("message", is_text)],
    closed: false,
};

/// Checks the body of an answer that refuses a request (1.2).
///
/// # Errors
/// A sentence that names what is wrong.
pub fn check_error(body: &[u8]) -> Result<(), String> {
    ERROR.check(&serde_json::from_slice(body).map_err(|error| error.to_string())?)
}

/// Checks the body of a notification (12.5).
///
/// # Errors
/// A sentence that names what is wrong.
pub fn check_notification(body: &Value) -> Result<(), String> {
    NOTIFICATION.check(body)?;
    let event = &body["event"];
    match body["event_type"].as_str().unwrap_or_default() {
        "flows/created" | "flows/updated" => FLOW_EVENT.check(event)?,
        "flows/deleted" => FLOW_GONE.check(event)?,
        "flows/segments_added" => SEGMENTS_ADDED.check(event)?,
        "flows/segments_deleted" => SEGMENTS_DELETED.check(event)?,
        "sources/created" | "sources/updated" => SOURCE_EVENT.check(event)?,
        "sources/deleted" => SOURCE_GONE.check(event)?,
        unknown => return Err(format!("{unknown} is no kind of event")),
    }
    let parts = [("flow", &FLOW), ("source", &SOURCE)];
    parts.iter().filter_map(|(name, shape)| Some(shape.check(event.get(name)?))).collect::<Result<(), _>>()?;
    event["segments"].as_array().into_iter().flatten().try_for_each(|segment| SEGMENT.check(segment))
}

const NOTIFICATION: Shape = Shape {
    name: "notification",
    required: &["event_timestamp", "event_type", "event"],
    members: &[("event_timestamp", is_moment), ("event_type", is_text), ("event", Value::is_object)],
    closed: true,
};

const FLOW_EVENT: Shape =
    Shape { name: "flow event", required: &["flow"], members: &[("flow", Value::is_object)], closed: true };

const SOURCE_EVENT: Shape =
    Shape { name: "source event", required: &["source"], members: &[("source", Value::is_object)], closed: true };

const FLOW_GONE: Shape =
    Shape { name: "flow deleted event", required: &["flow_id"], members: &[("flow_id", is_uuid)], closed: true };

const SOURCE_GONE: Shape =
    Shape { name: "source deleted event", required: &["source_id"], members: &[("source_id", is_uuid)], closed: true };

const SEGMENTS_ADDED: Shape = Shape {
    name: "segments added event",
    required: &["flow_id", "segments"],
    members: &[("flow_id", is_uuid), ("segments", Value::is_array)],
    closed: true,
};

const SEGMENTS_DELETED: Shape = Shape {
    name: "segments deleted event",
    required: &["flow_id", "timerange"],
    members: &[("flow_id", is_uuid), ("timerange", is_timerange)],
    closed: true,
};

/// They may be left out.
fn are_get_urls(value: &Value) -> bool {
    value.is_null() || every(value, |url| GET_URL.check(url).is_ok())
}

fn every(value: &Value, is: fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(is))
}

fn is_text(value: &Value) -> bool {
    value.is_string()
}

fn is_uuid(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<FlowId>().is_ok())
}

fn is_format(value: &Value) -> bool {
    let last = value.as_str().and_then(|urn| urn.rsplit_once(":format:"));
    matches!(last, Some(("urn:x-nmos", "video" | "audio" | "data" | "multi") | ("urn:x-tam", "image")))
}

/// In canonical form, so that texts can be compared.
fn is_timestamp(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse().is_ok_and(|parsed: Timestamp| parsed.to_string() == text))
}

fn is_timerange(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse().is_ok_and(|parsed: TimeRange| parsed.to_string() == text))
}

/// RFC 3339 with an offset (section 11).
fn is_moment(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        let (date, time) = text.split_once('T').unwrap_or_default();
        date.split('-').filter(|part| part.parse::<u16>().is_ok()).count() == 3
            && time.split(':').count() >= 3
            && (time.ends_with('Z') || time.contains('+'))
    })
}

fn is_tags(value: &Value) -> bool {
    let is_value = |value: &Value| value.is_string() || every(value, is_text);
    value.as_object().is_some_and(|tags: &Map<String, Value>| tags.values().all(is_value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_of_another_shape_is_noticed() {
        let source = json!({
            "id": "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34", "format": "urn:x-nmos:format:video",
            "created": "2026-01-02T03:04:05.678901Z", "updated": "2026-01-02T03:04:05.678901Z",
        });
        let checked = |value: &Value| check("/sources/x?limit=1", value.to_string().as_bytes());
        assert_eq!(checked(&source), Ok(()));
        for (member, wrong) in [
            ("id", json!("018f2f6e-7d9c-7b6a-9d3e-000000000000")),
            ("format", json!("urn:x-nmos:format:image")),
            ("created", json!("2026-01-02 03:04:05")),
            ("updated", Value::Null),
            ("tags", json!({ "k": [1] })),
            ("unknown", json!(1)),
        ] {
            let mut other = source.clone();
            other[member] = wrong;
            assert!(checked(&other).is_err_and(|said| said.contains(member)), "{other}");
        }
        assert!(check("/sources", source.to_string().as_bytes()).is_err(), "a list is expected");
        let segments =
            json!([{ "object_id": "o", "timerange": "[0:0_1:0)" }, { "object_id": "o", "timerange": "[0:0_)" }]);
        assert!(check("/flows/x/segments", segments.to_string().as_bytes()).is_err(), "not in canonical form");
    }
}
