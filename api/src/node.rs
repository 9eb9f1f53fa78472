//! The life of a server: its parts, the order in which they start, and the order in which they stop.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tapelog_events::{Instant, Timestamp};
use tapelog_projections::checkpoint::{Checkpoints, open_tables};
use tapelog_projections::history::as_of::AsOf;
use tapelog_projections::history::{Historian, open_history};
use tapelog_projections::{Live, Projector};
use tapelog_store::guard::Guard;
use tapelog_store::log::Tail;
use tapelog_store::media::{FetchSettings, Fetcher, MediaMetrics};
use tapelog_store::sequencer::{Halt, Sequencer, SequencerSettings, Stopped};
use tapelog_webhooks::Render;
use tapelog_webhooks::feed::FeedMetrics;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::admin::{self, Administration};
use crate::archive::{self, Keeper};
use crate::audit::Signer;
use crate::auth::{self, AuthParts, AuthTasks, Authenticator, MasterKey, Vault};
use crate::checkpointing::{store_checkpoint, write_checkpoints};
use crate::claim::Claim;
use crate::delivery::{self, Delivery, DeliveryParts, DeliveryTasks};
use crate::feed;
use crate::housekeeping::{Housekeeper, Retention};
use crate::http::{self, App, AppParts, EventStreams, LogPast, Metrics, Notifier, ServiceFacts};
use crate::maintenance::Maintainer;
use crate::metrics::{CheckpointMetrics, register_process};
use crate::open_log::OpenLog;
use crate::server::{self, ConnectionMetrics, Server};
use crate::settings::{AuthMode, DataFolder, RetentionSettings, Settings};
use crate::storage::Storage;
use crate::task_thread::TaskThread;

/// How many records may wait for the projector: it takes a few microseconds for each, so more would only hide that it
/// stands still.
const RECORDS_AHEAD: usize = 64;
/// How long presigned URLs are valid at least: `min_presigned_url_timeout` (section 7).
pub const URL_VALIDITY: Duration = Duration::from_secs(600);
/// For how long an allocated object that no segment uses is kept at least: `min_object_timeout` (section 7).
const OBJECT_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where NATS listens unless it is told otherwise.
const NATS_PORT: u16 = 4222;

/// The moment by this machine's clock.
pub fn now() -> Instant {
    SystemTime::now().into()
}

/// A running server.
pub struct Node {
    url: String,
    /// Told to end: no further request is taken.
    stop: CancellationToken,
    http: JoinHandle<()>,
    sequencer: Sequencer,
    writer: JoinHandle<Result<Stopped, Halt>>,
    projecting: JoinHandle<()>,
    entering: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    housekeeping: JoinSet<()>,
    authentication: AuthTasks,
    delivering: DeliveryTasks,
    feeding: Option<JoinHandle<()>>,
    maintainer: Arc<Maintainer>,
    keeper: Keeper,
    live: Arc<Live>,
    checkpoints: Arc<Checkpoints>,
    storage: Storage,
    log: OpenLog,
    _log_thread: TaskThread,
    _claim: Claim,
}

impl Node {
    /// Starts a server and returns once it serves.
    ///
    /// # Errors
    /// When a part cannot start, with what to do about it.
    pub async fn start(settings: Settings) -> Result<Self> {
        let data = DataFolder::open(&settings.data)?;
        let claim = Claim::take(&data.lock())?;
        settings.limits.check()?;
        auth::ensure_sound(&settings)?;
        let feed_settings = feed::settings(&settings)?;
        let tls = server::acceptor(&settings.tls)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("{} cannot be listened on", settings.listen))?;
        let address = listener.local_addr()?;

        let log_thread = TaskThread::start("log")?;
        let (nats, folder) = (settings.nats.clone(), data.clone());
        archive::recall(&settings, &data).await?;
        let log = log_thread.run(async move { OpenLog::open(&nats, &folder).await }).await;
        let log = log.map_err(|error| archive::with_advice(error, &settings))?;
        let checkpoints = Arc::new(Checkpoints::open(&data.checkpoints())?);
        let started = std::time::Instant::now();
        let history = data.history();
        let (tables, history) =
            tokio::join!(open_tables(&log.log, &checkpoints, |_, _| {}), open_history(&log.log, &history));
        let (tables, history) = (tables.map_err(|error| archive::with_advice(error.into(), &settings))?, history?);
        let head = tables.head();
        tracing::info!(
            seq = head.seq.0,
            segments = tables.counts().segments,
            elapsed_ms = started.elapsed().as_millis() as u64,
            "tables are ready"
        );
        let state = tables.write_side();
        let live = Arc::new(Live::new(tables));

