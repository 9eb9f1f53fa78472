//! Writes a log by having commands decided, and applies it to tables.

use std::sync::Arc;

use tapelog_commands::{
    AllocateStorage, Cascade, ChosenBy, Command, DeleteFlow, DeleteSegments, Expected, FlowMetadata, FlowProperty,
    Handled, IdempotencyKey, Manner, NewSegment, Patience, PostSegments, PutFlow, Request, RequestShape,
    SetFlowProperty, State, Technical, UncontrolledInstance, handle,
};
use tapelog_events::{
    Access, ChainHash, CollectionItem, Commit, CommitId, DeletionRequestId, Event, FlowId, Format, Incarnation,
    Instant, LogStarted, ObjectId, Permission, Record, SourceId, StorageId, TagValue, Tags, TechnicalMetadata,
    TimeRange, Timestamp, codec,
};
use tapelog_projections::{Direction, Paging, Tables};
use tapelog_store::log::Head;
use uuid::Uuid;

/// A UUID of the form that TAMS allows.
pub fn uuid(number: u32) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | u128::from(number))
}

pub fn flow(number: u32) -> FlowId {
    FlowId::from_uuid(uuid(0xf000 + number))
}

pub fn source(number: u32) -> SourceId {
    SourceId::from_uuid(uuid(0xa000 + number))
}

pub fn object(name: impl ToString) -> ObjectId {
    name.to_string().parse().unwrap()
}

pub fn range(text: &str) -> TimeRange {
    text.parse().unwrap()
}

pub fn first_page(limit: usize) -> Paging<'static> {
    Paging { direction: Direction::Usual, cursor: None, limit }
}

pub fn reversed(limit: usize) -> Paging<'static> {
    Paging { direction: Direction::Reversed, cursor: None, limit }
}

/// A log that is written command by command, with the tables that follow it.
pub struct Scribe {
    state: State,
    now: i64,
    pub tables: Tables,
    pub records: Vec<(Head, Record)>,
}

impl Scribe {
    pub fn new() -> Self {
        let mut scribe = Self { state: State::default(), now: 0, tables: Tables::new(), records: Vec::new() };
        let event = Event::from(LogStarted { incarnation: Incarnation::from_uuid(uuid(1)) });
        let commit = Commit {
            id: CommitId::from_uuid(uuid(0)),
            at: Instant::default(),
            actor: "test".to_owned(),
            request_id: None,
            idempotency: None,
            events: vec![event],
        };
        scribe.state.fold(&commit).unwrap();
        scribe.append(vec![commit]);
        scribe
    }

    fn append(&mut self, commits: Vec<Commit>) {
        let record = Record { format: codec::FORMAT, prev_hash: self.tables.hash(), commits };
        let hash = ChainHash::of(&codec::encode(&record));
        let head = Head { seq: self.tables.position().next(), hash };
        self.tables.apply(head, &record).unwrap();
        self.records.push((head, record));
    }

    fn next_request(&mut self, command: Command, idempotency: Option<IdempotencyKey>) -> Request {
        self.now += 1_000_000;
        let commit_id = CommitId::from_uuid(uuid(self.now as u32));
        request(command, commit_id, idempotency)
    }

    /// Asks, and says what came of it.
    pub fn ask(&mut self, command: Command) -> Handled {
        self.ask_with_key(command, None)
    }

    pub fn ask_with_key(&mut self, command: Command, key: Option<u8>) -> Handled {
        let idempotency = key.map(|key| IdempotencyKey { key: [key; 32], request: [0; 32] });
        let request = self.next_request(command, idempotency);
        let handled = handle(&mut self.state, &request, Instant::from_micros(self.now)).unwrap();
        if let Handled::Commit(commit, _) = &handled {
            self.append(vec![(**commit).clone()]);
        }
        handled
    }

    /// Asks for what must lead to something.
    #[track_caller]
    pub fn write(&mut self, command: Command) -> &mut Self {
        let handled = self.ask(command);
        assert!(matches!(handled, Handled::Commit(..)), "{handled:?}");
        self
    }

    /// The moment of the last command.
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }
}

