//! What decisions need to know: a fold of the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_events::{
    AUTH_CLASSES, Commit, Event, Flow, FlowId, Idempotency, Incarnation, Instant, Membership, ObjectId, Source,
    SourceCollectionItem, SourceId,
};

use crate::inventory::{Contradiction, Inventory};
use crate::memory::Memory;
use crate::registry::{Registry, RegistryParts, TrashedFlow};

/// An event that cannot have happened after those before it: the log, or the code that reads it, is broken. Whoever
/// meets one stops.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Corrupt {
    /// What is stored refutes the event.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The event counted other segments than are there.
    #[error("event deleted {recorded} segments of flow {flow_id}, but {found} lie there")]
    DeletedCount {
        /// The Flow.
        flow_id: FlowId,
        /// What the event says.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// An event about a Source that does not exist (L8).
    #[error("event names the unknown source {0} (L8)")]
    UnknownSource(SourceId),
    /// A Source that still has Flows was deleted (L8).
    #[error("event deletes the source {0}, which still has flows (L8)")]
    SourceInUse(SourceId),
    /// A Source was created that exists.
    #[error("event creates the source {0}, which exists")]
    SourceExists(SourceId),
    /// A Flow was created that exists.
    #[error("event creates the flow {0}, which exists")]
    FlowExists(FlowId),
    /// The id of an object was given out that exists (L7).
    #[error("event allocates the object {0}, which exists (L7)")]
    ObjectExists(ObjectId),
}

/// A Flow as decisions see it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowState {
    /// Its metadata.
    pub flow: Arc<Flow>,
    /// When its segments changed last.
    pub segments_updated: Option<Instant>,
    /// The Flows that collect it.
    pub collected_by: BTreeSet<FlowId>,
}

/// A Source as decisions see it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceState {
    /// Its metadata.
    pub source: Arc<Source>,
    /// Its Flows.
    pub flows: BTreeSet<FlowId>,
}

/// What a [`State`] consists of.
#[derive(Debug, Default)]
pub struct StateParts {
    /// Which life of the log it is of.
    pub incarnation: Option<Incarnation>,
    /// The store's name.
    pub name: Option<String>,
    /// The store's description.
    pub description: Option<String>,
    /// When the last commit was decided.
    pub time: Instant,
    /// Flows, each with when its segments changed last.
    pub flows: Vec<(Flow, Option<Instant>)>,
    /// Sources.
    pub sources: Vec<Source>,
    /// Objects and segments.
    pub inventory: Inventory,
    /// Answers by idempotency key.
    pub memory: Memory,
    /// Profiles, webhooks and what else there is little of.
    pub registry: RegistryParts,
}

/// How to undo one change.
#[derive(Debug, Clone)]
enum Undo {
    Flow(FlowId, Option<FlowState>),
    Source(SourceId, Option<SourceState>),
    Service(Option<String>, Option<String>),
    Time(Instant),
    Remembered,
    Incarnation(Option<Incarnation>),
}

/// What decisions need to know: a fold of the log.
#[derive(Debug, Clone, Default)]
pub struct State {
    incarnation: Option<Incarnation>,
    name: Option<String>,
    description: Option<String>,
    flows: HashMap<FlowId, FlowState>,
    sources: HashMap<SourceId, SourceState>,
    inventory: Inventory,
    memory: Memory,
    registry: Registry,
    time: Instant,
    journal: Option<Vec<Undo>>,
}

impl State {
    /// Which life of the log this is; `None` before its first record.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// The store's name and description.
    pub fn service(&self) -> (Option<&str>, Option<&str>) {
        (self.name.as_deref(), self.description.as_deref())
    }

    /// A Flow.
    pub fn flow(&self, id: FlowId) -> Option<&FlowState> {
        self.flows.get(&id)
    }

    /// A Source.
    pub fn source(&self, id: SourceId) -> Option<&SourceState> {
        self.sources.get(&id)
    }

    /// Objects and segments.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// When the last commit was decided. Time never runs backwards along the log.
    pub fn time(&self) -> Instant {
        self.time
    }

    /// What was answered under an idempotency key.
    pub fn remembered(&self, key: &[u8; 32]) -> Option<&Idempotency> {
        self.memory.get(key)
    }

    /// What was answered under every remembered idempotency key.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Profiles, webhooks and what else there is little of.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Every Flow, in no order that means anything.
    pub fn flows(&self) -> impl Iterator<Item = &FlowState> {
        self.flows.values()
    }

    /// Every Source, in no order that means anything.
    pub fn sources(&self) -> impl Iterator<Item = &SourceState> {
        self.sources.values()
    }

