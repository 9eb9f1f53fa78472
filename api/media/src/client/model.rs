//! The parts of TAMS requests and answers that are used here. Unknown properties are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tapelog_events::time::{TimeRange, Timestamp};

/// A segment as a server lists it.
#[derive(Debug, Clone, Deserialize)]
pub struct Segment {
    /// The object that holds its media.
    pub object_id: String,
    /// Where it lies on the flow's timeline.
    pub timerange: TimeRange,
    /// Where its object can be had.
    #[serde(default)]
    pub get_urls: Vec<GetUrl>,
    /// The object that initializes a decoder for its object (TAMS 8.2).
    pub init_object: Option<InitObject>,
}

/// An initialization segment as a server lists it.
#[derive(Debug, Clone, Deserialize)]
pub struct InitObject {
    /// Its object.
    pub object_id: String,
    /// Where the object can be had.
    #[serde(default)]
    pub get_urls: Vec<GetUrl>,
}

/// One place of an object.
#[derive(Debug, Clone, Deserialize)]
pub struct GetUrl {
    /// Where it is.
    pub url: String,
    /// Whether the URL alone is enough to get it.
    #[serde(default)]
    pub presigned: bool,
}

impl GetUrl {
    /// The place to download from: one that needs no credentials if there is any, else the first.
    pub fn preferred(places: &[Self]) -> Option<&Self> {
        places.iter().find(|place| place.presigned).or_else(|| places.first())
    }
}

/// A segment to register.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentPost {
    /// The object that holds its media.
    pub object_id: String,
    /// Where it lies on the flow's timeline.
    pub timerange: TimeRange,
    /// What to add to times in the object to get times of the flow.
    pub ts_offset: Timestamp,
    /// How many pictures of the object a decoder can start at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_frame_count: Option<u32>,
}

/// A segment that was not registered.
#[derive(Debug, Clone, Deserialize)]
pub struct FailedSegment {
    /// Its object.
    pub object_id: String,
    error: Option<FailureReason>,
}

#[derive(Debug, Clone, Deserialize)]
struct FailureReason {
    summary: Option<String>,
}

impl FailedSegment {
    /// Why it was not registered, as far as the server says.
    pub fn reason(&self) -> &str {
        let summary = self.error.as_ref().and_then(|error| error.summary.as_deref());
        summary.unwrap_or("the server gives no reason")
    }
}

/// The answer to a registration that failed in part. The specification has an object; the list alone
/// is what one known server sends.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum BulkFailure {
    Specified { failed_segments: Vec<FailedSegment> },
    Bare(Vec<FailedSegment>),
}

impl BulkFailure {
    pub fn into_failed_segments(self) -> Vec<FailedSegment> {
        match self {
            Self::Specified { failed_segments } | Self::Bare(failed_segments) => failed_segments,
        }
    }
}

#[derive(Deserialize)]
pub struct Storage {
    pub media_objects: Vec<Allocation>,
}

/// A place to store an object.
#[derive(Debug, Clone, Deserialize)]
pub struct Allocation {
    /// The object.
    pub object_id: String,
    /// How to store it.
    pub put_url: PutUrl,
    /// Whether the URL alone is enough to store it.
    #[serde(default)]
    pub presigned: bool,
}

/// The request that stores an object.
#[derive(Debug, Clone, Deserialize)]
pub struct PutUrl {
    /// Where it goes.
    pub url: String,
    /// The content type it must have.
    #[serde(rename = "content-type")]
    pub content_type: Option<String>,
    /// Headers that it must have.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// What an error body says. Known servers use `message`, `detail`, `error` or `summary`, and put
/// text or structures there.
pub fn error_message(body: &[u8]) -> String {
    const LONGEST: usize = 500;
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|body| {
        ["message", "detail", "error", "summary"].into_iter().find_map(|key| match body.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            structure => Some(structure.to_string()),
        })
    });
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    match text.as_str() {
        "" => "no reason given".to_owned(),
        text => text.chars().take(LONGEST).collect(),
    }
}
