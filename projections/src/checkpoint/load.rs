//! Loading a checkpoint: the tables exactly as they were.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tapelog_commands::inventory::{
    Contradiction, FlowSlot, Inventory, Object, ObjectState, SegmentUse, StoredSegment, Uses,
};
use tapelog_commands::{Corrupt, Memory, State, StateParts};
use tapelog_events::{FlowId, Instant};
use uuid::Uuid;

use super::folder::{FileError, Folder};
use super::manifest::{FORMAT, Manifest, PartFile};
use crate::Tables;
use crate::rows::{
    AnswerRow, Batch, FlowRow, Malformed, ObjectReferenceRow, ObjectRow, ObjectRowState, Row, SegmentRow, SourceRow,
    StoredRow,
};
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
    /// The rows of an undivided table.
    fn rows<R: StoredRow>(&mut self) -> Result<Vec<R>, LoadError> {
        let mut rows = Vec::new();
        self.each_row(Partition::WHOLE, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Hands over the rows of one part of a table in their order; nothing where it has no file.
    fn each_row<R: StoredRow>(
        &mut self,
        part: Partition,
        mut each: impl FnMut(R) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let Some(PartFile { changed, stored, .. }) = self.manifest.file(R::TABLE, part) else { return Ok(()) };
        R::note_change(&mut self.changes, part, *changed);
        let file = || stored.file.clone();
        let contents = self.folder.read(stored)?.ok_or_else(|| LoadError::Damaged(file()))?;
        let parquet = |source| LoadError::Parquet { file: file(), source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(contents)).map_err(parquet)?;
        for batch in reader.build().map_err(parquet)? {
            let batch = batch.map_err(|source| LoadError::Batch { file: file(), source })?;
            let rows = R::read(&Batch(&batch)).map_err(|source| LoadError::Malformed { file: file(), source })?;
            rows.into_iter().try_for_each(&mut each)?;
        }
        Ok(())
    }

    fn inventory(&mut self, flows: &[FlowRow]) -> Result<Inventory, LoadError> {
        for file in [SegmentRow::TABLE, ObjectRow::TABLE].iter().flat_map(|table| self.manifest.files(table)) {
            Partition::from_number(file.part).ok_or(LoadError::Part(file.part))?;
        }
        let mut inventory = Inventory::default();
        let slots = flows.iter().map(|row| (row.flow.id, inventory.create_flow(row.flow.id))).collect();
        let mut slots = Slots { slots, departed: departed_flow(&mut inventory) };
        let mut references = 0;
        for part in Partition::all() {
            references += self.objects(part, &mut inventory, &slots)?;
        }
        for part in Partition::all() {
            self.segments(part, &mut inventory, &mut slots)?;
        }
        let segments = inventory.segment_count();
        if references != segments {
            return Err(LoadError::References { references, segments });
        }
        Ok(inventory)
    }

    /// Puts the objects of a part back, and says how many segments use them.
    fn objects(&mut self, part: Partition, inventory: &mut Inventory, slots: &Slots) -> Result<usize, LoadError> {
        let mut references = Vec::new();
        self.each_row(part, |row: ObjectReferenceRow| {
            references.push(row);
            Ok(())
        })?;
        let count = references.len();
        // Both are in the order of object ids.
        let mut references = references.into_iter().peekable();
        self.each_row(part, |row: ObjectRow| {
            let mut uses = Uses::new();
            while let Some(reference) = references.next_if(|reference| reference.object_id == row.id) {
                uses.push(SegmentUse { start: reference.start.as_nanos(), flow: slots.known(reference.flow_id)? });
            }
            let state = match row.state {
                ObjectRowState::Allocated { flow_id, at } => {
                    let known = flow_id.and_then(|id| slots.slots.get(&id).copied());
                    ObjectState::Allocated { flow: known.unwrap_or(slots.departed), at }
                }
                ObjectRowState::Registered { range, first } => {
                    let first = first.map(|id| slots.known(id)).transpose()?;
                    ObjectState::Registered { range, first, uses }
                }
                ObjectRowState::Unreferenced { range, since } => ObjectState::Unreferenced { range, since },
            };
            let object = Object { state, instances: row.instances, key_frame_count: row.key_frame_count };
            inventory.restore_object(&row.id, &object);
            Ok(())
        })?;
        Ok(count)
    }

    fn segments(&mut self, part: Partition, inventory: &mut Inventory, slots: &mut Slots) -> Result<(), LoadError> {
        self.each_row(part, |row: SegmentRow| {
            let flow = slots.known(row.flow_id)?;
            let object = inventory
                .object_slot(&row.object_id)
                .ok_or_else(|| Contradiction::UnknownObject(row.object_id.clone()))?;
            let segment = StoredSegment {
                object,
                timerange: row.timerange,
                ts_offset: row.ts_offset,
                last_duration: row.last_duration,
                sample_offset: row.sample_offset,
                sample_count: row.sample_count,
            };
            Ok(inventory.restore_segment(flow, &segment)?)
        })
    }
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
}

/// A place at which no Flow stands any more: for objects that were allocated for a Flow that has gone.
fn departed_flow(inventory: &mut Inventory) -> FlowSlot {
    let nobody = FlowId::from_uuid(Uuid::nil());
    let slot = inventory.create_flow(nobody);
    inventory.remove_flow(nobody, Instant::default());
    slot
}
