//! Settings: from flags, environment and one TOML file, in that order; every key has a default that works.

mod archive;
mod auth;
mod feed;
mod operations;
mod reference;
mod retention;
mod storage;
mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tapelog_store::log::jetstream::JetStreamSettings;

use crate::http::Limits;
pub use archive::ArchiveSettings;
pub use auth::{AuthMode, AuthSettings, IssuerSettings, SecretSettings};
pub use feed::FeedSettings;
pub use operations::{AccessLog, LogFormat, LogSettings, MetricsSettings, Share, TlsSettings, TraceSettings};
pub use reference::reference;
pub use retention::RetentionSettings;
pub use storage::{FetchSettings, MediaSettings};
pub use webhooks::{Amount, WebhookSettings};

/// All settings of a server. Unknown keys are errors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where HTTP is served. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder for everything that is kept on this machine.
    pub data: PathBuf,
    /// The URL by which clients reach the server, when it stands behind a proxy that says nothing of itself.
    pub public_url: Option<String>,
    /// The log.
    pub nats: NatsSettings,
    /// Object storage: the first storage backend.
    pub media: MediaSettings,
    /// Further storage backends, each with the settings of `media`. In the environment they are JSON.
    #[serde(deserialize_with = "storage::backends")]
    pub storage: Vec<MediaSettings>,
    /// What is fetched from addresses that clients name.
    pub fetch: FetchSettings,
    /// Feeds: what happens, for whoever follows it.
    pub feed: FeedSettings,
    /// Checkpoints of the tables.
    pub checkpoint: CheckpointSettings,
    /// The archive of the log.
    pub archive: ArchiveSettings,
    /// How notifications are delivered to webhooks.
    pub webhooks: WebhookSettings,
    /// How long things are kept that nobody uses.
    pub retention: RetentionSettings,
    /// Encryption of connections.
    pub tls: TlsSettings,
    /// Who may use the store.
    pub auth: AuthSettings,
    /// The secret of the store.
    pub secrets: SecretSettings,
    /// How much is taken at once, and of each client.
    pub limits: Limits,
    /// What is logged.
    pub log: LogSettings,
    /// Metrics for Prometheus.
    pub metrics: MetricsSettings,
    /// Traces for OpenTelemetry.
    pub traces: TraceSettings,
}

/// Where the log is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    /// A NATS server or cluster with JetStream. Absent: a private nats-server in the data folder.
    pub url: Option<String>,
    /// The stream that is the log.
    pub stream: String,
    /// Copies of the stream in a cluster.
    pub replicas: usize,
    /// The program of the private nats-server. Absent: found on PATH, or where `setup.sh` put it.
    pub server: Option<PathBuf>,
    /// The configuration of the private nats-server. Absent: the one that tapelog carries.
    pub config: Option<PathBuf>,
}

impl NatsSettings {
    /// How the log is kept there.
    pub fn stream_settings(&self) -> JetStreamSettings {
        JetStreamSettings { stream: self.stream.clone(), replicas: self.replicas, ..JetStreamSettings::default() }
    }
}

impl Settings {
    /// Every storage backend.
    pub fn storage_backends(&self) -> impl Iterator<Item = &MediaSettings> {
        std::iter::once(&self.media).chain(&self.storage)
    }
}

/// When checkpoints are written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Seconds between checkpoints, while there is anything new. One is written at a graceful stop too.
    pub every_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4010)),
            data: PathBuf::from("tapelog-data"),
            public_url: None,
            nats: NatsSettings { url: None, stream: "TAPELOG".to_owned(), replicas: 1, server: None, config: None },
            media: MediaSettings::default(),
            storage: Vec::new(),
            fetch: FetchSettings::default(),
            feed: FeedSettings::default(),
            checkpoint: CheckpointSettings { every_seconds: 300 },
            archive: ArchiveSettings::default(),
            webhooks: WebhookSettings::default(),
            retention: RetentionSettings::default(),
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            secrets: SecretSettings::default(),
            limits: Limits::default(),
            log: LogSettings::default(),
            metrics: MetricsSettings::default(),
            traces: TraceSettings::default(),
        }
    }
}

/// The settings that have a flag. The others are set in the file or the environment.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct SettingsArgs {
    /// TOML file with settings [default: tapelog.toml, where there is one]
    #[arg(long, env = "TAPELOG_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Folder for everything that is kept on this machine
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Where to serve HTTP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// URL by which clients reach the server
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// NATS server or cluster with JetStream, in place of a private one
    #[arg(long, value_name = "URL")]
    #[serde(skip)]
    pub nats_url: Option<String>,
    /// S3 endpoint, in place of tapelog's own
    #[arg(long, value_name = "URL")]
    #[serde(skip)]
    pub s3_endpoint: Option<String>,
    /// Bucket for media
    #[arg(long, value_name = "NAME")]
    #[serde(skip)]
    pub s3_bucket: Option<String>,
}

