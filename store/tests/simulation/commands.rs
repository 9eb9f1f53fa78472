//! Random commands about few things, so that they meet.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tapelog_commands::{
    AllocateStorage, Cascade, ChosenBy, Command, DeleteFlow, DeleteSegments, FlowProperty, Manner, NewSegment,
    Patience, PostSegments, RequestShape, SetFlowProperty, UncontrolledInstance,
};
use tapelog_events::{DeletionRequestId, ObjectId, StorageId, Tags, TimeRange, Timestamp};
use uuid::Uuid;

use crate::node::{flow_id, name_store, put_flow};

/// No deletion here is too large to be done at once.
const AT_ONCE: Patience = Patience { segments: usize::MAX, request_id: DeletionRequestId::from_uuid(Uuid::nil()) };

pub fn random_command(random: &mut StdRng) -> Command {
    let flow = random.random_range(1..=3);
    let object = random.random_range(1..=4);
    let start = random.random_range(0..4);
    let label = *["a", "b"].choose(random).unwrap();
    match random.random_range(0..12) {
        0..3 => put_flow(flow, random.random_range(1..=2), label),
        3 => delete_flow(flow),
        4 | 5 => set_label(flow, label),
        6..9 => post_segment(flow, object, start),
        9 => delete_segments(flow, start, start + 2),
        10 => allocate(flow, object),
        _ => name_store(label),
    }
}

fn object_id(number: u32) -> ObjectId {
    format!("object-{number}").parse().unwrap()
}

fn range(start: i64, end: i64) -> TimeRange {
    let at = |seconds| Timestamp::from_parts(seconds, 0).unwrap();
    TimeRange::from_start_end(at(start), at(end))
}

fn delete_flow(flow: u128) -> Command {
    let (cascade, manner) = (Cascade::Yes, Manner::ForGood);
    Command::DeleteFlow(DeleteFlow { flow_id: flow_id(flow), cascade, manner, patience: AT_ONCE })
}

fn set_label(flow: u128, label: &str) -> Command {
    let property = FlowProperty::Label(Some(label.to_owned()));
    Command::SetFlowProperty(SetFlowProperty { flow_id: flow_id(flow), property })
}

/// A segment of one second, whose object lies elsewhere.
fn post_segment(flow: u128, object: u32, start: i64) -> Command {
    let address = UncontrolledInstance { url: "https://example.org/object".to_owned(), label: "elsewhere".to_owned() };
    let segment = NewSegment {
        object_id: object_id(object),
        timerange: range(start, start + 1),
        ts_offset: Timestamp::from_parts(start, 0).unwrap(),
        object_timerange: None,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        key_frame_count: None,
        init_object_id: None,
        get_urls: vec![address],
    };
    Command::PostSegments(PostSegments {
        flow_id: flow_id(flow),
        segments: vec![Ok(segment)],
        shape: RequestShape::Single,
        reserved_labels: [].into(),
    })
}

fn delete_segments(flow: u128, start: i64, end: i64) -> Command {
    let (flow_id, timerange) = (flow_id(flow), range(start, end));
    Command::DeleteSegments(DeleteSegments { flow_id, timerange, object_id: None, patience: AT_ONCE })
}

fn allocate(flow: u128, object: u32) -> Command {
    Command::AllocateStorage(AllocateStorage {
        flow_id: Some(flow_id(flow)),
        object_ids: vec![object_id(object)],
        chosen_by: ChosenBy::Client,
        storage_id: StorageId::from_uuid(Uuid::from_u128(1)),
        storage_tags: Tags::new(),
        content_type: None,
    })
}