    /// The state that consists of these parts: for one that is read from a checkpoint.
    ///
    /// # Errors
    /// When the parts contradict each other.
    pub fn restore(parts: StateParts) -> Result<Self, Corrupt> {
        let StateParts { incarnation, name, description, time, flows, sources, inventory, memory, registry } = parts;
        let registry = Registry::from(registry);
        let mut state = Self { incarnation, name, description, time, inventory, memory, registry, ..Self::default() };
        for (id, _) in state.registry.trash.iter() {
            state.inventory.create_flow(*id);
            state.inventory.hide_flow(*id);
        }
        for source in sources {
            state.put_source(source.id, Some(SourceState { source: Arc::new(source), flows: BTreeSet::new() }));
        }
        let flows: Vec<_> = flows.into_iter().map(|(flow, updated)| (Arc::new(flow), updated)).collect();
        for (flow, segments_updated) in &flows {
            state.inventory.create_flow(flow.id);
            state.change_source(flow.source_id, |source| {
                source.flows.insert(flow.id);
            })?;
            let flow = FlowState {
                flow: Arc::clone(flow),
                segments_updated: *segments_updated,
                collected_by: BTreeSet::new(),
            };
            state.put_flow(flow.flow.id, Some(flow));
        }
        for (flow, _) in &flows {
            state.link_members(flow, Link::Make)?;
        }
        Ok(state)
    }

    /// What collects a Flow, what collects its Source, and its classes: for an event that does not hold the Flow itself.
    pub fn membership(&self, flow: &FlowState) -> Membership {
        Membership { auth_classes: flow.flow.tags.get(AUTH_CLASSES).cloned(), ..self.collectors(flow) }
    }

    /// What collects a Flow, and what collects its Source: for an event that holds the Flow.
    pub fn collectors(&self, flow: &FlowState) -> Membership {
        Membership {
            flow: flow.collected_by.iter().copied().collect(),
            source: self.collectors_of_source(flow.flow.source_id),
            auth_classes: None,
        }
    }

    /// The same of a Flow to come, which nothing collects yet.
    pub fn collectors_of_new(&self, flow: &Flow) -> Membership {
        Membership { flow: Vec::new(), source: self.collectors_of_source(flow.source_id), auth_classes: None }
    }

    /// The Sources that collect a Source: those of the Flows that collect its Flows (section 4).
    pub fn collectors_of_source(&self, id: SourceId) -> Vec<SourceId> {
        let flows = self.sources.get(&id).into_iter().flat_map(|source| &source.flows);
        let collectors: BTreeSet<SourceId> = flows
            .filter_map(|flow| self.flows.get(flow))
            .flat_map(|flow| &flow.collected_by)
            .filter_map(|collector| self.flows.get(collector))
            .map(|collector| collector.flow.source_id)
            .collect();
        collectors.into_iter().collect()
    }

    /// The Sources that a Source collects: those of the Flows that its Flows collect (section 4).
    pub fn collection_of_source(&self, id: SourceId) -> Vec<SourceCollectionItem> {
        let flows = self.sources.get(&id).into_iter().flat_map(|source| &source.flows);
        let members = flows.filter_map(|flow| self.flows.get(flow)).flat_map(|flow| flow.flow.members());
        let mut collection = Vec::new();
        for member in members {
            if let Some(flow) = self.flows.get(&member.id) {
                let item = SourceCollectionItem { id: flow.flow.source_id, role: member.role.clone() };
                if !collection.contains(&item) {
                    collection.push(item);
                }
            }
        }
        collection
    }

    /// From here on, what is folded can be undone together.
    pub fn begin(&mut self) {
        self.journal = Some(Vec::new());
        self.inventory.begin();
        self.registry.begin();
    }

    /// What was folded since [`Self::begin`] stands.
    pub fn keep(&mut self) {
        self.journal = None;
        self.inventory.keep();
        self.registry.keep();
        self.memory.trim(self.time);
    }

    /// Undoes all that was folded since [`Self::begin`].
    pub fn rollback(&mut self) {
        self.inventory.rollback();
        self.registry.rollback();
        for undo in self.journal.take().into_iter().flatten().rev() {
            match undo {
                Undo::Flow(id, Some(flow)) => {
                    self.flows.insert(id, flow);
                }
                Undo::Flow(id, None) => {
                    self.flows.remove(&id);
                }
                Undo::Source(id, Some(source)) => {
                    self.sources.insert(id, source);
                }
                Undo::Source(id, None) => {
                    self.sources.remove(&id);
                }
                Undo::Service(name, description) => (self.name, self.description) = (name, description),
                Undo::Time(time) => self.time = time,
                Undo::Remembered => self.memory.forget_last(),
                Undo::Incarnation(incarnation) => self.incarnation = incarnation,
            }
        }
    }

