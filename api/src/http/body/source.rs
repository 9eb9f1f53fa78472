//! The body of `POST /sources`, an extension.

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_commands::EditSource;
use tapelog_events::SourceId;

use super::property::TagsBody;
use crate::http::limits;
use crate::http::problem::Problem;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SourceEdit")]
pub struct SourceBody {
    id: SourceId,
    label: Option<String>,
    description: Option<String>,
    tags: Option<TagsBody>,
}

/// Reads what is to become of Sources, each on its own.
///
/// # Errors
/// [`Problem::Invalid`] where the body as a whole cannot be read.
pub fn read_batch(body: &[u8]) -> Result<Vec<Result<EditSource, Problem>>, Problem> {
    let items = super::batch::items(body)?.into_iter().enumerate();
    Ok(items.map(|(index, item)| super::part(&format!("[{index}]"), item).and_then(SourceBody::checked)).collect())
}

impl SourceBody {
    fn checked(self) -> Result<EditSource, Problem> {
        let Self { id, label, description, tags } = self;
        if let Some(label) = &label {
            limits::text("label", label, limits::LABEL_BYTES)?;
        }
        if let Some(description) = &description {
            limits::text("description", description, limits::DESCRIPTION_BYTES)?;
        }
        let tags = tags.map(TagsBody::checked).transpose()?;
        Ok(EditSource { source_id: id, label, description, tags })
    }
}
