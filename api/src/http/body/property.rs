//! Bodies that are one property: bare JSON scalars, tags, collections.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use tapelog_events::{AudioTrack, CollectionItem, ContainerMapping, TagValue, Tags};

use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::route::Text;

/// A tag's value as clients write it. Its own reader says what is expected; the one of [`TagValue`] cannot.
struct TagBody(TagValue);

impl<'de> Deserialize<'de> for TagBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TagVisitor;

        impl<'de> Visitor<'de> for TagVisitor {
            type Value = TagBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<TagBody, E> {
                Ok(TagBody(TagValue::One(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TagBody, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(TagBody(TagValue::Many(texts)))
            }
        }

        deserializer.deserialize_any(TagVisitor)
    }
}

/// The tags of a resource as clients write them.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Tags")]
#[serde(transparent)]
pub struct TagsBody(#[schemars(with = "Tags")] BTreeMap<String, TagBody>);

impl TagsBody {
    /// The tags, within limits.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the tag.
    pub fn checked(self) -> Result<Tags, Problem> {
        limits::count("tags", self.0.len(), limits::TAGS)?;
        let checked = self.0.into_iter().map(|(name, TagBody(value))| {
            check_tag(&name, &value)?;
            Ok((name, value))
        });
        checked.collect()
    }
}

/// Reads all tags of a resource.
///
/// # Errors
/// [`Problem::Invalid`], naming the tag.
pub fn tags(body: &[u8]) -> Result<Tags, Problem> {
    super::object::<TagsBody>(body)?.checked()
}

/// Reads the value of the tag with this name.
///
/// # Errors
/// [`Problem::Invalid`] where it is neither a text nor a list of texts, or too long.
pub fn tag(name: &str, body: &[u8]) -> Result<TagValue, Problem> {
    let TagBody(value) = super::named(&format!("tags.{name}"), body)?;
    check_tag(name, &value)?;
    Ok(value)
}

fn check_tag(name: &str, value: &TagValue) -> Result<(), Problem> {
    limits::text("the name of a tag", name, limits::TAG_NAME_BYTES)?;
    let field = format!("tags.{name}");
    limits::count(&field, value.texts().len(), limits::TAG_VALUES)?;
    value.texts().iter().try_for_each(|text| limits::text(&field, text, limits::TAG_VALUE_BYTES))
}

/// Reads a property that is a text.
///
/// # Errors
/// [`Problem::Invalid`], naming the property.
pub fn text(property: Text, body: &[u8]) -> Result<String, Problem> {
    let text: String = super::named(&property.to_string(), body)?;
    let bytes = match property {
        Text::Label => limits::LABEL_BYTES,
        Text::Description => limits::DESCRIPTION_BYTES,
    };
    limits::text(&property.to_string(), &text, bytes)?;
    Ok(text)
}

/// Reads a `flow_collection`.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn flow_collection(body: &[u8]) -> Result<Vec<CollectionItem>, Problem> {
    let items: Vec<CollectionItem> = super::named("flow_collection", body)?;
    check_collection(&items)?;
    Ok(items)
}

/// Checks what the types of a collection leave open.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn check_collection(items: &[CollectionItem]) -> Result<(), Problem> {
    limits::count("flow_collection", items.len(), limits::COLLECTION_ITEMS)?;
    for (index, item) in items.iter().enumerate() {
        if let Some(role) = &item.role {
            limits::text(&format!("flow_collection[{index}].role"), role, limits::NAME_BYTES)?;
        }
        if let Some(mapping) = &item.container_mapping {
            check_mapping(&format!("flow_collection[{index}].container_mapping"), mapping)?;
        }
    }
    Ok(())
}

