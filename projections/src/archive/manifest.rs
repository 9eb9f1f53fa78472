//! What makes files an archive: which they are, and how they follow from one another.

use serde::{Deserialize, Serialize};
use tapelog_events::{ChainHash, Incarnation, Instant, Seq};
use tapelog_store::log::Head;

use crate::checkpoint::manifest::hash_text;

/// The version of files and manifest that is written and read.
const FORMAT: u16 = 1;

/// Which files are the log, up to which record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u16,
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// When the newest record was archived.
    pub written_at: Instant,
    files: Vec<ArchivedFile>,
    /// Files that were replaced, with the moment from which they may go.
    retired: Vec<Retired>,
}

/// One file of an archive: the records of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Its name in the folder of the log's life.
    pub file: String,
    /// Its first record.
    pub first: Seq,
    /// Its last record.
    pub last: Seq,
    /// Its size.
    pub bytes: u64,
    /// The size of its records in the log.
    pub log_bytes: u64,
    /// The hash of its contents, in hexadecimal.
    pub blake3: String,
    /// The hash of the record before its first.
    #[serde(with = "hash_text")]
    pub before: ChainHash,
    /// The hash of its last record.
    #[serde(with = "hash_text")]
    pub after: ChainHash,
}

/// A file that a merge has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retired {
    pub file: String,
    pub until: Instant,
}

/// What stands in the place of a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of the expected shape.
    #[error("manifest of the archive cannot be read")]
    Malformed(#[from] serde_json::Error),
    /// Another version of tapelog wrote it.
    #[error("archive has format {0}, and this version of tapelog reads {FORMAT} alone")]
    Format(u16),
    /// Files do not follow from one another.
    #[error("manifest of the archive contradicts itself at {0}: it does not follow from the file before it")]
    Gap(String),
    /// A file that may be removed is not one of the archive.
    #[error("manifest of the archive names {0} as a file of it, which is none")]
    Elsewhere(String),
}

/// What of a manifest every version of tapelog writes.
#[derive(Deserialize)]
struct Version {
    format: u16,
}

impl ArchivedFile {
    /// How many records it has.
    pub fn records(&self) -> u64 {
        self.last.0 + 1 - self.first.0
    }

    /// Where the chain stands before its first record.
    pub fn start(&self) -> Head {
        Head { seq: Seq(self.first.0.saturating_sub(1)), hash: self.before }
    }

    /// Where the chain stands after its last record.
    pub fn end(&self) -> Head {
        Head { seq: self.last, hash: self.after }
    }
}

impl Manifest {
    /// An archive of this log without a file.
    pub(super) fn new(incarnation: Incarnation, now: Instant) -> Self {
        Self { format: FORMAT, incarnation, written_at: now, files: Vec::new(), retired: Vec::new() }
    }

    pub(super) fn read(text: &[u8]) -> Result<Self, ManifestError> {
        let Version { format } = serde_json::from_slice(text)?;
        if format != FORMAT {
            return Err(ManifestError::Format(format));
        }
        let manifest: Self = serde_json::from_slice(text)?;
        if let Some(elsewhere) = manifest.retired.iter().find(|retired| retired.file.contains('/')) {
            return Err(ManifestError::Elsewhere(elsewhere.file.clone()));
        }
        let mut before: Option<&ArchivedFile> = None;
        for file in &manifest.files {
            let named = file.file.starts_with(&stem(file.first, file.last)) && !file.file.contains('/');
            let follows = before.is_none_or(|before| before.end() == file.start());
            if !named || !follows || !(Seq(1)..=file.last).contains(&file.first) {
                return Err(ManifestError::Gap(file.file.clone()));
            }
            before = Some(file);
        }
        Ok(manifest)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest has text keys and no other pitfalls")
    }

    /// The files, by position.
    pub fn files(&self) -> &[ArchivedFile] {
        &self.files
    }

    /// The first record; `None` where there is none yet.
    pub fn first(&self) -> Option<Seq> {
        self.files.first().map(|file| file.first)
    }

    /// Where the archive ends: before the first record where it has none.
    pub fn head(&self) -> Head {
        self.files.last().map_or(Head::START, ArchivedFile::end)
    }

    /// The name of a file in the archive.
    pub(super) fn key(&self, file: &ArchivedFile) -> String {
        key(self.incarnation, &file.file)
    }

    /// This archive with other files after the first `kept`. What they replace, and what is listed nowhere, may go after
    /// `until`; what could go before `now` is not listed any more, and told beside.
    pub(super) fn with(
        &self,
        kept: usize,
        files: &[ArchivedFile],
        unlisted: &[String],
        now: Instant,
        until: Instant,
    ) -> (Self, Vec<String>) {
        let mut next = Self { written_at: now, ..self.clone() };
        let replaced = next.files.split_off(kept);
        next.files.extend_from_slice(files);
        let names = replaced.into_iter().map(|file| file.file).chain(unlisted.iter().cloned());
        next.retired.extend(names.map(|file| Retired { file, until }));
        let files = &next.files;
        next.retired.retain(|retired| files.iter().all(|file| file.file != retired.file));
        let (expired, retired) = next.retired.into_iter().partition(|retired| retired.until <= now);
        next.retired = retired;
        (next, Vec::from_iter(expired.into_iter().map(|retired: Retired| retired.file)))
    }
}

/// The name of a file of this life of the log.
pub(super) fn key(incarnation: Incarnation, file: &str) -> String {
    format!("log/{incarnation}/{file}")
}

/// What the name of a file with these records starts with: names sort as the records do.
pub(super) fn stem(first: Seq, last: Seq) -> String {
    format!("{:020}-{:020}-", first.0, last.0)
}
