//! Tags: free keys with one text or a list of texts (`tags.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The tags of a resource by name. Sorted, so that equal tags have equal bytes.
pub type Tags = BTreeMap<String, TagValue>;

/// The value of one tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TagValue {
    /// One text.
    One(String),
    /// A list of texts, which may be empty.
    Many(Vec<String>),
}

impl TagValue {
    /// Every text of the value.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}
