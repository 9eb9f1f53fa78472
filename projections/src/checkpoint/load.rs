//! Loading a checkpoint: the tables exactly as they were.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tapelog_commands::inventory::{
    Contradiction, FlowSlot, Inventory, Object, ObjectState, SegmentUse, StoredSegment, Uses,
};
use tapelog_commands::{Corrupt, Memory, State, StateParts};
use tapelog_events::{FlowId, Instant};
use uuid::Uuid;

use super::folder::{FileError, Folder, Stored};
use super::manifest::{FORMAT, Manifest, PartFile};
use crate::Tables;
use crate::rows::{AnswerRow, Batch, FlowRow, Malformed, ObjectRow, ObjectRowState, SegmentRow, SourceRow, StoredRow};
use crate::tables::partition::{Changes, Partition};

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("manifest cannot be read")]
    Manifest(#[from] serde_json::Error),
    #[error("checkpoint has format {0}, which this version of tapelog does not know")]
    Format(u16),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("file {0} is damaged: its hash is not the one in the manifest")]
    Damaged(String),
    #[error("file {file} is not Parquet")]
    Parquet { file: String, source: parquet::errors::ParquetError },
    #[error("file {file} cannot be read")]
    Batch { file: String, source: arrow::error::ArrowError },
    #[error("file {file} does not hold what its table needs")]
    Malformed { file: String, source: Malformed },
    #[error("manifest names the part {0}, which there is not")]
    Part(usize),
    #[error("checkpoint contradicts itself")]
    Corrupt(#[from] Corrupt),
    #[error("checkpoint has {references} references to objects, but {segments} segments")]
    References { references: usize, segments: usize },
}

impl From<Contradiction> for LoadError {
    fn from(contradiction: Contradiction) -> Self {
        Self::Corrupt(contradiction.into())
    }
}

/// Reads the manifest in this file and the tables that it stands for.
pub(super) fn load(folder: &Folder, manifest_name: &str) -> Result<(Manifest, Tables), LoadError> {
    let manifest: Manifest = serde_json::from_slice(&folder.read_any(manifest_name)?)?;
    if manifest.format != FORMAT {
        return Err(LoadError::Format(manifest.format));
    }
    let mut loader = Loader { folder, manifest: &manifest, changes: Changes::default() };
    let sources = loader.rows::<SourceRow>()?;
    let flows = loader.rows::<FlowRow>()?;
    let answers = loader.rows::<AnswerRow>()?;
    let inventory = loader.inventory(&flows)?;
    let changes = loader.changes;

    let mut memory = Memory::default();
    for answer in &answers {
        memory.remember(answer.at, &answer.entry);
    }
    // The file is as old as the last answer; what it holds may have been forgotten since.
    memory.trim(manifest.time);
    let state = State::restore(StateParts {
        incarnation: manifest.incarnation,
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        time: manifest.time,
        flows: flows.into_iter().map(|row| (Arc::unwrap_or_clone(row.flow), row.segments_updated)).collect(),
        sources: sources.into_iter().map(|row| Arc::unwrap_or_clone(row.source)).collect(),
        inventory,
        memory,
    })?;
    let tables = Tables::restore(manifest.head(), state, changes);
    Ok((manifest, tables))
}

struct Loader<'a> {
    folder: &'a Folder,
    manifest: &'a Manifest,
    changes: Changes,
}

