//! What the past is put together from: versions of metadata, and stretches of timelines, each by resource and place.
//!
//! Metadata change seldom, so their versions are kept whole. Segments are many, so it is not they that are kept but
//! which event added or deleted some in which stretch of a timeline: one entry for each event, however many segments it
//! has. What stands in the event is read from the log when it is asked for.

use fjall::{Database, Iter, Keyspace, OwnedWriteBatch};
use serde::de::DeserializeOwned;
use tapelog_events::{
    Commit, Event, Flow, FlowId, Instance, Instant, ObjectId, SegmentsAdded, Seq, Source, SourceId, Tags, codec,
};

mod key;
mod span;

use super::store::options;
use super::thing::Thing;
use key::{Key, PLACE_BYTES, damaged, moment_in, place_in};
pub(super) use span::{Kind, Span, Stretch};

/// Where an event stands: its record, its commit there, and its own index. Ordered as they came about.
pub(super) type Place = (Seq, u32, u32);

/// The places after the first and before the second.
pub(super) type Between = (Place, Place);

/// Before every event.
pub(super) const BEGINNING: Place = (Seq::ZERO, 0, 0);

/// Kinds of entries of the keyspace of documents.
mod document {
    pub const FLOW: u8 = b'f';
    pub const SOURCE: u8 = b's';
    pub const SEGMENT_TAGS: u8 = b't';
    pub const INSTANCE: u8 = b'i';
}

/// Kinds of entries of the keyspace of relations.
mod relation {
    /// A Flow began or ended.
    pub const LIFE: u8 = b'l';
    /// Segments of a Flow changed.
    pub const CHANGE: u8 = b'c';
    /// A Flow belonged to a Source.
    pub const OF_SOURCE: u8 = b's';
    /// A Flow collected another.
    pub const COLLECTOR: u8 = b'm';
}

/// What began or ended of a Flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Created,
    /// Put aside, with its segments.
    Trashed,
    /// Back, with its segments.
    Restored,
    /// Gone for good, with its segments.
    Deleted,
}

impl Life {
    const ALL: [Self; 4] = [Self::Created, Self::Trashed, Self::Restored, Self::Deleted];
}

/// What happened to the instances of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum InstanceChange {
    /// A segment came that names them all: the event says which.
    Listed(Place),
    Added(Instance),
    Removed(Instance),
}

const LISTED: u8 = 0;
const ADDED: u8 = 1;
const REMOVED: u8 = 2;

/// Versions of metadata, and stretches of timelines. What is read here blocks.
pub(super) struct Versions {
    documents: Keyspace,
    relations: Keyspace,
    spans: Keyspace,
}

impl Versions {
    /// Opens them.
    pub fn open(database: &Database) -> Result<Self, fjall::Error> {
        let open = |name| database.keyspace(name, options);
        Ok(Self { documents: open("documents")?, relations: open("relations")?, spans: open("spans")? })
    }

    /// Enters what a commit changed.
    pub fn index(
        &self,
        batch: &mut OwnedWriteBatch,
        seq: Seq,
        commit_index: u32,
        commit: &Commit,
    ) -> Result<(), fjall::Error> {
        let mut writer = Writer { versions: self, batch };
        for (number, event) in (0..).zip(&commit.events) {
            writer.index((seq, commit_index, number), commit.at, event);
        }
        Ok(())
    }

    /// A Flow as it was right before this place; `None` where it was not there to be seen.
    pub fn flow_before(&self, id: FlowId, place: Place) -> Result<Option<Flow>, fjall::Error> {
        self.version_before(Key::new(document::FLOW).uuid(id.as_uuid()), place)
    }

    /// A Source as it was right before this place; `None` where it was not there to be seen.
    pub fn source_before(&self, id: SourceId, place: Place) -> Result<Option<Source>, fjall::Error> {
        self.version_before(Key::new(document::SOURCE).uuid(id.as_uuid()), place)
    }

