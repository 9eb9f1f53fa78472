//! The body of `POST /service`.

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_commands::UpdateService;

use crate::http::limits;
use crate::http::problem::Problem;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ServicePost")]
pub struct ServiceBody {
    name: Option<String>,
    description: Option<String>,
}

/// Reads what is to become of the store's name and description.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(body: &[u8]) -> Result<UpdateService, Problem> {
    let ServiceBody { name, description } = super::object(body)?;
    if let Some(name) = &name {
        limits::text("name", name, limits::LABEL_BYTES)?;
    }
    if let Some(description) = &description {
        limits::text("description", description, limits::DESCRIPTION_BYTES)?;
    }
    Ok(UpdateService { name, description })
}