impl Loader<'_> {
    /// The rows of a table.
    fn rows<R: StoredRow + Send>(&mut self) -> Result<Vec<R>, LoadError> {
        let mut rows = Vec::new();
        self.each_row(|row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Hands over the rows of a table, part after part. A thread reads ahead, which takes about as long as what is done
    /// with the rows.
    fn each_row<R: StoredRow + Send>(
        &mut self,
        mut each: impl FnMut(R) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let (folder, files) = (self.folder, self.manifest.files(R::TABLE));
        for file in files {
            let part = Partition::from_number(file.part).ok_or(LoadError::Part(file.part))?;
            R::note_change(&mut self.changes, part, file.changed);
        }
        thread::scope(|scope| {
            let (sender, batches) = sync_channel(BATCHES_AHEAD);
            scope.spawn(move || read_ahead(folder, files, &sender));
            batches.iter().try_for_each(|rows| rows?.into_iter().try_for_each(&mut each))
        })
    }

    fn inventory(&mut self, flows: &[FlowRow]) -> Result<Inventory, LoadError> {
        let mut inventory = Inventory::default();
        let slots = flows.iter().map(|row| (row.flow.id, inventory.create_flow(row.flow.id))).collect();
        let slots = Slots { slots, departed: departed_flow(&mut inventory) };
        let mut references = 0;
        self.each_row(|row: ObjectRow| {
            references += row.uses.len();
            let object = slots.object(&row)?;
            inventory.restore_object(&row.id, &object);
            Ok(())
        })?;
        self.each_row(|row: SegmentRow| {
            let object = inventory.object_slot(&row.object_id);
            let segment = StoredSegment {
                object: object.ok_or_else(|| Contradiction::UnknownObject(row.object_id.clone()))?,
                timerange: row.timerange,
                ts_offset: row.ts_offset,
                last_duration: row.last_duration,
                sample_offset: row.sample_offset,
                sample_count: row.sample_count,
            };
            Ok(inventory.restore_segment(slots.known(row.flow_id)?, &segment)?)
        })?;
        let segments = inventory.segment_count();
        if references != segments {
            return Err(LoadError::References { references, segments });
        }
        Ok(inventory)
    }
}

/// Batches that wait to be taken: enough that neither side waits for the other's short pauses, and few megabytes.
const BATCHES_AHEAD: usize = 8;

type BatchSender<R> = SyncSender<Result<Vec<R>, LoadError>>;

/// Reads files batch by batch until all are read, one cannot be, or nobody wants more.
fn read_ahead<R: StoredRow>(folder: &Folder, files: &[PartFile], batches: &BatchSender<R>) {
    for PartFile { stored, .. } in files {
        let read = read_file(folder, stored, |rows| batches.send(Ok(rows)).is_ok());
        let goes_on = read.unwrap_or_else(|error| {
            // Whoever takes no more batches has an error of its own.
            batches.send(Err(error)).ok();
            false
        });
        if !goes_on {
            return;
        }
    }
}

/// Reads a file batch by batch as long as `each` says so, and says whether it still did.
fn read_file<R: StoredRow>(
    folder: &Folder,
    stored: &Stored,
    mut each: impl FnMut(Vec<R>) -> bool,
) -> Result<bool, LoadError> {
    let file = || stored.file.clone();
    let contents = folder.read(stored)?.ok_or_else(|| LoadError::Damaged(file()))?;
    let parquet = |source| LoadError::Parquet { file: file(), source };
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(contents)).map_err(parquet)?;
    for batch in reader.build().map_err(parquet)? {
        let batch = batch.map_err(|source| LoadError::Batch { file: file(), source })?;
        let rows = R::read(&Batch(batch)).map_err(|source| LoadError::Malformed { file: file(), source })?;
        if !each(rows) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where Flows stand in the inventory that is being filled.
struct Slots {
    slots: HashMap<FlowId, FlowSlot>,
    departed: FlowSlot,
}

impl Slots {
    fn known(&self, id: FlowId) -> Result<FlowSlot, Contradiction> {
        self.slots.get(&id).copied().ok_or(Contradiction::UnknownFlow(id))
    }

    /// An object as the inventory keeps it.
    fn object(&self, row: &ObjectRow) -> Result<Object, Contradiction> {
        let state = match row.state {
            ObjectRowState::Allocated { flow_id, at } => {
                let known = flow_id.and_then(|id| self.slots.get(&id).copied());
                ObjectState::Allocated { flow: known.unwrap_or(self.departed), at }
            }
            ObjectRowState::Registered { range, first } => {
                let mut uses = Uses::new();
                for usage in &row.uses {
                    uses.push(SegmentUse { start: usage.start.as_nanos(), flow: self.known(usage.flow_id)? });
                }
                ObjectState::Registered { range, first: first.map(|id| self.known(id)).transpose()?, uses }
            }
            ObjectRowState::Unreferenced { range, since } => ObjectState::Unreferenced { range, since },
        };
        Ok(Object { state, instances: row.instances.clone(), key_frame_count: row.key_frame_count })
    }
}

/// A place at which no Flow stands any more: for objects that were allocated for a Flow that has gone.
fn departed_flow(inventory: &mut Inventory) -> FlowSlot {
    let nobody = FlowId::from_uuid(Uuid::nil());
    let slot = inventory.create_flow(nobody);
    inventory.remove_flow(nobody, Instant::default());
    slot
}
