//! How large a request and each of its fields may be: the one place that says so.
//!
//! A limit protects the log and the tables, which keep every value for ever, and never turns away what a real client
//! sends: each is far above what the specification's examples and known clients use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Bytes of a `label`.
pub const LABEL_BYTES: usize = 1024;
/// Bytes of a `description`.
pub const DESCRIPTION_BYTES: usize = 64 * 1024;
/// Bytes of a short text that names something: `created_by`, `role`, a MIME type, a version.
pub const NAME_BYTES: usize = 1024;
/// Tags of one resource in one request.
pub const TAGS: usize = 1000;
/// Bytes of a tag's name.
pub const TAG_NAME_BYTES: usize = 1024;
/// Bytes of one text of a tag's value.
pub const TAG_VALUE_BYTES: usize = 8 * 1024;
/// Texts of one tag's value.
pub const TAG_VALUES: usize = 1000;
/// Members of a `flow_collection`.
pub const COLLECTION_ITEMS: usize = 10_000;
/// Channels named by a `container_mapping`.
pub const CHANNELS: usize = 1024;
/// Segments of one request.
pub const SEGMENTS: usize = 100_000;
/// Resources of one batch.
pub const BATCH: usize = 1000;
/// `get_urls` of one segment.
pub const URLS: usize = 64;
/// Bytes of a URL.
pub const URL_BYTES: usize = 8 * 1024;
/// Events that a webhook names.
pub const EVENTS: usize = 64;
/// Ids, or labels, of one filter of a webhook.
pub const WEBHOOK_IDS: usize = 10_000;
/// Dead letters that one request names.
pub const DEAD_LETTERS: usize = 10_000;
/// Bytes of the value of a webhook's key.
pub const KEY_BYTES: usize = 8 * 1024;
/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// Bytes of an `X-Request-Id` that is taken over.
pub const REQUEST_ID_BYTES: usize = 128;
/// Depth of nested arrays and objects in a body. The deepest that the specification knows is seven.
pub const DEPTH: usize = 64;
/// Parameters in a query.
pub const QUERY_PARAMETERS: usize = 200;

/// Bodies of more than [`LARGE_BODY_BYTES`] in memory at once: with the greatest body of segments, half a gigabyte.
pub const LARGE_BODIES: usize = 32;
/// From this size on, in bytes, a body needs one of the places for large ones.
pub const LARGE_BODY_BYTES: usize = 256 * 1024;

/// The limits that a deployment may choose.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections at once. Further ones wait until another ends.
    pub connections: usize,
    /// Requests at work at once. One more is told at once to come later (503).
    pub requests: usize,
    /// Bytes of the head of a request: its line and its headers. At least 8192.
    pub head_bytes: usize,
    /// Seconds in which the head of a request must come. An idle connection of HTTP/1.1 is closed after as many.
    pub head_seconds: u64,
    /// Seconds after which a request that is not answered is given up, counted from when its body is there.
    pub request_seconds: u64,
    /// Seconds for which a client may take nothing of an answer before its connection is closed.
    pub stall_seconds: u64,
    /// Seconds after which a connection takes no further request, so that none is held for ever.
    pub connection_seconds: u64,
    /// Bytes of a body, other than one of segments. One that is compressed counts as it is when it is not.
    pub body_bytes: usize,
    /// Bytes of a body of segments.
    pub segments_body_bytes: usize,
    /// Items of a page where the client asks for no number.
    pub page_default: usize,
    /// Items of a page at most; who asks for more gets this many (1.6).
    pub page_max: usize,
    /// Objects allocated where the client asks for no number (section 7).
    pub storage_default: usize,
    /// Objects allocated at most by one request; who asks for more by number gets this many.
    pub storage_max: usize,
    /// Segments that are deleted before the answer; the deletion of more goes on after it (202).
    pub delete_at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            requests: 4096,
            head_bytes: 64 * 1024,
            head_seconds: 30,
            request_seconds: 60,
            stall_seconds: 60,
            connection_seconds: 3600,
            page_default: 100,
            page_max: 1000,
            storage_default: 10,
            storage_max: 10_000,
            delete_at_once: 10_000,
            body_bytes: 1 << 20,
            segments_body_bytes: 16 << 20,
        }
    }
}

/// Limits with which nothing can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limits.{name} is {value}, but must be {least} at least")]
pub struct TooTight {
    name: &'static str,
    value: u64,
    least: u64,
}

impl Limits {
    /// Checks that something can be served.
    ///
    /// # Errors
    /// Naming the first limit that does not allow it.
    pub fn check(&self) -> Result<(), TooTight> {
        let number = |number: usize| number as u64;
        [
            ("connections", number(self.connections), 1),
            ("requests", number(self.requests), 1),
            // What hyper needs for a head.
            ("head_bytes", number(self.head_bytes), 8192),
            ("head_seconds", self.head_seconds, 1),
            ("request_seconds", self.request_seconds, 1),
            ("stall_seconds", self.stall_seconds, 1),
            ("connection_seconds", self.connection_seconds, 1),
            ("body_bytes", number(self.body_bytes), 1024),
            ("segments_body_bytes", number(self.segments_body_bytes), 1024),
            ("page_default", number(self.page_default), 1),
            ("page_max", number(self.page_max), number(self.page_default)),
            ("storage_default", number(self.storage_default), 1),
            ("storage_max", number(self.storage_max), number(self.storage_default)),
            ("delete_at_once", number(self.delete_at_once), 1),
        ]
        .into_iter()
        .try_for_each(|(name, value, least)| if value < least { Err(TooTight { name, value, least }) } else { Ok(()) })
    }
}

/// Checks the length of a text.
///
/// # Errors
/// `Problem::Invalid`, naming the field.
pub fn text(field: &str, text: &str, bytes: usize) -> Result<(), Problem> {
    if text.len() <= bytes {
        return Ok(());
    }
    Err(Problem::invalid(format!("{field} has {} bytes, but may have {bytes}", text.len())))
}

/// Checks the length of a list.
///
/// # Errors
/// `Problem::Invalid`, naming the field.
pub fn count(field: &str, length: usize, most: usize) -> Result<(), Problem> {
    if length <= most {
        return Ok(());
    }
    Err(Problem::invalid(format!("{field} has {length} items, but may have {most}")))
}
