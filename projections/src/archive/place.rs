//! Where an archive is: the one file that knows folders from buckets.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tapelog_store::media::{Conditional, Expected, MediaError, MediaStore};
use tokio::task::spawn_blocking;

use crate::checkpoint::FileError;
use crate::checkpoint::folder::Folder;

/// The content type of a manifest, and of all else.
const JSON: &str = "application/json";
const PARQUET: &str = "application/vnd.apache.parquet";
/// Held while something is written to a folder: others may be writing the same.
const LOCK: &str = "log/lock";

/// A folder, or a prefix of a bucket.
pub enum Place {
    /// A folder of this machine, or one that it has mounted.
    Folder(PathBuf),
    /// A prefix of a bucket.
    S3 {
        /// The bucket.
        store: Arc<MediaStore>,
        /// What keys start with, without a slash at its end; may be empty.
        prefix: String,
        /// What the place is called: `s3://<bucket>/<prefix>`.
        name: String,
    },
}

/// The place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is nothing with this name.
    #[error("{name} is not in the archive")]
    Missing {
        /// The name.
        name: String,
    },
    /// The folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The object storage.
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// Which state of the manifest was read; `None` where the object storage does not tell one from another.
pub(super) type Version = Option<Expected>;

/// What came of switching the manifest.
pub(super) enum Switch {
    /// It is switched, and this is its version now.
    Done(Version),
    /// Somebody else has switched it.
    Lost,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { name, .. } => f.write_str(name),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl Place {
    /// Makes the folder or the bucket, where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn ensure(&self) -> Result<(), PlaceError> {
        match self {
            Self::Folder(path) => {
                let path = path.clone();
                blocking(move || Folder::open(&path).map(drop)).await.map_err(PlaceError::File)
            }
            Self::S3 { store, .. } => Ok(store.ensure_bucket().await?),
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Bytes, PlaceError> {
        Ok(self.get_versioned(name).await?.0)
    }

    pub(super) async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), PlaceError> {
        match self {
            Self::Folder(path) => {
                let path = path.join(name);
                let bytes = blocking(move || read(&path)).await.map_err(PlaceError::File)?;
                let bytes = bytes.ok_or_else(|| PlaceError::Missing { name: name.to_owned() })?;
                let version = version_of(&bytes);
                Ok((bytes, Some(version)))
            }
            Self::S3 { store, prefix, .. } => match store.get_tagged(&key(prefix, name)).await {
                Ok((bytes, tag)) => Ok((bytes, tag.map(Expected::Tag))),
                // A bucket that is missing has no manifest either, but is no archive that is merely empty.
                Err(MediaError::NotFound { name: missing }) if missing.ends_with(name) => {
                    Err(PlaceError::Missing { name: name.to_owned() })
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Stores what nobody else stores under this name with other contents.
    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PlaceError> {
        match self {
            Self::Folder(path) => {
                let (folder, name) = (path.clone(), name.to_owned());
                let written = blocking(move || {
                    let _lock = lock(&folder)?;
                    write(&folder.join(name), &bytes)
                });
                written.await.map_err(PlaceError::File)
            }
            Self::S3 { store, prefix, .. } => Ok(store.put(&key(prefix, name), PARQUET, bytes).await?),
        }
    }

    /// Replaces what was read as this version.
    pub(super) async fn switch(&self, name: &str, bytes: Bytes, read_as: &Version) -> Result<Switch, PlaceError> {
        match self {
            Self::Folder(path) => {
                let (folder, name, read_as) = (path.clone(), name.to_owned(), read_as.clone());
                let switched = blocking(move || {
                    let _lock = lock(&folder)?;
                    switch_file(&folder.join(name), &bytes, read_as.as_ref())
                });
                switched.await.map_err(PlaceError::File)
            }
            Self::S3 { store, prefix, .. } => {
                let key = key(prefix, name);
                let Some(expected) = read_as else {
                    store.put(&key, JSON, bytes).await?;
                    return Ok(Switch::Done(None));
                };
                match store.put_if(&key, JSON, bytes, expected).await? {
                    Conditional::Stored(tag) => Ok(Switch::Done(tag.map(Expected::Tag))),
                    Conditional::Changed => Ok(Switch::Lost),
                }
            }
        }
    }

    /// Removes something, if it is there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), PlaceError> {
        match self {
            Self::Folder(path) => {
                let path = path.join(name);
                let removed = blocking(move || match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FileError { path, source }),
                    _ => Ok(()),
                });
                removed.await.map_err(PlaceError::File)
            }
            Self::S3 { store, prefix, .. } => Ok(store.delete(&key(prefix, name)).await?),
        }
    }
}

fn key(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

/// What a file in a folder is told by from what stood there before and after.
fn version_of(bytes: &[u8]) -> Expected {
    Expected::Tag(blake3::hash(bytes).to_hex().to_string())
}

fn read(path: &Path) -> Result<Option<Bytes>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { path: path.to_owned(), source }),
    }
}

fn lock(folder: &Path) -> Result<File, FileError> {
    let path = folder.join(LOCK);
    Folder::open(parts(&path).0)?;
    let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| FileError { path, source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (folder, name) = parts(path);
    Folder::open(folder)?.put(name, bytes)
}

fn switch_file(path: &Path, bytes: &Bytes, read_as: Option<&Expected>) -> Result<Switch, FileError> {
    let standing = read(path)?.map_or(Expected::Nothing, |bytes| version_of(&bytes));
    if read_as.is_some_and(|expected| *expected != standing) {
        return Ok(Switch::Lost);
    }
    write(path, bytes)?;
    Ok(Switch::Done(Some(version_of(bytes))))
}

fn parts(path: &Path) -> (&Path, &str) {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).expect("names in an archive are text, and stand below its folder")
}

/// Disks, and what is mounted, may take long.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("file operations do not panic, and nothing aborts them")
}