    /// Takes a commit of the log into account.
    ///
    /// # Errors
    /// When it cannot have happened. The state is then of no further use.
    pub fn fold(&mut self, commit: &Commit) -> Result<(), Corrupt> {
        self.note(|state| Undo::Time(state.time));
        self.time = self.time.max(commit.at);
        for event in &commit.events {
            self.evolve(commit.at, event)?;
        }
        if let Some(entry) = &commit.idempotency {
            self.memory.remember(commit.at, entry);
            self.note(|_| Undo::Remembered);
        }
        if self.journal.is_none() {
            self.memory.trim(self.time);
        }
        Ok(())
    }

    fn evolve(&mut self, at: Instant, event: &Event) -> Result<(), Corrupt> {
        self.registry.evolve(at, event);
        match event {
            Event::LogStarted(event) => {
                self.note(|state| Undo::Incarnation(state.incarnation));
                self.incarnation = Some(event.incarnation);
            }
            Event::ServiceUpdated(event) => {
                self.note(|state| Undo::Service(state.name.clone(), state.description.clone()));
                self.name.clone_from(&event.name);
                self.description.clone_from(&event.description);
            }
            Event::SourceCreated(event) => {
                let id = event.source.id;
                if self.sources.contains_key(&id) {
                    return Err(Corrupt::SourceExists(id));
                }
                let source = SourceState { source: Arc::new(event.source.clone()), flows: BTreeSet::new() };
                self.put_source(id, Some(source));
            }
            Event::SourceUpdated(event) => {
                let id = event.source.id;
                self.change_source(id, |source| source.source = Arc::new(event.source.clone()))?;
            }
            Event::SourceDeleted(event) => {
                let id = event.source_id;
                let source = self.sources.get(&id).ok_or(Corrupt::UnknownSource(id))?;
                if !source.flows.is_empty() {
                    return Err(Corrupt::SourceInUse(id));
                }
                self.put_source(id, None);
            }
            Event::FlowCreated(event) => {
                let flow = Arc::new(event.flow.clone());
                if self.flows.contains_key(&flow.id) {
                    return Err(Corrupt::FlowExists(flow.id));
                }
                self.inventory.create_flow(flow.id);
                self.change_source(flow.source_id, |source| {
                    source.flows.insert(flow.id);
                })?;
                self.link_members(&flow, Link::Make)?;
                let state = FlowState { flow, segments_updated: None, collected_by: BTreeSet::new() };
                self.put_flow(event.flow.id, Some(state));
            }
            Event::FlowUpdated(event) => {
                let flow = Arc::new(event.flow.clone());
                let before = Arc::clone(&self.known_flow(flow.id)?.flow);
                self.link_members(&before, Link::Break)?;
                if before.source_id != flow.source_id {
                    self.leave_source(&before)?;
                    self.change_source(flow.source_id, |source| {
                        source.flows.insert(flow.id);
                    })?;
                }
                self.change_flow(flow.id, |state| state.flow = Arc::clone(&flow))?;
                self.link_members(&flow, Link::Make)?;
            }
            Event::FlowDeleted(event) => {
                let before = Arc::clone(&self.known_flow(event.flow_id)?.flow);
                self.link_members(&before, Link::Break)?;
                self.leave_source(&before)?;
                self.inventory.remove_flow(event.flow_id, at);
                self.put_flow(event.flow_id, None);
            }
            Event::ObjectsAllocated(event) => {
                let flow = event.flow_id.map(|id| self.slot(id)).transpose()?;
                for id in &event.object_ids {
                    if self.inventory.object_slot(id).is_some() {
                        return Err(Corrupt::ObjectExists(id.clone()));
                    }
                    self.inventory.allocate(id, flow, event.storage_id, at);
                }
            }
            Event::SegmentsAdded(event) => {
                let flow = self.slot(event.flow_id)?;
                self.inventory.add_all(flow, event)?;
                self.change_flow(event.flow_id, |flow| flow.segments_updated = Some(at))?;
            }
            Event::SegmentsDeleted(event) => {
                let slot = self.slot(event.flow_id)?;
                let found = self.inventory.delete_all(slot, event, at);
                if found != event.count {
                    return Err(Corrupt::DeletedCount { flow_id: event.flow_id, recorded: event.count, found });
                }
                self.change_flow(event.flow_id, |flow| flow.segments_updated = Some(at))?;
            }
            Event::SegmentTagged(event) => {
                let slot = self.slot(event.flow_id)?;
                self.inventory.tag_segment(slot, event.start, &event.tags)?;
            }
            Event::FlowTrashed(event) => {
                let FlowState { flow, segments_updated, .. } = self.known_flow(event.flow_id)?.clone();
                let source = self.sources.get(&flow.source_id).ok_or(Corrupt::UnknownSource(flow.source_id))?;
                let source = (*source.source).clone();
                self.link_members(&flow, Link::Break)?;
                self.leave_source(&flow)?;
                self.inventory.hide_flow(flow.id);
                self.put_flow(flow.id, None);
                self.registry.put_aside(TrashedFlow { flow: (*flow).clone(), segments_updated, source, at });
            }
            Event::FlowRestored(event) => {
                let flow = Arc::new(event.flow.clone());
                if self.flows.contains_key(&flow.id) {
                    return Err(Corrupt::FlowExists(flow.id));
                }
                self.registry.take_back(flow.id);
                self.inventory.show_flow(flow.id);
                self.change_source(flow.source_id, |source| {
                    source.flows.insert(flow.id);
                })?;
                self.link_members(&flow, Link::Make)?;
                let segments_updated = event.segments_updated;
                self.put_flow(flow.id, Some(FlowState { flow, segments_updated, collected_by: BTreeSet::new() }));
            }
            Event::FlowPurged(event) => {
                self.registry.take_back(event.flow_id);
                self.inventory.show_flow(event.flow_id);
                self.inventory.remove_flow(event.flow_id, at);
            }
            Event::InstanceAdded(event) => self.inventory.add_instance(&event.object_id, &event.instance)?,
            Event::InstanceRemoved(event) => self.inventory.remove_instance(&event.object_id, &event.instance)?,
            Event::ObjectsCondemned(event) => event.object_ids.iter().try_for_each(|id| self.inventory.condemn(id))?,
            Event::ObjectsDeleted(event) => event.object_ids.iter().try_for_each(|id| self.inventory.forget(id))?,
            Event::ProfileCreated(_)
            | Event::InstanceErased(_)
            | Event::CopyRequested(_)
            | Event::CopyFailed(_)
            | Event::DeletionRequested(_)
            | Event::DeletionAdvanced(_)
            | Event::DeletionForgotten(_)
            | Event::WebhookCreated(_)
            | Event::WebhookUpdated(_)
            | Event::WebhookDeleted(_)
            | Event::DeadLettered(_)
            | Event::RedeliveryRequested(_)
            | Event::DeadLetterResolved(_)
            | Event::ReplayRequested(_)
            | Event::AccountSet(_)
            | Event::AccountDeleted(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_) => {}
        }
        Ok(())
    }

