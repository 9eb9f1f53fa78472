//! What this node knows of the log outside of the log: that there is one, which life of it, and how far it went. Without
//! it, a lost log could not be told from a new deployment.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tapelog_events::{Incarnation, Seq};

/// The contents of the marker file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    /// The name of the stream.
    pub stream: String,
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// A record that the log is known to have held.
    pub last_seq: Seq,
}

/// The marker file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("marker {} of the log cannot be used", path.display())]
pub struct MarkerError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Marker {
    /// Reads the file, if there is one.
    pub fn load(path: &Path) -> Result<Option<Self>, MarkerError> {
        let error = |source| MarkerError { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|source| error(source.into())),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(error(source)),
        }
    }

    /// Writes the file so that it is either the old or the new one after a power cut.
    pub fn store(&self, path: &Path) -> Result<(), MarkerError> {
        self.write(path).map_err(|source| MarkerError { path: path.to_owned(), source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(folder)?.sync_all()
    }
}
