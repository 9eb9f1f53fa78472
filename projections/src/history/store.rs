//! The index on disk: what is entered in it, in batches, with the checkpoint in the same batch.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use parking_lot::Mutex;
use rustix::process::setpriority_process;
use serde::{Deserialize, Serialize};
use tapelog_events::{ChainHash, Record, Seq, codec};
use tapelog_store::log::Head;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::touched::Touched;
use super::versions::Versions;
use crate::WaitError;

/// The form of the entries. An index of another form is built anew.
const FORMAT: u16 = 1;
/// Blocks of the index that are kept in memory, in bytes: a few thousand of them, so that the next page is quick.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// What the store may hold in journals until it is in tables, in bytes: the least that it accepts, since a start reads all
/// of it, at about 30 MiB a second.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// How many bytes of entries a keyspace gathers in memory before they become a table: little beside the usual 64 MiB, since
/// there are several keyspaces, an entry takes about five times its bytes while it is gathered, and what has not become a
/// table is what a start after a kill takes long to put back.
const GATHERED_BYTES: u64 = 1024 * 1024;
/// How many bytes of all keyspaces may be gathered, or wait to become tables; more than all of them gather. What enters
/// records waits where tables are written more slowly, so that memory stays bounded while a long log is caught up with.
const GATHERED_AT_MOST: u64 = 8 * 1024 * 1024;
/// How often it looks whether there is room again, and for how long it waits before it goes on all the same: a stop must
/// not wait for a disk that has stopped.
const ROOM_POLL: Duration = Duration::from_millis(2);
const ROOM_PATIENCE: Duration = Duration::from_secs(5);
/// How long the end waits for what was gathered to become tables, and how often it looks: a disk writes that in less.
const SETTLING: Duration = Duration::from_secs(5);
const SETTLING_POLL: Duration = Duration::from_millis(10);
/// How willing the index's threads are to give way to others, on the scale of `nice`, which ends at 19.
const NICE: i32 = 10;
/// The one key of the keyspace of the checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// The index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Its folder cannot be read or written.
    #[error("folder {} of the history cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key-value store failed.
    #[error("key-value store of the history failed")]
    Store(#[from] fjall::Error),
    /// Not the record after the last one applied.
    #[error("record {found} cannot be entered in the history: record {expected} comes next")]
    OutOfOrder {
        /// The record that comes next.
        expected: Seq,
        /// The record that came.
        found: Seq,
    },
    /// It does not follow from the last one applied (L2).
    #[error("record {0} does not follow from the record that the history ends with (L2)")]
    Chain(Seq),
}

/// How far the index is: written in one batch with the entries.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    format: u16,
    seq: Seq,
    hash: ChainHash,
}

/// An index of the log by resource, on disk. Clones share it; one process uses a folder at a time.
///
/// Its methods that are not `async` block, if seldom for long: they are not for threads of a runtime.
#[derive(Clone)]
pub struct History {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    checkpoint: Keyspace,
    touched: Touched,
    versions: Versions,
    head: watch::Sender<Head>,
    /// Held while records are entered.
    applying: Mutex<()>,
}

impl fmt::Debug for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("History").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl History {
    /// Opens the index in a folder, which is made where it is missing. One that has another form, or is damaged, is
    /// removed: it is built anew from the log.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process uses it.
    pub fn open(folder: &Path) -> Result<Self, HistoryError> {
        let on_disk = |source| HistoryError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(on_disk)?;
        match open_database(folder).and_then(Self::of) {
            Ok(Some(history)) => return Ok(history),
            Ok(None) => info!(folder = %folder.display(), "the history has another form and is built anew"),
            Err(error) if is_damage(&error) => {
                let error = &error as &dyn Error;
                warn!(folder = %folder.display(), error, "the history is damaged and is built anew");
            }
            Err(error) => return Err(error.into()),
        }
        Self::open_empty(folder)
    }

    /// Removes what is in the folder and opens an empty index there. Nobody may have it open.
    pub(super) fn open_empty(folder: &Path) -> Result<Self, HistoryError> {
        let on_disk = |source| HistoryError::Folder { folder: folder.to_owned(), source };
        fs::remove_dir_all(folder).and_then(|()| fs::create_dir_all(folder)).map_err(on_disk)?;
        let history = open_database(folder).and_then(Self::of)?;
        Ok(history.expect("an empty store has no checkpoint of another form"))
    }

    /// `None` when the database has entries of another form.
    fn of(database: Database) -> Result<Option<Self>, fjall::Error> {
        let checkpoint = database.keyspace(CHECKPOINT, options)?;
        let head = match checkpoint.get(CHECKPOINT)? {
            None => Head::START,
            Some(written) => match codec::decode_value::<Checkpoint>(&written) {
                Ok(Checkpoint { format: FORMAT, seq, hash }) => Head { seq, hash },
                Ok(Checkpoint { .. }) | Err(_) => return Ok(None),
            },
        };
        let touched = Touched::open(&database)?;
        let versions = Versions::open(&database)?;
        let (head, applying) = (watch::Sender::new(head), Mutex::new(()));
        Ok(Some(Self { shared: Arc::new(Shared { database, checkpoint, touched, versions, head, applying }) }))
    }

