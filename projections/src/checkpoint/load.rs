//! Loading a checkpoint: the tables exactly as they were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tapelog_commands::inventory::{
    Contradiction, FlowSlot, Inventory, Object, ObjectSlot, ObjectState, SegmentUse, StoredSegment, Uses,
};
use tapelog_commands::{Corrupt, Memory, RegistryParts, State, StateParts, TrashedFlow};
use tapelog_events::{FlowId, Instant, Tags, Timestamp};
use uuid::Uuid;

use super::folder::{FileError, Folder, Stored};
use super::manifest::{FORMAT, Manifest, PartFile, Version};
use crate::Tables;
use crate::rows::{
    AnswerRow, Batch, Document, DocumentRow, ErrandRow, FlowRow, Malformed, ObjectRow, ObjectRowState, Row, SegmentRow,
    SegmentTagRow, SourceRow, StoredRow, Trashed,
};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("manifest cannot be read")]
    Manifest(#[from] serde_json::Error),
    #[error("checkpoint has format {0}, and this version of tapelog reads {FORMAT} alone")]
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
    let text = folder.read_any(manifest_name)?;
    let Version { format } = serde_json::from_slice(&text)?;
    if format != FORMAT {
        return Err(LoadError::Format(format));
    }
    let manifest: Manifest = serde_json::from_slice(&text)?;
    let mut loader = Loader { folder, manifest: &manifest, changes: Changes::default() };
    let sources = loader.rows::<SourceRow>()?;
    let flows = loader.rows::<FlowRow>()?;
    let answers = loader.rows::<AnswerRow>()?;
    let inventory = loader.inventory(&flows)?;
    let mut registry = RegistryParts {
        profiles: loader.documents()?,
        webhooks: loader.documents()?,
        dead_letters: loader.documents()?,
        deletions: loader.documents()?,
        accounts: loader.documents()?,
        tokens: loader.documents()?,
        errands: loader.rows::<ErrandRow>()?.into_iter().map(|row| (row.key(), row.errand())).collect(),
        trash: Vec::new(),
    };
    let mut changes = loader.changes;
    (changes.service, changes.instances) = (manifest.service_changed, manifest.instances_changed);

    let mut memory = Memory::default();
    for answer in &answers {
        memory.remember(answer.at, &answer.entry);
    }
    // The file is as old as the last answer; what it holds may have been forgotten since.
    memory.trim(manifest.time);
    let mut shown = Vec::new();
    for FlowRow { flow, segments_updated, trashed } in flows {
        let flow = Arc::unwrap_or_clone(flow);
        match trashed {
            None => shown.push((flow, segments_updated)),
            Some(Trashed { at, source }) => {
                registry.trash.push(TrashedFlow { flow, segments_updated, source, at });
            }
        }
    }
    let state = State::restore(StateParts {
        incarnation: manifest.incarnation,
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        time: manifest.time,
        flows: shown,
        sources: sources.into_iter().map(|row| Arc::unwrap_or_clone(row.source)).collect(),
        inventory,
        memory,
        registry,
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

    fn documents<D: Document + Send>(&mut self) -> Result<Vec<D>, LoadError> {
        Ok(self.rows()?.into_iter().map(|DocumentRow(document)| document).collect())
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
            let init = row.init_object_id.as_ref().map(|id| inventory.restore_init(id));
            let object = slots.object(&row, init)?;
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
        let mut tags: BTreeMap<(FlowId, Timestamp), Tags> = BTreeMap::new();
        self.each_row(|row: SegmentTagRow| {
            tags.entry((row.flow_id, row.start)).or_default().insert(row.name, row.value);
            Ok(())
        })?;
        for ((flow_id, start), tags) in &tags {
            inventory.tag_segment(slots.known(*flow_id)?, *start, tags)?;
        }
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
    fn object(&self, row: &ObjectRow, init: Option<ObjectSlot>) -> Result<Object, Contradiction> {
        let first = |id: Option<FlowId>| id.map(|id| self.known(id)).transpose();
        let state = match row.state {
            ObjectRowState::Allocated { flow_id, at } => {
                let known = flow_id.and_then(|id| self.slots.get(&id).copied());
                ObjectState::Allocated { flow: Some(known.unwrap_or(self.departed)), at }
            }
            ObjectRowState::AllocatedToAny { at } => ObjectState::Allocated { flow: None, at },
            ObjectRowState::Registered { range, first: id } => {
                let mut uses = Uses::new();
                for usage in &row.uses {
                    uses.push(SegmentUse { start: usage.start.as_nanos(), flow: self.known(usage.flow_id)? });
                }
                ObjectState::Registered { range, first: first(id)?, uses }
            }
            // Which Flows use it comes of their segments.
            ObjectRowState::Init { first: id } => ObjectState::Init { first: first(id)?, flows: BTreeMap::new() },
            ObjectRowState::Unreferenced { range, since } => ObjectState::Unreferenced { range, since },
            ObjectRowState::Condemned => ObjectState::Condemned,
        };
        Ok(Object { state, instances: row.instances.clone(), key_frame_count: row.key_frame_count, init })
    }
}

/// A place at which no Flow stands any more: for objects that were allocated for a Flow that has gone.
fn departed_flow(inventory: &mut Inventory) -> FlowSlot {
    let nobody = FlowId::from_uuid(Uuid::nil());
    let slot = inventory.create_flow(nobody);
    inventory.remove_flow(nobody, Instant::default());
    slot
}