impl SettingsArgs {
    /// The flags as a tree of settings.
    fn tree(&self) -> Result<Dict> {
        let mut tree = Value::serialize(self)?.into_dict().unwrap_or_default();
        let mut nested = |section: &str, key: &str, value: &Option<String>| {
            if let Some(value) = value {
                let section = tree.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
                if let Value::Dict(_, section) = section {
                    section.insert(key.to_owned(), Value::from(value.clone()));
                }
            }
        };
        nested("nats", "url", &self.nats_url);
        nested("media", "endpoint", &self.s3_endpoint);
        nested("media", "bucket", &self.s3_bucket);
        Ok(tree)
    }

    fn figment(&self) -> Result<Figment> {
        let file = match &self.config {
            Some(file) => {
                anyhow::ensure!(file.is_file(), "settings file {} does not exist", file.display());
                file.clone()
            }
            None => PathBuf::from("tapelog.toml"),
        };
        let mut figment = Figment::new().merge(Serialized::defaults(Settings::default()));
        if file.is_file() {
            figment = figment.merge(Toml::file_exact(file));
        }
        Ok(figment
            .merge(Env::prefixed("TAPELOG_").ignore(&["config", "log"]).split("__"))
            .merge(Serialized::defaults(self.tree()?)))
    }

    /// The settings in force.
    ///
    /// # Errors
    /// When the file cannot be read, or a key is unknown or has a value of the wrong kind; the text says where it stands.
    pub fn settings(&self) -> Result<Settings> {
        self.figment()?.extract().context("settings are not valid")
    }

    /// The settings in force as lines `key = value  # where it comes from`.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub fn explained(&self) -> Result<String> {
        let figment = self.figment()?;
        let settings: Settings = figment.extract().context("settings are not valid")?;
        let mut lines = String::new();
        explain(&figment, "", &Value::serialize(settings)?, &self.tree()?, &mut lines)?;
        Ok(lines)
    }
}

fn explain(figment: &Figment, prefix: &str, value: &Value, flags: &Dict, lines: &mut String) -> Result<()> {
    let Value::Dict(_, members) = value else { return Ok(()) };
    for (name, member) in members {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if matches!(member, Value::Dict(..)) {
            explain(figment, &key, member, flags, lines)?;
            continue;
        }
        let shown = match member {
            Value::Empty(..) => "(unset)".to_owned(),
            Value::String(_, text) => format!("{text:?}"),
            other => serde_json::to_string(other)?,
        };
        let flagged = Value::from(flags.clone()).find(&key).is_some();
        let origin = match figment.find_metadata(&key) {
            _ if flagged => "flag".to_owned(),
            Some(metadata) => match &metadata.source {
                Some(Source::File(file)) => file.display().to_string(),
                _ if metadata.name.contains("environment") => "environment".to_owned(),
                _ => "default".to_owned(),
            },
            None => "default".to_owned(),
        };
        lines.push_str(&format!("{key} = {shown}  # {origin}\n"));
    }
    Ok(())
}

/// The places within the data folder.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The folder, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("data folder {} cannot be made", path.display()))?;
        Ok(Self(path.canonicalize().with_context(|| format!("data folder {} cannot be read", path.display()))?))
    }

    /// The private nats-server's own folder.
    pub fn nats(&self) -> PathBuf {
        self.0.join("nats")
    }

    /// What is known of the log outside of it, so that its loss is noticed.
    pub fn log_marker(&self) -> PathBuf {
        self.0.join("log.json")
    }

    /// What names the folder among those of other nodes.
    pub fn node(&self) -> PathBuf {
        self.0.join("node-id")
    }

    /// Where in the log everything happened.
    pub fn history(&self) -> PathBuf {
        self.0.join("history")
    }

    /// What attempts to deliver to webhooks came to.
    pub fn deliveries(&self) -> PathBuf {
        self.0.join("deliveries")
    }

    /// Checkpoints of the tables.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// Media of tapelog's own object storage.
    pub fn media(&self) -> PathBuf {
        self.0.join("media")
    }

    /// Media of a further endpoint of tapelog's own, with this bucket.
    pub fn storage(&self, bucket: &str) -> PathBuf {
        self.0.join("storage").join(bucket)
    }

    /// Keys of tapelog's own object storage.
    pub fn media_credentials(&self) -> PathBuf {
        self.0.join("media-credentials.json")
    }

    /// The secret from which keys are derived.
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets.key")
    }

    /// The token of the first administrator.
    pub fn admin_token(&self) -> PathBuf {
        self.0.join("admin-token")
    }

    /// The token by which commands on this machine talk to the server that uses the folder.
    pub fn local_token(&self) -> PathBuf {
        self.0.join("local-token")
    }

    /// The authentication log.
    pub fn authentication_log(&self) -> PathBuf {
        self.0.join("auth-log")
    }

    /// Held by the process that uses the folder; says where its server is.
    pub fn lock(&self) -> PathBuf {
        self.0.join("server.json")
    }
}
