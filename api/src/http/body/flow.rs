//! The body of `PUT /flows/{flowId}` (sections 5.1, 5.2 and 5.5).

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tapelog_commands::{Expected, FlowMetadata, PutFlow, Technical};
use tapelog_events::{
    CollectionItem, ContainerMapping, EssenceParameters, FlowId, FlowStatus, Format, Rational, SourceId,
    TechnicalMetadata,
};

use super::property::{TagsBody, check_collection, check_mapping};
use crate::http::limits;
use crate::http::problem::Problem;

/// What clients own of a Flow. What the server manages (`created`, `timerange`, `collected_by` and so on) may be there,
/// so that a Flow can be sent back as it was got, and is passed over.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FlowPut")]
pub struct FlowBody {
    id: FlowId,
    source_id: SourceId,
    label: Option<String>,
    description: Option<String>,
    created_by: Option<String>,
    updated_by: Option<String>,
    tags: Option<TagsBody>,
    metadata_version: Option<String>,
    generation: Option<u64>,
    status: Option<FlowStatus>,
    read_only: Option<bool>,
    max_bit_rate: Option<u64>,
    flow_collection: Option<Vec<CollectionItem>>,
    profile_id: Option<String>,
    format: Option<Format>,
    codec: Option<String>,
    container: Option<String>,
    avg_bit_rate: Option<u64>,
    segment_duration: Option<Rational>,
    container_mapping: Option<ContainerMapping>,
    /// Read once the format is known.
    #[schemars(with = "Option<EssenceParameters>")]
    essence_parameters: Option<Value>,
}

/// Reads the metadata of the Flow with this id.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(flow_id: FlowId, body: &[u8]) -> Result<PutFlow, Problem> {
    let body: FlowBody = super::object(body)?;
    if body.id != flow_id {
        return Err(Problem::invalid(format!("id is {}, but the path names flow {flow_id}", body.id)));
    }
    body.checked()
}

impl FlowBody {
    fn checked(self) -> Result<PutFlow, Problem> {
        for (field, text, bytes) in [
            ("label", &self.label, limits::LABEL_BYTES),
            ("description", &self.description, limits::DESCRIPTION_BYTES),
            ("created_by", &self.created_by, limits::NAME_BYTES),
            ("updated_by", &self.updated_by, limits::NAME_BYTES),
            ("metadata_version", &self.metadata_version, limits::NAME_BYTES),
        ] {
            if let Some(text) = text {
                limits::text(field, text, bytes)?;
            }
        }
        if let Some(items) = &self.flow_collection {
            check_collection(items)?;
        }
        let technical = TechnicalBody {
            format: self.format,
            codec: self.codec,
            container: self.container,
            avg_bit_rate: self.avg_bit_rate,
            segment_duration: self.segment_duration,
            container_mapping: self.container_mapping,
            essence_parameters: self.essence_parameters,
        };
        let technical = match self.profile_id.as_deref() {
            None => Technical::Own(Box::new(technical.checked("")?)),
            // An empty text unlinks the Flow from its profile (5.5).
            Some("") => Technical::Unlinked(Box::new(technical.checked("")?)),
            Some(profile_id) => {
                technical.must_be_absent()?;
                let profile_id = profile_id.parse();
                Technical::Profile(profile_id.map_err(|error| Problem::invalid(format!("profile_id: {error}")))?)
            }
        };
        let metadata = FlowMetadata {
            source_id: self.source_id,
            label: self.label,
            description: self.description,
            created_by: self.created_by,
            updated_by: self.updated_by,
            tags: self.tags.unwrap_or_default().checked()?,
            metadata_version: self.metadata_version,
            generation: self.generation,
            status: self.status,
            read_only: self.read_only,
            max_bit_rate: self.max_bit_rate,
            flow_collection: self.flow_collection,
            technical,
        };
        Ok(PutFlow { flow_id: self.id, expected: Expected::Any, metadata })
    }
}

/// Reads the metadata of several Flows, each on its own.
///
/// # Errors
/// [`Problem::Invalid`] where the body as a whole cannot be read.
pub fn read_batch(body: &[u8]) -> Result<Vec<Result<PutFlow, Problem>>, Problem> {
    let items = super::batch::items(body)?.into_iter().enumerate();
    Ok(items.map(|(index, item)| super::part(&format!("[{index}]"), item).and_then(FlowBody::checked)).collect())
}

