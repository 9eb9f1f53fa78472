//! From an archive back to a log.

use tapelog_events::{ChainHash, Seq};
use tapelog_store::log::Unreachable;
use tapelog_store::log::jetstream::{self, Restoration};

use super::{Archive, ArchivedFile, Manifest, ReadError};

/// The log is not put back, or not to its end. What was put back stays: trying again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The archive does not go back to where the stream needs it.
    #[error("archive starts at record {first}, but the stream ends at {found}: the records between them are missing")]
    Start {
        /// The first record of the archive.
        first: Seq,
        /// The last record of the stream.
        found: Seq,
    },
    /// The stream holds something else.
    #[error(
        "record {0} of the stream is not that of the archive: the stream went another way, so it is not touched; point \
         tapelog at a server without it, or delete the stream if it is not needed"
    )]
    Diverged(Seq),
    /// The archive cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] jetstream::RestoreError),
    /// The log cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Puts back what the stream does not have, in order and with the chain checked, and makes sure at the end that it stands
/// there. `progress` is told the record that was sent last. Says how many records were put back.
///
/// # Errors
/// When the stream is not the beginning of the archive, or either of them cannot be used.
pub async fn restore(
    archive: &Archive,
    manifest: &Manifest,
    mut stream: Restoration,
    mut progress: impl FnMut(Seq),
) -> Result<u64, RestoreError> {
    let end = manifest.head();
    let found = stream.found();
    let first = manifest.first().unwrap_or(end.seq.next());
    if first > found.next() {
        return Err(RestoreError::Start { first, found });
    }
    // The last record that both know: what it follows from is the same as well, by the chain. Of the record before its
    // first, an archive knows the hash.
    let common = found.min(end.seq);
    let before = manifest.files().first().map(ArchivedFile::start);
    if let Some(before) = before.filter(|before| before.seq == common && common > Seq::ZERO)
        && stream.hash_of(common).await? != Some(before.hash)
    {
        return Err(RestoreError::Diverged(common));
    }
    let mut restored = 0;
    for file in manifest.files().iter().filter(|file| file.last >= common) {
        for entry in archive.read(manifest, file).await? {
            if entry.seq == common && stream.hash_of(common).await? != Some(ChainHash::of(&entry.payload)) {
                return Err(RestoreError::Diverged(common));
            }
            if entry.seq > found {
                progress(entry.seq);
                restored += 1;
                stream.put(entry).await?;
            }
        }
    }
    stream.finish(end).await?;
    Ok(restored)
}
