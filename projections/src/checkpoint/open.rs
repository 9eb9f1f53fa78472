//! From a checkpoint and the tail of the log to the tables at its tip.

use std::sync::Arc;

use tapelog_events::Seq;
use tapelog_store::log::{Log, ReplayError, Unreachable, holds, replay};
use tracing::info;

use super::{Checkpoints, FileError};
use crate::{ApplyError, Tables};

/// Why there are no tables to start with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the checkpoints cannot be used.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// The log cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Records that were applied are not in the log any more.
    #[error(
        "checkpoint is ahead of the log: it stands for record {checkpoint}, and the log ends at record {tip}; acknowledged \
         records were lost, so restore the log from a backup, or remove the checkpoints to go on without them"
    )]
    Ahead {
        /// The position of the checkpoint.
        checkpoint: Seq,
        /// The last record of the log.
        tip: Seq,
    },
    /// The log holds another record where the checkpoint stands.
    #[error(
        "log diverged from the checkpoint: record {0} is not the one that was applied; connect to the right log, or \
         remove the checkpoints to rebuild the tables from this one"
    )]
    Diverged(Seq),
    /// The log cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError<ApplyError>),
}

/// The tables at the log's tip: from the newest checkpoint and the records after it, or from all records where there is
/// no checkpoint. `progress` is told the record that was applied last and the one to reach.
///
/// # Errors
/// When the checkpoint is not of this log, or the log cannot be read or applied.
pub async fn open_tables<L: Log>(
    log: &L,
    checkpoints: &Arc<Checkpoints>,
    mut progress: impl FnMut(Seq, Seq),
) -> Result<Tables, OpenError> {
    let source = Arc::clone(checkpoints);
    let loaded = tokio::task::spawn_blocking(move || source.load_newest());
    let mut tables = loaded.await.expect("loading does not panic, and nothing aborts it")?.unwrap_or_default();
    let tip = log.tip().await?;
    let checkpoint = tables.position();
    if checkpoint > tip {
        return Err(OpenError::Ahead { checkpoint, tip });
    }
    if !holds(log, tables.head()).await? {
        return Err(OpenError::Diverged(checkpoint));
    }
    info!(checkpoint = %checkpoint, %tip, "opening the tables");
    progress(checkpoint, tip);
    replay(log, tables.head(), tip, |head, record| {
        tables.apply(head, &record)?;
        progress(head.seq, tip);
        Ok(())
    })
    .await?;
    Ok(tables)
}