/// Checks what the types of a container mapping leave open (`container-mapping.json`).
///
/// # Errors
/// [`Problem::Invalid`], naming the field below `path`.
pub fn check_mapping(path: &str, mapping: &ContainerMapping) -> Result<(), Problem> {
    if let Some(AudioTrack { channel_numbers, channel_range }) = &mapping.audio_track {
        if let Some(numbers) = channel_numbers {
            let field = format!("{path}.audio_track.channel_numbers");
            limits::count(&field, numbers.len(), limits::CHANNELS)?;
            if numbers.is_empty() {
                return Err(Problem::invalid(format!("{field} is empty")));
            }
        }
        if let Some(range) = channel_range {
            let field = format!("{path}.audio_track.channel_range");
            limits::text(&field, range, limits::NAME_BYTES)?;
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !range.split_once('_').is_some_and(|(first, last)| is_number(first) && is_number(last)) {
                return Err(Problem::invalid(format!("{field} has not the form <first>_<last>")));
            }
        }
    }
    let package = mapping.mxf_container.as_ref().and_then(|container| container.package_uid.as_deref());
    if package.is_some_and(|package| !is_package_uid(package)) {
        return Err(Problem::invalid(format!(
            "{path}.mxf_container.package_uid is neither urn:smpte:umid: with 8 groups of 8 hexadecimal digits nor \
             urn:uuid: with a UUID"
        )));
    }
    Ok(())
}

fn is_package_uid(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(umid) = text.strip_prefix("urn:smpte:umid:") {
        let mut groups = umid.split('.');
        return umid.len() == 71 && groups.all(|group| group.len() == 8 && is_hex(group));
    }
    text.strip_prefix("urn:uuid:").is_some_and(|uuid| {
        let lengths = uuid.split('-').map(str::len);
        lengths.eq([8, 4, 4, 4, 12]) && uuid.split('-').all(is_hex)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_is_a_text_or_a_list_of_texts() {
        assert_eq!(tag("t", br#""a""#).unwrap(), TagValue::One("a".to_owned()));
        assert_eq!(tag("t", br#"["a","b"]"#).unwrap(), TagValue::Many(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(tag("t", b"[]").unwrap(), TagValue::Many(vec![]));
        for body in [r#"{"a":1}"#, "[1]", "null", "1", "true", ""] {
            assert!(tag("t", body.as_bytes()).is_err(), "{body}");
        }
        assert!(tag("t", br#"{"a":1}"#).unwrap_err().to_string().contains("a text or a list of texts"));
    }

    #[test]
    fn what_is_too_long_is_refused_by_name() {
        let long = format!("{:?}", "x".repeat(limits::TAG_VALUE_BYTES + 1));
        assert!(tag("mood", long.as_bytes()).unwrap_err().to_string().starts_with("tags.mood "));
        let many: TagsBody =
            serde_json::from_value((0..=limits::TAGS).map(|n| (n.to_string(), json!("x"))).collect()).unwrap();
        assert!(many.checked().unwrap_err().to_string().starts_with("tags "));
        assert!(text(Text::Label, long.as_bytes()).unwrap_err().to_string().starts_with("label "));
    }

    #[test]
    fn container_mappings_follow_the_patterns_of_the_schema() {
        let of = |json: serde_json::Value| {
            check_mapping("container_mapping", &serde_json::from_value(json).unwrap()).map_err(|e| e.to_string())
        };
        let umid = format!("urn:smpte:umid:{}", ["060a2b34"; 8].join("."));
        let uuid = "urn:uuid:4F79cfd1-c057-47f4-8e4d-1b126ca7bf34";
        for package in [umid.as_str(), uuid] {
            assert!(of(json!({"mxf_container": {"package_uid": package}})).is_ok(), "{package}");
        }
        for (json, field) in [
            (json!({"audio_track": {"channel_numbers": []}}), "channel_numbers"),
            (json!({"audio_track": {"channel_range": "1-2"}}), "channel_range"),
            (json!({"mxf_container": {"package_uid": "urn:uuid:x"}}), "package_uid"),
            (json!({"mxf_container": {"package_uid": &umid[1..]}}), "package_uid"),
        ] {
            assert!(of(json).unwrap_err().contains(field), "{field}");
        }
    }
}
