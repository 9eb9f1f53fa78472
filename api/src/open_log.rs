//! Getting at the log of a data folder, with the private nats-server that keeps it, where there is one.

use anyhow::{Context, Result};
use tapelog_store::log::jetstream::{Connection, JetStreamLog};
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};

use crate::node::now;
use crate::settings::{DataFolder, NatsSettings};

/// NATS for a data folder: the private nats-server that is started for it, or the one that is named.
pub struct OpenNats {
    /// The connection.
    pub connection: Connection,
    server: Option<NatsServer>,
}

impl OpenNats {
    /// Starts the private nats-server, unless another is named, and connects.
    ///
    /// # Errors
    /// When the server cannot be started or reached.
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
        Ok(Self { connection, server })
    }

    /// Stops the private nats-server.
    pub async fn close(self) {
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
}

/// The log of a data folder.
pub struct OpenLog {
    /// The log.
    pub log: JetStreamLog,
    nats: OpenNats,
}

impl OpenLog {
    /// Connects to NATS as [`OpenNats::open`] does, and opens the log there.
    ///
    /// # Errors
    /// When NATS cannot be reached, or the log is not the one that the data folder knows.
    pub async fn open(settings: &NatsSettings, data: &DataFolder) -> Result<Self> {
        let nats = OpenNats::open(settings, data).await?;
        let log = JetStreamLog::open(&nats.connection, &settings.stream_settings(), &data.log_marker(), now()).await?;
        Ok(Self { log, nats })
    }

    /// Stops the private nats-server.
    pub async fn close(self) {
        self.nats.close().await;
    }
}
