//! The life of a server: its parts, the order in which they start, and the order in which they stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tapelog_events::{Incarnation, Instant, StorageId, Tags, Timestamp};
use tapelog_projections::checkpoint::{Checkpoints, open_tables};
use tapelog_projections::{Live, Projector};
use tapelog_store::log::jetstream::{Connection, JetStreamLog, JetStreamSettings};
use tapelog_store::media::{Addressing, LocalCredentials, LocalS3, LocalS3Settings, MediaStore, S3Settings, Secret};
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use tapelog_store::sequencer::{Halt, Sequencer, SequencerSettings, Stopped};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::admin::{self, Verifiable};
use crate::claim::Claim;
use crate::http::{
    self, App, AppParts, BackendDescription, BackendPlace, Backends, Limits, ServiceFacts, StorageBackend, StoreType,
};
use crate::log_thread::LogThread;
use crate::server;
use crate::settings::{DataFolder, MediaSettings, NatsSettings, Settings};

/// How many records may wait for the projector: it takes a few microseconds for each, so more would only hide that it
/// stands still.
const RECORDS_AHEAD: usize = 64;
/// How long presigned URLs are valid at least: `min_presigned_url_timeout` (section 7).
pub const URL_VALIDITY: Duration = Duration::from_secs(600);
/// For how long an allocated object that no segment uses is kept at least: `min_object_timeout` (section 7).
const OBJECT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Namespace of the ids of storage backends.
const BACKENDS: Uuid = Uuid::from_u128(0x6d1c_5f0e_7b0a_4a52_9c1e_0f4a_8e2d_3b71);

/// The moment by this machine's clock.
pub fn now() -> Instant {
    SystemTime::now().into()
}

/// The log of a data folder, with the private nats-server that keeps it, where there is one.
pub struct OpenLog {
    /// The log.
    pub log: JetStreamLog,
    server: Option<NatsServer>,
}

impl OpenLog {
    /// Starts the private nats-server, unless another is named, and opens the log on it.
    ///
    /// # Errors
    /// When the server cannot be started or reached, or the log is not the one that the data folder knows.
    pub async fn open(settings: &NatsSettings, data: &DataFolder) -> Result<Self> {
        let (server, connection) = match &settings.url {
            Some(url) => {
                let connection = Connection::open(url, Default::default());
                (None, connection.await.with_context(|| format!("NATS at {url} cannot be reached"))?)
            }
            None => {
                let server = NatsServer::start(NatsServerSettings {
                    program: settings.server.clone(),
                    config: settings.config.clone(),
                    ..NatsServerSettings::new(data.nats())
                });
                let server = server.await?;
                tracing::info!(version = %server.version(), durability = %server.durability(), "nats-server is ready");
                if let Some(warning) = server.durability().warning() {
                    tracing::warn!("{warning}");
                }
                let connection = Connection::open(server.url(), server.connect_options()).await?;
                (Some(server), connection)
            }
        };
        let stream = JetStreamSettings {
            stream: settings.stream.clone(),
            replicas: settings.replicas,
            ..JetStreamSettings::default()
        };
        let log = JetStreamLog::open(&connection, &stream, &data.log_marker(), now()).await?;
        Ok(Self { log, server })
    }

    /// Stops the private nats-server.
    pub async fn close(self) {
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
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
    checkpointer: JoinHandle<()>,
    live: Arc<Live>,
    checkpoints: Arc<Checkpoints>,
    media: Option<LocalS3>,
    log: OpenLog,
    _log_thread: LogThread,
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
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("{} cannot be listened on", settings.listen))?;
        let address = listener.local_addr()?;

        let log_thread = LogThread::start()?;
        let (nats, folder) = (settings.nats.clone(), data.clone());
        let log = log_thread.run(async move { OpenLog::open(&nats, &folder).await }).await?;
        let checkpoints = Arc::new(Checkpoints::open(&data.checkpoints())?);
        let started = std::time::Instant::now();
        let tables = open_tables(&log.log, &checkpoints, |_, _| {}).await?;
        let head = tables.head();
        tracing::info!(
            seq = head.seq.0,
            segments = tables.counts().segments,
            elapsed_ms = started.elapsed().as_millis() as u64,
            "tables are ready"
        );
        let state = tables.write_side();
        let live = Arc::new(Live::new(tables));

        let (sink, deliveries) = mpsc::channel(RECORDS_AHEAD);
        let (sequencer, writer) = log_thread.within(|| {
            Sequencer::start(Arc::new(log.log.clone()), state, head, now, SequencerSettings::default(), sink)
        });
        let (projector, projecting) = Projector::start(Arc::clone(&live), deliveries);

        let (media, store) = open_media(&settings.media, &data, address).await?;
        let store = Arc::new(store);
        store.ensure_bucket().await.context("the media bucket cannot be used")?;