        let stop = CancellationToken::new();
        let (sink, deliveries) = mpsc::channel(RECORDS_AHEAD);
        let (sequencer, writer) = log_thread.within(|| {
            Sequencer::start(Arc::new(log.log.clone()), state, head, now, SequencerSettings::default(), sink)
        });
        let (projector, projecting) = Projector::start(Arc::clone(&live), deliveries);
        let (historian, entering) = Historian::start(log.log.clone(), history.clone(), stop.clone());

        let mut metrics = Metrics::new(settings.metrics.public);
        let (media_metrics, connections, checkpointing) =
            (MediaMetrics::default(), ConnectionMetrics::default(), CheckpointMetrics::default());
        let registry = metrics.registry();
        sequencer.register(registry);
        projector.register(registry);
        live.register(registry);
        history.register(registry);
        media_metrics.register(registry);
        connections.register(registry);
        checkpointing.register(registry);
        register_process(registry);

        let incarnation = log.log.incarnation();
        let storage = Storage::open(&settings, &data, address, incarnation, &media_metrics).await?;
        let keeper = Keeper::start(&settings, &storage, &log.log, &live, metrics.registry())?;
        let backends = Arc::clone(&storage.backends);
        let tail = Tail::new(Arc::new(log.log.clone()));
        let render: Arc<dyn Render> = Arc::new(Notifier::new(Arc::clone(&backends), Arc::clone(&live)));
        let events = EventStreams::new(Arc::new(tail.clone()), Arc::clone(&render), &settings.feed);
        events.register(metrics.registry());
        let nats_feed = feed_settings.as_ref().map(feed::told);
        let feeding = feed_settings.map(|settings| {
            let feed_metrics = FeedMetrics::default();
            feed_metrics.register(metrics.registry());
            feed::start(settings, &log.log, &tail, &render, feed_metrics, &stop)
        });
        let retention = retention(&settings);
        let key = MasterKey::load(settings.secrets.key.as_deref(), &data.secrets())?;
        if settings.auth.mode == AuthMode::Required && settings.auth.issuers.is_empty() {
            auth::ensure_administrator(&sequencer, &live, &data.admin_token()).await?;
        }
        let (authenticator, authentication) = Authenticator::start(AuthParts {
            settings: &settings.auth,
            data: &data,
            key: &key,
            incarnation,
            tables: Arc::clone(&live),
            stop: stop.clone(),
        })?;
        let authenticator = Arc::new(authenticator);
        let maintainer = Maintainer::new(log.log.clone(), Arc::clone(&live), Arc::clone(&checkpoints), stop.clone());
        let maintainer = Arc::new(maintainer);
        let vault = Arc::new(Vault::new(&key, &MasterKey::load_previous(&settings.secrets.previous_keys)?));
        delivery::reseal(&sequencer, &live, &vault).await;
        let guard = Guard::new(settings.webhooks.allow_networks.clone(), own_hosts(&settings));
        let (deliveries, delivering) = Delivery::start(DeliveryParts {
            settings: &settings.webhooks,
            nats: &settings.nats,
            data: &data,
            log: Arc::new(log.log.clone()),
            tail,
            sequencer: sequencer.clone(),
            tables: Arc::clone(&live),
            render,
            vault: Arc::clone(&vault),
            guard: guard.clone(),
            stop: stop.clone(),
        })
        .await?;
        deliveries.register(metrics.registry());
        let app = App::new(AppParts {
            authenticator: Arc::clone(&authenticator),
            export_signer: Arc::new(Signer::new(&key)),
            vault,
            sequencer: sequencer.clone(),
            tables: Arc::clone(&live),
            projector: projector.status(),
            maintenance: maintainer.state(),
            log: Arc::new(log.log.clone()),
            past: Arc::new(LogPast {
                log: log.log.clone(),
                history: history.clone(),
                historian,
                as_of: AsOf::new(history.clone(), Arc::new(log.log.clone()), Arc::clone(&live)),
            }),
            incarnation,
            events,
            deliveries: Arc::new(deliveries),
            guard,
            secret_grace: settings.webhooks.secret_grace_hours.hours(),
            backends: Arc::clone(&backends),
            access_log: settings.log.access,
            retention,
            service: ServiceFacts {
                version: format!("tapelog {}", env!("CARGO_PKG_VERSION")),
                min_object_timeout: seconds(OBJECT_TIMEOUT),
                min_presigned_url_timeout: seconds(URL_VALIDITY),
                nats_feed,
            },
            limits: settings.limits.clone(),
            metrics,
            public_url: settings.public_url.clone(),
            scheme,
            base_path: String::new(),
        });
        let archive = archive::router(Arc::new(archive::Routes {
            authenticator: Arc::clone(&authenticator),
            log: log.log.clone(),
            archive: keeper.status(),
        }));
        let admin = admin::router(Arc::new(Administration { authenticator, maintainer: Arc::clone(&maintainer) }));
        let router = admin.merge(archive).merge(http::router(Arc::new(app)));
        let server = Server::new(router, tls, settings.limits.clone(), connections, stop.clone());
        let http = tokio::spawn(server.serve(listener));
        let checkpointer = tokio::spawn(write_checkpoints(
            Arc::clone(&live),
            Arc::clone(&checkpoints),
            log.log.clone(),
            checkpointing.clone(),
            Duration::from_secs(settings.checkpoint.every_seconds),
            stop.clone(),
        ));
        let housekeeper = Housekeeper {
            sequencer: sequencer.clone(),
            tables: Arc::clone(&live),
            backends,
            fetcher: Fetcher::new(FetchSettings {
                allow_private: settings.fetch.allow_private,
                most_bytes: settings.fetch.most_bytes,
            }),
            retention,
        };
        let housekeeping = housekeeper.start(&stop);
        let url = format!("{scheme}://{address}");
        claim.say(Some(url.clone()))?;
        Ok(Self {
            url,
            stop,
            http,
            sequencer,
            writer,
            projecting,
            entering,
            checkpointer,
            housekeeping,
            authentication,
            delivering,
            feeding,
            maintainer,
            keeper,
            live,
            checkpoints,
            storage,
            log,
            _log_thread: log_thread,
            _claim: claim,
        })
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops: takes no further connection, finishes what was accepted, stores a checkpoint, and stops the child process.
    ///
    /// # Errors
    /// When something that was accepted could not be finished, or the checkpoint not be stored.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        self.http.await?;
        while let Some(ended) = self.housekeeping.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of housekeeping ended early");
            }
        }
        self.authentication.ended().await?;
        // What came of the last deliveries is still to be written.
        self.delivering.ended().await;
        if let Some(feeding) = self.feeding {
            feeding.await?;
        }
        self.maintainer.ended().await;
        self.sequencer.close();
        let written = self.writer.await?;
        self.projecting.await?;
        self.entering.await?;
        self.checkpointer.await?;
        self.keeper.stop().await?;
        let stored = store_checkpoint(&self.live, &self.checkpoints, &self.log.log).await;
        self.storage.close().await;
        self.log.close().await;
        written.context("the log was not written to its end")?;
        stored.map(drop)
    }
}

