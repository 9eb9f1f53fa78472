//! The delivery log: what was tried, and what it came to.
//!
//! Attempts are no part of the truth that the log keeps, and there are many of them. So they go to a stream of their own,
//! which forgets the oldest, and from there into a local table on every node. Nothing waits for that: where there is too
//! much of it, or no server to take it, attempts are left out of the delivery log, and counted.

mod batch;
mod follower;
mod page;
mod row;
mod table;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tapelog_events::{Instant, WebhookId};
use tapelog_store::log::jetstream::Connection;
use tapelog_store::stream::StreamSettings;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

pub use page::{AttemptCursor, AttemptFilter, AttemptKind, AttemptOrder, AttemptPage, InvalidCursor};
pub use row::AttemptRow;
use table::Table;
pub use table::TableError;

/// How many attempts may wait to be published: some seconds of many deliveries, and some ten megabytes at most.
const QUEUE: usize = 8192;

/// How the delivery log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptSettings {
    /// The name of the log's stream; that of the deliveries is `<stream>_DELIVERIES`.
    pub stream: String,
    /// On how many servers it is kept: 1, 3 or 5.
    pub replicas: usize,
    /// How long attempts are kept.
    pub retention: Duration,
    /// How many bytes of them are kept at most.
    pub max_bytes: u64,
    /// How long the server may take to answer.
    pub request_timeout: Duration,
}

impl Default for AttemptSettings {
    fn default() -> Self {
        Self {
            stream: "TAPELOG".to_owned(),
            replicas: 1,
            retention: Duration::from_secs(30 * 24 * 3600),
            max_bytes: 1 << 30,
            request_timeout: Duration::from_secs(5),
        }
    }
}

impl AttemptSettings {
    fn stream(&self) -> StreamSettings {
        let name = format!("{}_DELIVERIES", self.stream);
        StreamSettings {
            subjects: vec![subject(&name)],
            description: "What a tapelog store tried to deliver to webhooks".to_owned(),
            name,
            max_age: self.retention,
            max_bytes: self.max_bytes,
            // Nothing is published twice.
            duplicate_window: Duration::ZERO,
            replicas: self.replicas,
            request_timeout: self.request_timeout,
        }
    }
}

/// The one subject of a stream of deliveries.
fn subject(stream: &str) -> String {
    format!("{stream}.attempts")
}

/// The delivery log. Clones share it.
#[derive(Debug, Clone)]
pub struct AttemptLog {
    queue: mpsc::Sender<AttemptRow>,
    lost: Counter,
    table: Arc<Table>,
    retention: Duration,
}

impl AttemptLog {
    /// Opens the delivery log, with its table in `folder`. Its tasks end when `stop` says so, when what was noted until then
    /// is written: so first stop whoever delivers.
    ///
    /// # Errors
    /// When the table cannot be opened.
    pub async fn start(
        connection: Connection,
        settings: AttemptSettings,
        folder: &Path,
        stop: CancellationToken,
    ) -> Result<(Self, JoinSet<()>), TableError> {
        let folder = folder.to_owned();
        let table = spawn_blocking(move || Table::open(&folder)).await.expect("opening a table does not panic")?;
        let table = Arc::new(table);
        let (queue, rows) = mpsc::channel(QUEUE);
        let lost = Counter::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer::write(connection.clone(), settings.stream(), rows, lost.clone(), stop.clone()));
        let follow = follower::follow(connection, settings.stream(), Arc::clone(&table));
        tasks.spawn(async move { _ = stop.run_until_cancelled(follow).await });
        Ok((Self { queue, lost, table, retention: settings.retention }, tasks))
    }

    /// Puts an attempt into the delivery log, soon. Never waits: where there is too much, it is left out.
    pub fn note(&self, row: AttemptRow) {
        if self.queue.try_send(row).is_err() {
            self.lost.inc();
        }
    }

    /// Up to `limit` attempts for one webhook that the filter lets pass, from where `cursor` left off. There may be fewer
    /// on a page that is not the last one.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn page(
        &self,
        webhook_id: WebhookId,
        filter: AttemptFilter,
        order: AttemptOrder,
        cursor: Option<AttemptCursor>,
        limit: usize,
    ) -> Result<AttemptPage, TableError> {
        let table = Arc::clone(&self.table);
        let oldest = Instant::from(SystemTime::now()).saturating_sub(self.retention);
        let read = move || table.page(webhook_id, &filter, order, cursor, oldest, limit);
        spawn_blocking(read).await.expect("reading a table does not panic")
    }

    /// Puts what is measured here among what is told.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts at delivery that are not in the delivery log, because there were too many or it was away";
        registry.register("webhook_attempts_unlogged", help, self.lost.clone());
    }
}