/// What a profile may say in the Flow's place.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TechnicalMetadataPost")]
pub struct TechnicalBody {
    format: Option<Format>,
    codec: Option<String>,
    container: Option<String>,
    avg_bit_rate: Option<u64>,
    segment_duration: Option<Rational>,
    container_mapping: Option<ContainerMapping>,
    /// Read once the format is known.
    #[schemars(with = "Option<EssenceParameters>")]
    essence_parameters: Option<Value>,
}

impl TechnicalBody {
    /// The technical metadata, whole and within limits. `path` is where they stand in the body: empty, or with a dot at
    /// its end.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the field.
    pub(super) fn checked(self, path: &str) -> Result<TechnicalMetadata, Problem> {
        let Self { format, codec, container, avg_bit_rate, segment_duration, container_mapping, essence_parameters } =
            self;
        let format = format.ok_or_else(|| missing(&format!("{path}format"), "unless a profile says it"))?;
        for (field, text) in [("codec", &codec), ("container", &container)] {
            if text.as_deref().is_some_and(|text| !is_type_and_subtype(text) || text.len() > limits::NAME_BYTES) {
                return Err(Problem::invalid(format!("{path}{field} has not the form <type>/<subtype>")));
            }
        }
        if codec.is_none() && format != Format::Multi {
            return Err(missing(&format!("{path}codec"), "for this format"));
        }
        if let Some(mapping) = &container_mapping {
            check_mapping(&format!("{path}container_mapping"), mapping)?;
        }
        let essence_path = format!("{path}essence_parameters");
        let essence_parameters = match essence_parameters {
            Some(value) => Some(essence(&essence_path, format, value)?),
            None if format == Format::Multi => None,
            None => return Err(missing(&essence_path, "for this format")),
        };
        Ok(TechnicalMetadata {
            format,
            codec,
            container,
            avg_bit_rate,
            segment_duration,
            container_mapping,
            essence_parameters,
        })
    }

    fn must_be_absent(&self) -> Result<(), Problem> {
        let Self { format, codec, container, avg_bit_rate, segment_duration, container_mapping, essence_parameters } =
            self;
        let given = [
            ("format", format.is_some()),
            ("codec", codec.is_some()),
            ("container", container.is_some()),
            ("avg_bit_rate", avg_bit_rate.is_some()),
            ("segment_duration", segment_duration.is_some()),
            ("container_mapping", container_mapping.is_some()),
            ("essence_parameters", essence_parameters.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((field, _)) => Err(Problem::invalid(format!(
                "{field} comes from the profile; leave it out, or send profile_id as an empty text to unlink the flow"
            ))),
        }
    }
}

fn missing(field: &str, when: &str) -> Problem {
    Problem::invalid(format!("{field} is required {when}"))
}

/// Reads `essence_parameters`, which stand at `path` of the body.
fn essence(path: &str, format: Format, value: Value) -> Result<EssenceParameters, Problem> {
    if !value.is_object() {
        return Err(Problem::invalid(format!("{path}: it is not a JSON object")));
    }
    fn of<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, Problem> {
        super::part(path, value)
    }
    let essence = match format {
        Format::Video => EssenceParameters::Video(of(path, value)?),
        Format::Audio => EssenceParameters::Audio(of(path, value)?),
        Format::Image => EssenceParameters::Image(of(path, value)?),
        Format::Data => EssenceParameters::Data(of(path, value)?),
        Format::Multi => EssenceParameters::Multi(of(path, value)?),
    };
    match &essence {
        EssenceParameters::Video(video) => match (video.frame_rate, video.vfr) {
            (Some(_), Some(true)) => {
                Err(Problem::invalid(format!("{path}.frame_rate is given, though {path}.vfr is true")))
            }
            (None, None | Some(false)) => Err(missing(&format!("{path}.frame_rate"), "unless vfr is true")),
            (Some(_), None | Some(false)) | (None, Some(true)) => Ok(()),
        },
        EssenceParameters::Data(data) => {
            let data_type = data.data_type.as_deref().unwrap_or_default();
            limits::text(&format!("{path}.data_type"), data_type, limits::NAME_BYTES)
        }
        EssenceParameters::Audio(_) | EssenceParameters::Image(_) | EssenceParameters::Multi(_) => Ok(()),
    }?;
    Ok(essence)
}

/// The pattern of `codec` and `container` in `flow-technical.json`: looser than a MIME type.
fn is_type_and_subtype(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '/');
    text.split_once('/').is_some_and(|(kind, subtype)| is_part(kind) && is_part(subtype))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";

