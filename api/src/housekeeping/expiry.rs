//! What is forgotten after its time: deletion requests that ended, tokens that hold no longer, Flows that were put aside.

use std::sync::Arc;

use tapelog_commands::{Command, PurgeFlow};
use tapelog_store::sequencer::SubmitError;

use super::Housekeeper;
use crate::node::now;

/// How many deletion requests are forgotten by one command.
const AT_ONCE: usize = 1000;

pub async fn run(keeper: Arc<Housekeeper>) {
    loop {
        tokio::time::sleep(keeper.retention.sweep_every).await;
        for (kind, command) in due(&keeper) {
            match keeper.submit(command).await {
                // Another node was faster.
                Ok(_) | Err(SubmitError::Rejected { .. }) => {}
                Err(error) => tracing::warn!(kind, %error, "what has expired stays for now"),
            }
        }
    }
}

/// What is to be forgotten, each with what it is.
fn due(keeper: &Housekeeper) -> Vec<(&'static str, Command)> {
    let now = now();
    let trashed_before = Housekeeper::ago(keeper.retention.trash);
    keeper.tables.read(|tables| {
        let registry = tables.registry();
        let requests = registry.deletions.values();
        let requests = requests.filter(|request| request.expiry.is_some_and(|expiry| expiry <= now));
        let requests: Vec<_> = requests.map(|request| request.id).take(AT_ONCE).collect();
        let forget = (!requests.is_empty()).then_some(("deletion requests", Command::ForgetDeletions(requests)));
        let tokens = registry.tokens.values();
        let tokens = tokens.filter(|token| token.expires.is_some_and(|expires| expires <= now));
        let revoke = tokens.map(|token| ("token", Command::RevokeToken(token.id)));
        let trash = registry.trash.values().filter(|trashed| trashed.at < trashed_before);
        let purge = trash.map(|trashed| PurgeFlow { flow_id: trashed.flow.id, before: trashed_before });
        let purge = purge.map(|purge| ("flow", Command::PurgeFlow(purge)));
        forget.into_iter().chain(revoke).chain(purge).collect()
    })
}