/// A request of somebody who may do everything.
pub fn request(command: Command, commit_id: CommitId, idempotency: Option<IdempotencyKey>) -> Request {
    let (actor, access) = ("test".to_owned(), Arc::default());
    Request { command, commit_id, actor, access, request_id: None, idempotency }
}

/// May read resources of this class, and everything of none.
pub fn reader_of(class: &str) -> Arc<Access> {
    Arc::new(Access::Classes([(class.to_owned(), [Permission::Read].into())].into()))
}

/// So many segments may go at once.
pub fn patience(segments: usize, request: u32) -> Patience {
    Patience { segments, request_id: DeletionRequestId::from_uuid(uuid(0xd000_0000 + request)) }
}

/// Metadata with nothing that can be left out.
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
        container: Some("application/json".to_owned()),
        avg_bit_rate: None,
        segment_duration: None,
        container_mapping: None,
        essence_parameters: None,
    }
}

pub fn put(flow_id: FlowId, metadata: FlowMetadata) -> Command {
    Command::PutFlow(Box::new(PutFlow { flow_id, expected: Expected::Any, metadata }))
}

pub fn labelled(flow_id: FlowId, source_id: SourceId, label: Option<&str>) -> Command {
    put(flow_id, FlowMetadata { label: label.map(str::to_owned), ..metadata(source_id) })
}

pub fn collecting(flow_id: FlowId, source_id: SourceId, members: &[FlowId]) -> Command {
    let members = members.iter().map(|id| CollectionItem { id: *id, role: None, container_mapping: None });
    put(flow_id, FlowMetadata { flow_collection: Some(members.collect()), ..metadata(source_id) })
}

pub fn set(flow_id: FlowId, property: FlowProperty) -> Command {
    Command::SetFlowProperty(SetFlowProperty { flow_id, property })
}

pub fn tag(name: &str, value: TagValue) -> FlowProperty {
    FlowProperty::Tag(name.to_owned(), Some(value))
}

pub fn delete(flow_id: FlowId) -> Command {
    delete_in(flow_id, Manner::ForGood)
}

pub fn delete_in(flow_id: FlowId, manner: Manner) -> Command {
    Command::DeleteFlow(DeleteFlow { flow_id, cascade: Cascade::Yes, manner, patience: patience(usize::MAX, 0) })
}

pub fn backend(number: u32) -> StorageId {
    StorageId::from_uuid(uuid(0xb + number))
}

pub fn allocate(flow_id: FlowId, object_ids: Vec<ObjectId>) -> Command {
    Command::AllocateStorage(AllocateStorage {
        flow_id: Some(flow_id),
        object_ids,
        chosen_by: ChosenBy::Client,
        storage_id: backend(0),
        storage_tags: Tags::new(),
        content_type: None,
    })
}

/// A segment whose object lies elsewhere, and so need not be allocated.
pub fn new_segment(object_id: ObjectId, timerange: TimeRange) -> NewSegment {
    let address = UncontrolledInstance { url: "https://example.com/a".to_owned(), label: "a".to_owned() };
    NewSegment {
        object_id,
        timerange,
        ts_offset: Timestamp::ZERO,
        object_timerange: None,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        key_frame_count: None,
        init_object_id: None,
        get_urls: vec![address],
    }
}

pub fn post(flow_id: FlowId, segments: Vec<NewSegment>) -> Command {
    Command::PostSegments(PostSegments {
        flow_id,
        segments: segments.into_iter().map(Ok).collect(),
        shape: RequestShape::List,
        reserved_labels: Vec::new().into(),
    })
}

/// One segment with an object of its own for each range.
pub fn post_ranges(flow_id: FlowId, ranges: &[&str]) -> Command {
    let segments = ranges.iter().map(|text| new_segment(object(format!("{flow_id} {text}")), range(text)));
    post(flow_id, segments.collect())
}

pub fn delete_segments(flow_id: FlowId, timerange: &str) -> Command {
    let timerange = range(timerange);
    let patience = patience(usize::MAX, 0);
    Command::DeleteSegments(DeleteSegments { flow_id, timerange, object_id: None, patience })
}
