//! Allocation of storage (section 7).

use hyper::StatusCode;
use serde::Serialize;
use tapelog_commands::{AllocateStorage, ChosenBy, Command};
use tapelog_events::{FlowId, ObjectId, Outcome, StorageId};
use tapelog_store::media::object_key;
use uuid::Uuid;

use super::body;
use super::body::storage::Objects;
use super::call::Call;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::submit;

/// `POST /flows/{flowId}/storage`.
pub async fn allocate(call: &Call<'_>, flow_id: FlowId) -> Result<Response, Problem> {
    let request = body::storage::read(&call.body, &call.app.parts.limits)?;
    let backends = &call.app.parts.backends;
    let backend = match request.storage_id {
        Some(id) => backends.get(id).ok_or_else(|| unknown_backend(id))?,
        None => backends
            .default_storage()
            .ok_or_else(|| Problem::invalid("storage_id is missing, and no storage backend is the default one"))?,
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
        content_type: request.content_type,
    };
    let submitted = submit(call, Command::AllocateStorage(command)).await?;
    // The outcome is the first one's where the request is a repetition: other ids than those made up above.
    let Outcome::Allocated { storage_id, object_ids, content_type } = submitted.outcome else {
        tracing::error!("an allocation came to something else");
        return Err(Problem::Internal);
    };
    let body = put_urls(call, storage_id, &object_ids, &content_type).await?;
    Ok(call.at(submitted.seq, response::json(StatusCode::CREATED, body)))
}

fn unknown_backend(id: StorageId) -> Problem {
    Problem::invalid(format!("storage_id {id} is not a storage backend of this store"))
}

fn fresh_object_id() -> ObjectId {
    ObjectId::from_uuid(Uuid::new_v4()).expect("a UUID of version 4 has the form that TAMS allows")
}

/// `flow-storage.json`
#[derive(Serialize)]
struct Storage<'a> {
    media_objects: Vec<MediaObject<'a>>,
}

#[derive(Serialize)]
struct MediaObject<'a> {
    object_id: &'a ObjectId,
    put_url: PutUrl,
    presigned: bool,
}

#[derive(Serialize)]
struct PutUrl {
    url: String,
    #[serde(rename = "content-type")]
    content_type: String,
}

/// How many URLs are signed before other tasks get their turn: about a quarter of a millisecond.
const URLS_PER_TURN: usize = 256;

async fn put_urls(
    call: &Call<'_>,
    storage_id: StorageId,
    object_ids: &[ObjectId],
    content_type: &str,
) -> Result<Vec<u8>, Problem> {
    let backend = call.app.parts.backends.get(storage_id).ok_or_else(|| unknown_backend(storage_id))?;
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