    fn version_before<T: DeserializeOwned>(&self, of: Key, place: Place) -> Result<Option<T>, fjall::Error> {
        let versions = range(&self.documents, &of.clone().place(BEGINNING), &of.place(place));
        let Some(last) = { versions }.next_back() else { return Ok(None) };
        let value = last.value()?;
        if value.is_empty() { Ok(None) } else { decode(&value).map(Some) }
    }

    /// Every Flow as it was right before this place. The cost grows with the Flows that there ever were, and not with
    /// their versions.
    pub fn flows_before(&self, place: Place) -> Result<Vec<Flow>, fjall::Error> {
        self.all_before(document::FLOW, place)
    }

    /// Every Source as it was right before this place.
    pub fn sources_before(&self, place: Place) -> Result<Vec<Source>, fjall::Error> {
        self.all_before(document::SOURCE, place)
    }

    fn all_before<T: DeserializeOwned>(&self, kind: u8, place: Place) -> Result<Vec<T>, fjall::Error> {
        let mut all = Vec::new();
        let end = Key::new(kind + 1);
        let mut from = Key::new(kind);
        while let Some(first) = range(&self.documents, &from, &end).next() {
            let key = first.key()?;
            let of = Key::from(key.get(..key.len() - PLACE_BYTES).ok_or_else(damaged)?);
            all.extend(self.version_before(of.clone(), place)?);
            from = of.after();
        }
        Ok(all)
    }

    /// What began and ended of a Flow before this place, the last first.
    pub fn lives(&self, id: FlowId, before: Place) -> impl Iterator<Item = Result<(Place, Life), fjall::Error>> {
        let of = Key::new(relation::LIFE).uuid(id.as_uuid());
        range(&self.relations, &of.clone().place(BEGINNING), &of.place(before)).rev().map(|entry| {
            let (key, value) = entry.into_inner()?;
            let life = value.first().and_then(|number| Life::ALL.get(usize::from(*number)));
            Ok((place_in(&key)?, *life.ok_or_else(damaged)?))
        })
    }

    /// Where the Flow was created that there was before this place, whether or not it was put aside meanwhile.
    pub fn birth(&self, id: FlowId, before: Place) -> Result<Option<Place>, fjall::Error> {
        for entry in self.lives(id, before) {
            match entry? {
                (place, Life::Created) => return Ok(Some(place)),
                (_, Life::Deleted) => return Ok(None),
                (_, Life::Trashed | Life::Restored) => {}
            }
        }
        Ok(None)
    }

    /// When the segments of a Flow changed last between these places.
    pub fn segments_updated(&self, id: FlowId, (from, to): Between) -> Result<Option<Instant>, fjall::Error> {
        let of = Key::new(relation::CHANGE).uuid(id.as_uuid());
        let Some(last) = range(&self.relations, &of.clone().place(from), &of.place(to)).next_back() else {
            return Ok(None);
        };
        let micros = last.value()?.as_ref().try_into().map_err(|_| damaged())?;
        Ok(Some(Instant::from_micros(i64::from_be_bytes(micros))))
    }

    /// The Flows that ever belonged to a Source.
    pub fn flows_ever_of(&self, id: SourceId) -> Result<Vec<FlowId>, fjall::Error> {
        self.related(&Key::new(relation::OF_SOURCE).uuid(id.as_uuid()))
    }

    /// The Flows that ever collected a Flow.
    pub fn collectors_ever_of(&self, id: FlowId) -> Result<Vec<FlowId>, fjall::Error> {
        self.related(&Key::new(relation::COLLECTOR).uuid(id.as_uuid()))
    }

    fn related(&self, to: &Key) -> Result<Vec<FlowId>, fjall::Error> {
        let id_in = |key: &[u8]| key.last_chunk().map(|bytes| FlowId::from_uuid(uuid::Uuid::from_bytes(*bytes)));
        let ids = self.relations.prefix(to).map(|entry| id_in(&entry.key()?).ok_or_else(damaged));
        ids.collect()
    }

