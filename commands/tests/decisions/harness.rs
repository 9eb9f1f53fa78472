//! Given these events, when this is asked for, then that happens.

use std::collections::BTreeSet;
use std::sync::Arc;

use tapelog_commands::inventory::{Object, ObjectState};
use tapelog_commands::{
    AllocateStorage, Cascade, ChosenBy, Command, CondemnObjects, DeleteFlow, DeleteSegments, Expected, FlowMetadata,
    FlowProperty, Handled, IdempotencyKey, Manner, NewSegment, Patience, PostSegments, PutFlow, Rejection, Request,
    RequestShape, SetFlowProperty, SetSourceProperty, SourceProperty, State, Technical, UncontrolledInstance, handle,
};
use tapelog_events::{
    Access, CollectionItem, Commit, CommitId, DataEssence, DeletionRequestId, EssenceParameters, Event, Flow,
    FlowCreated, FlowId, Format, InitObject, Instance, InstanceIndexes, Instant, Membership, ObjectId,
    ObjectsAllocated, Outcome, Permission, Segment, SegmentFailure, SegmentFailureKind, SegmentsAdded, SegmentsDeleted,
    Source, SourceCreated, SourceId, StorageId, Tags, TechnicalMetadata, TimeRange, Timestamp,
};
use uuid::Uuid;

pub const FLOW: FlowId = FlowId::from_uuid(Uuid::from_u128(0xf1));
pub const OTHER_FLOW: FlowId = FlowId::from_uuid(Uuid::from_u128(0xf2));
pub const THIRD_FLOW: FlowId = FlowId::from_uuid(Uuid::from_u128(0xf3));
pub const SOURCE: SourceId = SourceId::from_uuid(Uuid::from_u128(0xa1));
pub const OTHER_SOURCE: SourceId = SourceId::from_uuid(Uuid::from_u128(0xa2));
pub const THIRD_SOURCE: SourceId = SourceId::from_uuid(Uuid::from_u128(0xa3));
pub const BACKEND: StorageId = StorageId::from_uuid(Uuid::from_u128(0xb1));
pub const OTHER_BACKEND: StorageId = StorageId::from_uuid(Uuid::from_u128(0xb2));
pub const DELETION: DeletionRequestId = DeletionRequestId::from_uuid(Uuid::from_u128(0xd1));
pub const BACKEND_LABEL: &str = "vault";

/// When the given events happened, and who did them under which name.
pub const EARLIER: Instant = Instant::from_micros(1_000_000);
pub const FOUNDER: &str = "founder";
pub const FIRST_VERSION: &str = "first";

/// When commands are decided, and for whom.
pub const NOW: Instant = Instant::from_micros(2_000_000);
pub const ACTOR: &str = "actor";
/// Names the commit that comes of the first command.
pub const COMMIT: CommitId = CommitId::from_uuid(Uuid::from_u128(0xc1));

/// Has happened, in one commit.
pub fn given(events: impl IntoIterator<Item = Event>) -> Given {
    let mut state = State::default();
    state.fold(&commit_of(events.into_iter().collect())).unwrap();
    Given { state }
}

pub fn commit_of(events: Vec<Event>) -> Commit {
    Commit {
        id: CommitId::from_uuid(Uuid::from_u128(0xc0)),
        at: EARLIER,
        actor: FOUNDER.to_owned(),
        request_id: None,
        idempotency: None,
        events,
    }
}

pub struct Given {
    pub state: State,
}

impl Given {
    #[track_caller]
    pub fn then_holds_before(self, check: impl FnOnce(&State) -> bool) -> Self {
        assert!(check(&self.state));
        self
    }

    pub fn when(self, command: Command) -> Then {
        self.when_asked(request(command), NOW)
    }

    pub fn when_by(self, access: &Access, command: Command) -> Then {
        self.when_asked(requested_by(access, command), NOW)
    }

    pub fn when_asked(mut self, request: Request, now: Instant) -> Then {
        let handled = handle(&mut self.state, &request, now).unwrap();
        Then { handled, state: self.state }
    }
}

