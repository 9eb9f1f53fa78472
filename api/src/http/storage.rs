//! Allocation of storage (section 7).

use hyper::StatusCode;
use percent_encoding::utf8_percent_encode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{AllocateStorage, ChosenBy, Command};
use tapelog_events::{FlowId, ObjectId, Outcome, Permission, StorageId, Verdict};
use tapelog_store::media::object_key;
use uuid::Uuid;

use super::backend::Backend;
use super::body;
use super::body::storage::{Objects, Upload};
use super::call::Call;
use super::paging::IN_VALUE;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::submit;

/// `POST /flows/{flowId}/storage`, and with no Flow the extension `POST /objects`, whose objects any Flow may register.
pub async fn allocate(call: &Call<'_>, flow_id: Option<FlowId>) -> Result<Response, Problem> {
    let request = body::storage::read(&call.body, &call.app.parts.limits)?;
    let backend = match request.storage_id {
        Some(id) => backend_for(call, id)?,
        None => default_backend(call)?,
    };
    let (object_ids, chosen_by) = match request.objects {
        Objects::Named(ids) => (ids, ChosenBy::Client),
        Objects::New(count) => (std::iter::repeat_with(fresh_object_id).take(count).collect(), ChosenBy::Server),
    };
    let command = AllocateStorage {
        flow_id,
        object_ids,
        chosen_by,
        storage_id: backend.description.id,
        storage_tags: backend.description.place.tags.clone(),
        content_type: request.content_type,
    };
    let submitted = submit(call, Command::AllocateStorage(command)).await?;
    // The outcome is the first one's where the request is a repetition: other ids than those made up above.
    let Outcome::Allocated { storage_id, object_ids, content_type } = submitted.outcome else {
        tracing::error!("an allocation came to something else");
        return Err(Problem::Internal);
    };
    let body = match request.upload {
        Upload::Presigned => presigned(call, storage_id, &object_ids, &content_type).await?,
        Upload::Direct => direct(call, &object_ids, &content_type),
    };
    Ok(call.at(submitted.seq, response::json(StatusCode::CREATED, body)))
}

/// The storage backend with this id. To whoever may do nothing with it, there is none.
///
/// # Errors
/// [`Problem::Invalid`] where there is none.
pub fn backend_for<'a>(call: &Call<'a>, id: StorageId) -> Result<&'a Backend, Problem> {
    let is_visible =
        |backend: &&Backend| call.access().judge(Permission::Write, &backend.description.place.tags) != Verdict::Hidden;
    let backend = call.app.parts.backends.get(id).filter(is_visible);
    backend.ok_or_else(|| Problem::invalid(format!("storage_id {id} is not a storage backend of this store")))
}

/// The storage backend for those who name none.
///
/// # Errors
/// [`Problem::Invalid`] where there is none.
pub fn default_backend<'a>(call: &Call<'a>) -> Result<&'a Backend, Problem> {
    let missing = || Problem::invalid("storage_id is missing, and no storage backend is the default one");
    call.app.parts.backends.default_storage().ok_or_else(missing)
}

fn fresh_object_id() -> ObjectId {
    ObjectId::from_uuid(Uuid::new_v4()).expect("a UUID of version 4 has the form that TAMS allows")
}

/// `flow-storage.json`
#[derive(Serialize, JsonSchema)]
pub struct Storage<'a> {
    media_objects: Vec<MediaObject<'a>>,
}

#[derive(Serialize, JsonSchema)]
pub struct MediaObject<'a> {
    object_id: &'a ObjectId,
    put_url: PutUrl,
    presigned: bool,
}

#[derive(Serialize, JsonSchema)]
pub struct PutUrl {
    url: String,
    #[serde(rename = "content-type")]
    content_type: String,
}

/// How many URLs are signed before other tasks get their turn: about a quarter of a millisecond.
const URLS_PER_TURN: usize = 256;

/// Places for uploads to the storage backend, by URLs that need no credentials.
async fn presigned(
    call: &Call<'_>,
    storage_id: StorageId,
    object_ids: &[ObjectId],
    content_type: &str,
) -> Result<Vec<u8>, Problem> {
    let backend = backend_for(call, storage_id)?;
    let at = backend.media.signing_time(call.app.now());
    let mut media_objects = Vec::with_capacity(object_ids.len());
    for ids in object_ids.chunks(URLS_PER_TURN) {
        media_objects.extend(ids.iter().map(|object_id| {
            let put = backend.media.presign_put(&object_key(&object_id.to_string()), content_type, &at);
            let put_url = PutUrl { url: put.url, content_type: put.content_type };
            MediaObject { object_id, put_url, presigned: true }
        }));
        tokio::task::yield_now().await;
    }
    Ok(response::encode(&Storage { media_objects }))
}

/// Places for uploads through this API, which need the same credentials as any request.
fn direct(call: &Call<'_>, object_ids: &[ObjectId], content_type: &str) -> Vec<u8> {
    let media_objects = object_ids.iter().map(|object_id| {
        let id = object_id.to_string();
        let url = call.url(&format!("/objects/{}/content", utf8_percent_encode(&id, IN_VALUE)));
        MediaObject { object_id, put_url: PutUrl { url, content_type: content_type.to_owned() }, presigned: false }
    });
    response::encode(&Storage { media_objects: media_objects.collect() })
}
