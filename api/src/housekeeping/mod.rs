//! What a server does without being asked: it goes on with deletions, makes copies, erases bytes, and lets go of what
//! nobody has used for long enough.
//!
//! What is to be done stands in the tables, so that a start after a crash goes on where the last process was; what was
//! done is a command like any other. Each errand can be done twice without harm: on several nodes it may be.

mod deletions;
mod errands;
mod expiry;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use tapelog_commands::Command;
use tapelog_events::Instant;
use tapelog_projections::Live;
use tapelog_store::media::Fetcher;
use tapelog_store::sequencer::{Sequencer, SubmitError, Submitted};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::http::Backends;
use crate::node::now;

/// How long a task pauses after something that it needs did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// How long things are kept that nobody uses.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Objects that were allocated and never registered.
    pub unregistered: Duration,
    /// Objects that no segment uses any more.
    pub unreferenced: Duration,
    /// Flows that were put aside.
    pub trash: Duration,
    /// Deletion requests that have ended.
    pub deletion_requests: Duration,
    /// How often it is looked for what may go.
    pub sweep_every: Duration,
    /// How many segments a deletion takes at once.
    pub delete_at_once: usize,
}

/// What the tasks have at hand.
pub struct Housekeeper {
    /// Where writes go.
    pub sequencer: Sequencer,
    /// Where it stands what is to be done.
    pub tables: Arc<Live>,
    /// Where bytes are.
    pub backends: Arc<Backends>,
    /// Fetches objects that lie outside the store.
    pub fetcher: Fetcher,
    /// How long things are kept.
    pub retention: Retention,
}

impl Housekeeper {
    /// Starts the tasks. They end with `stop`, each between two commands.
    pub fn start(self, stop: &CancellationToken) -> JoinSet<()> {
        let keeper = Arc::new(self);
        let mut tasks = JoinSet::new();
        tasks.spawn(until(stop.clone(), deletions::run(Arc::clone(&keeper))));
        tasks.spawn(until(stop.clone(), errands::run(Arc::clone(&keeper))));
        tasks.spawn(until(stop.clone(), objects::run(Arc::clone(&keeper))));
        tasks.spawn(until(stop.clone(), expiry::run(keeper)));
        tasks
    }

    async fn submit(&self, command: Command) -> Result<Submitted, SubmitError> {
        self.sequencer.submit_own(command).await
    }

    /// The moment so long ago.
    fn ago(age: Duration) -> Instant {
        now().saturating_sub(age)
    }
}

async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = task => {}
    }
}
