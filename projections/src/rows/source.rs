//! Sources and what they collect.

use std::sync::Arc;

use serde::Serialize;
use tapelog_events::{Seq, Source, SourceId};

use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow, sorted_by_key};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// A Source.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct SourceRow {
    pub source: Arc<Source>,
}

impl Row for SourceRow {
    const TABLE: &'static str = "sources";
    const DIVISION: Division = Division::Whole;
    type Key = SourceId;

    fn key(&self) -> SourceId {
        self.source.id
    }

    fn name(&self) -> String {
        format!("source {}", self.source.id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        let sources = contents.tables.state().sources().map(|source| Self { source: Arc::clone(&source.source) });
        Box::new(sorted_by_key(sources, Self::key).into_iter())
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.sources
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let sources = || rows.iter().map(|row| &*row.source);
        vec![
            Column::display("id", sources().map(|source| Some(source.id))).required(),
            Column::text("format", sources().map(|source| Some(source.format.as_str()))).required(),
            Column::text("label", sources().map(|source| source.label.as_ref())),
            Column::text("description", sources().map(|source| source.description.as_ref())),
            Column::text("created_by", sources().map(|source| source.created_by.as_ref())),
            Column::text("updated_by", sources().map(|source| source.updated_by.as_ref())),
            Column::instant("created", sources().map(|source| Some(source.created))).required(),
            Column::instant("updated", sources().map(|source| Some(source.updated))).required(),
            Column::documents(sources()),
        ]
    }
}

impl StoredRow for SourceRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let sources = batch.documents()?.into_iter();
        Ok(sources.map(|source| Self { source: Arc::new(source) }).collect())
    }

    fn note_change(changes: &mut Changes, _: Partition, seq: Seq) {
        changes.sources = seq;
    }
}

/// One Source in the collection of another.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct SourceCollectionRow {
    source_id: SourceId,
    place: u32,
    member_id: SourceId,
    role: Option<String>,
}

impl Row for SourceCollectionRow {
    const TABLE: &'static str = "source_collections";
    const DIVISION: Division = Division::Whole;
    type Key = (SourceId, u32);

    fn key(&self) -> Self::Key {
        (self.source_id, self.place)
    }

    fn name(&self) -> String {
        format!("member {} of source {}", self.place, self.source_id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        let state = contents.tables.state();
        let ids = sorted_by_key(state.sources().map(|source| source.source.id), |id| *id);
        Box::new(ids.into_iter().flat_map(|source_id| {
            let members = state.collection_of_source(source_id).into_iter().zip(0..);
            members.map(move |(item, place)| Self { source_id, place, member_id: item.id, role: item.role })
        }))
    }

    /// Derived from the collections of Flows.
    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.flows
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            Column::display("source_id", rows.iter().map(|row| Some(row.source_id))).required(),
            Column::uint32("place", rows.iter().map(|row| Some(row.place))).required(),
            Column::display("member_id", rows.iter().map(|row| Some(row.member_id))).required(),
            Column::text("role", rows.iter().map(|row| row.role.as_ref())),
        ]
    }
}
