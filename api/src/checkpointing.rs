//! When checkpoints are stored.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tapelog_projections::Live;
use tapelog_projections::checkpoint::{Checkpoints, Written};
use tapelog_store::log::jetstream::JetStreamLog;
use tokio_util::sync::CancellationToken;

use crate::metrics::CheckpointMetrics;

/// Stores a checkpoint every so often, while there is anything new.
pub async fn write_checkpoints(
    live: Arc<Live>,
    checkpoints: Arc<Checkpoints>,
    log: JetStreamLog,
    metrics: CheckpointMetrics,
    every: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let started = std::time::Instant::now();
        match store_checkpoint(&live, &checkpoints, &log).await {
            Ok(_) => metrics.written(started.elapsed()),
            Err(error) => {
                metrics.failed();
                tracing::error!("a checkpoint could not be stored: {error:#}");
            }
        }
    }
}

/// Stores the tables as they are, and has the data folder know that the log is at least as long.
pub async fn store_checkpoint(live: &Arc<Live>, checkpoints: &Arc<Checkpoints>, log: &JetStreamLog) -> Result<Written> {
    let (live, checkpoints) = (Arc::clone(live), Arc::clone(checkpoints));
    let written = tokio::task::spawn_blocking(move || checkpoints.write_live(&live)).await??;
    log.remember(written.seq).await?;
    Ok(written)
}