/// A request without idempotency key.
pub fn request(command: Command) -> Request {
    requested_by(&Access::Unrestricted, command)
}

/// A request of somebody who may not do everything.
pub fn requested_by(access: &Access, command: Command) -> Request {
    Request {
        command,
        commit_id: COMMIT,
        actor: ACTOR.to_owned(),
        access: Arc::new(access.clone()),
        request_id: None,
        idempotency: None,
    }
}

/// May do this with resources of these classes, and everything with those of none.
pub fn access<const N: usize>(classes: [(&str, &[Permission]); N]) -> Access {
    let granted = |permissions: &[Permission]| permissions.iter().copied().collect::<BTreeSet<_>>();
    Access::Classes(classes.map(|(class, permissions)| (class.to_owned(), granted(permissions))).into())
}

/// Tags that make a resource one of this class.
pub fn of_class(class: &str) -> Tags {
    tags([("auth_classes", class)])
}

pub fn under_key(command: Command, key: u8, digest: u8) -> Request {
    Request { idempotency: Some(IdempotencyKey { key: [key; 32], request: [digest; 32] }), ..request(command) }
}

/// What came of the last command.
pub struct Then {
    pub handled: Handled,
    pub state: State,
}

impl Then {
    #[track_caller]
    pub fn then_events(self, expected: impl IntoIterator<Item = Event>) -> Self {
        assert_eq!(self.events(), expected.into_iter().collect::<Vec<_>>());
        self
    }

    #[track_caller]
    pub fn then_outcome(self, expected: &Outcome) -> Self {
        match &self.handled {
            Handled::Commit(_, outcome) | Handled::Nothing(outcome) => assert_eq!(outcome, expected),
            Handled::Rejected(rejection) => panic!("rejected: {rejection}"),
        }
        self
    }

    /// Success, with nothing to write down.
    #[track_caller]
    pub fn then_nothing_happens(self) -> Self {
        assert_eq!(self.handled, Handled::Nothing(Outcome::Done));
        self
    }

    #[track_caller]
    pub fn then_rejected(self, expected: Rejection) -> Self {
        assert_eq!(self.handled, Handled::Rejected(expected));
        self
    }

    /// These of a list of segments are refused, for these reasons.
    #[track_caller]
    pub fn then_failed<const N: usize>(self, expected: [(&str, &str, SegmentFailureKind); N]) -> Self {
        let failures = expected.map(|(object_id, timerange, kind)| SegmentFailure {
            object_id: object(object_id),
            timerange: range(timerange),
            kind,
        });
        self.then_outcome(&Outcome::Segments { failures: failures.to_vec() })
    }

    #[track_caller]
    pub fn then_holds(self, check: impl FnOnce(&State) -> bool) -> Self {
        assert!(check(&self.state), "{:#?}", self.handled);
        self
    }

    pub fn when(self, command: Command) -> Self {
        Given { state: self.state }.when(command)
    }

    pub fn when_by(self, access: &Access, command: Command) -> Self {
        Given { state: self.state }.when_by(access, command)
    }

    pub fn when_asked(self, request: Request, now: Instant) -> Self {
        Given { state: self.state }.when_asked(request, now)
    }

    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        match &self.handled {
            Handled::Commit(commit, _) => commit.events.clone(),
            Handled::Nothing(_) => Vec::new(),
            Handled::Rejected(rejection) => panic!("rejected: {rejection}"),
        }
    }

    #[track_caller]
    pub fn only_event(&self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:#?}");
        events.remove(0)
    }

    /// The one Flow whose change is all that happened.
    #[track_caller]
    pub fn updated_flow(&self) -> Flow {
        match self.only_event() {
            Event::FlowUpdated(event) => event.flow,
            other => panic!("not the update of a flow: {other:#?}"),
        }
    }
}

// Values.

pub fn range(text: &str) -> TimeRange {
    text.parse().unwrap()
}