    /// The tags that segments of a Flow were given which start in a stretch, between these places, in order of start and
    /// place.
    pub fn segment_tags(
        &self,
        id: FlowId,
        stretch: Stretch,
        (from, to): Between,
    ) -> impl Iterator<Item = Result<(i128, Place, Tags), fjall::Error>> {
        let of = Key::new(document::SEGMENT_TAGS).uuid(id.as_uuid());
        let entries = range(&self.documents, &of.clone().moment(stretch.from), &of.moment(stretch.to));
        let placed = entries.map(move |entry| {
            let (key, value) =
                entry.into_inner_if(|key| place_in(key).is_ok_and(|place| from < place && place < to))?;
            let Some(value) = value else { return Ok(None) };
            Ok(Some((moment_in(&key)?, place_in(&key)?, decode(&value)?)))
        });
        placed.filter_map(Result::transpose)
    }

    /// What happened to the instances of an object between these places, the last first.
    pub fn instance_changes(
        &self,
        id: &ObjectId,
        (from, to): Between,
    ) -> impl Iterator<Item = Result<InstanceChange, fjall::Error>> {
        let of = Key::new(document::INSTANCE).bytes(&hash_of(id));
        let after = (from.0, from.1, from.2.saturating_add(1));
        range(&self.documents, &of.clone().place(after), &of.place(to)).rev().map(|entry| {
            let (key, value) = entry.into_inner()?;
            match value.split_first() {
                Some((&LISTED, [])) => Ok(InstanceChange::Listed(place_in(&key)?)),
                Some((&ADDED, instance)) => Ok(InstanceChange::Added(decode(instance)?)),
                Some((&REMOVED, instance)) => Ok(InstanceChange::Removed(decode(instance)?)),
                Some(_) | None => Err(damaged()),
            }
        })
    }
}

/// Entries from the first key on and before the second; none where that is not after the first.
fn range(keyspace: &Keyspace, from: &Key, to: &Key) -> std::iter::Flatten<std::option::IntoIter<Iter>> {
    let entries = (from.as_ref() < to.as_ref()).then(|| keyspace.range::<&[u8], _>(from.as_ref()..to.as_ref()));
    entries.into_iter().flatten()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, fjall::Error> {
    codec::decode_value(bytes).map_err(|_| damaged())
}

/// An object in 16 bytes.
fn hash_of(id: &ObjectId) -> [u8; 16] {
    let (_, name) = Thing::Object(id).name();
    name
}

/// Enters events.
struct Writer<'a> {
    versions: &'a Versions,
    batch: &'a mut OwnedWriteBatch,
}

