//! Publishes attempts, many in one message.

use std::time::Duration;

use async_nats::HeaderMap;
use prometheus_client::metrics::counter::Counter;
use tapelog_store::log::Unreachable;
use tapelog_store::log::jetstream::Connection;
use tapelog_store::stream::{Stream, StreamSettings};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{AttemptRow, batch, subject};

/// How long attempts gather: the queue holds what comes meanwhile, and nobody who delivers has to wake the writer.
const GATHERING: Duration = Duration::from_millis(100);
/// How many attempts one message holds at most: each is a write to the disk of the log's server, which has others to do.
const MOST: usize = 1024;
/// No attempt takes more bytes, whatever its receiver said.
const ROW_BYTES: usize = 4096;
/// How long to wait until what could not be published is tried again. Meanwhile the queue fills.
const PAUSE: Duration = Duration::from_secs(1);

/// Publishes what comes, until it is to stop and nothing is left.
pub async fn write(
    connection: Connection,
    settings: StreamSettings,
    mut rows: mpsc::Receiver<AttemptRow>,
    lost: Counter,
    stop: CancellationToken,
) {
    let mut publisher = Publisher::new(connection, settings);
    while let Some(gathered) = gather(&mut rows, publisher.most(), &stop).await {
        while !publisher.publish(&gathered).await {
            if stop.is_cancelled() {
                // Nor will what is left be published, and each attempt at that may take long.
                lost.inc_by((gathered.len() + rows.len()) as u64);
                return;
            }
            // Once more after the end is asked for.
            stop.run_until_cancelled(sleep(PAUSE)).await;
        }
    }
}

/// The attempts that come within a while after the first, or at once where that many wait already, or before the end.
/// `None` when all have been taken.
async fn gather(
    rows: &mut mpsc::Receiver<AttemptRow>,
    most: usize,
    stop: &CancellationToken,
) -> Option<Vec<AttemptRow>> {
    let mut gathered = Vec::new();
    let fill = async {
        if rows.recv_many(&mut gathered, most).await < most {
            sleep(GATHERING).await;
        }
    };
    if stop.run_until_cancelled(fill).await.is_none() {
        rows.close();
    }
    while gathered.len() < most
        && let Ok(row) = rows.try_recv()
    {
        gathered.push(row);
    }
    (!gathered.is_empty()).then_some(gathered)
}

struct Publisher {
    connection: Connection,
    settings: StreamSettings,
    subject: String,
    stream: Option<Stream>,
    failing: bool,
}

impl Publisher {
    fn new(connection: Connection, settings: StreamSettings) -> Self {
        Self { connection, subject: subject(&settings.name), settings, stream: None, failing: false }
    }

    /// How many attempts the server takes in one message.
    fn most(&self) -> usize {
        (self.connection.client().server_info().max_payload / ROW_BYTES).clamp(1, MOST)
    }

    /// Publishes attempts. Repeating it does no harm: an attempt has one place in the table.
    async fn publish(&mut self, rows: &[AttemptRow]) -> bool {
        // The client would keep the message until there is a connection again, and every repetition of it.
        let published = self.connection.is_connected()
            && match self.try_publish(rows).await {
                Ok(()) => true,
                Err(error) => {
                    if !self.failing {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, "attempts at delivery cannot be published to the delivery log");
                    }
                    self.stream = None;
                    false
                }
            };
        if published && self.failing {
            info!("attempts at delivery are published again");
        }
        self.failing = !published;
        published
    }

    async fn try_publish(&mut self, rows: &[AttemptRow]) -> Result<(), Unreachable> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::open(&self.connection, &self.settings).await?,
        };
        let stream = self.stream.insert(stream);
        stream.publish(self.subject.clone(), HeaderMap::new(), batch::encode(rows)).await?;
        Ok(())
    }
}