        let incarnation = log.log.incarnation();
        let app = App::new(AppParts {
            sequencer: sequencer.clone(),
            tables: Arc::clone(&live),
            projector: projector.status(),
            log: Arc::new(log.log.clone()),
            incarnation,
            backends: Backends::new(vec![StorageBackend {
                description: description(&settings.media, incarnation),
                media: Arc::clone(&store),
            }]),
            service: ServiceFacts {
                version: format!("tapelog {}", env!("CARGO_PKG_VERSION")),
                min_object_timeout: seconds(OBJECT_TIMEOUT),
                min_presigned_url_timeout: seconds(URL_VALIDITY),
            },
            limits: Limits::default(),
            public_url: settings.public_url.clone(),
            base_path: String::new(),
        });
        let admin = admin::router(Arc::new(Verifiable {
            log: log.log.clone(),
            live: Arc::clone(&live),
            checkpoints: Arc::clone(&checkpoints),
        }));
        let stop = CancellationToken::new();
        let http = tokio::spawn(server::serve(listener, admin.merge(http::router(Arc::new(app))), stop.clone()));
        let checkpointer = tokio::spawn(write_checkpoints(
            Arc::clone(&live),
            Arc::clone(&checkpoints),
            log.log.clone(),
            Duration::from_secs(settings.checkpoint.every_seconds),
            stop.clone(),
        ));
        let url = format!("http://{address}");
        claim.say(Some(url.clone()))?;
        Ok(Self {
            url,
            stop,
            http,
            sequencer,
            writer,
            projecting,
            checkpointer,
            live,
            checkpoints,
            media,
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
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.http.await?;
        self.sequencer.close();
        let written = self.writer.await?;
        self.projecting.await?;
        self.checkpointer.await?;
        let stored = store_checkpoint(&self.live, &self.checkpoints, &self.log.log).await;
        if let Some(media) = self.media {
            media.shutdown().await;
        }
        self.log.close().await;
        written.context("the log was not written to its end")?;
        stored
    }
}

/// Stores a checkpoint every so often, while there is anything new.
async fn write_checkpoints(
    live: Arc<Live>,
    checkpoints: Arc<Checkpoints>,
    log: JetStreamLog,
    every: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = store_checkpoint(&live, &checkpoints, &log).await {
            tracing::error!("a checkpoint could not be stored: {error:#}");
        }
    }
}

async fn store_checkpoint(live: &Arc<Live>, checkpoints: &Arc<Checkpoints>, log: &JetStreamLog) -> Result<()> {
    let (live, checkpoints) = (Arc::clone(live), Arc::clone(checkpoints));
    let written = tokio::task::spawn_blocking(move || checkpoints.write_live(&live)).await??;
    log.remember(written.seq).await?;
    Ok(())
}

/// The object storage: the S3 that is named, or one of our own over a local folder.
async fn open_media(
    settings: &MediaSettings,
    data: &DataFolder,
    http: SocketAddr,
) -> Result<(Option<LocalS3>, MediaStore)> {
    let (local, endpoint, access_key, secret) = match &settings.endpoint {
        Some(endpoint) => {
            let access_key = given_or_in_environment(&settings.access_key, "AWS_ACCESS_KEY_ID")
                .context("media.access_key is not set, nor is AWS_ACCESS_KEY_ID")?;
            let secret = given_or_in_environment(&settings.secret_key, "AWS_SECRET_ACCESS_KEY")
                .context("media.secret_key is not set, nor is AWS_SECRET_ACCESS_KEY")?;
            (None, endpoint.clone(), access_key, Secret::new(secret))
        }
        None => {
            let LocalCredentials { access_key, secret } = LocalCredentials::load_or_create(&data.media_credentials())
                .context("the keys of the media folder cannot be kept")?;
            let local = LocalS3::start(LocalS3Settings {
                listen: settings.listen.unwrap_or(SocketAddr::new(http.ip(), 0)),
                folder: data.media(),
                bucket: settings.bucket.clone(),
                access_key: access_key.clone(),
                secret: secret.clone(),
            });
            let local = local.await?;
            let endpoint = local.endpoint();
            (Some(local), endpoint, access_key, secret)
        }
    };
    let endpoint = Url::parse(&endpoint).context("media.endpoint is not a URL")?;
    let public_endpoint = settings.public_endpoint.as_deref().map(Url::parse).transpose();
    let store = MediaStore::new(S3Settings {
        endpoint,
        public_endpoint: public_endpoint.context("media.public_endpoint is not a URL")?,
        region: settings.region.clone(),
        bucket: settings.bucket.clone(),
        access_key,
        secret,
        addressing: if settings.path_style { Addressing::Path } else { Addressing::VirtualHost },
        url_validity: URL_VALIDITY,
    })?;
    Ok((local, store))
}

/// What clients are told of the storage backend. Its id is derived, so that every node of a log names it alike.
fn description(settings: &MediaSettings, incarnation: Incarnation) -> BackendDescription {
    let id = Uuid::new_v5(&BACKENDS, format!("{incarnation}/{}", settings.bucket).as_bytes());
    BackendDescription {
        id: StorageId::from_uuid(id),
        label: Some(settings.label.clone()),
        default_storage: true,
        place: BackendPlace {
            store_type: StoreType::HttpObjectStore,
            provider: settings.provider.clone(),
            region: Some(settings.region.clone()),
            availability_zone: None,
            store_product: settings.store_product.clone(),
            tags: Tags::new(),
        },
    }
}

fn seconds(duration: Duration) -> Timestamp {
    Timestamp::from_nanos(duration.as_nanos() as i128).expect("a few minutes lie within the range of timestamps")
}

fn given_or_in_environment(given: &Option<String>, name: &str) -> Option<String> {
    given.clone().or_else(|| std::env::var(name).ok())
}
