//! The table of attempts: by webhook and time, on disk.

use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use serde::{Deserialize, Serialize};
use tapelog_events::{Instant, WebhookId};
use tapelog_store::stream::StreamState;
use tracing::warn;

use super::page::{AttemptCursor, AttemptFilter, AttemptOrder, AttemptPage};
use super::row::AttemptRow;

/// The form of the table. One that has another is made anew.
const FORMAT: u16 = 1;
/// How many attempts are looked at for one page: a filter that few pass must not keep a thread for long.
const EXAMINED: usize = 20_000;
/// How many attempts are removed at once.
const REMOVED: usize = 4096;
/// For all that is read; written is little, and read seldom.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// The journals are on disk beside the tables until those are written.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// What is gathered in memory before it becomes a table: little beside the usual 64 MiB, since it takes a multiple of that.
const GATHERED_BYTES: u64 = 4 * 1024 * 1024;
/// The one key of the keyspace of the checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// How many bytes of a key say which webhook it is of.
const WEBHOOK: usize = 16;
/// How many bytes of a key say where among those of its webhook it is.
const PLACE: usize = 28;

/// Where an attempt is among those of its webhook: when it began, its event, and which attempt at that it was.
pub type Place = [u8; PLACE];

/// The table of attempts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Its folder cannot be read or written.
    #[error("folder {} of the delivery log cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key-value store failed.
    #[error("key-value store of the delivery log failed")]
    Store(#[from] fjall::Error),
    /// What is stored is not what was written.
    #[error("an entry of the delivery log cannot be read")]
    Entry(#[from] rmp_serde::decode::Error),
}

/// How far the table is: written in one batch with the attempts.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    format: u16,
    /// Of which stream.
    created: Instant,
    /// Up to and with which of its messages.
    sequence: u64,
}

