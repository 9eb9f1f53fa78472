//! The records that an answer needs, each read once.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tapelog_events::Seq;
use tapelog_store::log::Log;

use crate::history::record::{ReadError, StoredRecord, read_record};

/// How many bytes of records are remembered: those of a page, which are often what its older values are in.
const REMEMBERED_BYTES: usize = 32 * 1024 * 1024;

/// Reads records for one answer.
pub(super) struct Records<'a, L> {
    log: &'a L,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    records: HashMap<Seq, Arc<StoredRecord>>,
    bytes: usize,
}

impl<'a, L: Log> Records<'a, L> {
    pub fn of(log: &'a L) -> Self {
        Self { log, remembered: Mutex::default() }
    }

    pub async fn read(&self, seq: Seq) -> Result<Arc<StoredRecord>, ReadError> {
        if let Some(known) = self.remembered.lock().records.get(&seq) {
            return Ok(Arc::clone(known));
        }
        let stored = Arc::new(read_record(self.log, seq).await?);
        let mut remembered = self.remembered.lock();
        remembered.bytes += stored.bytes;
        if remembered.bytes > REMEMBERED_BYTES {
            *remembered = Remembered { bytes: stored.bytes, ..Remembered::default() };
        }
        remembered.records.insert(seq, Arc::clone(&stored));
        Ok(stored)
    }
}
