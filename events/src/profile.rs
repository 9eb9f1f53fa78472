//! Profiles (5.5): technical metadata that Flows share.

use serde::{Deserialize, Serialize};

use crate::{ContainerMapping, EssenceParameters, Format, Instant, ProfileId, Rational, Tags};

/// The technical metadata of a Flow (`flow-technical.json` and what its format adds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TechnicalMetadata {
    /// See [`crate::Flow::format`].
    pub format: Format,
    /// See [`crate::Flow::codec`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// See [`crate::Flow::container`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// See [`crate::Flow::avg_bit_rate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_bit_rate: Option<u64>,
    /// See [`crate::Flow::segment_duration`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_duration: Option<Rational>,
    /// See [`crate::Flow::container_mapping`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_mapping: Option<ContainerMapping>,
    /// See [`crate::Flow::essence_parameters`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub essence_parameters: Option<EssenceParameters>,
}

/// A profile. It never changes and is never deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Profile {
    /// Names the profile; chosen by the client.
    pub id: ProfileId,
    /// A short name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free tags.
    #[serde(default)]
    pub tags: Tags,
    /// When it was created.
    pub created: Instant,
    /// Who created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// What the Flows that are linked to it have in common. Never of the format multi.
    pub flow_metadata: TechnicalMetadata,
}