pub fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn object(text: &str) -> ObjectId {
    text.parse().unwrap()
}

pub fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

pub fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    let pairs = pairs.map(|(name, value)| (name.to_owned(), tapelog_events::TagValue::One(value.to_owned())));
    pairs.into_iter().collect()
}

pub fn on_backend() -> Instance {
    Instance::Controlled { storage_id: BACKEND }
}

pub fn at_address(url: &str, label: &str) -> Instance {
    Instance::Uncontrolled { url: url.to_owned(), label: label.to_owned() }
}

pub fn member(id: FlowId) -> CollectionItem {
    CollectionItem { id, role: None, container_mapping: None }
}

pub fn member_as(id: FlowId, role: &str) -> CollectionItem {
    CollectionItem { role: text(role), ..member(id) }
}

/// A Flow as it was created by [`FOUNDER`], with a container and nothing that can be left out.
pub fn stored_flow(id: FlowId, source_id: SourceId) -> Flow {
    Flow {
        id,
        source_id,
        label: None,
        description: None,
        created_by: text(FOUNDER),
        updated_by: text(FOUNDER),
        tags: Tags::new(),
        metadata_version: FIRST_VERSION.to_owned(),
        generation: None,
        created: EARLIER,
        metadata_updated: EARLIER,
        status: None,
        read_only: None,
        max_bit_rate: None,
        avg_bit_rate: None,
        flow_collection: None,
        profile_id: None,
        format: Format::Data,
        codec: None,
        container: text("application/json"),
        segment_duration: None,
        container_mapping: None,
        essence_parameters: None,
    }
}

pub fn stored_source(id: SourceId) -> Source {
    Source {
        id,
        format: Format::Data,
        label: None,
        description: None,
        tags: Tags::new(),
        created_by: text(FOUNDER),
        updated_by: text(FOUNDER),
        created: EARLIER,
        updated: EARLIER,
    }
}

// Events.

pub fn source_created(id: SourceId) -> Event {
    SourceCreated { source: stored_source(id) }.into()
}

pub fn flow_created(flow: Flow) -> Event {
    FlowCreated { flow, collected_by: Membership::default() }.into()
}

/// A Flow and its Source appeared.
pub fn flow_with_source(id: FlowId, source_id: SourceId) -> Vec<Event> {
    vec![source_created(source_id), flow_created(stored_flow(id, source_id))]
}

/// [`FLOW`] and its Source appeared, with this difference from [`stored_flow`].
pub fn flow_with(change: impl FnOnce(&mut Flow)) -> Vec<Event> {
    let mut flow = stored_flow(FLOW, SOURCE);
    change(&mut flow);
    vec![source_created(SOURCE), flow_created(flow)]
}

/// [`FLOW`] and [`OTHER_FLOW`], each with a Source of its own.
pub fn two_flows() -> Vec<Event> {
    [flow_with_source(FLOW, SOURCE), flow_with_source(OTHER_FLOW, OTHER_SOURCE)].concat()
}

pub fn allocated<const N: usize>(flow_id: impl Into<Option<FlowId>>, object_ids: [&str; N]) -> Event {
    ObjectsAllocated {
        flow_id: flow_id.into(),
        storage_id: BACKEND,
        object_ids: object_ids.map(object).to_vec(),
        content_type: "application/json".to_owned(),
    }
    .into()
}

/// A segment as it is recorded, of an object on the backend that it uses whole.
pub fn stored_segment(object_id: &str, timerange: &str) -> Segment {
    Segment {
        object_id: object(object_id),
        timerange: range(timerange),
        ts_offset: Timestamp::ZERO,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        object_timerange: None,
        key_frame_count: None,
        init_object: None,
        instances: InstanceIndexes::from_slice(&[0]),
    }
}

/// Segments of objects on the backend were added to a Flow that nothing collects.
pub fn segments_added(flow_id: FlowId, source_id: SourceId, segments: impl IntoIterator<Item = Segment>) -> Event {
    SegmentsAdded {
        flow_id,
        source_id,
        collected_by: Membership::default(),
        instances: vec![on_backend()],
        init_objects: Vec::new(),
        segments: segments.into_iter().collect(),
    }
    .into()
}

