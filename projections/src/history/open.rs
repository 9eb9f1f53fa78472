//! An index that belongs to the log: opened, or begun anew.

use std::path::{Path, PathBuf};

use tapelog_events::Seq;
use tapelog_store::log::{Log, Unreachable, holds};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{History, HistoryError};

/// Why there is no history to ask.
#[derive(Debug, thiserror::Error)]
pub enum OpenHistoryError {
    /// The index cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The log cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Records that were entered are not in the log any more.
    #[error(
        "history is ahead of the log: it ends with record {history}, and the log with record {tip}; acknowledged records \
         were lost, so restore the log from a backup, or remove the folder of the history to go on without them"
    )]
    Ahead {
        /// The last record that was entered.
        history: Seq,
        /// The last record of the log.
        tip: Seq,
    },
}

/// Opens the index in a folder, to go on from where it is. One that is of another log is removed, and empty.
///
/// # Errors
/// When it cannot be opened, or holds more than the log does.
pub async fn open_history<L: Log>(log: &L, folder: &Path) -> Result<History, OpenHistoryError> {
    let history = open(folder.to_owned(), History::open).await?;
    let head = history.head();
    let tip = log.tip().await?;
    if head.seq > tip {
        return Err(OpenHistoryError::Ahead { history: head.seq, tip });
    }
    if holds(log, head).await? {
        return Ok(history);
    }
    warn!(folder = %folder.display(), seq = %head.seq, "the history is of another log and is built anew");
    let emptied = |folder: &Path| {
        drop(history);
        History::open_empty(folder)
    };
    Ok(open(folder.to_owned(), emptied).await?)
}

/// Opening reads what was written last, which takes a while.
async fn open(
    folder: PathBuf,
    how: impl FnOnce(&Path) -> Result<History, HistoryError> + Send + 'static,
) -> Result<History, HistoryError> {
    spawn_blocking(move || how(&folder)).await.expect("opening does not panic, and nothing aborts it")
}
