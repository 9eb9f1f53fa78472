//! Bringing an archive up to date.

use std::collections::BTreeMap;
use std::mem;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use futures::{Stream, TryStreamExt as _};
use tapelog_events::{ChainHash, Incarnation, Instant, Seq, codec};
use tapelog_store::log::{Broken, Cause, Entry, Head};
use tapelog_store::media::Expected;
use tracing::warn;

use super::file::{Draft, EncodeError};
use super::manifest::{ArchivedFile, Manifest, key};
use super::place::{Switch, Version};
use super::{Archive, Capacity, MANIFEST, ManifestError, OpenError, PlaceError};

/// How long files that were replaced are kept: longer than anybody takes to read the manifest and then the files.
const GRACE: Duration = Duration::from_secs(3600);

/// Which records are to be in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Which life of the log they are of.
    pub incarnation: Incarnation,
    /// The first one, where it was asked for; otherwise the log's first, or that of an archive that exists.
    pub first: Option<Seq>,
    /// The last one. It is in the log.
    pub last: Seq,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// How many records the archive did not have before.
    pub records: u64,
    /// Where the archive ends now.
    pub head: Head,
    /// How many files it consists of.
    pub files: usize,
}

/// The archive is as it was, or part of the way.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It holds another log.
    #[error("archive holds the log {archived}, not {log}: choose another place for this one")]
    OtherLog {
        /// Which life of a log it holds.
        archived: Incarnation,
        /// Which life of the log was to be archived.
        log: Incarnation,
    },
    /// It starts elsewhere.
    #[error("archive starts at record {archived}, not at {asked}: leave the start out, or choose another place")]
    OtherStart {
        /// Its first record.
        archived: Seq,
        /// What was asked for.
        asked: Seq,
    },
    /// It holds records that the log does not have.
    #[error("archive ends at record {archived}, but the log at {log}: the log has lost records, so restore it")]
    Ahead {
        /// The last record of the archive.
        archived: Seq,
        /// The last record of the log.
        log: Seq,
    },
    /// It holds another record than the log.
    #[error("record {0} of the archive is not that of the log: one of them was altered")]
    Diverged(Seq),
    /// A record of the log cannot be archived.
    #[error("log cannot be archived")]
    Broken(#[from] Broken),
    /// Records could not be read from the log.
    #[error("records of the log cannot be read")]
    Source(#[source] Cause),
    /// This record was promised and did not come.
    #[error("log does not give record {0}")]
    Ended(Seq),
    /// Somebody else changed the archive at the same moment.
    #[error("another process is writing to the archive; try again")]
    Contended,
    /// The place cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What stands there is no archive.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Records could not be made a file.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl From<OpenError> for AppendError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Place(error) => error.into(),
            OpenError::Manifest(error) => error.into(),
        }
    }
}

impl Archive {
    /// Brings the archive up to the last record of the extent. `read` gives the records of the log from a number on, up
    /// to that one at least; it is asked for some that are archived already, to see that they are still the same, and to
    /// merge small files. `progress` is told the record that was read last.
    ///
    /// # Errors
    /// When the archive is of another log or ahead of this one, when the chain of hashes does not hold, or when log or
    /// place cannot be used. What was archived before is as it was.
    pub async fn append<S, E>(
        &self,
        extent: Extent,
        read: impl FnOnce(Seq) -> S,
        mut progress: impl FnMut(Seq),
    ) -> Result<Appended, AppendError>
    where
        S: Stream<Item = Result<Entry, E>>,
        E: Into<Cause>,
    {
        let (manifest, version) = match self.open().await? {
            Some(found) => found,
            None => (Manifest::new(extent.incarnation, now()), Some(Expected::Nothing)),
        };
        check(&manifest, extent)?;
        let before = manifest.head();
        let plan = Plan::new(&manifest, extent, self.capacity);
        let mut batch =
            Batch { archive: self, manifest, version, kept: plan.kept, known: before.seq, files: Vec::new() };
        let mut draft = plan.start.map(Draft::after);
        let mut next = plan.from;
        let mut entries = pin!(read(plan.from));
        while next <= extent.last {
            let entry = entries.try_next().await.map_err(|error| AppendError::Source(error.into()))?;
            let entry = entry.filter(|entry| entry.seq == next).ok_or(AppendError::Ended(next))?;
            next = entry.seq.next();
            if plan.ends.get(&entry.seq).is_some_and(|expected| *expected != ChainHash::of(&entry.payload)) {
                return Err(AppendError::Diverged(entry.seq));
            }
            progress(entry.seq);
            let mut open = match draft.take() {
                Some(open) => open,
                None => Draft::after(before_first(&entry)?),
            };
            if entry.seq > open.head().seq {
                if open.is_full(&entry, self.capacity) {
                    let following = Draft::after(open.head());
                    batch.store(mem::replace(&mut open, following)).await?;
                }
                open.push(entry)?;
            }
            draft = Some(open);
        }
        if let Some(draft) = draft.filter(|draft| !draft.is_empty()) {
            batch.store(draft).await?;
        }
        let manifest = batch.manifest;
        let first = manifest.first().unwrap_or(extent.last.next());
        let had = before.seq.max(Seq(first.0 - 1));
        Ok(Appended { records: extent.last.0 - had.0, head: manifest.head(), files: manifest.files().len() })
    }
}