impl Writer<'_> {
    fn index(&mut self, place: Place, at: Instant, event: &Event) {
        match event {
            Event::SourceCreated(event) => self.source(place, event.source.id, Some(&event.source)),
            Event::SourceUpdated(event) => self.source(place, event.source.id, Some(&event.source)),
            Event::SourceDeleted(event) => self.source(place, event.source_id, None),
            Event::FlowCreated(event) => {
                self.life(place, event.flow.id, Life::Created);
                self.flow(place, &event.flow);
            }
            Event::FlowUpdated(event) => self.flow(place, &event.flow),
            Event::FlowDeleted(event) => {
                self.life(place, event.flow_id, Life::Deleted);
                self.no_flow(place, event.flow_id);
            }
            Event::FlowTrashed(event) => {
                self.life(place, event.flow_id, Life::Trashed);
                self.no_flow(place, event.flow_id);
            }
            Event::FlowRestored(event) => {
                self.life(place, event.flow.id, Life::Restored);
                self.flow(place, &event.flow);
            }
            // It was not there to be seen any more.
            Event::FlowPurged(event) => self.life(place, event.flow_id, Life::Deleted),
            Event::SegmentsAdded(event) => {
                self.change(place, event.flow_id, at);
                let span = Span::of_added(place, event);
                self.batch.insert(&self.versions.spans, span.key(event.flow_id), span.value());
                self.listed_instances(place, event);
            }
            Event::SegmentsDeleted(event) => {
                self.change(place, event.flow_id, at);
                let span = Span::of_deleted(place, event);
                self.batch.insert(&self.versions.spans, span.key(event.flow_id), span.value());
            }
            Event::SegmentTagged(event) => {
                let of = Key::new(document::SEGMENT_TAGS).uuid(event.flow_id.as_uuid());
                let key = of.moment(event.start.as_nanos()).place(place);
                self.batch.insert(&self.versions.documents, key, codec::encode_value(&event.tags));
            }
            Event::InstanceAdded(event) => self.instance(place, &event.object_id, ADDED, &event.instance),
            Event::InstanceRemoved(event) => self.instance(place, &event.object_id, REMOVED, &event.instance),
            Event::LogStarted(_)
            | Event::ServiceUpdated(_)
            | Event::ObjectsAllocated(_)
            | Event::ObjectsCondemned(_)
            | Event::ObjectsDeleted(_)
            | Event::ProfileCreated(_)
            | Event::InstanceErased(_)
            | Event::CopyRequested(_)
            | Event::CopyFailed(_)
            | Event::DeletionRequested(_)
            | Event::DeletionAdvanced(_)
            | Event::DeletionForgotten(_)
            | Event::WebhookCreated(_)
            | Event::WebhookUpdated(_)
            | Event::WebhookDeleted(_)
            | Event::AccountSet(_)
            | Event::AccountDeleted(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_)
            | Event::DeadLettered(_)
            | Event::RedeliveryRequested(_)
            | Event::DeadLetterResolved(_)
            | Event::ReplayRequested(_) => {}
        }
    }

    fn source(&mut self, place: Place, id: SourceId, source: Option<&Source>) {
        let key = Key::new(document::SOURCE).uuid(id.as_uuid()).place(place);
        let version = source.map(codec::encode_value).unwrap_or_default();
        self.batch.insert(&self.versions.documents, key, version);
    }

    fn flow(&mut self, place: Place, flow: &Flow) {
        let id = flow.id.as_uuid();
        let key = Key::new(document::FLOW).uuid(id).place(place);
        self.batch.insert(&self.versions.documents, key, codec::encode_value(flow));
        let of_source = Key::new(relation::OF_SOURCE).uuid(flow.source_id.as_uuid());
        let collector = flow.members().iter().map(|member| Key::new(relation::COLLECTOR).uuid(member.id.as_uuid()));
        for to in std::iter::once(of_source).chain(collector) {
            self.batch.insert(&self.versions.relations, to.uuid(id), []);
        }
    }

    fn no_flow(&mut self, place: Place, id: FlowId) {
        let key = Key::new(document::FLOW).uuid(id.as_uuid()).place(place);
        self.batch.insert(&self.versions.documents, key, []);
    }

    fn life(&mut self, place: Place, id: FlowId, life: Life) {
        let key = Key::new(relation::LIFE).uuid(id.as_uuid()).place(place);
        self.batch.insert(&self.versions.relations, key, [life as u8]);
    }

    fn change(&mut self, place: Place, id: FlowId, at: Instant) {
        let key = Key::new(relation::CHANGE).uuid(id.as_uuid()).place(place);
        self.batch.insert(&self.versions.relations, key, at.as_micros().to_be_bytes());
    }

    fn instance(&mut self, place: Place, id: &ObjectId, change: u8, instance: &Instance) {
        let mut value = vec![change];
        value.extend(codec::encode_value(instance));
        let key = Key::new(document::INSTANCE).bytes(&hash_of(id)).place(place);
        self.batch.insert(&self.versions.documents, key, value);
    }

    /// A segment can give an object that is known one address more. What lies on a storage backend was allocated there,
    /// so that most stores have no such entries.
    fn listed_instances(&mut self, place: Place, event: &SegmentsAdded) {
        let has_address = |numbers: &[u32]| {
            let mut instances = numbers.iter().filter_map(|number| event.instances.get(*number as usize));
            instances.any(|instance| matches!(instance, Instance::Uncontrolled { .. }))
        };
        let media = event.segments.iter().map(|segment| (&segment.object_id, &segment.instances));
        let init = event.init_objects.iter().map(|init| (&init.object_id, &init.instances));
        for (id, _) in media.chain(init).filter(|(_, numbers)| has_address(numbers)) {
            let key = Key::new(document::INSTANCE).bytes(&hash_of(id)).place(place);
            self.batch.insert(&self.versions.documents, key, [LISTED]);
        }
    }
}
