//! Reading what is there, as fast as it comes: for a start, a rebuild, a verification.

use futures::{FutureExt, StreamExt};
use tapelog_events::{Record, Seq};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::chain::Link;
use super::{Broken, Entries, Entry, Head, Log};

/// How many bytes of records are decoded in one go, so that the tasks wake each other rarely.
const CHUNK_BYTES: usize = 256 * 1024;
/// How many chunks may be decoded at once or wait to be applied: enough for every core of a usual machine, and for
/// nobody to wait for another's short pauses; and few megabytes.
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

/// Records that are being decoded.
type Chunk = AbortOnDropHandle<Result<Vec<Link>, Broken>>;

/// Hands over each record after `from` up to and with `until`, in order and with the chain checked (L2), together with
/// where the chain stands after it. Waits for records that are not there yet. Decoding runs ahead, on all cores.
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
    let reader = AbortOnDropHandle::new(tokio::spawn(read_ahead(entries, from.seq, until, sender)));
    let mut head = from;
    while let Some(chunk) = chunks.recv().await {
        for link in finished(chunk).await? {
            head = head.join(&link)?;
            each(head, link.record).map_err(ReplayError::Stopped)?;
        }
    }
    finished(reader).await?;
    Ok(head)
}

/// The result of a task of a replay.
async fn finished<T>(task: AbortOnDropHandle<T>) -> T {
    task.await.expect("the tasks of a replay do not panic, and are aborted only when it is dropped")
}

async fn read_ahead(mut entries: Entries, from: Seq, until: Seq, chunks: mpsc::Sender<Chunk>) -> Result<(), Broken> {
    let mut last = from;
    while last < until {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        let mut next = entries.next().await;
        while let Some(entry) = next {
            let entry = entry?;
            last = entry.seq;
            bytes += entry.payload.len();
            chunk.push(entry);
            if bytes >= CHUNK_BYTES || last >= until {
                break;
            }
            next = entries.next().now_or_never().flatten();
        }
        if chunks.send(AbortOnDropHandle::new(tokio::spawn(decode(chunk)))).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn decode(entries: Vec<Entry>) -> Result<Vec<Link>, Broken> {
    entries.iter().map(Link::read).collect()
}
