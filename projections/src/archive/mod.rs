//! The archive: the log as files outside of its server, from which it can be put back with the same positions and hashes.
//!
//! In a folder, or under a prefix of a bucket, stand `log/manifest.json` and `log/<incarnation>/<first>-<last>-<hash>.parquet`.
//! Each file holds the records of a range: `seq`; `at`, when the first commit was decided; `commits`, how many there are;
//! `prev_hash` and `hash`; and `payload`, the bytes as they stand in the log. Files are written once and named by their
//! contents; the manifest, which is switched last, says which of them are the log, with the chain of hashes at both ends
//! of each. What is appended often comes in small files, which are merged as more follows: each is merged with what comes
//! after it once that is as many records, until it is full, so that a record is written a few times and files are few.
//!
//! Several nodes may keep one archive: their files are the same, and of two that switch the manifest at once, one starts
//! over. Files that a merge has replaced stay for an hour, for those who are reading them.

mod append;
mod archiver;
mod file;
mod manifest;
mod place;
mod restore;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use tapelog_events::Seq;
use tapelog_store::log::Entry;

pub use append::{AppendError, Appended, Extent};
pub use archiver::{ArchiveStatus, Archiver, ArchiverStatus};
pub use file::{EncodeError, ReadError};
pub use manifest::{ArchivedFile, Manifest, ManifestError};
pub use place::{Place, PlaceError};
pub use restore::{RestoreError, restore};

use place::Version;

/// The manifest's name.
const MANIFEST: &str = "log/manifest.json";

/// How much one file holds.
#[derive(Debug, Clone, Copy)]
struct Capacity {
    bytes: usize,
    records: u64,
}

impl Capacity {
    /// Whether a file is large enough not to be merged any more.
    fn is_half(self, file: &ArchivedFile) -> bool {
        file.log_bytes >= self.bytes as u64 / 2 || file.records() >= self.records / 2
    }
}

/// Large enough that a store of a hundred gigabytes is a few thousand files, and small enough to be held in memory.
const CAPACITY: Capacity = Capacity { bytes: 32 << 20, records: 131_072 };

/// The log as files in one place.
#[derive(Debug)]
pub struct Archive {
    place: Place,
    capacity: Capacity,
    /// Files that were written and did not get into the manifest: the next one notes that they may go.
    unlisted: Mutex<Vec<String>>,
}

/// The manifest cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The place cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It is not what it should be.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Archive {
    /// The archive in this place, whether or not there is one yet.
    pub fn new(place: Place) -> Self {
        Self { place, capacity: CAPACITY, unlisted: Mutex::default() }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What there is; `None` where nothing was archived yet.
    ///
    /// # Errors
    /// When the place cannot be used, or what stands there is no manifest that this version reads.
    pub async fn manifest(&self) -> Result<Option<Manifest>, OpenError> {
        Ok(self.open().await?.map(|(manifest, _)| manifest))
    }

    async fn open(&self) -> Result<Option<(Manifest, Version)>, OpenError> {
        match self.place.get_versioned(MANIFEST).await {
            Ok((bytes, version)) => Ok(Some((Manifest::read(&bytes)?, version))),
            Err(PlaceError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The records of one file of a manifest, which are those that were archived: contents, order and chain are checked.
    ///
    /// # Errors
    /// When the file is missing, damaged or not what the manifest says; the text names it.
    pub async fn read(&self, manifest: &Manifest, file: &ArchivedFile) -> Result<Vec<Entry>, ReadError> {
        let bytes = match self.place.get(&manifest.key(file)).await {
            Ok(bytes) => bytes,
            Err(PlaceError::Missing { name }) => return Err(ReadError::Missing { file: name }),
            Err(error) => return Err(error.into()),
        };
        let file = file.clone();
        let read = tokio::task::spawn_blocking(move || file::read(&file, bytes));
        read.await.expect("reading does not panic, and nothing aborts it")
    }

    /// Reads every file. `progress` is told the last record of each that is as the manifest says.
    ///
    /// # Errors
    /// At the first file that is not.
    pub async fn check(&self, manifest: &Manifest, mut progress: impl FnMut(Seq)) -> Result<(), ReadError> {
        for file in manifest.files() {
            self.read(manifest, file).await?;
            progress(file.last);
        }
        Ok(())
    }
}