/// The hosts and ports that the store itself uses: nobody may have it post there.
fn own_hosts(settings: &Settings) -> Vec<(String, u16)> {
    let nats = settings.nats.url.iter().flat_map(|urls| urls.split(',')).map(str::trim);
    let nats = nats.map(|url| if url.contains("://") { url.to_owned() } else { format!("nats://{url}") });
    let storage = settings.storage_backends().filter_map(|backend| backend.endpoint.clone());
    let place = |url: String| {
        let url = Url::parse(&url).ok()?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default().unwrap_or(NATS_PORT)))
    };
    nats.chain(storage).chain(settings.public_url.clone()).filter_map(place).collect()
}

/// How long things are kept. What clients were promised is kept, whatever the settings say.
fn retention(settings: &Settings) -> Retention {
    let RetentionSettings {
        unregistered_seconds,
        unreferenced_seconds,
        trash_seconds,
        deletion_requests_seconds,
        sweep_every_seconds,
    } = settings.retention;
    Retention {
        unregistered: Duration::from_secs(unregistered_seconds).max(OBJECT_TIMEOUT),
        unreferenced: Duration::from_secs(unreferenced_seconds),
        trash: Duration::from_secs(trash_seconds),
        deletion_requests: Duration::from_secs(deletion_requests_seconds),
        sweep_every: Duration::from_secs(sweep_every_seconds.max(1)),
        delete_at_once: settings.limits.delete_at_once.max(1),
    }
}

fn seconds(duration: Duration) -> Timestamp {
    Timestamp::from_nanos(duration.as_nanos() as i128).expect("a few minutes lie within the range of timestamps")
}
