//! Objects, each with the segments that use it.

use std::str::FromStr;

use serde::Serialize;
use smallvec::SmallVec;
use tapelog_commands::inventory::ObjectState;
use tapelog_events::{FlowId, Instance, Instant, ObjectId, Seq, TimeRange, Timestamp};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::partition::{Changes, Partition};

/// An object.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ObjectRow {
    pub id: ObjectId,
    pub state: ObjectRowState,
    pub instances: SmallVec<[Instance; 1]>,
    pub key_frame_count: Option<u64>,
    /// The segments that use it, in order.
    pub uses: SmallVec<[ObjectUse; 1]>,
}

/// A segment that uses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct ObjectUse {
    pub flow_id: FlowId,
    /// Where the segment starts.
    pub start: Timestamp,
}

const SEGMENT_START: [&str; 2] = ["start_seconds", "start_nanoseconds"];

/// Where an object stands in its life, with Flows named by id. See [`ObjectState`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) enum ObjectRowState {
    Allocated { flow_id: Option<FlowId>, at: Instant },
    Registered { range: TimeRange, first: Option<FlowId> },
    Unreferenced { range: TimeRange, since: Instant },
}

/// The names of the states in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StateName {
    Allocated,
    Registered,
    Unreferenced,
}

impl StateName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::Registered => "registered",
            Self::Unreferenced => "unreferenced",
        }
    }
}

impl FromStr for StateName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Allocated, Self::Registered, Self::Unreferenced];
        all.into_iter().find(|name| name.as_str() == text).ok_or(())
    }
}

impl ObjectRowState {
    const fn name(&self) -> StateName {
        match self {
            Self::Allocated { .. } => StateName::Allocated,
            Self::Registered { .. } => StateName::Registered,
            Self::Unreferenced { .. } => StateName::Unreferenced,
        }
    }

    /// The Flow that it is allocated for, or was used by first.
    const fn flow_id(&self) -> Option<FlowId> {
        match self {
            Self::Allocated { flow_id, .. } => *flow_id,
            Self::Registered { first, .. } => *first,
            Self::Unreferenced { .. } => None,
        }
    }

    const fn range(&self) -> Option<TimeRange> {
        match self {
            Self::Allocated { .. } => None,
            Self::Registered { range, .. } | Self::Unreferenced { range, .. } => Some(*range),
        }
    }

    /// When it was allocated, or since when nothing uses it.
    const fn since(&self) -> Option<Instant> {
        match self {
            Self::Allocated { at, .. } => Some(*at),
            Self::Unreferenced { since, .. } => Some(*since),
            Self::Registered { .. } => None,
        }
    }
}

impl Row for ObjectRow {
    const TABLE: &'static str = "objects";
    const DIVISION: Division = Division::Partitioned;
    type Key = ObjectId;

    fn key(&self) -> ObjectId {
        self.id.clone()
    }

    fn name(&self) -> String {
        format!("object {:?}", self.id.to_string())
    }

    fn rows<'a>(contents: &'a Contents<'_>, part: Partition) -> Rows<'a, Self> {
        let inventory = contents.inventory();
        Box::new(contents.objects(part).into_iter().map(|(id, slot)| {
            let object = inventory.object(slot);
            let mut uses: SmallVec<[ObjectUse; 1]> = object
                .uses()
                .iter()
                .filter_map(|usage| {
                    let flow_id = inventory.flow_id(usage.flow)?;
                    Some(ObjectUse { flow_id, start: Timestamp::from_nanos(usage.start)? })
                })
                .collect();
            uses.sort_unstable();
            let state = match object.state {
                ObjectState::Allocated { flow, at } => {
                    ObjectRowState::Allocated { flow_id: inventory.flow_id(flow), at }
                }
                ObjectState::Registered { range, first, .. } => {
                    ObjectRowState::Registered { range, first: first.and_then(|slot| inventory.flow_id(slot)) }
                }
                ObjectState::Unreferenced { range, since } => ObjectRowState::Unreferenced { range, since },
            };
            Self { id, state, instances: object.instances, key_frame_count: object.key_frame_count, uses }
        }))
    }

    fn changed(changes: &Changes, part: Partition) -> Seq {
        changes.objects[part.number()]
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let instances = rows
            .iter()
            .map(|row| serde_json::to_string(&row.instances).expect("instances have text keys and no other pitfalls"));
        let uses = || rows.iter().flat_map(|row| &row.uses);
        let mut of_uses = vec![Column::display("flow_id", uses().map(|usage| Some(usage.flow_id))).required()];
        of_uses.extend(Column::timestamp(SEGMENT_START, uses().map(|usage| Some(usage.start))).map(Column::required));
        let mut columns = vec![
            Column::display("object_id", rows.iter().map(|row| Some(&row.id))).required(),
            Column::text("state", rows.iter().map(|row| Some(row.state.name().as_str()))).required(),
            Column::display("flow_id", rows.iter().map(|row| row.state.flow_id())),
        ];
        columns.extend(Column::range(rows.iter().map(|row| row.state.range())));
        columns.push(Column::instant("since", rows.iter().map(|row| row.state.since())));
        columns.push(Column::uint64("key_frame_count", rows.iter().map(|row| row.key_frame_count)));
        columns.push(Column::text("instances", instances.map(Some)).required());
        columns.push(Column::list("segments", rows.iter().map(|row| row.uses.len()), of_uses));
        columns
    }
}

/// The text of the column `instances`.
#[derive(Clone)]
struct Instances(SmallVec<[Instance; 1]>);

impl FromStr for Instances {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }
}

impl StoredRow for ObjectRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let mut ids = batch.parsed("object_id")?;
        let names = batch.parsed("state")?;
        let flow_ids = batch.parsed("flow_id")?;
        let ranges = batch.range()?;
        let moments = batch.instant("since")?;
        let key_frame_counts = batch.uint64("key_frame_count")?;
        let mut instances = batch.parsed("instances")?;
        let (bounds, uses) = batch.list("segments")?;
        let uses = read_uses(&uses)?;
        (0..batch.rows())
            .map(|row| {
                let range = || required(ranges[row], "start_seconds");
                let since = || required(moments[row], "since");
                let state = match required(names[row], "state")? {
                    StateName::Allocated => ObjectRowState::Allocated { flow_id: flow_ids[row], at: since()? },
                    StateName::Registered => ObjectRowState::Registered { range: range()?, first: flow_ids[row] },
                    StateName::Unreferenced => ObjectRowState::Unreferenced { range: range()?, since: since()? },
                };
                let Instances(instances) = required(instances[row].take(), "instances")?;
                Ok(Self {
                    id: required(ids[row].take(), "object_id")?,
                    state,
                    instances,
                    key_frame_count: key_frame_counts[row],
                    uses: uses[bounds[row].clone()].iter().copied().collect(),
                })
            })
            .collect()
    }

    fn note_change(changes: &mut Changes, part: Partition, seq: Seq) {
        changes.objects[part.number()] = seq;
    }
}

fn read_uses(batch: &Batch) -> Result<Vec<ObjectUse>, Malformed> {
    let columns = batch.parsed("flow_id")?.into_iter().zip(batch.timestamp(SEGMENT_START)?);
    columns
        .map(|(flow_id, start)| {
            Ok(ObjectUse { flow_id: required(flow_id, "flow_id")?, start: required(start, SEGMENT_START[0])? })
        })
        .collect()
}