/// [`FLOW`], whose media objects need init objects, with `i1`, `i2` and `o1` to `o3` given out to it.
pub fn init_flow() -> Vec<Event> {
    let essence = EssenceParameters::Data(DataEssence { data_type: None, init_segments: Some(true) });
    let flow = flow_with(|flow| flow.essence_parameters = Some(essence));
    [flow, vec![allocated(FLOW, ["i1", "i2", "o1", "o2", "o3"])]].concat()
}

/// Segments of objects that need an init object, on the same backend as it.
pub fn segments_added_with_init(
    flow_id: FlowId,
    source_id: SourceId,
    init: &str,
    segments: impl IntoIterator<Item = Segment>,
) -> Event {
    let with_init = |segment| Segment { init_object: Some(0), ..segment };
    SegmentsAdded {
        flow_id,
        source_id,
        collected_by: Membership::default(),
        instances: vec![on_backend()],
        init_objects: vec![InitObject { object_id: object(init), instances: InstanceIndexes::from_slice(&[0]) }],
        segments: segments.into_iter().map(with_init).collect(),
    }
    .into()
}

pub fn segments_deleted(timerange: &str, object_id: Option<&str>, count: u64) -> Event {
    SegmentsDeleted {
        flow_id: FLOW,
        source_id: SOURCE,
        collected_by: Membership::default(),
        timerange: range(timerange),
        object_id: object_id.map(object),
        count,
    }
    .into()
}

/// [`FLOW`] with one segment for each range, of objects `o1`, `o2` and so on.
pub fn flow_with_segments<const N: usize>(ranges: [&str; N]) -> Vec<Event> {
    let names: Vec<_> = (1..=N).map(|number| format!("o{number}")).collect();
    let segments = names.iter().zip(ranges).map(|(name, range)| stored_segment(name, range));
    [flow_with_source(FLOW, SOURCE), vec![segments_added(FLOW, SOURCE, segments)]].concat()
}

// Commands.

/// What a client sends to create [`stored_flow`].
pub fn metadata(source_id: SourceId) -> FlowMetadata {
    FlowMetadata {
        source_id,
        label: None,
        description: None,
        created_by: None,
        updated_by: None,
        tags: Tags::new(),
        metadata_version: None,
        generation: None,
        status: None,
        read_only: None,
        max_bit_rate: None,
        flow_collection: None,
        technical: Technical::Own(Box::new(technical(Format::Data))),
    }
}

pub fn technical(format: Format) -> TechnicalMetadata {
    TechnicalMetadata {
        format,
        codec: None,
        container: text("application/json"),
        avg_bit_rate: None,
        segment_duration: None,
        container_mapping: None,
        essence_parameters: None,
    }
}

pub fn put_flow(flow_id: FlowId, metadata: FlowMetadata) -> Command {
    Command::PutFlow(Box::new(PutFlow { flow_id, expected: Expected::Any, metadata }))
}

pub fn set(flow_id: FlowId, property: FlowProperty) -> Command {
    Command::SetFlowProperty(SetFlowProperty { flow_id, property })
}

pub fn set_source(source_id: SourceId, property: SourceProperty) -> Command {
    Command::SetSourceProperty(SetSourceProperty { source_id, property })
}

pub fn delete_flow(flow_id: FlowId) -> Command {
    Command::DeleteFlow(deletion_of(flow_id))
}

/// For good, with all that depends on it, and at once.
pub fn deletion_of(flow_id: FlowId) -> DeleteFlow {
    DeleteFlow { flow_id, cascade: Cascade::Yes, manner: Manner::ForGood, patience: patience(1000) }
}

pub fn patience(segments: usize) -> Patience {
    Patience { segments, request_id: DELETION }
}

