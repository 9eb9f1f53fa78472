//! How large a request and each of its fields may be: the one place that says so.
//!
//! A limit protects the log and the tables, which keep every value for ever, and never turns away what a real client
//! sends: each is far above what the specification's examples and known clients use.

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
/// `get_urls` of one segment.
pub const URLS: usize = 64;
/// Bytes of a URL.
pub const URL_BYTES: usize = 8 * 1024;
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
#[derive(Debug, Clone)]
pub struct Limits {
    /// Items of a page where the client asks for no number.
    pub page_default: usize,
    /// Items of a page at most; who asks for more gets this many (1.6).
    pub page_max: usize,
    /// Objects allocated where the client asks for no number (section 7).
    pub storage_default: usize,
    /// Objects allocated at most by one request; who asks for more by number gets this many.
    pub storage_max: usize,
    /// Bytes of a body, other than one of segments.
    pub body_bytes: usize,
    /// Bytes of a body of segments.
    pub segments_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_default: 100,
            page_max: 1000,
            storage_default: 10,
            storage_max: 10_000,
            body_bytes: 1 << 20,
            segments_body_bytes: 16 << 20,
        }
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
