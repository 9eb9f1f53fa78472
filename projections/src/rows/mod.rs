//! What stands in the tables, row by row in one order: what checkpoints store, and what makes two tables comparable.
//!
//! A row names things by their ids and never by where they happen to stand in memory, so that tables that came about in
//! different ways have the same rows.

mod answer;
mod columns;
mod errand;
mod flow;
mod object;
mod registry;
mod segment;
mod source;
mod tag;

use std::fmt::Debug;

use serde::Serialize;
use tapelog_commands::inventory::{Inventory, ObjectSlot};
use tapelog_events::{Account, DeadLetter, DeletionRequest, FlowId, ObjectId, Profile, Seq, Token, Webhook};

pub(crate) use answer::AnswerRow;
pub(crate) use columns::{Batch, Column, Malformed};
pub(crate) use errand::ErrandRow;
pub(crate) use flow::{FlowCollectionRow, FlowRow, Trashed};
pub(crate) use object::{ObjectRow, ObjectRowState};
pub(crate) use registry::{Document, DocumentRow};
pub(crate) use segment::{SegmentRow, SegmentTagRow};
pub(crate) use source::{SourceCollectionRow, SourceRow};
pub(crate) use tag::TagRow;

use crate::tables::Tables;
use crate::tables::changes::Changes;
use crate::tables::partition::{PARTITIONS, Partition};

/// The rows of a table.
pub(crate) type Rows<'a, R> = Box<dyn Iterator<Item = R> + 'a>;

/// Whether a table is stored as one part or divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Division {
    Whole,
    Partitioned,
}

impl Division {
    /// The parts of such a table.
    pub fn parts(self) -> impl Iterator<Item = Partition> {
        let parts = match self {
            Self::Whole => 1,
            Self::Partitioned => PARTITIONS,
        };
        Partition::all().take(parts)
    }
}

/// One row of a table.
pub(crate) trait Row: Serialize + PartialEq + Debug + Sized {
    /// The table.
    const TABLE: &'static str;
    /// How it is stored.
    const DIVISION: Division;
    /// What distinguishes the row from the others of its table, and orders them within a part.
    type Key: Ord;

    /// The key of this row.
    fn key(&self) -> Self::Key;

    /// The key in words.
    fn name(&self) -> String;

    /// The rows of one part of the table, ascending by key.
    fn rows<'a>(contents: &'a Contents<'_>, part: Partition) -> Rows<'a, Self>;

    /// The record that changed this part last.
    fn changed(changes: &Changes, part: Partition) -> Seq;

    /// The rows as columns.
    fn columns(rows: &[Self]) -> Vec<Column>;
}

/// A row that is read back from a checkpoint; the others say again what these do, for those who query the files.
pub(crate) trait StoredRow: Row {
    /// The rows of a batch.
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed>;

    /// Notes which record changed this part last.
    fn note_change(changes: &mut Changes, part: Partition, seq: Seq);
}

/// Something that is done with one table after the other, until it fails.
pub(crate) trait TableVisitor {
    type Error;

    fn visit<R: Row>(&mut self) -> Result<(), Self::Error>;
}

/// Does something with every table.
pub(crate) fn visit_tables<V: TableVisitor>(visitor: &mut V) -> Result<(), V::Error> {
    visitor.visit::<SourceRow>()?;
    visitor.visit::<SourceCollectionRow>()?;
    visitor.visit::<FlowRow>()?;
    visitor.visit::<FlowCollectionRow>()?;
    visitor.visit::<TagRow>()?;
    visitor.visit::<AnswerRow>()?;
    visitor.visit::<DocumentRow<Profile>>()?;
    visitor.visit::<DocumentRow<Webhook>>()?;
    visitor.visit::<DocumentRow<DeadLetter>>()?;
    visitor.visit::<DocumentRow<DeletionRequest>>()?;
    visitor.visit::<DocumentRow<Account>>()?;
    visitor.visit::<DocumentRow<Token>>()?;
    visitor.visit::<ErrandRow>()?;
    visitor.visit::<SegmentRow>()?;
    visitor.visit::<SegmentTagRow>()?;
    visitor.visit::<ObjectRow>()
}

/// Tables with their Flows, those that were put aside too, and objects sorted into parts.
pub(crate) struct Contents<'a> {
    tables: &'a Tables,
    flows: Vec<Vec<FlowId>>,
    objects: Vec<Vec<ObjectSlot>>,
}

impl<'a> Contents<'a> {
    pub fn of(tables: &'a Tables) -> Self {
        let inventory = tables.state().inventory();
        let mut flows = vec![Vec::new(); PARTITIONS];
        let shown = tables.state().flows().map(|state| state.flow.id);
        for id in shown.chain(tables.registry().trash.iter().map(|(id, _)| *id)) {
            flows[Partition::of_flow(id).number()].push(id);
        }
        for part in &mut flows {
            part.sort_unstable();
        }
        let mut objects = vec![Vec::new(); PARTITIONS];
        for slot in inventory.objects() {
            objects[Partition::of_object(&inventory.object_id(slot)).number()].push(slot);
        }
        Self { tables, flows, objects }
    }

    fn inventory(&self) -> &'a Inventory {
        self.tables.state().inventory()
    }

    /// The objects of a part by id.
    fn objects(&self, part: Partition) -> Vec<(ObjectId, ObjectSlot)> {
        let slots = self.objects[part.number()].iter();
        let mut objects: Vec<_> = slots.map(|slot| (self.inventory().object_id(*slot), *slot)).collect();
        objects.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        objects
    }
}

/// Sorted by a key that each item is asked for once or more.
fn sorted_by_key<T, K: Ord>(items: impl Iterator<Item = T>, key: impl FnMut(&T) -> K) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable_by_key(key);
    items
}
