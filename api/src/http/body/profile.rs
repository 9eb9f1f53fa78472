//! The body of `POST /service/profiles/{profileId}` (5.5).

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_commands::CreateProfile;
use tapelog_events::{Format, ProfileId};

use super::flow::TechnicalBody;
use super::property::TagsBody;
use crate::http::limits;
use crate::http::problem::Problem;

/// What clients say of a profile. `created` may be there, and is the server's to know.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ProfilePost")]
pub struct ProfileBody {
    id: ProfileId,
    label: Option<String>,
    description: Option<String>,
    created_by: Option<String>,
    tags: Option<TagsBody>,
    flow_metadata: TechnicalBody,
}

/// Reads the profile with this id.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(profile_id: ProfileId, body: &[u8]) -> Result<CreateProfile, Problem> {
    let body: ProfileBody = super::object(body)?;
    if body.id != profile_id {
        return Err(Problem::invalid(format!("id is {}, but the path names profile {profile_id}", body.id)));
    }
    for (field, text, bytes) in [
        ("label", &body.label, limits::LABEL_BYTES),
        ("description", &body.description, limits::DESCRIPTION_BYTES),
        ("created_by", &body.created_by, limits::NAME_BYTES),
    ] {
        if let Some(text) = text {
            limits::text(field, text, bytes)?;
        }
    }
    let flow_metadata = body.flow_metadata.checked("flow_metadata.")?;
    if flow_metadata.format == Format::Multi {
        return Err(Problem::invalid("flow_metadata.format is that of several essences, and a profile is of one"));
    }
    Ok(CreateProfile {
        profile_id,
        label: body.label,
        description: body.description,
        tags: body.tags.unwrap_or_default().checked()?,
        created_by: body.created_by,
        flow_metadata,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";

    fn of(flow_metadata: &Value) -> Result<CreateProfile, Problem> {
        let body = json!({ "id": ID, "flow_metadata": flow_metadata, "created": 5, "vendor": {} });
        read(ID.parse().unwrap(), body.to_string().as_bytes())
    }

    #[test]
    fn the_technical_metadata_are_as_strict_as_those_of_a_flow_and_named_by_their_path() {
        let audio = json!({
            "format": "urn:x-nmos:format:audio", "codec": "audio/aac",
            "essence_parameters": { "sample_rate": 48000, "channels": 2 },
        });
        assert!(of(&audio).is_ok());
        for (member, value, named) in [
            ("codec", json!("aac"), "flow_metadata.codec"),
            ("codec", json!(null), "flow_metadata.codec is required"),
            ("format", json!("urn:x-nmos:format:multi"), "flow_metadata.format"),
            ("format", json!("audio"), "flow_metadata.format"),
            ("essence_parameters", json!({ "sample_rate": 48000 }), "flow_metadata.essence_parameters: missing"),
            (
                "container_mapping",
                json!({ "audio_track": { "channel_numbers": [] } }),
                "flow_metadata.container_mapping",
            ),
        ] {
            let mut wrong = audio.clone();
            wrong[member] = value;
            if member == "format" {
                wrong["essence_parameters"] = json!({});
            }
            let refused = of(&wrong).expect_err(named).to_string();
            assert!(refused.contains(named), "{refused}");
        }
        assert!(of(&json!([])).is_err() && of(&json!(null)).is_err());
        let other =
            read("5f79cfd1-c057-47f4-8e4d-1b126ca7bf34".parse().unwrap(), json!({ "id": ID }).to_string().as_bytes());
        assert!(other.is_err());
    }
}
