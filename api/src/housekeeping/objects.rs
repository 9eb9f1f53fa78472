//! The end of objects that nothing refers to (9.4): condemned in the log first, so that nothing can refer to them any
//! more, then erased, then forgotten. A crash between two of these steps is made up for by the next pass.

use std::sync::Arc;

use tapelog_commands::{Command, CondemnObjects};
use tapelog_events::{Instance, ObjectId};
use tapelog_store::media::object_key;

use super::{Housekeeper, PAUSE};

/// How many rows of the table of objects are looked at without letting writers in: about a tenth of a millisecond.
const ROWS: usize = 10_000;
/// How many objects are named by one command.
const AT_ONCE: usize = 1000;

pub async fn run(keeper: Arc<Housekeeper>) {
    loop {
        tokio::time::sleep(keeper.retention.sweep_every).await;
        condemn(&keeper).await;
        erase(&keeper).await;
    }
}

async fn condemn(keeper: &Housekeeper) {
    let unregistered_before = Housekeeper::ago(keeper.retention.unregistered);
    let unreferenced_before = Housekeeper::ago(keeper.retention.unreferenced);
    let mut from = Some(0);
    while let Some(row) = from {
        let (expired, next) =
            keeper.tables.read(|tables| tables.expired_objects(row, ROWS, unregistered_before, unreferenced_before));
        for object_ids in expired.chunks(AT_ONCE) {
            let object_ids = object_ids.to_vec();
            let command = CondemnObjects { object_ids, unregistered_before, unreferenced_before };
            if let Err(error) = keeper.submit(Command::CondemnObjects(command)).await {
                tracing::warn!(%error, "objects that nothing refers to stay for now");
                return;
            }
        }
        from = next;
        tokio::task::yield_now().await;
    }
}

async fn erase(keeper: &Housekeeper) {
    let mut from = Some(0);
    while let Some(row) = from {
        let (condemned, next) = keeper.tables.read(|tables| tables.condemned_objects(row, ROWS));
        for objects in condemned.chunks(AT_ONCE) {
            let mut erased = Vec::with_capacity(objects.len());
            for (object_id, instances) in objects {
                // Another node may have erased it since it was listed, and its id may be that of a new object by now.
                if keeper.tables.read(|tables| tables.is_condemned(object_id))
                    && erase_instances(keeper, object_id, instances).await
                {
                    erased.push(object_id.clone());
                }
            }
            if erased.is_empty() {
                continue;
            }
            tracing::info!(objects = erased.len(), "objects that nothing refers to are erased");
            if let Err(error) = keeper.submit(Command::ForgetObjects(erased)).await {
                tracing::warn!(%error, "erased objects are forgotten later");
                tokio::time::sleep(PAUSE).await;
            }
        }
        from = next;
    }
}

/// Erases every copy that this store controls. What lies elsewhere is not its own to erase.
async fn erase_instances(keeper: &Housekeeper, object_id: &ObjectId, instances: &[Instance]) -> bool {
    let key = object_key(&object_id.to_string());
    for instance in instances {
        let Instance::Controlled { storage_id } = instance else { continue };
        // A backend that is no longer in the settings keeps what it has.
        let Some(media) = keeper.backends.media(*storage_id) else { continue };
        if let Err(error) = media.delete(&key).await {
            tracing::warn!(%object_id, %storage_id, %error, "an object could not be erased and is tried again");
            return false;
        }
    }
    true
}
