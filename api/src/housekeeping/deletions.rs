//! Deletions that go on after they were answered (9.3): one chunk of each at a time, so that none waits for another and
//! writers of other Flows wait for a few milliseconds at most.

use std::sync::Arc;
use std::time::Duration;

use tapelog_commands::{AdvanceDeletion, Command};
use tapelog_events::DeletionRequestId;

use super::{Housekeeper, PAUSE};

/// How often it is looked for new requests.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub async fn run(keeper: Arc<Housekeeper>) {
    loop {
        let open: Vec<DeletionRequestId> =
            keeper.tables.read(|tables| tables.registry().all_open_deletions().map(|request| request.id).collect());
        for request_id in &open {
            let command = AdvanceDeletion {
                request_id: *request_id,
                segments: keeper.retention.delete_at_once,
                remember: keeper.retention.deletion_requests,
            };
            if let Err(error) = keeper.submit(Command::AdvanceDeletion(command)).await {
                tracing::warn!(%request_id, %error, "a deletion pauses");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if open.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
