//! Objects, each with the segments that use it.

use std::str::FromStr;

use serde::Serialize;
use smallvec::SmallVec;
use tapelog_commands::inventory::{FlowSlot, Inventory, ObjectState};
use tapelog_events::{FlowId, Instance, Instant, ObjectId, Seq, TimeRange, Timestamp};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// An object.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ObjectRow {
    pub id: ObjectId,
    pub state: ObjectRowState,
    pub instances: SmallVec<[Instance; 1]>,
    pub key_frame_count: Option<u64>,
    /// The init object that it needs.
    pub init_object_id: Option<ObjectId>,
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
    /// Without a Flow: the one that it was allocated for has gone.
    Allocated {
        flow_id: Option<FlowId>,
        at: Instant,
    },
    AllocatedToAny {
        at: Instant,
    },
    Registered {
        range: TimeRange,
        first: Option<FlowId>,
    },
    /// Which Flows use it comes of their segments.
    Init {
        first: Option<FlowId>,
    },
    Unreferenced {
        range: Option<TimeRange>,
        since: Instant,
    },
    Condemned,
}

/// The names of the states in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StateName {
    Allocated,
    AllocatedToAny,
    Registered,
    Init,
    Unreferenced,
    Condemned,
}

impl StateName {
    const ALL: [Self; 6] =
        [Self::Allocated, Self::AllocatedToAny, Self::Registered, Self::Init, Self::Unreferenced, Self::Condemned];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::AllocatedToAny => "allocated_to_any",
            Self::Registered => "registered",
            Self::Init => "init",
            Self::Unreferenced => "unreferenced",
            Self::Condemned => "condemned",
        }
    }
}

impl FromStr for StateName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(())
    }
}

impl ObjectRowState {
    fn of(inventory: &Inventory, state: &ObjectState) -> Self {
        let id = |flow: &Option<FlowSlot>| flow.and_then(|slot| inventory.flow_id_even_hidden(slot));
        match state {
            ObjectState::Allocated { flow: None, at } => Self::AllocatedToAny { at: *at },
            ObjectState::Allocated { flow, at } => Self::Allocated { flow_id: id(flow), at: *at },
            ObjectState::Registered { range, first, .. } => Self::Registered { range: *range, first: id(first) },
            ObjectState::Init { first, .. } => Self::Init { first: id(first) },
            ObjectState::Unreferenced { range, since } => Self::Unreferenced { range: *range, since: *since },
            ObjectState::Condemned => Self::Condemned,
        }
    }

    const fn name(&self) -> StateName {
        match self {
            Self::Allocated { .. } => StateName::Allocated,
            Self::AllocatedToAny { .. } => StateName::AllocatedToAny,
            Self::Registered { .. } => StateName::Registered,
            Self::Init { .. } => StateName::Init,
            Self::Unreferenced { .. } => StateName::Unreferenced,
            Self::Condemned => StateName::Condemned,
        }
    }

    /// The Flow that it is allocated for, or was used by first.
    const fn flow_id(&self) -> Option<FlowId> {
        match self {
            Self::Allocated { flow_id, .. } => *flow_id,
            Self::Registered { first, .. } | Self::Init { first } => *first,
            Self::AllocatedToAny { .. } | Self::Unreferenced { .. } | Self::Condemned => None,
        }
    }

    const fn range(&self) -> Option<TimeRange> {
        match self {
            Self::Registered { range, .. } => Some(*range),
            Self::Unreferenced { range, .. } => *range,
            Self::Allocated { .. } | Self::AllocatedToAny { .. } | Self::Init { .. } | Self::Condemned => None,
        }
    }

    /// When it was allocated, or since when nothing uses it.
    const fn since(&self) -> Option<Instant> {
        match self {
            Self::Allocated { at, .. } | Self::AllocatedToAny { at } => Some(*at),
            Self::Unreferenced { since, .. } => Some(*since),
            Self::Registered { .. } | Self::Init { .. } | Self::Condemned => None,
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
                    let flow_id = inventory.flow_id_even_hidden(usage.flow)?;
                    Some(ObjectUse { flow_id, start: Timestamp::from_nanos(usage.start)? })
                })
                .collect();
            uses.sort_unstable();
            Self {
                id,
                state: ObjectRowState::of(inventory, &object.state),
                instances: object.instances,
                key_frame_count: object.key_frame_count,
                init_object_id: object.init.map(|init| inventory.object_id(init)),
                uses,
            }
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
        columns.push(Column::display("init_object_id", rows.iter().map(|row| row.init_object_id.as_ref())));
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
        let mut init_object_ids = batch.parsed("init_object_id")?;
        let mut instances = batch.parsed("instances")?;
        let (bounds, uses) = batch.list("segments")?;
        let uses = read_uses(&uses)?;
        (0..batch.rows())
            .map(|row| {
                let since = || required(moments[row], "since");
                let state = match required(names[row], "state")? {
                    StateName::Allocated => ObjectRowState::Allocated { flow_id: flow_ids[row], at: since()? },
                    StateName::AllocatedToAny => ObjectRowState::AllocatedToAny { at: since()? },
                    StateName::Registered => {
                        let range = required(ranges[row], "start_seconds")?;
                        ObjectRowState::Registered { range, first: flow_ids[row] }
                    }
                    StateName::Init => ObjectRowState::Init { first: flow_ids[row] },
                    StateName::Unreferenced => ObjectRowState::Unreferenced { range: ranges[row], since: since()? },
                    StateName::Condemned => ObjectRowState::Condemned,
                };
                let Instances(instances) = required(instances[row].take(), "instances")?;
                Ok(Self {
                    id: required(ids[row].take(), "object_id")?,
                    state,
                    instances,
                    key_frame_count: key_frame_counts[row],
                    init_object_id: init_object_ids[row].take(),
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
