//! Commands at random, of few ids, so that they meet.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tapelog_commands::{
    AddInstance, AdvanceDeletion, AllocateStorage, Cascade, ChosenBy, Command, CondemnObjects, DeleteFlow,
    DeleteSegments, Errand, FinishCopy, FinishErasure, FlowMetadata, FlowProperty, Handled, IdempotencyKey,
    InstanceName, Manner, NewSegment, Patience, PurgeFlow, RemoveInstance, Request, RequestShape, SegmentName,
    SourceProperty, State, TagSegment, TagsChange, Technical, UncontrolledInstance, UpdateService, handle,
};
use tapelog_events::time::Clusivity;
use tapelog_events::{
    Access, Commit, CommitId, DataEssence, DeletionRequestId, EssenceParameters, FlowId, Format, Instance, Instant,
    ObjectId, Permission, SourceId, StorageId, TagValue, Tags, TimeRange, Timestamp,
};
use uuid::Uuid;

use crate::harness::{access, metadata, of_class, post, put_flow, reserved_labels, set, set_source, tags, technical};

/// Objects that are there from the start for any Flow.
pub const INIT_OBJECTS: [&str; 2] = ["init/0", "init/1"];

/// A request, and what the clock shows.
#[derive(Debug, Clone)]
pub struct Asked {
    command: Command,
    access: Access,
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

/// Mostly one of those that are given out to any Flow at the start.
fn init_id() -> impl Strategy<Value = ObjectId> {
    prop_oneof![4 => (0..2usize).prop_map(|number| INIT_OBJECTS[number].parse().unwrap()), 1 => object_id()]
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
    let class = prop_oneof![4 => Just(tags([("x", "y")])), 1 => Just(of_class("news")), 1 => Just(of_class("sport"))];
    let has_init = prop::bool::weighted(0.5);
    let rare = (prop::option::weighted(0.1, any::<bool>()), class, has_init);
    (source_id(), format, container, label(), members(), rare).prop_map(
        |(source_id, format, has_container, label, flow_collection, (read_only, tags, has_init))| {
            let mut technical = technical(format);
            technical.container = technical.container.filter(|_| has_container);
            if format == Format::Data {
                let essence = DataEssence { data_type: None, init_segments: Some(has_init) };
                technical.essence_parameters = Some(EssenceParameters::Data(essence));
            }
            let technical = Technical::Own(Box::new(technical));
            FlowMetadata { label, flow_collection, read_only, tags, technical, ..metadata(source_id) }
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
    let init = prop::option::of(init_id());
    (object_id(), init, stretch(), offset, whole, counts, get_urls).prop_map(
        |(object_id, init_object_id, timerange, offset, object_timerange, key_frame_count, get_urls)| NewSegment {
            object_id,
            timerange,
            ts_offset: seconds(offset),
            object_timerange,
            last_duration: None,
            sample_offset: None,
            sample_count: key_frame_count.map(|count| count as i64),
            key_frame_count,
            init_object_id,
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

fn storage_id() -> impl Strategy<Value = StorageId> {
    (0..2u128).prop_map(|number| StorageId::from_uuid(Uuid::from_u128(number)))
}

fn instance() -> impl Strategy<Value = Instance> {
    prop_oneof![
        2 => storage_id().prop_map(|storage_id| Instance::Controlled { storage_id }),
        1 => ("[12]", "[ab]").prop_map(|(url, label)| Instance::Uncontrolled { url, label }),
    ]
}

/// Small, so that deletions go on after they were answered. Which request it comes to is told when it is asked.
fn patience() -> impl Strategy<Value = Patience> {
    prop_oneof![Just(0), Just(1), Just(100)]
        .prop_map(|segments| Patience { segments, request_id: DeletionRequestId::from_uuid(Uuid::nil()) })
}

/// What goes on behind the answers, and what changes single objects and segments.
fn of_objects() -> impl Strategy<Value = Command> {
    let far = Instant::from_micros(i64::MAX);
    let named = prop_oneof![
        2 => storage_id().prop_map(InstanceName::Controlled),
        1 => "[ab]".prop_map(InstanceName::Label),
    ];
    let copied = prop::bool::weighted(0.7).prop_map(|copied| if copied { Ok(()) } else { Err("no".to_owned()) });
    let segment = prop_oneof![
        2 => (-6..6i64).prop_map(|at| SegmentName::At(seconds(at))),
        1 => object_id().prop_map(SegmentName::Object),
    ];
    let tags_change = prop_oneof![
        2 => "[ab]".prop_map(|value| TagsChange::Set(value.clone(), TagValue::One(value))),
        1 => "[ab]".prop_map(TagsChange::Remove),
        1 => Just(TagsChange::Replace(Tags::new())),
    ];
    prop_oneof![
        4 => (object_id(), instance()).prop_map(|(object_id, instance)| Command::AddInstance(AddInstance {
            object_id,
            instance,
            storage_tags: Tags::new(),
            reserved_labels: reserved_labels(),
        })),
        2 => (object_id(), named)
            .prop_map(|(object_id, instance)| Command::RemoveInstance(RemoveInstance { object_id, instance })),
        2 => (object_id(), storage_id(), copied).prop_map(|(object_id, storage_id, result)| {
            Command::FinishCopy(FinishCopy { object_id, storage_id, result })
        }),
        1 => (object_id(), storage_id())
            .prop_map(|(object_id, storage_id)| Command::FinishErasure(FinishErasure { object_id, storage_id })),
        2 => prop::collection::vec(object_id(), 1..8).prop_map(move |object_ids| {
            Command::CondemnObjects(CondemnObjects { object_ids, unregistered_before: far, unreferenced_before: far })
        }),
        2 => object_id().prop_map(Command::DeleteObject),
        2 => prop::collection::vec(object_id(), 1..8).prop_map(Command::ForgetObjects),
        6 => (flow_id(), segment, tags_change)
            .prop_map(|(flow_id, segment, change)| Command::TagSegment(TagSegment { flow_id, segment, change })),
    ]
}

/// What makes Flows go, at once, bit by bit or for a while.
fn of_deletions() -> impl Strategy<Value = Command> {
    let manner = prop_oneof![Just(Manner::ForGood), Just(Manner::Aside)];
    let cascade = prop_oneof![3 => Just(Cascade::Yes), 1 => Just(Cascade::No)];
    let request_id = DeletionRequestId::from_uuid(Uuid::nil());
    let far = Instant::from_micros(i64::MAX);
    prop_oneof![
        2 => (flow_id(), manner, cascade, patience()).prop_map(|(flow_id, manner, cascade, patience)| {
            Command::DeleteFlow(DeleteFlow { flow_id, cascade, manner, patience })
        }),
        2 => flow_id().prop_map(Command::RestoreFlow),
        1 => flow_id().prop_map(move |flow_id| Command::PurgeFlow(PurgeFlow { flow_id, before: far })),
        3 => (1..3usize).prop_map(move |segments| {
            Command::AdvanceDeletion(AdvanceDeletion { request_id, segments, remember: Duration::from_micros(10) })
        }),
        1 => Just(Command::ForgetDeletions(Vec::new())),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let allocate = (prop::option::weighted(0.8, flow_id()), prop::collection::vec(object_id(), 0..4), 0..2u128)
        .prop_map(|(flow_id, ids, backend)| {
            Command::AllocateStorage(AllocateStorage {
                flow_id,
                object_ids: ids,
                chosen_by: ChosenBy::Client,
                storage_id: StorageId::from_uuid(Uuid::from_u128(backend)),
                storage_tags: Tags::new(),
                content_type: None,
            })
        });
    let post = (flow_id(), prop::collection::vec(new_segment(), 1..5)).prop_map(|(flow_id, segments)| {
        let shape = if segments.len() == 1 { RequestShape::Single } else { RequestShape::List };
        post(flow_id, segments.into_iter().map(Ok).collect(), shape)
    });
    let delete = (flow_id(), window(), prop::option::weighted(0.3, object_id()), patience()).prop_map(
        |(flow_id, timerange, object_id, patience)| {
            Command::DeleteSegments(DeleteSegments { flow_id, timerange, object_id, patience })
        },
    );
    prop_oneof![
        1 => (label(), label()).prop_map(|(name, description)| Command::UpdateService(UpdateService { name, description })),
        6 => (flow_id(), flow_metadata()).prop_map(|(flow_id, metadata)| put_flow(flow_id, metadata)),
        4 => (flow_id(), flow_property()).prop_map(|(flow_id, property)| set(flow_id, property)),
        1 => (flow_id(), Just(FlowProperty::ReadOnly(false))).prop_map(|(flow_id, property)| set(flow_id, property)),
        8 => of_deletions(),
        18 => of_objects(),
        2 => (source_id(), source_property()).prop_map(|(source_id, property)| set_source(source_id, property)),
        4 => allocate,
        16 => post,
        4 => delete,
    ]
}

pub fn asked() -> impl Strategy<Value = Asked> {
    let key = prop::option::weighted(0.3, (0..6u8, 0..2u8));
    // A clock that jumps to and fro, at times by more than a key is remembered.
    let now = prop_oneof![4 => 0..1_000_000i64, 1 => 0..(1i64 << 40)];
    let access = prop_oneof![
        5 => Just(Access::Unrestricted),
        1 => Just(access([("news", &[Permission::Read, Permission::Write])])),
    ];
    (command(), access, key, now).prop_map(|(command, access, key, now)| Asked {
        command,
        access,
        idempotency: key.map(|(key, request)| IdempotencyKey { key: [key; 32], request: [request; 32] }),
        now: Instant::from_micros(now),
    })
}

/// The command, about what is there where it would else mostly miss, and with ids for deletions to come.
fn aimed(state: &State, number: usize, mut command: Command) -> Command {
    let (registry, inventory) = (state.registry(), state.inventory());
    let errand_like = |is_asked: fn(&Errand) -> bool| {
        let found = registry.errands.iter().find(|(_, errand)| is_asked(errand));
        found.map(|(place, _)| place.clone())
    };
    match &mut command {
        Command::DeleteFlow(DeleteFlow { patience, .. }) | Command::DeleteSegments(DeleteSegments { patience, .. }) => {
            patience.request_id = DeletionRequestId::from_uuid(Uuid::from_u128(number as u128));
        }
        Command::AdvanceDeletion(command) => {
            if let Some(open) = registry.all_open_deletions().next() {
                command.request_id = open.id;
            }
        }
        Command::ForgetDeletions(ids) => ids.extend(registry.deletions.iter().map(|(id, _)| *id)),
        Command::RestoreFlow(flow_id) | Command::PurgeFlow(PurgeFlow { flow_id, .. }) => {
            if let Some((trashed, _)) = registry.trash.iter().next() {
                *flow_id = *trashed;
            }
        }
        Command::FinishCopy(command) => {
            if let Some(place) = errand_like(|errand| matches!(errand, Errand::Copy { .. })) {
                (command.object_id, command.storage_id) = place;
            }
        }
        Command::FinishErasure(command) => {
            if let Some(place) = errand_like(|errand| matches!(errand, Errand::Erase { .. })) {
                (command.object_id, command.storage_id) = place;
            }
        }
        Command::TagSegment(TagSegment { flow_id, segment: SegmentName::At(at), .. }) => {
            let flow = inventory.flow(*flow_id).into_iter();
            let later = TimeRange::new(Some((*at, Clusivity::Inclusive)), None);
            if let Some(segment) = flow.flat_map(|flow| inventory.segments(flow, &later)).next() {
                *at = segment.timerange.start().unwrap().0;
            }
        }
        _ => {}
    }
    command
}

/// Asks, and gives back what comes of it.
pub fn ask(state: &mut State, number: usize, asked: &Asked) -> Option<Commit> {
    let request = Request {
        command: aimed(state, number, asked.command.clone()),
        access: Arc::new(asked.access.clone()),
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
