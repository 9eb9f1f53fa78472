//! Objects, and which segments use them.

use std::str::FromStr;

use serde::Serialize;
use smallvec::SmallVec;
use tapelog_commands::inventory::{Object, ObjectState};
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
}

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
            let Object { state, instances, key_frame_count } = inventory.object(slot);
            let state = match state {
                ObjectState::Allocated { flow, at } => {
                    ObjectRowState::Allocated { flow_id: inventory.flow_id(flow), at }
                }
                ObjectState::Registered { range, first, .. } => {
                    ObjectRowState::Registered { range, first: first.and_then(|slot| inventory.flow_id(slot)) }
                }
                ObjectState::Unreferenced { range, since } => ObjectRowState::Unreferenced { range, since },
            };
            Self { id, state, instances, key_frame_count }
        }))
    }

    fn changed(changes: &Changes, part: Partition) -> Seq {
        changes.objects[part.number()]
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let instances = rows
            .iter()
            .map(|row| serde_json::to_string(&row.instances).expect("instances have text keys and no other pitfalls"));
        vec![
            Column::display("object_id", rows.iter().map(|row| Some(&row.id))).required(),
            Column::text("state", rows.iter().map(|row| Some(row.state.name().as_str()))).required(),
            Column::display("flow_id", rows.iter().map(|row| row.state.flow_id())),
            Column::display("timerange", rows.iter().map(|row| row.state.range())),
            Column::instant("since", rows.iter().map(|row| row.state.since())),
            Column::uint64("key_frame_count", rows.iter().map(|row| row.key_frame_count)),
            Column::text("instances", instances.map(Some)).required(),
        ]
    }
}

/// The text of the column `instances`.
struct Instances(SmallVec<[Instance; 1]>);

impl FromStr for Instances {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }
}

impl StoredRow for ObjectRow {
    fn read(batch: &Batch<'_>) -> Result<Vec<Self>, Malformed> {
        let mut ids = batch.parsed("object_id")?;
        let names = batch.parsed("state")?;
        let flow_ids = batch.parsed("flow_id")?;
        let ranges = batch.parsed("timerange")?;
        let moments = batch.instant("since")?;
        let key_frame_counts = batch.uint64("key_frame_count")?;
        let mut instances = batch.parsed("instances")?;
        (0..batch.rows())
            .map(|row| {
                let range = || required(ranges[row], "timerange");
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
                })
            })
            .collect()
    }

    fn note_change(changes: &mut Changes, part: Partition, seq: Seq) {
        changes.objects[part.number()] = seq;
    }
}

/// A segment that uses an object.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ObjectReferenceRow {
    pub object_id: ObjectId,
    pub flow_id: FlowId,
    /// Where the segment starts.
    pub start: Timestamp,
}

const START: [&str; 2] = ["segment_start_seconds", "segment_start_nanoseconds"];

impl Row for ObjectReferenceRow {
    const TABLE: &'static str = "object_references";
    const DIVISION: Division = Division::Partitioned;
    type Key = (ObjectId, FlowId, Timestamp);

    fn key(&self) -> Self::Key {
        (self.object_id.clone(), self.flow_id, self.start)
    }

    fn name(&self) -> String {
        format!("use of object {:?} by flow {} at {}", self.object_id.to_string(), self.flow_id, self.start)
    }

    fn rows<'a>(contents: &'a Contents<'_>, part: Partition) -> Rows<'a, Self> {
        let inventory = contents.inventory();
        Box::new(contents.objects(part).into_iter().flat_map(|(object_id, slot)| {
            let object = inventory.object(slot);
            let mut uses: SmallVec<[(FlowId, Timestamp); 1]> = object
                .uses()
                .iter()
                .filter_map(|usage| Some((inventory.flow_id(usage.flow)?, Timestamp::from_nanos(usage.start)?)))
                .collect();
            uses.sort_unstable();
            uses.into_iter().map(move |(flow_id, start)| Self { object_id: object_id.clone(), flow_id, start })
        }))
    }

    fn changed(changes: &Changes, part: Partition) -> Seq {
        changes.objects[part.number()]
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let [seconds, nanoseconds] = Column::timestamp(START, rows.iter().map(|row| Some(row.start)));
        vec![
            Column::display("object_id", rows.iter().map(|row| Some(&row.object_id))).required(),
            Column::display("flow_id", rows.iter().map(|row| Some(row.flow_id))).required(),
            seconds.required(),
            nanoseconds.required(),
        ]
    }
}

impl StoredRow for ObjectReferenceRow {
    fn read(batch: &Batch<'_>) -> Result<Vec<Self>, Malformed> {
        let ids = batch.parsed("object_id")?.into_iter();
        let columns = ids.zip(batch.parsed("flow_id")?).zip(batch.timestamp(START)?);
        columns
            .map(|((object_id, flow_id), start)| {
                Ok(Self {
                    object_id: required(object_id, "object_id")?,
                    flow_id: required(flow_id, "flow_id")?,
                    start: required(start, START[0])?,
                })
            })
            .collect()
    }

    /// Objects and their references change together.
    fn note_change(_: &mut Changes, _: Partition, _: Seq) {}
}
