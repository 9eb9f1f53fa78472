//! The bodies of `POST /collections` and `POST /source-collections`, extensions.

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_commands::{Expected, FlowMetadata, PutFlow, Technical};
use tapelog_events::{CollectionItem, FlowId, Format, SourceId, TechnicalMetadata};

use super::property::{TagsBody, check_collection};
use crate::http::limits;
use crate::http::problem::Problem;

/// What a new collection has in common, whatever it collects.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "{Member}CollectionPost")]
pub struct CollectionBody<Member> {
    id: Option<FlowId>,
    source_id: Option<SourceId>,
    label: Option<String>,
    description: Option<String>,
    tags: Option<TagsBody>,
    members: Vec<Member>,
}

/// A Source to be collected.
#[derive(Deserialize, JsonSchema)]
pub struct SourceMember {
    /// Which Source: with all its Flows.
    pub id: SourceId,
    /// What it is to the collection.
    pub role: Option<String>,
}

/// A collection of Sources to be made.
pub struct NewSourceCollection {
    /// The Flow of format multi that makes it up; it collects nothing yet.
    pub flow: PutFlow,
    /// What it is to collect.
    pub members: Vec<SourceMember>,
}

/// Reads a collection of Flows: a Flow of format multi that collects them. `fresh` makes up the ids that are not given.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(body: &[u8], fresh: impl Fn() -> (FlowId, SourceId)) -> Result<PutFlow, Problem> {
    let body: CollectionBody<CollectionItem> = super::object(body)?;
    check_collection(&body.members)?;
    let (mut flow, members) = body.checked(fresh)?;
    flow.metadata.flow_collection = Some(members);
    Ok(flow)
}

/// Reads a collection of Sources.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read_of_sources(body: &[u8], fresh: impl Fn() -> (FlowId, SourceId)) -> Result<NewSourceCollection, Problem> {
    let body: CollectionBody<SourceMember> = super::object(body)?;
    limits::count("members", body.members.len(), limits::COLLECTION_ITEMS)?;
    for (index, member) in body.members.iter().enumerate() {
        let role = member.role.as_deref().unwrap_or_default();
        limits::text(&format!("members[{index}].role"), role, limits::NAME_BYTES)?;
    }
    let (flow, members) = body.checked(fresh)?;
    Ok(NewSourceCollection { flow, members })
}

impl<Member> CollectionBody<Member> {
    fn checked(self, fresh: impl Fn() -> (FlowId, SourceId)) -> Result<(PutFlow, Vec<Member>), Problem> {
        let (fresh_flow, fresh_source) = fresh();
        limits::text("label", self.label.as_deref().unwrap_or_default(), limits::LABEL_BYTES)?;
        limits::text("description", self.description.as_deref().unwrap_or_default(), limits::DESCRIPTION_BYTES)?;
        let technical = TechnicalMetadata {
            format: Format::Multi,
            codec: None,
            container: None,
            avg_bit_rate: None,
            segment_duration: None,
            container_mapping: None,
            essence_parameters: None,
        };
        let metadata = FlowMetadata {
            source_id: self.source_id.unwrap_or(fresh_source),
            label: self.label,
            description: self.description,
            created_by: None,
            updated_by: None,
            tags: self.tags.unwrap_or_default().checked()?,
            metadata_version: None,
            generation: None,
            status: None,
            read_only: None,
            max_bit_rate: None,
            flow_collection: None,
            technical: Technical::Own(Box::new(technical)),
        };
        let flow_id = self.id.unwrap_or(fresh_flow);
        Ok((PutFlow { flow_id, expected: Expected::Absent, metadata }, self.members))
    }
}