    fn note(&mut self, undo: impl FnOnce(&Self) -> Undo) {
        if self.journal.is_some() {
            let undo = undo(self);
            self.journal.get_or_insert_default().push(undo);
        }
    }

    fn known_flow(&self, id: FlowId) -> Result<&FlowState, Corrupt> {
        self.flows.get(&id).ok_or(Corrupt::Contradiction(Contradiction::UnknownFlow(id)))
    }

    fn slot(&self, id: FlowId) -> Result<crate::inventory::FlowSlot, Corrupt> {
        self.inventory.flow(id).ok_or(Corrupt::Contradiction(Contradiction::UnknownFlow(id)))
    }

    fn put_flow(&mut self, id: FlowId, flow: Option<FlowState>) {
        let before = match flow {
            Some(flow) => self.flows.insert(id, flow),
            None => self.flows.remove(&id),
        };
        self.note(|_| Undo::Flow(id, before));
    }

    fn put_source(&mut self, id: SourceId, source: Option<SourceState>) {
        let before = match source {
            Some(source) => self.sources.insert(id, source),
            None => self.sources.remove(&id),
        };
        self.note(|_| Undo::Source(id, before));
    }

    fn change_flow(&mut self, id: FlowId, change: impl FnOnce(&mut FlowState)) -> Result<(), Corrupt> {
        let Some(flow) = self.flows.get_mut(&id) else {
            return Err(Corrupt::Contradiction(Contradiction::UnknownFlow(id)));
        };
        let before = self.journal.is_some().then(|| flow.clone());
        change(flow);
        if before.is_some() {
            self.note(|_| Undo::Flow(id, before));
        }
        Ok(())
    }

    fn change_source(&mut self, id: SourceId, change: impl FnOnce(&mut SourceState)) -> Result<(), Corrupt> {
        let source = self.sources.get_mut(&id).ok_or(Corrupt::UnknownSource(id))?;
        let before = self.journal.is_some().then(|| source.clone());
        change(source);
        if before.is_some() {
            self.note(|_| Undo::Source(id, before));
        }
        Ok(())
    }

    fn leave_source(&mut self, flow: &Flow) -> Result<(), Corrupt> {
        self.change_source(flow.source_id, |source| {
            source.flows.remove(&flow.id);
        })
    }

    /// Makes or breaks the inverse of a Flow's collection (L9).
    fn link_members(&mut self, flow: &Flow, link: Link) -> Result<(), Corrupt> {
        for member in flow.members() {
            self.change_flow(member.id, |state| {
                match link {
                    Link::Make => state.collected_by.insert(flow.id),
                    Link::Break => state.collected_by.remove(&flow.id),
                };
            })?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Link {
    Make,
    Break,
}
