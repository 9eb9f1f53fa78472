//! Checkpoints: the tables at one position, as Parquet files and a manifest.
//!
//! Files are written once and named by their contents; a manifest, written last, makes them a checkpoint. Segments and
//! objects are divided by the hash of an id, and a part that did not change since the checkpoint before is referred to
//! again. The checkpoint before is kept, for a start after which the newest turns out to be damaged.
//!
//! The files can be read by anything that reads Parquet: `flows` (those that were put aside have `trashed_at`), `sources`,
//! `tags`, `flow_collections`, `source_collections`, `segments`, `segment_tags`, `objects` (each with the segments that
//! refer to it), `profiles`, `webhooks`, `dead_letters`, `deletion_requests`, `accounts`, `tokens`, `errands`, `answers`. Media time
//! stands in columns of seconds and nanoseconds. Secrets are not in them: only hashes, and what is sealed.

pub(crate) mod folder;
mod load;
pub(crate) mod manifest;
mod open;
mod write;

use std::path::Path;
use std::time::SystemTime;

use hashbrown::HashSet;
use parking_lot::Mutex;
use tapelog_events::Seq;
use tracing::{info, warn};

pub use folder::FileError;
use folder::Folder;
use manifest::{FORMAT, Manifest, PartFile, is_manifest, position_of};
pub use open::{OpenError, open_tables};
pub use write::WriteError;

use crate::tables::Origin;
use crate::{Live, Tables};

/// The checkpoints in one folder. One process uses a folder at a time.
#[derive(Debug)]
pub struct Checkpoints {
    folder: Folder,
    /// The checkpoint that was written or loaded last, whose files are known to be good.
    base: Mutex<Option<Base>>,
}

/// A checkpoint that the next one of the same tables builds on. Those of other tables may not: a part that was wrong in
/// the ones and is right in the others has changed last with the same record in both.
#[derive(Debug)]
struct Base {
    manifest: Manifest,
    origin: Origin,
}

/// What writing a checkpoint came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The position that it stands for.
    pub seq: Seq,
    /// Files that it consists of.
    pub files: usize,
    /// How large those of them are that were written for it, in bytes.
    pub new_bytes: u64,
    /// How large all of them are, in bytes.
    pub total_bytes: u64,
}

impl Checkpoints {
    /// Opens a folder, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(folder: &Path) -> Result<Self, FileError> {
        Ok(Self { folder: Folder::open(folder)?, base: Mutex::new(None) })
    }

    /// Stores the tables in use as they are now. They are copied, which is much quicker than writing them, so that the
    /// projector is hardly held up: for that long, they take their memory twice. Blocks.
    ///
    /// # Errors
    /// When the tables are not whole or the folder cannot be used. The checkpoint before is as it was.
    pub fn write_live(&self, live: &Live) -> Result<Written, WriteError> {
        self.write(&live.read(Tables::clone))
    }

    /// Stores tables: the parts that changed since the checkpoint that was written or loaded last, or all where there is
    /// none of these tables. Then removes what neither of the two needs. Blocks.
    ///
    /// # Errors
    /// When the tables are not whole or the folder cannot be used. The checkpoint before is as it was.
    pub fn write(&self, tables: &Tables) -> Result<Written, WriteError> {
        if let Some(failed) = tables.failed() {
            return Err(WriteError::Failed(failed));
        }
        let mut last = self.base.lock();
        let base = last.as_ref().filter(|base| base.origin == *tables.origin()).map(|base| &base.manifest);
        if let Some(base) = base
            && base.head() == tables.head()
        {
            return Ok(written(base, Some(base)));
        }
        let (name, description) = tables.service();
        let manifest = Manifest {
            format: FORMAT,
            incarnation: tables.incarnation(),
            seq: tables.position(),
            chain_hash: tables.hash(),
            written_at: SystemTime::now().into(),
            time: tables.state().time(),
            name: name.map(str::to_owned),
            description: description.map(str::to_owned),
            service_changed: tables.changes().service,
            instances_changed: tables.changes().instances,
            tables: write::write_tables(&self.folder, base, tables)?,
        };
        manifest.store(&self.folder)?;
        self.remove_unneeded(&manifest, base);
        let written = written(&manifest, base);
        info!(seq = %written.seq, files = written.files, new_bytes = written.new_bytes, "wrote a checkpoint");
        *last = Some(Base { manifest, origin: tables.origin().clone() });
        Ok(written)
    }

    /// The tables of the newest checkpoint that is whole; `None` where there is none. One that is damaged, or that another
    /// version of tapelog wrote in another form, is passed over with a warning, for the one before. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn load_newest(&self) -> Result<Option<Tables>, FileError> {
        let mut base = self.base.lock();
        let mut manifests = self.folder.names()?;
        manifests.retain(|name| is_manifest(name));
        manifests.sort_unstable();
        for name in manifests.iter().rev() {
            match load::load(&self.folder, name) {
                Ok((manifest, tables)) => {
                    // One that the tables in use wrote stays theirs, whoever else looks at it.
                    if base.as_ref().is_none_or(|base| base.manifest != manifest) {
                        *base = Some(Base { manifest, origin: tables.origin().clone() });
                    }
                    return Ok(Some(tables));
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(folder = %self.folder.path().display(), manifest = name, error, "passed over a checkpoint");
                }
            }
        }
        if !manifests.is_empty() {
            warn!(folder = %self.folder.path().display(), "no checkpoint can be used: the tables are built from the log");
        }
        Ok(None)
    }

    /// The position of the newest checkpoint, whether or not it can be loaded: the log held that record.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn newest_position(&self) -> Result<Option<Seq>, FileError> {
        Ok(self.folder.names()?.iter().filter_map(|name| position_of(name)).max())
    }

    /// A file that cannot be removed takes up room and does no other harm.
    fn remove_unneeded(&self, newest: &Manifest, base: Option<&Manifest>) {
        let kept = || [Some(newest), base].into_iter().flatten();
        let manifests: Vec<String> = kept().map(Manifest::file_name).collect();
        let mut needed: HashSet<&str> = kept().flat_map(files).map(|file| file.stored.file.as_str()).collect();
        needed.extend(manifests.iter().map(String::as_str));
        let removed = self.folder.names().and_then(|names| {
            names.iter().filter(|name| !needed.contains(name.as_str())).try_for_each(|name| self.folder.remove(name))
        });
        if let Err(error) = removed {
            warn!(error = &error as &dyn std::error::Error, "old checkpoints cannot be removed");
        }
    }
}

fn files(manifest: &Manifest) -> impl Iterator<Item = &PartFile> {
    manifest.tables.values().flatten()
}

fn written(manifest: &Manifest, base: Option<&Manifest>) -> Written {
    let known: HashSet<&str> = base.into_iter().flat_map(files).map(|file| file.stored.file.as_str()).collect();
    let is_new = |file: &&PartFile| !known.contains(file.stored.file.as_str());
    Written {
        seq: manifest.seq,
        files: files(manifest).count(),
        new_bytes: files(manifest).filter(is_new).map(|file| file.stored.bytes).sum(),
        total_bytes: files(manifest).map(|file| file.stored.bytes).sum(),
    }
}