/// The table of attempts. Its methods block: they are not for threads of a runtime.
pub struct Table {
    database: Database,
    attempts: Keyspace,
    checkpoint: Keyspace,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl Table {
    /// Opens the table in a folder, which is made where it is missing. One that is damaged is removed: the stream has it
    /// all.
    pub fn open(folder: &Path) -> Result<Self, TableError> {
        let on_disk = |source| TableError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(on_disk)?;
        match Self::try_open(folder) {
            Ok(table) => Ok(table),
            Err(fjall::Error::Io(source)) => Err(on_disk(source)),
            Err(error @ fjall::Error::Locked) => Err(error.into()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(folder = %folder.display(), error, "the delivery log's table is damaged and is made anew");
                fs::remove_dir_all(folder).and_then(|()| fs::create_dir_all(folder)).map_err(on_disk)?;
                Ok(Self::try_open(folder)?)
            }
        }
    }

    fn try_open(folder: &Path) -> Result<Self, fjall::Error> {
        let builder = Database::builder(folder).worker_threads(1);
        let database = builder.cache_size(CACHE_BYTES).max_journaling_size(JOURNAL_BYTES).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(GATHERED_BYTES);
        let attempts = database.keyspace("attempts", options)?;
        let checkpoint = database.keyspace(CHECKPOINT, options)?;
        Ok(Self { database, attempts, checkpoint })
    }

    /// The number of the message of the stream that comes next. If the table is of another stream, it is emptied.
    pub fn begin(&self, stream: &StreamState) -> Result<u64, TableError> {
        let found = self.checkpoint.get(CHECKPOINT)?;
        let found = found.and_then(|bytes| rmp_serde::from_slice::<Checkpoint>(&bytes).ok());
        let is_of = |found: &Checkpoint| {
            found.format == FORMAT && found.created == stream.created && found.sequence <= stream.last_sequence
        };
        if let Some(found) = found.filter(is_of) {
            return Ok(found.sequence + 1);
        }
        self.attempts.clear()?;
        Ok(1)
    }

    /// Enters the attempts of messages of the stream that was made at `created`, up to and with the one of this number.
    pub fn enter(
        &self,
        created: Instant,
        sequence: u64,
        rows: impl IntoIterator<Item = AttemptRow>,
    ) -> Result<(), TableError> {
        let mut batch = self.database.batch();
        for row in rows {
            batch.insert(&self.attempts, key(row.webhook_id, &place(&row)), encoded(&row));
        }
        batch.insert(&self.checkpoint, CHECKPOINT, encoded(&Checkpoint { format: FORMAT, created, sequence }));
        Ok(batch.commit()?)
    }

    /// Removes the attempts of all webhooks that began before this moment. Steps from webhook to webhook, and never looks
    /// at what stays.
    pub fn forget(&self, before: Instant) -> Result<(), TableError> {
        let mut next = Some(WebhookId::from_uuid(uuid::Uuid::nil()));
        while let Some(from) = next {
            let Some(first) = self.attempts.range(key(from, &[0; PLACE])..).next() else { break };
            let first = first.key()?;
            let webhook: [u8; WEBHOOK] = first[..WEBHOOK].try_into().expect("a key begins with a webhook");
            let webhook_id = WebhookId::from_uuid(uuid::Uuid::from_bytes(webhook));
            let (start, end) = (key(webhook_id, &[0; PLACE]), key(webhook_id, &place_at(before)));
            loop {
                let old = self.attempts.range(&start[..]..&end[..]).take(REMOVED);
                let old = old.map(|entry| entry.key()).collect::<Result<Vec<_>, _>>()?;
                let mut batch = self.database.batch();
                old.iter().for_each(|key| batch.remove(&self.attempts, key.clone()));
                batch.commit()?;
                if old.len() < REMOVED {
                    break;
                }
            }
            let after = u128::from_be_bytes(webhook).checked_add(1);
            next = after.map(|number| WebhookId::from_uuid(uuid::Uuid::from_u128(number)));
        }
        Ok(())
    }

    /// One page; see [`super::AttemptLog::page`]. What began before `oldest` counts as forgotten.
    pub fn page(
        &self,
        webhook_id: WebhookId,
        filter: &AttemptFilter,
        order: AttemptOrder,
        cursor: Option<AttemptCursor>,
        oldest: Instant,
        limit: usize,
    ) -> Result<AttemptPage, TableError> {
        let from = place_at(filter.from.map_or(oldest, |from| from.max(oldest)));
        let to = filter.to.map_or([u8::MAX; PLACE], place_at);
        let bound = |place| key(webhook_id, &place);
        let (start, end) = match (order, cursor) {
            (_, None) => (Bound::Included(bound(from)), bound(to)),
            (AttemptOrder::NewestFirst, Some(AttemptCursor(place))) => {
                (Bound::Included(bound(from)), bound(to.min(place)))
            }
            (AttemptOrder::OldestFirst, Some(AttemptCursor(place))) if place < from => {
                (Bound::Included(bound(from)), bound(to))
            }
            (AttemptOrder::OldestFirst, Some(AttemptCursor(place))) => (Bound::Excluded(bound(place)), bound(to)),
        };
        let mut page = AttemptPage { rows: Vec::new(), next: None };
        if limit == 0 || matches!(&start, Bound::Included(start) | Bound::Excluded(start) if *start >= end) {
            return Ok(page);
        }
        let range = self.attempts.range((start, Bound::Excluded(end)));
        let mut entries: Box<dyn Iterator<Item = fjall::Guard>> = match order {
            AttemptOrder::NewestFirst => Box::new(range.rev()),
            AttemptOrder::OldestFirst => Box::new(range),
        };
        let mut examined = 0;
        while let Some(entry) = entries.next() {
            let (key, value) = entry.into_inner()?;
            examined += 1;
            let row: AttemptRow = rmp_serde::from_slice(&value)?;
            if filter.matches(&row) {
                page.rows.push(row);
            }
            if page.rows.len() == limit || examined == EXAMINED {
                let place = key[WEBHOOK..].try_into().expect("a key ends with a place");
                page.next = entries.next().is_some().then_some(AttemptCursor(place));
                break;
            }
        }
        Ok(page)
    }
}

fn key(webhook_id: WebhookId, place: &Place) -> [u8; WEBHOOK + PLACE] {
    let mut key = [0; WEBHOOK + PLACE];
    key[..WEBHOOK].copy_from_slice(webhook_id.as_uuid().as_bytes());
    key[WEBHOOK..].copy_from_slice(place);
    key
}

fn place(row: &AttemptRow) -> Place {
    let mut place = place_at(row.attempted.started);
    place[8..16].copy_from_slice(&row.position.seq.0.to_be_bytes());
    place[16..20].copy_from_slice(&row.position.commit.to_be_bytes());
    place[20..24].copy_from_slice(&row.position.event.to_be_bytes());
    place[24..].copy_from_slice(&row.attempt.to_be_bytes());
    place
}

/// Before all that began at this moment. Nothing began before 1970.
fn place_at(moment: Instant) -> Place {
    let mut place = [0; PLACE];
    place[..8].copy_from_slice(&u64::try_from(moment.as_micros()).unwrap_or_default().to_be_bytes());
    place
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("what is entered here can always be encoded")
}

#[cfg(test)]
mod tests;
