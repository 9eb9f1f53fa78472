//! What holds after any commands: few ids, so that they meet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tapelog_commands::inventory::{Inventory, ObjectState};
use tapelog_commands::{
    AllocateStorage, ChosenBy, Command, FlowMetadata, FlowProperty, FlowState, Handled, IdempotencyKey, Memory,
    NewSegment, Request, RequestShape, SourceProperty, SourceState, State, StateParts, Technical, UncontrolledInstance,
    UpdateService, handle,
};
use tapelog_events::{
    Commit, CommitId, FlowId, Format, Idempotency, Incarnation, Instance, Instant, LogStarted, ObjectId, SourceId,
    StorageId, TagValue, TimeRange, Timestamp,
};
use uuid::Uuid;

use crate::harness::{
    commit_of, delete_flow, flow_with_source, metadata, post, put_flow, set, set_source, tags, technical,
};

// What is asked for.

#[derive(Debug, Clone)]
struct Asked {
    command: Command,
    idempotency: Option<IdempotencyKey>,
    now: Instant,
}

fn flow_id() -> impl Strategy<Value = FlowId> {
    (1..4u128).prop_map(|number| FlowId::from_uuid(Uuid::from_u128(number)))
}

fn source_id() -> impl Strategy<Value = SourceId> {
    (1..4u128).prop_map(|number| SourceId::from_uuid(Uuid::from_u128(number)))
}

fn object_id() -> impl Strategy<Value = ObjectId> {
    (0..8u8).prop_map(|number| match number % 2 {
        0 => ObjectId::from_uuid(uuid::Builder::from_random_bytes([number; 16]).into_uuid()).unwrap(),
        _ => format!("object/{number}").parse().unwrap(),
    })
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_parts(seconds, 0).unwrap()
}

fn stretch() -> impl Strategy<Value = TimeRange> {
    let length = prop_oneof![4 => Just(1), 1 => Just(3)];
    let span = (-6..6i64, length)
        .prop_map(|(start, length)| TimeRange::from_start_end(seconds(start), seconds(start + length)));
    prop_oneof![6 => span, 1 => (-6..6i64).prop_map(|at| TimeRange::instant(seconds(at)))]
}

fn window() -> impl Strategy<Value = TimeRange> {
    prop_oneof![3 => stretch(), 1 => Just(TimeRange::ETERNITY), 1 => Just(TimeRange::NEVER), 2 => (-6..6i64, 1..12i64)
        .prop_map(|(start, length)| TimeRange::from_start_end(seconds(start), seconds(start + length)))]
}

fn members() -> impl Strategy<Value = Option<Vec<tapelog_events::CollectionItem>>> {
    let member = (flow_id(), prop::option::of(Just("audio"))).prop_map(|(id, role)| tapelog_events::CollectionItem {
        id,
        role: role.map(str::to_owned),
        container_mapping: None,
    });
    prop::option::of(prop::collection::vec(member, 0..3))
}

fn label() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ab]")
}

fn tag_value() -> impl Strategy<Value = Option<TagValue>> {
    prop::option::of("[ab]".prop_map(TagValue::One))
}

fn flow_metadata() -> impl Strategy<Value = FlowMetadata> {
    let format = prop_oneof![5 => Just(Format::Data), 1 => Just(Format::Audio)];
    let container = prop::bool::weighted(0.9);
    (source_id(), format, container, label(), members(), prop::option::weighted(0.1, any::<bool>())).prop_map(
        |(source_id, format, has_container, label, flow_collection, read_only)| {
            let mut technical = technical(format);
            technical.container = technical.container.filter(|_| has_container);
            let technical = Technical::Own(Box::new(technical));
            FlowMetadata {
                label,
                flow_collection,
                read_only,
                tags: tags([("x", "y")]),
                technical,
                ..metadata(source_id)
            }
        },
    )
}

fn new_segment() -> impl Strategy<Value = NewSegment> {
    let offset = prop_oneof![3 => Just(0), 1 => -6..6i64];
    let get_urls = prop::collection::vec(("[12]", "[ab]"), 0..2).prop_map(|urls| {
        let located = |(url, label)| UncontrolledInstance { url, label };
        urls.into_iter().map(located).collect::<Vec<_>>()
    });
    let whole = prop::option::weighted(0.2, stretch());
    let counts = prop::option::weighted(0.2, 0..2u64);
    (object_id(), stretch(), offset, whole, counts, get_urls).prop_map(
        |(object_id, timerange, offset, object_timerange, key_frame_count, get_urls)| NewSegment {
            object_id,
            timerange,
            ts_offset: seconds(offset),
            object_timerange,
            last_duration: None,
            sample_offset: None,
            sample_count: key_frame_count.map(|count| count as i64),
            key_frame_count,
            get_urls,
        },
    )
}

