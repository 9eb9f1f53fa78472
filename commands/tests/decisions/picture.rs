//! What the state shows of itself, without anything that two equal ones may differ in.

use std::collections::{BTreeMap, BTreeSet};

use tapelog_commands::inventory::{Inventory, ObjectSlot, ObjectState};
use tapelog_commands::{FlowState, Registry, SourceState, State};
use tapelog_events::{
    FlowId, Idempotency, Incarnation, Instance, Instant, ObjectId, SourceId, Tags, TimeRange, Timestamp,
};

#[derive(Debug, PartialEq)]
pub struct Picture {
    pub incarnation: Option<Incarnation>,
    pub service: (Option<String>, Option<String>),
    pub time: Instant,
    pub flows: BTreeMap<FlowId, FlowState>,
    /// Those of hidden Flows with them.
    pub segments: BTreeMap<FlowId, Vec<SegmentPicture>>,
    pub sources: BTreeMap<SourceId, SourceState>,
    pub objects: BTreeMap<ObjectId, ObjectPicture>,
    pub counts: (usize, usize),
    pub memory: Vec<(Instant, Idempotency)>,
    pub registry: Registry,
}

pub type SegmentPicture = (ObjectId, TimeRange, Timestamp, Option<i64>, Option<Tags>);

#[derive(Debug, PartialEq)]
pub struct ObjectPicture {
    /// `None` for a Flow that is deleted.
    pub allocated: Option<(Option<FlowId>, Instant)>,
    pub range: Option<TimeRange>,
    pub first: Option<FlowId>,
    pub since: Option<Instant>,
    pub uses: BTreeSet<(FlowId, i128)>,
    pub init: Option<ObjectId>,
    /// Of an init object.
    pub needed: Option<BTreeMap<FlowId, u64>>,
    pub condemned: bool,
    pub instances: Vec<Instance>,
    pub key_frame_count: Option<u64>,
}

pub fn picture(state: &State) -> Picture {
    let inventory = state.inventory();
    let (name, description) = state.service();
    let shown = state.flows().map(|flow| flow.flow.id);
    let hidden = state.registry().trash.iter().map(|(id, _)| *id);
    Picture {
        incarnation: state.incarnation(),
        service: (name.map(str::to_owned), description.map(str::to_owned)),
        time: state.time(),
        flows: state.flows().map(|flow| (flow.flow.id, flow.clone())).collect(),
        segments: shown.chain(hidden).map(|id| (id, segments(inventory, id))).collect(),
        sources: state.sources().map(|source| (source.source.id, source.clone())).collect(),
        objects: inventory.objects().map(|slot| (inventory.object_id(slot), object(inventory, slot))).collect(),
        counts: (inventory.segment_count(), inventory.object_count()),
        memory: state.memory().iter().map(|(at, entry)| (at, entry.clone())).collect(),
        registry: state.registry().clone(),
    }
}

fn segments(inventory: &Inventory, flow: FlowId) -> Vec<SegmentPicture> {
    let slot = inventory.flow_even_hidden(flow).unwrap();
    let segments = inventory.segments(slot, &TimeRange::ETERNITY);
    segments
        .map(|segment| {
            let tags = inventory.segment_tags(slot, segment.timerange.start().unwrap().0).cloned();
            let object_id = inventory.object_id(segment.object);
            (object_id, segment.timerange, segment.ts_offset, segment.sample_count, tags)
        })
        .collect()
}

fn object(inventory: &Inventory, slot: ObjectSlot) -> ObjectPicture {
    let object = inventory.object(slot);
    let flow = |slot| inventory.flow_id_even_hidden(slot);
    let mut picture = ObjectPicture {
        allocated: None,
        range: object.range(),
        first: None,
        since: None,
        uses: object.uses().iter().map(|usage| (flow(usage.flow).unwrap(), usage.start)).collect(),
        init: object.init.map(|init| inventory.object_id(init)),
        needed: None,
        condemned: false,
        instances: object.instances.to_vec(),
        key_frame_count: object.key_frame_count,
    };
    match &object.state {
        ObjectState::Allocated { flow: by, at } => picture.allocated = Some((by.and_then(flow), *at)),
        ObjectState::Registered { first, .. } => picture.first = first.map(|first| flow(first).unwrap()),
        ObjectState::Init { first, flows } => {
            picture.first = first.map(|first| flow(first).unwrap());
            picture.needed = Some(flows.iter().map(|(slot, count)| (flow(*slot).unwrap(), *count)).collect());
        }
        ObjectState::Unreferenced { since, .. } => picture.since = Some(*since),
        ObjectState::Condemned => picture.condemned = true,
    }
    picture
}
