//! What makes files a checkpoint: which they are, and which position they stand for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tapelog_events::{ChainHash, Incarnation, Instant, Seq};
use tapelog_store::log::Head;

use super::folder::{FileError, Folder, Stored};
use crate::tables::partition::Partition;

/// The version of files and manifest that is written and read.
pub(super) const FORMAT: u16 = 2;

/// What of a manifest every version of tapelog writes.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    /// See [`FORMAT`].
    pub format: u16,
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// See [`FORMAT`].
    pub format: u16,
    /// Which life of the log.
    pub incarnation: Option<Incarnation>,
    /// The last record that was applied.
    pub seq: Seq,
    /// The hash of that record.
    #[serde(with = "hash_text")]
    pub chain_hash: ChainHash,
    /// When the checkpoint was written.
    pub written_at: Instant,
    /// When the last commit was decided.
    pub time: Instant,
    /// The store's name.
    pub name: Option<String>,
    /// The store's description.
    pub description: Option<String>,
    /// The record that changed name or description last.
    pub service_changed: Seq,
    /// The record that changed the instances of objects in use last.
    pub instances_changed: Seq,
    /// The files of each table. A part without rows has none.
    pub tables: BTreeMap<String, Vec<PartFile>>,
}

/// One part of a table in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartFile {
    /// Which part.
    pub part: usize,
    /// The record that changed it last.
    pub changed: Seq,
    /// How many rows it has.
    pub rows: u64,
    /// Where they are.
    #[serde(flatten)]
    pub stored: Stored,
}

impl Manifest {
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.chain_hash }
    }

    /// The files of a table.
    pub fn files(&self, table: &str) -> &[PartFile] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// The file of one part of a table.
    pub fn file(&self, table: &str, part: Partition) -> Option<&PartFile> {
        self.files(table).iter().find(|file| file.part == part.number())
    }

    /// The name of the file that this manifest is written to: those of later positions sort later.
    pub fn file_name(&self) -> String {
        format!("{PREFIX}{:020}{SUFFIX}", self.seq.0)
    }

    /// Makes the checkpoint one: from now on it can be loaded.
    pub fn store(&self, folder: &Folder) -> Result<(), FileError> {
        let text = serde_json::to_vec_pretty(self).expect("a manifest has text keys and no other pitfalls");
        folder.put(&self.file_name(), &text)
    }
}

const PREFIX: &str = "manifest-";
const SUFFIX: &str = ".json";

/// Whether a file is a manifest.
pub(super) fn is_manifest(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// The position that a manifest with this file name stands for; `None` when it is not the name of one.
pub(super) fn position_of(name: &str) -> Option<Seq> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok().map(Seq)
}

/// Hashes of records as text.
pub(crate) mod hash_text {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de};
    use tapelog_events::ChainHash;

    pub fn serialize<S: Serializer>(hash: &ChainHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChainHash, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
