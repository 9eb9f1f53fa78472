//! Instances of objects (section 8): copies on storage backends, and addresses outside the store.

use std::sync::Arc;

use hyper::StatusCode;
use tapelog_commands::{AddInstance, Command, InstanceName, RemoveInstance};
use tapelog_events::{Instance, ObjectId, Tags};

use super::body;
use super::call::Call;
use super::problem::Problem;
use super::response::Response;
use super::storage::backend_for;
use super::write::submit;

/// `POST /objects/{objectId}/instances`. A copy is made after the answer; its URL is told once it is there.
pub async fn add(call: &Call<'_>, object_id: ObjectId) -> Result<Response, Problem> {
    let instance = body::instance::read(&call.body)?;
    let storage_tags = match &instance {
        Instance::Controlled { storage_id } => backend_for(call, *storage_id)?.description.place.tags.clone(),
        Instance::Uncontrolled { .. } => Tags::new(),
    };
    let reserved_labels = Arc::clone(&call.app.reserved_labels);
    let command = AddInstance { object_id, instance, storage_tags, reserved_labels };
    let submitted = submit(call, Command::AddInstance(command)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::CREATED))
}

/// `DELETE /objects/{objectId}/instances`. Bytes on a storage backend are erased after the answer.
pub async fn remove(call: &Call<'_>, object_id: ObjectId) -> Result<Response, Problem> {
    let query = call.query()?;
    let instance = match (query.parsed("storage_id")?, query.text("label")?) {
        (Some(storage_id), None) => InstanceName::Controlled(storage_id),
        (None, Some(label)) => InstanceName::Label(label.to_owned()),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("query parameters storage_id and label exclude each other"));
        }
        (None, None) => return Err(Problem::invalid("query parameter storage_id is missing, and so is label")),
    };
    let submitted = submit(call, Command::RemoveInstance(RemoveInstance { object_id, instance })).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}