    fn video() -> Value {
        json!({
            "id": ID, "source_id": ID, "format": "urn:x-nmos:format:video", "codec": "video/h264",
            "container": "video/mp2t",
            "essence_parameters": {"frame_width": 1920, "frame_height": 1080, "frame_rate": {"numerator": 25}},
        })
    }

    /// A video Flow with this value at this JSON pointer, or without it.
    fn put(pointer: &str, value: Option<Value>) -> Result<PutFlow, Problem> {
        let mut body = video();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(name.to_owned(), value)),
            None => drop(parent.remove(name)),
        }
        read(ID.parse().unwrap(), body.to_string().as_bytes())
    }

    #[test]
    fn what_the_server_manages_and_what_nobody_knows_is_passed_over() {
        for (field, value) in [
            ("/timerange", json!("nonsense")),
            ("/created", json!(5)),
            ("/collected_by", json!([ID])),
            ("/segments_updated", json!(null)),
            ("/vendor_field", json!({"deep": [1]})),
            ("/label", json!(null)),
            ("/profile_id", json!("")),
        ] {
            assert!(put(field, Some(value)).is_ok(), "{field}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (pointer, value, field) in [
            ("/id", Some(json!("5f79cfd1-c057-47f4-8e4d-1b126ca7bf34")), "id is"),
            ("/id", None, "`id`"),
            ("/source_id", Some(json!("X")), "source_id"),
            ("/format", Some(json!("urn:x-nmos:format:image")), "format"),
            ("/format", None, "format"),
            ("/codec", Some(json!("video")), "codec"),
            ("/codec", None, "codec"),
            ("/container", Some(json!("video/mp4 x")), "container"),
            ("/label", Some(json!(5)), "label"),
            ("/label", Some(json!("x".repeat(2000))), "label"),
            ("/tags", Some(json!({"a": [1]})), "tags"),
            ("/generation", Some(json!(-1)), "generation"),
            ("/status", Some(json!("done")), "status"),
            ("/read_only", Some(json!("true")), "read_only"),
            ("/segment_duration", Some(json!({"numerator": 0})), "segment_duration"),
            ("/flow_collection", Some(json!([{"role": "x"}])), "flow_collection"),
            ("/profile_id", Some(json!(ID)), "profile"),
            ("/essence_parameters", None, "essence_parameters"),
            ("/essence_parameters", Some(json!([1, 2])), "essence_parameters"),
            ("/essence_parameters/frame_width", Some(json!(0)), "essence_parameters.frame_width"),
            ("/essence_parameters/frame_rate", None, "essence_parameters.frame_rate"),
            ("/essence_parameters/vfr", Some(json!(true)), "essence_parameters.frame_rate"),
            ("/essence_parameters/made_up", Some(json!(1)), "made_up"),
            ("/essence_parameters/colorspace", Some(json!("BT7")), "essence_parameters.colorspace"),
        ] {
            let refused = put(pointer, value).expect_err(pointer).to_string();
            assert!(refused.contains(field), "{pointer}: {refused}");
        }
    }

    #[test]
    fn variable_frame_rate_takes_the_place_of_a_frame_rate() {
        let essence = json!({"frame_width": 2, "frame_height": 2, "vfr": true});
        assert!(put("/essence_parameters", Some(essence)).is_ok());
    }

    #[test]
    fn a_flow_of_a_profile_has_no_technical_metadata_of_its_own() {
        let flow_id = ID.parse().unwrap();
        let linked = json!({"id": ID, "source_id": ID, "profile_id": ID, "max_bit_rate": 5});
        let put = read(flow_id, linked.to_string().as_bytes()).unwrap();
        assert_eq!(put.metadata.technical, Technical::Profile(ID.parse().unwrap()));
        let unlinked = self::put("/profile_id", Some(json!(""))).unwrap();
        assert!(matches!(unlinked.metadata.technical, Technical::Unlinked(_)));
        let multi = json!({"id": ID, "source_id": ID, "format": "urn:x-nmos:format:multi"});
        assert!(read(flow_id, multi.to_string().as_bytes()).is_ok());
    }
}
