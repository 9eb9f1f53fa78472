//! The body of `POST /objects/{objectId}/instances` (section 8).

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_events::{Instance, StorageId};

use crate::http::limits;
use crate::http::problem::Problem;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "InstancePost")]
pub struct InstanceBody {
    storage_id: Option<StorageId>,
    url: Option<String>,
    label: Option<String>,
}

/// Reads which instance an object is to have: a copy on a storage backend, or one at an address outside the store.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(body: &[u8]) -> Result<Instance, Problem> {
    let InstanceBody { storage_id, url, label } = super::object(body)?;
    match (storage_id, url, label) {
        (Some(_), Some(_), Some(_)) => Err(Problem::invalid("storage_id and url with label exclude each other")),
        (Some(storage_id), _, _) => Ok(Instance::Controlled { storage_id }),
        (None, Some(url), Some(label)) => {
            limits::text("url", &url, limits::URL_BYTES)?;
            limits::text("label", &label, limits::LABEL_BYTES)?;
            Ok(Instance::Uncontrolled { url, label })
        }
        (None, Some(_), None) => Err(Problem::invalid("label is missing beside url")),
        (None, None, _) => Err(Problem::invalid("storage_id is missing, and so is url with label in its place")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_one_kind_or_the_other() {
        let id = "60af2ab4-e8a5-4c65-a09b-d35983680315";
        let controlled = read(format!(r#"{{"storage_id":"{id}"}}"#).as_bytes()).unwrap();
        assert_eq!(controlled, Instance::Controlled { storage_id: id.parse().unwrap() });
        assert!(matches!(read(br#"{"url":"u","label":"l"}"#), Ok(Instance::Uncontrolled { .. })));
        let both = format!(r#"{{"storage_id":"{id}","url":"u","label":"l"}}"#);
        for (body, named) in [
            ("{}", "storage_id"),
            (both.as_str(), "exclude"),
            (r#"{"url":"u"}"#, "label"),
            (r#"{"label":"l"}"#, "url"),
            (r#"{"storage_id":"x"}"#, "storage_id"),
            (r#"{"url":5,"label":"l"}"#, "url"),
            ("[]", "the body"),
        ] {
            let refused = read(body.as_bytes()).expect_err(body).to_string();
            assert!(refused.contains(named), "{body}: {refused}");
        }
    }
}
