//! The body of `POST /flows/{flowId}/storage` (section 7).

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_events::{ObjectId, StorageId};

use crate::http::limits::{self, Limits};
use crate::http::problem::Problem;
use crate::http::query::is_mime_type;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub struct StorageRequest {
    /// Which objects.
    pub objects: Objects,
    /// On which backend; the default one unless given.
    pub storage_id: Option<StorageId>,
    /// The MIME type of the objects; the Flow's container unless given.
    pub content_type: Option<String>,
    /// How their bytes are uploaded.
    pub upload: Upload,
}

/// How bytes are uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// To the storage backend, by a URL that needs no credentials.
    Presigned,
    /// Through this API.
    Direct,
}

/// Which objects are asked for.
#[derive(Debug, PartialEq)]
pub enum Objects {
    /// So many, with ids of the server's choice.
    New(usize),
    /// Those with these ids.
    Named(Vec<ObjectId>),
}

#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "StoragePost")]
pub struct StorageBody {
    limit: Option<i64>,
    object_ids: Option<Vec<ObjectId>>,
    storage_id: Option<StorageId>,
    content_type: Option<String>,
    presigned: Option<bool>,
}

/// Reads what is asked for; no body asks for the default number of objects.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read(body: &[u8], limits: &Limits) -> Result<StorageRequest, Problem> {
    let body: StorageBody = if body.is_empty() { StorageBody::default() } else { super::object(body)? };
    let objects = match (body.limit, body.object_ids) {
        (Some(_), Some(_)) => return Err(Problem::invalid("limit and object_ids exclude each other")),
        (None, None) => Objects::New(limits.storage_default),
        (None, Some(ids)) => {
            limits::count("object_ids", ids.len(), limits.storage_max)?;
            Objects::Named(ids)
        }
        (Some(limit), None) => match usize::try_from(limit) {
            Ok(0) | Err(_) => return Err(Problem::invalid("limit is not positive")),
            Ok(limit) => Objects::New(limit.min(limits.storage_max)),
        },
    };
    let upload = match body.presigned {
        None | Some(true) => Upload::Presigned,
        Some(false) => Upload::Direct,
    };
    if body.content_type.as_deref().is_some_and(|text| !is_mime_type(text) || text.len() > limits::NAME_BYTES) {
        return Err(Problem::invalid("content_type is not a MIME type without parameters"));
    }
    Ok(StorageRequest { objects, storage_id: body.storage_id, content_type: body.content_type, upload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_and_an_empty_one_ask_for_the_default() {
        let limits = Limits::default();
        for body in ["", "{}"] {
            let request = read(body.as_bytes(), &limits).expect("it is read");
            assert_eq!(request.objects, Objects::New(limits.storage_default));
        }
        let most = read(br#"{"limit":99999999}"#, &limits).expect("it is cut");
        assert_eq!(most.objects, Objects::New(limits.storage_max));
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (body, field) in [
            (r#"{"limit":0}"#, "limit"),
            (r#"{"limit":-1}"#, "limit"),
            (r#"{"limit":1,"object_ids":["a"]}"#, "object_ids"),
            (r#"{"object_ids":["a",""]}"#, "object_ids[1]"),
            (r#"{"storage_id":"x"}"#, "storage_id"),
            (r#"{"content_type":"video/mp4;x=y"}"#, "content_type"),
            (r#"{"presigned":0}"#, "presigned"),
            ("[]", "the body"),
        ] {
            let refused = read(body.as_bytes(), &Limits::default()).expect_err(body).to_string();
            assert!(refused.contains(field), "{body}: {refused}");
        }
    }
}
