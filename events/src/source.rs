//! Sources (section 4).

use serde::{Deserialize, Serialize};

use crate::{Format, Instant, SourceId, Tags};

/// A Source as the store keeps it: an editorial identity. What it collects and what collects it is derived from the
/// collections of its Flows and so not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// Names the Source.
    pub id: SourceId,
    /// The kind of its content, that of all its Flows.
    pub format: Format,
    /// A short name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free tags.
    #[serde(default)]
    pub tags: Tags,
    /// Who created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// When it appeared: with its first Flow.
    pub created: Instant,
    /// When its metadata changed last.
    pub updated: Instant,
}

/// One entry of a Source's derived `source_collection`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceCollectionItem {
    /// The collected Source.
    pub id: SourceId,
    /// What it is to the collecting Source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}
