//! Flows and what they collect.

use std::sync::Arc;

use serde::Serialize;
use tapelog_events::{EssenceParameters, Flow, FlowId, FlowStatus, Instant, Seq, Source, codec};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow, sorted_by_key};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// A Flow, which may have been put aside.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct FlowRow {
    pub flow: Arc<Flow>,
    pub segments_updated: Option<Instant>,
    pub trashed: Option<Trashed>,
}

/// What is known of a Flow that was put aside. See [`tapelog_commands::TrashedFlow`].
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Trashed {
    pub at: Instant,
    pub source: Source,
}

const TRASHED_AT: &str = "trashed_at";
const TRASHED_SOURCE: &str = "trashed_source";

impl Row for FlowRow {
    const TABLE: &'static str = "flows";
    const DIVISION: Division = Division::Whole;
    type Key = FlowId;

    fn key(&self) -> FlowId {
        self.flow.id
    }

    fn name(&self) -> String {
        format!("flow {}", self.flow.id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        let shown = contents.tables.state().flows().map(|state| Self {
            flow: Arc::clone(&state.flow),
            segments_updated: state.segments_updated,
            trashed: None,
        });
        let trashed = contents.tables.registry().trash.values().map(|trashed| Self {
            flow: Arc::new(trashed.flow.clone()),
            segments_updated: trashed.segments_updated,
            trashed: Some(Trashed { at: trashed.at, source: trashed.source.clone() }),
        });
        Box::new(sorted_by_key(shown.chain(trashed), Self::key).into_iter())
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.flows.max(changes.trash)
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let flows = || rows.iter().map(|row| &*row.flow);
        let trashed_sources =
            rows.iter().map(|row| row.trashed.as_ref().map(|trashed| codec::encode_value(&trashed.source)));
        let frames = || flows().map(|flow| flow.essence_parameters.as_ref().and_then(EssenceParameters::frame_size));
        vec![
            Column::display("id", flows().map(|flow| Some(flow.id))).required(),
            Column::display("source_id", flows().map(|flow| Some(flow.source_id))).required(),
            Column::text("format", flows().map(|flow| Some(flow.format.as_str()))).required(),
            Column::text("codec", flows().map(|flow| flow.codec.as_ref())),
            Column::text("container", flows().map(|flow| flow.container.as_ref())),
            Column::text("label", flows().map(|flow| flow.label.as_ref())),
            Column::text("description", flows().map(|flow| flow.description.as_ref())),
            Column::text("status", flows().map(|flow| flow.status.map(status_name))),
            Column::boolean("read_only", flows().map(|flow| flow.read_only)),
            Column::uint64("generation", flows().map(|flow| flow.generation)),
            Column::uint64("max_bit_rate", flows().map(|flow| flow.max_bit_rate)),
            Column::uint64("avg_bit_rate", flows().map(|flow| flow.avg_bit_rate)),
            Column::uint32("frame_width", frames().map(|frame| frame.map(|(width, _)| width))),
            Column::uint32("frame_height", frames().map(|frame| frame.map(|(_, height)| height))),
            Column::display("profile_id", flows().map(|flow| flow.profile_id)),
            Column::text("metadata_version", flows().map(|flow| Some(&flow.metadata_version))).required(),
            Column::text("created_by", flows().map(|flow| flow.created_by.as_ref())),
            Column::text("updated_by", flows().map(|flow| flow.updated_by.as_ref())),
            Column::instant("created", flows().map(|flow| Some(flow.created))).required(),
            Column::instant("metadata_updated", flows().map(|flow| Some(flow.metadata_updated))).required(),
            Column::instant("segments_updated", rows.iter().map(|row| row.segments_updated)),
            Column::instant(TRASHED_AT, rows.iter().map(|row| row.trashed.as_ref().map(|trashed| trashed.at))),
            Column::documents(flows()),
            Column::binary(TRASHED_SOURCE, trashed_sources),
        ]
    }
}

impl StoredRow for FlowRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let flows = batch.documents()?.into_iter().zip(batch.instant("segments_updated")?);
        let trashed = batch.instant(TRASHED_AT)?.into_iter().zip(batch.optional_documents(TRASHED_SOURCE)?);
        flows
            .zip(trashed)
            .map(|((flow, segments_updated), trashed)| {
                let trashed = match trashed {
                    (None, _) => None,
                    (Some(at), source) => Some(Trashed { at, source: required(source, TRASHED_SOURCE)? }),
                };
                Ok(Self { flow: Arc::new(flow), segments_updated, trashed })
            })
            .collect()
    }

    fn note_change(changes: &mut Changes, _: Partition, seq: Seq) {
        (changes.flows, changes.trash) = (seq, seq);
    }
}

const fn status_name(status: FlowStatus) -> &'static str {
    match status {
        FlowStatus::AwaitingContent => "awaiting_content",
        FlowStatus::Ingesting => "ingesting",
        FlowStatus::ReplicationInProgress => "replication_in_progress",
        FlowStatus::ClosedComplete => "closed_complete",
    }
}

/// One Flow in the collection of another.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct FlowCollectionRow {
    flow_id: FlowId,
    place: u32,
    member_id: FlowId,
    role: Option<String>,
}

impl Row for FlowCollectionRow {
    const TABLE: &'static str = "flow_collections";
    const DIVISION: Division = Division::Whole;
    type Key = (FlowId, u32);

    fn key(&self) -> Self::Key {
        (self.flow_id, self.place)
    }

    fn name(&self) -> String {
        format!("member {} of flow {}", self.place, self.flow_id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        let flows = contents.tables.state().flows().map(|state| &state.flow);
        let collectors = sorted_by_key(flows.filter(|flow| !flow.members().is_empty()), |flow| flow.id);
        Box::new(collectors.into_iter().flat_map(|flow| {
            flow.members().iter().zip(0..).map(|(member, place)| Self {
                flow_id: flow.id,
                place,
                member_id: member.id,
                role: member.role.clone(),
            })
        }))
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.flows
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            Column::display("flow_id", rows.iter().map(|row| Some(row.flow_id))).required(),
            Column::uint32("place", rows.iter().map(|row| Some(row.place))).required(),
            Column::display("member_id", rows.iter().map(|row| Some(row.member_id))).required(),
            Column::text("role", rows.iter().map(|row| row.role.as_ref())),
        ]
    }
}
