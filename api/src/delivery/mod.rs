//! Delivery to webhooks, put together from the parts of the crate `tapelog-webhooks`: this server's tables say what
//! webhooks there are, its vault opens their secrets, and NATS keeps who delivers, how far, and what attempts came to.

mod directory;
mod reseal;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use tapelog_events::{SealedSecret, WebhookId};
use tapelog_projections::Live;
use tapelog_store::bucket::{Bucket, BucketSettings};
use tapelog_store::guard::Guard;
use tapelog_store::log::Tail;
use tapelog_store::log::jetstream::JetStreamLog;
use tapelog_store::sequencer::Sequencer;
use tapelog_webhooks::{
    AttemptCursor, AttemptFilter, AttemptLog, AttemptOrder, AttemptPage, AttemptSettings, Attempted, Client,
    ClientSettings, DeliverySettings, DeliveryState, Dispatcher, DispatcherParts, LeaseSettings, PingError, Render,
    ScheduleSettings, Secrets, StateError, TableError,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::Vault;
use crate::http::Deliveries;
use crate::settings::{Amount, DataFolder, NatsSettings, WebhookSettings};
use crate::task_thread::TaskThread;
use directory::TablesDirectory;
pub use reseal::reseal;

/// How long NATS may take to answer.
const NATS_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the holder of the lease renews it before it runs out.
const RENEWALS: u32 = 5;

impl Secrets for Vault {
    fn open(&self, sealed: &SealedSecret) -> Option<String> {
        Self::open(self, sealed).ok()
    }
}

/// What delivery needs of the server.
pub struct DeliveryParts<'a> {
    /// How it is done.
    pub settings: &'a WebhookSettings,
    /// Where NATS keeps things.
    pub nats: &'a NatsSettings,
    /// Where the table of attempts is.
    pub data: &'a DataFolder,
    /// The log.
    pub log: Arc<JetStreamLog>,
    /// Its end.
    pub tail: Tail<JetStreamLog>,
    /// Where writes go.
    pub sequencer: Sequencer,
    /// Where webhooks are.
    pub tables: Arc<Live>,
    /// Renders what is told.
    pub render: Arc<dyn Render>,
    /// Opens secrets.
    pub vault: Arc<Vault>,
    /// Says which addresses may be asked.
    pub guard: Guard,
    /// Tells it to end.
    pub stop: CancellationToken,
}

/// Delivery as it runs. Clones share it.
#[derive(Clone)]
pub struct Delivery {
    dispatcher: Dispatcher<JetStreamLog>,
    attempts: AttemptLog,
}

/// Its tasks.
pub struct DeliveryTasks {
    delivering: JoinSet<()>,
    logging: JoinSet<()>,
    stop_logging: CancellationToken,
    /// Where they deliver.
    _thread: TaskThread,
}

impl Delivery {
    /// Starts it.
    ///
    /// # Errors
    /// When a setting makes no sense, NATS does not keep what it needs, or the table of attempts cannot be opened.
    pub async fn start(parts: DeliveryParts<'_>) -> Result<(Self, DeliveryTasks)> {
        let DeliveryParts { settings, nats, data, log, tail, sequencer, tables, render, vault, guard, stop } = parts;
        ensure!(!settings.retry_seconds.is_empty(), "webhooks.retry_seconds must name a wait");
        let bucket = BucketSettings {
            name: format!("{}_WEBHOOKS", nats.stream),
            description: "How far a tapelog store has delivered to webhooks, and which node delivers".to_owned(),
            replicas: nats.replicas,
            request_timeout: NATS_TIMEOUT,
        };
        let bucket = Bucket::open(log.connection(), bucket).await;
        let bucket = bucket.context("NATS does not keep the positions of webhooks")?;
        let stop_logging = CancellationToken::new();
        let attempts = AttemptSettings {
            stream: nats.stream.clone(),
            replicas: nats.replicas,
            retention: Duration::from_secs(u64::from(settings.delivery_log_days) * 86_400),
            max_bytes: settings.delivery_log_bytes,
            request_timeout: NATS_TIMEOUT,
        };
        let connection = log.connection().clone();
        let logged = AttemptLog::start(connection, attempts, &data.deliveries(), stop_logging.clone()).await;
        let (attempts, logging) = logged.context("the table of attempts at delivery cannot be opened")?;
        let incarnation = log.incarnation();
        let parts = DispatcherParts {
            log,
            tail,
            bucket,
            sequencer,
            directory: Arc::new(TablesDirectory::new(tables)),
            render,
            secrets: vault,
            client: Client::new(&client_settings(settings), guard),
            attempts: attempts.clone(),
            settings: delivery_settings(settings),
            node: node_name(),
            folder: folder_id(&data.node())?,
            incarnation,
            stop,
        };
        let thread = TaskThread::start("deliveries")?;
        let (dispatcher, delivering) = thread.within(|| Dispatcher::start(parts));
        Ok((Self { dispatcher, attempts }, DeliveryTasks { delivering, logging, stop_logging, _thread: thread }))
    }

    /// Puts what is measured of it among what is told.
    pub fn register(&self, registry: &mut Registry) {
        self.dispatcher.register(registry);
        self.attempts.register(registry);
    }
}

impl Deliveries for Delivery {
    fn state(&self, id: WebhookId) -> BoxFuture<'_, Result<Option<DeliveryState>, StateError>> {
        Box::pin(self.dispatcher.state(id))
    }

    fn ping(&self, id: WebhookId) -> BoxFuture<'_, Result<Attempted, PingError>> {
        Box::pin(self.dispatcher.ping(id))
    }

    fn attempts(
        &self,
        id: WebhookId,
        filter: AttemptFilter,
        order: AttemptOrder,
        cursor: Option<AttemptCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<AttemptPage, TableError>> {
        Box::pin(self.attempts.page(id, filter, order, cursor, limit))
    }
}

impl DeliveryTasks {
    /// Waits until delivery has ended, positions and attempts written. It must have been told to.
    pub async fn ended(mut self) {
        joined(&mut self.delivering).await;
        self.stop_logging.cancel();
        joined(&mut self.logging).await;
    }
}

async fn joined(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of delivery to webhooks ended early");
        }
    }
}

fn client_settings(settings: &WebhookSettings) -> ClientSettings {
    ClientSettings {
        connect_timeout: settings.connect_seconds.seconds(),
        timeout: settings.request_seconds.seconds(),
        per_origin: settings.per_host.max(1),
        in_all: settings.at_once.max(1),
        ..ClientSettings::default()
    }
}

fn delivery_settings(settings: &WebhookSettings) -> DeliverySettings {
    let waits = |list: &[Amount]| list.iter().map(|amount| amount.seconds()).collect();
    let expires_after = settings.lease_seconds.seconds().max(LeaseSettings::default().renew_every);
    DeliverySettings {
        lease: LeaseSettings { renew_every: expires_after / RENEWALS, expires_after },
        schedule: ScheduleSettings {
            unreachable: waits(&settings.retry_seconds),
            refused: waits(&settings.refused_retry_seconds),
            give_up_after: settings.give_up_hours.hours(),
        },
        ..DeliverySettings::default()
    }
}

/// Names a data folder, from its first start on.
fn folder_id(file: &Path) -> Result<Uuid> {
    // One that was not written to its end is as good as none.
    if let Some(id) = fs::read_to_string(file).ok().and_then(|text| text.parse().ok()) {
        return Ok(id);
    }
    let id = Uuid::new_v4();
    fs::write(file, id.to_string()).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(id)
}

/// What this process is called where people read which node delivers.
fn node_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "tapelog" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}