fn flow_property() -> impl Strategy<Value = FlowProperty> {
    prop_oneof![
        label().prop_map(FlowProperty::Label),
        label().prop_map(FlowProperty::Description),
        tag_value().prop_map(|value| FlowProperty::Tag("x".to_owned(), value)),
        prop::bool::weighted(0.1).prop_map(FlowProperty::ReadOnly),
        members().prop_map(FlowProperty::FlowCollection),
        prop::option::of(0..3u64).prop_map(FlowProperty::MaxBitRate),
        prop::option::of(0..3u64).prop_map(FlowProperty::AvgBitRate),
    ]
}

fn source_property() -> impl Strategy<Value = SourceProperty> {
    prop_oneof![
        label().prop_map(SourceProperty::Label),
        label().prop_map(SourceProperty::Description),
        tag_value().prop_map(|value| SourceProperty::Tag("x".to_owned(), value)),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let allocate =
        (flow_id(), prop::collection::vec(object_id(), 0..4), 0..2u128).prop_map(|(flow_id, ids, backend)| {
            Command::AllocateStorage(AllocateStorage {
                flow_id,
                object_ids: ids,
                chosen_by: ChosenBy::Client,
                storage_id: StorageId::from_uuid(Uuid::from_u128(backend)),
                content_type: None,
            })
        });
    let post = (flow_id(), prop::collection::vec(new_segment(), 1..5)).prop_map(|(flow_id, segments)| {
        let shape = if segments.len() == 1 { RequestShape::Single } else { RequestShape::List };
        post(flow_id, segments.into_iter().map(Ok).collect(), shape)
    });
    let delete =
        (flow_id(), window(), prop::option::weighted(0.3, object_id())).prop_map(|(flow_id, timerange, object_id)| {
            Command::DeleteSegments(tapelog_commands::DeleteSegments { flow_id, timerange, object_id })
        });
    prop_oneof![
        1 => (label(), label()).prop_map(|(name, description)| Command::UpdateService(UpdateService { name, description })),
        6 => (flow_id(), flow_metadata()).prop_map(|(flow_id, metadata)| put_flow(flow_id, metadata)),
        4 => (flow_id(), flow_property()).prop_map(|(flow_id, property)| set(flow_id, property)),
        1 => (flow_id(), Just(FlowProperty::ReadOnly(false))).prop_map(|(flow_id, property)| set(flow_id, property)),
        1 => flow_id().prop_map(delete_flow),
        2 => (source_id(), source_property()).prop_map(|(source_id, property)| set_source(source_id, property)),
        4 => allocate,
        16 => post,
        4 => delete,
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let key = prop::option::weighted(0.3, (0..6u8, 0..2u8));
    // A clock that jumps to and fro, at times by more than a key is remembered.
    let now = prop_oneof![4 => 0..1_000_000i64, 1 => 0..(1i64 << 40)];
    (command(), key, now).prop_map(|(command, key, now)| Asked {
        command,
        idempotency: key.map(|(key, request)| IdempotencyKey { key: [key; 32], request: [request; 32] }),
        now: Instant::from_micros(now),
    })
}

fn ask(state: &mut State, number: usize, asked: &Asked) -> Option<Commit> {
    let request = Request {
        command: asked.command.clone(),
        commit_id: CommitId::from_uuid(Uuid::from_u128(number as u128)),
        actor: format!("actor {}", number % 3),
        request_id: None,
        idempotency: asked.idempotency,
    };
    match handle(state, &request, asked.now).unwrap() {
        Handled::Commit(commit, _) => Some(*commit),
        Handled::Nothing(_) | Handled::Rejected(_) => None,
    }
}

// What the state shows of itself, without anything that two equal ones may differ in.

#[derive(Debug, PartialEq)]
struct Picture {
    incarnation: Option<Incarnation>,
    service: (Option<String>, Option<String>),
    time: Instant,
    flows: BTreeMap<FlowId, (FlowState, Vec<SegmentPicture>, TimeRange)>,
    sources: BTreeMap<SourceId, SourceState>,
    objects: BTreeMap<ObjectId, ObjectPicture>,
    counts: (usize, usize),
    memory: Vec<(Instant, Idempotency)>,
}

type SegmentPicture = (ObjectId, TimeRange, Timestamp, Option<i64>);

#[derive(Debug, PartialEq)]
struct ObjectPicture {
    /// `None` for a Flow that is deleted.
    allocated: Option<(Option<FlowId>, Instant)>,
    range: Option<TimeRange>,
    first: Option<FlowId>,
    since: Option<Instant>,
    uses: BTreeSet<(FlowId, i128)>,
    instances: Vec<Instance>,
    key_frame_count: Option<u64>,
}

fn picture(state: &State) -> Picture {
    let inventory = state.inventory();
    let (name, description) = state.service();
    let flow = |flow: &FlowState| {
        let id = flow.flow.id;
        let slot = inventory.flow(id).unwrap();
        (id, (flow.clone(), segments(inventory, id), inventory.flow_range(slot)))
    };
    Picture {
        incarnation: state.incarnation(),
        service: (name.map(str::to_owned), description.map(str::to_owned)),
        time: state.time(),
        flows: state.flows().map(flow).collect(),
        sources: state.sources().map(|source| (source.source.id, source.clone())).collect(),
        objects: inventory.objects().map(|slot| (inventory.object_id(slot), object(inventory, slot))).collect(),
        counts: (inventory.segment_count(), inventory.object_count()),
        memory: state.memory().iter().map(|(at, entry)| (at, entry.clone())).collect(),
    }
}

fn segments(inventory: &Inventory, flow: FlowId) -> Vec<SegmentPicture> {
    let segments = inventory.segments(inventory.flow(flow).unwrap(), &TimeRange::ETERNITY);
    segments
        .map(|segment| {
            (inventory.object_id(segment.object), segment.timerange, segment.ts_offset, segment.sample_count)
        })
        .collect()
}

fn object(inventory: &Inventory, slot: tapelog_commands::inventory::ObjectSlot) -> ObjectPicture {
    let object = inventory.object(slot);
    let flow = |slot| inventory.flow_id(slot);
    let (allocated, first, since) = match &object.state {
        ObjectState::Allocated { flow: by, at } => (Some((flow(*by), *at)), None, None),
        ObjectState::Registered { first, .. } => (None, first.map(|first| flow(first).unwrap()), None),
        ObjectState::Unreferenced { since, .. } => (None, None, Some(*since)),
    };
    ObjectPicture {
        allocated,
        range: object.range(),
        first,
        since,
        uses: object.uses().iter().map(|usage| (flow(usage.flow).unwrap(), usage.start)).collect(),
        instances: object.instances.to_vec(),
        key_frame_count: object.key_frame_count,
    }
}

// What must hold.

fn assert_invariants(state: &State) {
    let picture = picture(state);
    let mut uses: BTreeMap<&ObjectId, BTreeSet<(FlowId, i128)>> = BTreeMap::new();
    let mut of_source: BTreeMap<SourceId, BTreeSet<FlowId>> = BTreeMap::new();
    let mut collectors: BTreeMap<FlowId, BTreeSet<FlowId>> = BTreeMap::new();
    for (id, (flow, segments, _)) in &picture.flows {
        for pair in segments.windows(2) {
            assert!(pair[0].1.half_open_nanos().1 <= pair[1].1.half_open_nanos().0, "L6: {pair:?}");
        }
        for (object, range, ts_offset, _) in segments {
            assert!(uses.entry(object).or_default().insert((*id, range.half_open_nanos().0)));
            let on_object = range.checked_shift_back(*ts_offset).unwrap();
            assert!(picture.objects[object].range.unwrap().contains_range(&on_object), "{object} {range}");
        }
        of_source.entry(flow.flow.source_id).or_default().insert(*id);
        for member in flow.flow.members() {
            assert!(picture.flows.contains_key(&member.id), "L9: {id} collects {}, which is gone", member.id);
            collectors.entry(member.id).or_default().insert(*id);
        }
        assert!(!reaches(&picture, *id, *id), "{id} collects itself");
    }
    for (id, object) in &picture.objects {
        assert_eq!(object.uses, uses.remove(id).unwrap_or_default(), "L7: uses of {id}");
        assert_eq!(object.allocated.is_none() && object.since.is_none(), !object.uses.is_empty(), "L7: state of {id}");
        assert!(object.first.is_none_or(|first| object.uses.iter().any(|(flow, _)| *flow == first)), "L7: first");
    }
    assert!(uses.is_empty(), "L7: segments of unknown objects {uses:?}");
    let segments = picture.flows.values().map(|(_, segments, _)| segments.len()).sum();
    assert_eq!(picture.counts, (segments, picture.objects.len()));
    for (id, source) in &picture.sources {
        let flows = of_source.remove(id).unwrap_or_default();
        assert!(!flows.is_empty(), "L8: source {id} has no flow");
        assert_eq!(source.flows, flows, "L8");
        for flow in flows {
            assert_eq!(picture.flows[&flow].0.flow.format, source.source.format);
        }
    }
    assert!(of_source.is_empty(), "L8: flows of unknown sources {of_source:?}");
    for (id, (flow, ..)) in &picture.flows {
        assert_eq!(flow.collected_by, collectors.remove(id).unwrap_or_default(), "L9");
    }
}

/// Whether a walk along collections leads from one Flow to another.
fn reaches(picture: &Picture, from: FlowId, to: FlowId) -> bool {
    let members = picture.flows[&from].0.flow.members();
    members.iter().any(|member| member.id == to || reaches(picture, member.id, to))
}

/// A log with two Flows, so that few commands miss.
fn started() -> State {
    let mut state = State::default();
    let incarnation = Incarnation::from_uuid(Uuid::from_u128(1));
    let flow = |number| {
        let uuid = Uuid::from_u128(number);
        flow_with_source(FlowId::from_uuid(uuid), SourceId::from_uuid(uuid))
    };
    let events = [vec![LogStarted { incarnation }.into()], flow(1), flow(2)].concat();
    state.fold(&commit_of(events)).unwrap();
    state
}

proptest! {
    #[test]
    fn invariants_hold_time_never_runs_backwards_and_the_log_alone_gives_the_same_state(
        asked in prop::collection::vec(asked(), 1..60),
    ) {
        let mut state = started();
        let mut replayed = started();
        let mut time = state.time();
        for (number, asked) in asked.iter().enumerate() {
            if let Some(commit) = ask(&mut state, number, asked) {
                prop_assert!(commit.at >= time);
                time = commit.at;
                replayed.fold(&commit).unwrap();
            }
            assert_invariants(&state);
        }
        prop_assert_eq!(picture(&state), picture(&replayed));
    }

    #[test]
    fn a_rollback_leaves_no_trace_and_what_is_kept_is_as_if_it_had_never_been_begun(
        before in prop::collection::vec(asked(), 0..25),
        undone in prop::collection::vec(asked(), 0..25),
        kept in prop::collection::vec(asked(), 0..25),
    ) {
        let mut state = started();
        let mut plain = started();
        for (number, asked) in before.iter().enumerate() {
            ask(&mut state, number, asked);
            ask(&mut plain, number, asked);
        }
        state.begin();
        for (number, asked) in undone.iter().enumerate() {
            ask(&mut state, 100 + number, asked);
        }
        state.rollback();
        prop_assert_eq!(picture(&state), picture(&plain));

        // What is begun forgets no key before it is kept; so that both forget alike, a record here is of one commit.
        for (number, asked) in kept.iter().enumerate() {
            state.begin();
            let commit = ask(&mut state, 200 + number, asked);
            state.keep();
            prop_assert_eq!(commit, ask(&mut plain, 200 + number, asked));
        }
        prop_assert_eq!(picture(&state), picture(&plain));
    }

    #[test]
    fn commands_of_one_record_see_each_other_and_a_reader_of_the_log_agrees(
        records in prop::collection::vec(prop::collection::vec(asked(), 1..8), 1..10),
    ) {
        let mut state = started();
        let mut reader = started();
        for (number, record) in records.iter().enumerate() {
            state.begin();
            let mut commits = Vec::new();
            for (index, asked) in record.iter().enumerate() {
                commits.extend(ask(&mut state, number * 100 + index, asked));
            }
            state.keep();
            for commit in &commits {
                reader.fold(commit).unwrap();
            }
            assert_invariants(&state);
        }
        prop_assert_eq!(picture(&state), picture(&reader));
    }

    #[test]
    fn a_state_put_together_from_its_parts_is_the_same(asked in prop::collection::vec(asked(), 1..40)) {
        let mut state = started();
        for (number, asked) in asked.iter().enumerate() {
            ask(&mut state, number, asked);
        }
        let (name, description) = state.service();
        let mut memory = Memory::default();
        for (at, entry) in state.memory().iter() {
            memory.remember(at, entry);
        }
        let restored = State::restore(StateParts {
            incarnation: state.incarnation(),
            name: name.map(str::to_owned),
            description: description.map(str::to_owned),
            time: state.time(),
            flows: state.flows().map(|flow| (Arc::unwrap_or_clone(Arc::clone(&flow.flow)), flow.segments_updated)).collect(),
            sources: state.sources().map(|source| Arc::unwrap_or_clone(Arc::clone(&source.source))).collect(),
            inventory: state.inventory().clone(),
            memory,
        });
        prop_assert_eq!(picture(&restored.unwrap()), picture(&state));
    }
}