    /// Up to and with which record the log was entered.
    pub fn head(&self) -> Head {
        *self.shared.head.borrow()
    }

    /// Waits until a record is entered.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn wait_for(&self, wanted: Seq, limit: Duration) -> Result<(), WaitError> {
        let mut head = self.shared.head.subscribe();
        let reached = timeout(limit, head.wait_for(|head| head.seq >= wanted)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WaitError { wanted, applied: self.head().seq }),
        }
    }

    /// Enters the next records, all or none. Blocks.
    ///
    /// # Errors
    /// When they are not the next records, or the store fails.
    pub fn apply(&self, records: &[(Head, Record)]) -> Result<(), HistoryError> {
        if records.is_empty() {
            return Ok(());
        }
        let Shared { database, checkpoint, touched, versions, head, .. } = &*self.shared;
        let _applying = self.shared.applying.lock();
        let began = Instant::now();
        while database.write_buffer_size() > GATHERED_AT_MOST && began.elapsed() < ROOM_PATIENCE {
            thread::sleep(ROOM_POLL);
        }
        let mut last = self.head();
        let mut batch = database.batch();
        for (head, record) in records {
            let seq = head.seq;
            if seq != last.seq.next() {
                return Err(HistoryError::OutOfOrder { expected: last.seq.next(), found: seq });
            }
            if record.prev_hash != last.hash {
                return Err(HistoryError::Chain(seq));
            }
            for (index, commit) in (0..).zip(&record.commits) {
                versions.index(&mut batch, seq, index, commit)?;
            }
            last = *head;
        }
        touched.index(&mut batch, records);
        let written = Checkpoint { format: FORMAT, seq: last.seq, hash: last.hash };
        batch.insert(checkpoint, CHECKPOINT, codec::encode_value(&written));
        batch.commit()?;
        head.send_replace(last);
        Ok(())
    }

    /// Has what is gathered in memory become tables, so that the next start finds little in the journals that is not in
    /// tables. Gives up after a while, which harms nothing. Blocks.
    pub(super) fn settle(&self) -> Result<(), HistoryError> {
        let keyspaces = self.keyspaces()?;
        let _applying = self.shared.applying.lock();
        for keyspace in &keyspaces {
            keyspace.rotate_memtable()?;
        }
        let began = Instant::now();
        while keyspaces.iter().any(|keyspace| keyspace.sealed_memtable_count() > 0) && began.elapsed() < SETTLING {
            thread::sleep(SETTLING_POLL);
        }
        Ok(())
    }

    /// All there are, by name.
    fn keyspaces(&self) -> Result<Vec<Keyspace>, fjall::Error> {
        let Shared { database, .. } = &*self.shared;
        let mut names = database.list_keyspace_names();
        names.sort_unstable();
        names.iter().map(|name| database.keyspace(name, options)).collect()
    }

    /// What the index takes on disk, in bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub fn disk_space(&self) -> Result<u64, HistoryError> {
        Ok(self.shared.database.disk_space()?)
    }

    /// The hash of all that is in the index: equal for all indexes of one log up to one record, however they came about
    /// (L5). Reads everything. Blocks.
    ///
    /// # Errors
    /// When the store fails.
    pub fn digest(&self) -> Result<blake3::Hash, HistoryError> {
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
        };
        for keyspace in self.keyspaces()? {
            field(keyspace.name().as_bytes());
            for entry in keyspace.iter() {
                let (key, value) = entry.into_inner()?;
                field(&key);
                field(&value);
            }
        }
        Ok(hasher.finalize())
    }

    pub(super) fn touched(&self) -> &Touched {
        &self.shared.touched
    }

    pub(super) fn versions(&self) -> &Versions {
        &self.shared.versions
    }
}

/// What every keyspace is made and opened with.
pub(super) fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(GATHERED_BYTES)
}

/// On a thread of its own, since the threads that the store starts inherit how willing theirs is to give way.
fn open_database(folder: &Path) -> Result<Database, fjall::Error> {
    let open = || {
        give_way();
        Database::builder(folder).cache_size(CACHE_BYTES).max_journaling_size(JOURNAL_BYTES).open()
    };
    // What makes it panic is damaged.
    thread::scope(|scope| scope.spawn(open).join().unwrap_or(Err(fjall::Error::Unrecoverable)))
}

/// Whether a store could not be opened because of what it holds, rather than because of where it lies.
fn is_damage(error: &fjall::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(on_disk) = error.downcast_ref::<io::Error>() {
            use io::ErrorKind as Kind;
            return matches!(on_disk.kind(), Kind::NotFound | Kind::UnexpectedEof | Kind::InvalidData);
        }
        cause = error.source();
    }
    !matches!(error, fjall::Error::Locked)
}

/// Lets the other threads of this process go first, where the system knows that of threads.
pub(super) fn give_way() {
    if cfg!(target_os = "linux")
        && let Err(error) = setpriority_process(None, NICE)
    {
        debug!(%error, "the history's threads have the usual priority");
    }
}
