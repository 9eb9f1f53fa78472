//! Bytes of objects through the API: an extension, for clients that reach this server and not the object storage.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, BodyStream};
use hyper::StatusCode;
use hyper::body::Body as HttpBody;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use tapelog_events::{Instance, ObjectId, Permission, StorageId, Verdict};
use tapelog_projections::Tables;
use tapelog_store::media::{MediaError, object_key};

use super::backend::Backend;
use super::call::Call;
use super::problem::Problem;
use super::response::{self, Response};

/// The media type of bytes of which nothing is said.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// After what a client may try again where the storage does not answer.
const LATER: Duration = Duration::from_secs(2);

/// `GET /objects/{objectId}/content`: leads to a presigned URL, so that the bytes themselves never pass this server.
pub fn get(call: &Call<'_>, object_id: &ObjectId) -> Result<Response, Problem> {
    let backends = &call.app.parts.backends;
    let found = call
        .app
        .parts
        .tables
        .read(|tables| tables.object(object_id).filter(|object| object.is_readable(tables, call.access())));
    let object = found.ok_or_else(|| missing(object_id))?;
    let url = object.instances.iter().find_map(|instance| match instance {
        Instance::Controlled { storage_id } => {
            // Of storage backends that the caller may not see, no URL is told (1.9).
            let backend = backends.get(*storage_id);
            let media = &backend.filter(|backend| call.access().may_read(&backend.description.place.tags))?.media;
            let mut url = String::new();
            let key = object_key(&object_id.to_string());
            media.presign_get(&key, &media.signing_time(call.app.now()), &mut url);
            Some(url)
        }
        // An address of any other kind is for whoever gave it.
        Instance::Uncontrolled { url, .. } => {
            (url.starts_with("http://") || url.starts_with("https://")).then(|| url.clone())
        }
    });
    let url = url.and_then(|url| HeaderValue::try_from(url).ok());
    let url = url.ok_or_else(|| Problem::NotFound(format!("object {object_id} lies on no storage backend in use")))?;
    let mut response = response::empty(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(LOCATION, url);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `PUT /objects/{objectId}/content`: stores the bytes of an object that was allocated, as its presigned `put_url` would.
/// An object that segments use keeps the bytes that it has.
pub async fn put<B>(call: &Call<'_>, object_id: &ObjectId, body: B) -> Result<Response, Problem>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (place, in_use) = call.app.parts.tables.read(|tables| place(call, tables, object_id))?;
    let backend = call.app.parts.backends.get(place);
    let Backend { description, media, .. } =
        backend.ok_or_else(|| Problem::NotFound(format!("object {object_id} lies on no storage backend in use")))?;
    if call.access().judge(Permission::Write, &description.place.tags) != Verdict::Granted {
        return Err(Problem::Forbidden("you may not store objects on the object's storage backend".to_owned()));
    }
    let key = object_key(&object_id.to_string());
    if in_use {
        match media.head(&key).await {
            Err(MediaError::NotFound { .. }) => {}
            Err(error) => return Err(unavailable(&error)),
            Ok(_) => return Err(Problem::Conflict(format!("object {object_id} is in use, so its bytes stay"))),
        }
    }
    let content_type = call.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or(UNKNOWN_TYPE);
    let length = body.size_hint().exact();
    let length = length.ok_or_else(|| {
        Problem::invalid("header Content-Length is missing: object storage wants to know the length beforehand")
    })?;
    let frames = BodyStream::new(body.map_err(Into::into)).filter_map(async |frame| match frame {
        Ok(frame) => frame.into_data().ok().map(Ok),
        Err(error) => Some(Err::<Bytes, Box<dyn Error + Send + Sync>>(error)),
    });
    media.upload(&key, content_type, length, frames).await.map_err(|error| unavailable(&error))?;
    Ok(response::empty(StatusCode::CREATED))
}

/// Where the bytes of an object go, and whether segments use it already.
fn place(call: &Call<'_>, tables: &Tables, object_id: &ObjectId) -> Result<(StorageId, bool), Problem> {
    let (instances, flows, in_use) = match (tables.allocation(object_id), tables.object(object_id)) {
        (Some(allocation), _) => (allocation.instances, allocation.flow_id.into_iter().collect(), false),
        (None, Some(object)) => (object.instances, object.flows, true),
        (None, None) => return Err(missing(object_id)),
    };
    let may = |permission| {
        let mut flows = flows.iter().filter_map(|id| tables.flow(*id));
        flows.any(|flow| call.access().judge(permission, &flow.flow().tags) == Verdict::Granted)
    };
    // What no Flow has asked for is open to all who may write.
    if !flows.is_empty() && !may(Permission::Write) {
        return Err(match may(Permission::Read) {
            true => Problem::Forbidden(format!("you may not change object {object_id}")),
            false => missing(object_id),
        });
    }
    let controlled = instances.iter().find_map(|instance| match instance {
        Instance::Controlled { storage_id } => Some(*storage_id),
        Instance::Uncontrolled { .. } => None,
    });
    let missing = || Problem::Conflict(format!("object {object_id} lies outside this store"));
    Ok((controlled.ok_or_else(missing)?, in_use))
}

fn missing(object_id: &ObjectId) -> Problem {
    Problem::NotFound(format!("object {object_id} does not exist"))
}

/// The storage did not take the bytes. The cause may hold addresses of the inside.
fn unavailable(error: &MediaError) -> Problem {
    tracing::warn!(%error, "an upload through the API failed");
    Problem::StorageUnavailable { retry_after: LATER }
}