pub fn allocate<const N: usize>(flow_id: impl Into<Option<FlowId>>, object_ids: [&str; N]) -> Command {
    Command::AllocateStorage(allocation(flow_id, object_ids))
}

pub fn allocation<const N: usize>(flow_id: impl Into<Option<FlowId>>, object_ids: [&str; N]) -> AllocateStorage {
    AllocateStorage {
        flow_id: flow_id.into(),
        object_ids: object_ids.map(object).to_vec(),
        chosen_by: ChosenBy::Client,
        storage_id: BACKEND,
        storage_tags: Tags::new(),
        content_type: None,
    }
}

pub fn new_segment(object_id: &str, timerange: &str) -> NewSegment {
    NewSegment {
        object_id: object(object_id),
        timerange: range(timerange),
        ts_offset: Timestamp::ZERO,
        object_timerange: None,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        key_frame_count: None,
        init_object_id: None,
        get_urls: Vec::new(),
    }
}

pub fn new_segment_with_init(object_id: &str, init: &str, timerange: &str) -> NewSegment {
    NewSegment { init_object_id: Some(object(init)), ..new_segment(object_id, timerange) }
}

pub fn located(url: &str, label: &str) -> UncontrolledInstance {
    UncontrolledInstance { url: url.to_owned(), label: label.to_owned() }
}

pub fn post_one(flow_id: FlowId, segment: NewSegment) -> Command {
    post(flow_id, vec![Ok(segment)], RequestShape::Single)
}

pub fn post_list(flow_id: FlowId, segments: impl IntoIterator<Item = NewSegment>) -> Command {
    post(flow_id, segments.into_iter().map(Ok).collect(), RequestShape::List)
}

pub fn post(flow_id: FlowId, segments: Vec<Result<NewSegment, SegmentFailure>>, shape: RequestShape) -> Command {
    Command::PostSegments(PostSegments { flow_id, segments, shape, reserved_labels: reserved_labels() })
}

pub fn reserved_labels() -> Arc<[String]> {
    Arc::from([BACKEND_LABEL.to_owned()])
}

pub fn delete_segments(flow_id: FlowId, timerange: &str, object_id: Option<&str>) -> Command {
    Command::DeleteSegments(DeleteSegments {
        flow_id,
        timerange: range(timerange),
        object_id: object_id.map(object),
        patience: patience(1000),
    })
}

/// Gives up those of these objects that nothing has referred to since before this moment.
pub fn condemn<const N: usize>(object_ids: [&str; N], before: Instant) -> Command {
    Command::CondemnObjects(CondemnObjects {
        object_ids: object_ids.map(object).to_vec(),
        unregistered_before: before,
        unreferenced_before: before,
    })
}

// What the state shows.

/// Objects and ranges of a Flow's segments.
pub fn listed(state: &State, flow_id: FlowId) -> Vec<(String, String)> {
    let inventory = state.inventory();
    let slot = inventory.flow(flow_id).into_iter();
    let segments = slot.flat_map(|slot| inventory.segments(slot, &TimeRange::ETERNITY));
    segments.map(|segment| (inventory.object_id(segment.object).to_string(), segment.timerange.to_string())).collect()
}

/// What is known of an object; `None` if nothing is.
pub fn known(state: &State, object_id: &str) -> Option<Object> {
    let inventory = state.inventory();
    inventory.object_slot(&object(object_id)).map(|slot| inventory.object(slot))
}

/// The Flows that use an object, and the one that did first.
pub fn users(state: &State, object_id: &str) -> (Vec<FlowId>, Option<FlowId>) {
    let flow = |slot| state.inventory().flow_id(slot).unwrap();
    let known = known(state, object_id).unwrap();
    let first = match known.state {
        ObjectState::Registered { first, .. } | ObjectState::Init { first, .. } => first.map(flow),
        ObjectState::Allocated { .. } | ObjectState::Unreferenced { .. } | ObjectState::Condemned => None,
    };
    (known.uses().iter().map(|usage| flow(usage.flow)).collect(), first)
}