/// Whether these records may follow those of the archive.
fn check(manifest: &Manifest, extent: Extent) -> Result<(), AppendError> {
    if manifest.incarnation != extent.incarnation {
        return Err(AppendError::OtherLog { archived: manifest.incarnation, log: extent.incarnation });
    }
    if let (Some(archived), Some(asked)) = (manifest.first(), extent.first)
        && archived != asked
    {
        return Err(AppendError::OtherStart { archived, asked });
    }
    let archived = manifest.head().seq;
    if archived > extent.last {
        return Err(AppendError::Ahead { archived, log: extent.last });
    }
    Ok(())
}

/// What is read and written to bring an archive up to date.
struct Plan {
    /// How many files stay; those after them are merged with what is new.
    kept: usize,
    /// Where the chain stands before the first record that is written; the first record says it of a part of the log.
    start: Option<Head>,
    /// The first record that is read: always the last that is archived or an earlier one, to see that it is in the log.
    from: Seq,
    /// What the archive knows of records that are read again.
    ends: BTreeMap<Seq, ChainHash>,
}

impl Plan {
    fn new(manifest: &Manifest, extent: Extent, capacity: Capacity) -> Self {
        let files = manifest.files();
        let Some(newest) = files.last() else {
            let first = extent.first.unwrap_or(Seq(1));
            let start = (first == Seq(1)).then_some(Head::START);
            return Self { kept: 0, start, from: first, ends: BTreeMap::new() };
        };
        let mut kept = files.len();
        let mut waiting = extent.last.0 - newest.last.0;
        while let Some(file) = files[..kept].last().filter(|file| file.records() <= waiting && !capacity.is_half(file))
        {
            waiting += file.records();
            kept -= 1;
        }
        let start = files.get(kept).map_or(newest.end(), ArchivedFile::start);
        let ends = files[kept.min(files.len() - 1)..].iter().map(|file| (file.last, file.after)).collect();
        Self { kept, start: Some(start), from: start.seq.next().min(newest.last), ends }
    }
}

/// Where the chain stands before this record, by what the record itself says.
fn before_first(entry: &Entry) -> Result<Head, Broken> {
    let record = codec::decode(&entry.payload);
    let record = record.map_err(|source| Broken::Undecodable { seq: entry.seq, source })?;
    Ok(Head { seq: Seq(entry.seq.0.saturating_sub(1)), hash: record.prev_hash })
}

/// Files that are on their way into the archive.
struct Batch<'a> {
    archive: &'a Archive,
    manifest: Manifest,
    version: Version,
    /// How many files of the manifest stay.
    kept: usize,
    /// The last record that was archived before: the manifest is never switched to less.
    known: Seq,
    files: Vec<ArchivedFile>,
}

impl Batch<'_> {
    /// Stores a file, and puts it into the manifest as soon as that says no less with it than before.
    async fn store(&mut self, draft: Draft) -> Result<(), AppendError> {
        let finished = tokio::task::spawn_blocking(move || draft.finish());
        let (file, bytes) = finished.await.expect("encoding does not panic, and nothing aborts it")?;
        self.archive.place.put(&self.manifest.key(&file), bytes).await?;
        self.archive.unlisted.lock().push(file.file.clone());
        let reached = file.last;
        self.files.push(file);
        if reached >= self.known { self.switch().await } else { Ok(()) }
    }

    async fn switch(&mut self) -> Result<(), AppendError> {
        let Self { archive, .. } = *self;
        let now = now();
        let unlisted = archive.unlisted.lock().clone();
        let (next, expired) = self.manifest.with(self.kept, &self.files, &unlisted, now, now.saturating_add(GRACE));
        match archive.place.switch(MANIFEST, next.write().into(), &self.version).await? {
            Switch::Done(version) => self.version = version,
            Switch::Lost => return Err(AppendError::Contended),
        }
        archive.unlisted.lock().clear();
        self.kept = next.files().len();
        self.files.clear();
        self.manifest = next;
        for file in expired {
            // It takes up room and does no other harm.
            if let Err(error) = archive.place.remove(&key(self.manifest.incarnation, &file)).await {
                warn!(file, error = &error as &dyn std::error::Error, "an old file of the archive cannot be removed");
            }
        }
        Ok(())
    }
}

fn now() -> Instant {
    SystemTime::now().into()
}
