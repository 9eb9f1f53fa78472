//! Reading what is there, as fast as it comes: for a start, a rebuild, a verification.

use futures::{FutureExt, StreamExt};
use tapelog_events::{Record, Seq};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Broken, Entries, Head, Log};

/// How many bytes of records go from the task that decodes to the one that applies at once, so that the two wake each
/// other rarely.
const CHUNK_BYTES: usize = 256 * 1024;
/// How many chunks are decoded ahead: enough that neither task waits for the other's short pauses, and few megabytes.
const CHUNKS_AHEAD: usize = 8;

/// A replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// The log cannot be replayed.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Whoever was given the records does not want more.
    #[error(transparent)]
    Stopped(E),
}

/// Hands over each record after `from` up to and with `until`, in order and with the chain checked (L2), together with
/// where the chain stands after it. Waits for records that are not there yet. Decoding runs ahead in a task of its own.
///
/// # Errors
/// When a record is missing, cannot be read or does not follow from the one before it; or what `each` answers.
pub async fn replay<L: Log, E>(
    log: &L,
    from: Head,
    until: Seq,
    mut each: impl FnMut(Head, Record) -> Result<(), E>,
) -> Result<Head, ReplayError<E>> {
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
    let entries = log.follow(from.seq.next());
    let reader = AbortOnDropHandle::new(tokio::spawn(read_ahead(entries, from, until, sender)));
    let mut last = from;
    while let Some(chunk) = chunks.recv().await {
        for (head, record) in chunk {
            each(head, record).map_err(ReplayError::Stopped)?;
            last = head;
        }
    }
    reader.await.expect("the reader neither panics nor is it aborted before this future is dropped")?;
    Ok(last)
}

async fn read_ahead(
    mut entries: Entries,
    mut head: Head,
    until: Seq,
    chunks: mpsc::Sender<Vec<(Head, Record)>>,
) -> Result<(), Broken> {
    while head.seq < until {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        let mut next = entries.next().await;
        while let Some(entry) = next {
            let entry = entry?;
            let (record, after) = head.read_next(&entry)?;
            head = after;
            chunk.push((head, record));
            bytes += entry.payload.len();
            if bytes >= CHUNK_BYTES || head.seq >= until {
                break;
            }
            next = entries.next().now_or_never().flatten();
        }
        if chunks.send(chunk).await.is_err() {
            break;
        }
    }
    Ok(())
}
