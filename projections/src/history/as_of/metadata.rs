//! Metadata of Flows and Sources as they were, with those of the Flows and Sources that they are related to.

use std::collections::BTreeMap;
use std::sync::Arc;

use tapelog_commands::inventory::Inventory;
use tapelog_events::{Access, Flow, FlowId, Instant, Source, SourceId, TimeRange};

use super::{AsOfError, Question};
use crate::Tables;
use crate::history::History;
use crate::history::versions::Place;

/// Flows, each with when its segments changed last, and their Sources.
#[derive(Default)]
pub struct Metadata {
    pub flows: Vec<(Flow, Option<Instant>)>,
    pub sources: Vec<Source>,
}

/// Flows that are gathered for a question.
struct Gathering<'a> {
    history: &'a History,
    until: Place,
    flows: BTreeMap<FlowId, Flow>,
}

impl<'a> Gathering<'a> {
    fn new(history: &'a History, until: Place) -> Self {
        Self { history, until, flows: BTreeMap::new() }
    }

    fn read(&self, id: FlowId) -> Result<Option<Flow>, fjall::Error> {
        self.history.versions().flow_before(id, self.until)
    }

    /// Adds a Flow, and what collects it and what it collects, as its neighbours.
    fn add_with_neighbours(&mut self, flow: Flow) -> Result<(), fjall::Error> {
        for member in flow.members() {
            if !self.flows.contains_key(&member.id)
                && let Some(member) = self.read(member.id)?
            {
                self.flows.insert(member.id, member);
            }
        }
        for id in self.history.versions().collectors_ever_of(flow.id)? {
            if let Some(collector) = self.read(id)?
                && collector.members().iter().any(|member| member.id == flow.id)
            {
                self.flows.entry(id).or_insert(collector);
            }
        }
        self.flows.insert(flow.id, flow);
        Ok(())
    }

    /// All that was gathered, with its Sources. Of what Flows collect, what was not gathered is left out: it belongs to
    /// neighbours of neighbours.
    fn finish(self, is_asked_for: impl Fn(FlowId) -> bool) -> Result<Metadata, fjall::Error> {
        let Self { history, until, mut flows } = self;
        let versions = history.versions();
        let gathered: Vec<FlowId> = flows.keys().copied().collect();
        let mut sources: BTreeMap<SourceId, Source> = BTreeMap::new();
        for flow in flows.values_mut() {
            if let Some(members) = &mut flow.flow_collection {
                members.retain(|member| gathered.binary_search(&member.id).is_ok());
            }
            if !sources.contains_key(&flow.source_id)
                && let Some(source) = versions.source_before(flow.source_id, until)?
            {
                sources.insert(source.id, source);
            }
        }
        let mut dated = Vec::with_capacity(flows.len());
        for (id, flow) in flows {
            let updated = if is_asked_for(id) { segments_updated(history, id, until)? } else { None };
            dated.push((flow, updated));
        }
        Ok(Metadata { flows: dated, sources: sources.into_values().collect() })
    }
}

fn segments_updated(history: &History, id: FlowId, until: Place) -> Result<Option<Instant>, fjall::Error> {
    match history.versions().birth(id, until)? {
        Some(birth) => history.versions().segments_updated(id, (birth, until)),
        None => Ok(None),
    }
}

/// A Flow and its neighbours; nothing where it was not there.
fn flow_with_neighbours(history: &History, id: FlowId, until: Place) -> Result<Metadata, fjall::Error> {
    let mut gathering = Gathering::new(history, until);
    if let Some(flow) = gathering.read(id)? {
        gathering.add_with_neighbours(flow)?;
    }
    gathering.finish(|other| other == id)
}

/// The Flows of a Source and their neighbours; nothing where it was not there.
fn source_with_neighbours(history: &History, id: SourceId, until: Place) -> Result<Metadata, fjall::Error> {
    let mut gathering = Gathering::new(history, until);
    for flow_id in history.versions().flows_ever_of(id)? {
        if let Some(flow) = gathering.read(flow_id)?.filter(|flow| flow.source_id == id) {
            gathering.add_with_neighbours(flow)?;
        }
    }
    gathering.finish(|_| false)
}

fn everything(history: &History, until: Place) -> Result<Metadata, fjall::Error> {
    let versions = history.versions();
    let mut flows = Vec::new();
    for flow in versions.flows_before(until)? {
        let updated = segments_updated(history, flow.id, until)?;
        flows.push((flow, updated));
    }
    Ok(Metadata { flows, sources: versions.sources_before(until)? })
}

impl Question<'_> {
    pub async fn flow(mut self, id: FlowId, range: Option<Option<TimeRange>>) -> Result<Arc<Tables>, AsOfError> {
        let until = self.until();
        let metadata = self.ask(move |history| flow_with_neighbours(history, id, until)).await?;
        let inventory = match range {
            Some(clip) if !metadata.flows.is_empty() => self.ends(id, clip.unwrap_or(TimeRange::ETERNITY)).await?,
            Some(_) | None => Inventory::default(),
        };
        self.put_together(metadata, inventory).await
    }

    pub async fn source(self, id: SourceId) -> Result<Arc<Tables>, AsOfError> {
        let until = self.until();
        let metadata = self.ask(move |history| source_with_neighbours(history, id, until)).await?;
        self.put_together(metadata, Inventory::default()).await
    }

    /// Whoever may see everything is told from what was put together for others of them; everybody else may see less from
    /// one moment to the next.
    pub async fn listing(&self) -> Result<Arc<Tables>, AsOfError> {
        let is_shared = **self.access == Access::Unrestricted;
        let known = if is_shared { self.past.listings.lock().get(&self.moment).map(Arc::clone) } else { None };
        if let Some(known) = known {
            return Ok(known);
        }
        let tables = self.put_together(self.everything().await?, Inventory::default()).await?;
        if is_shared {
            self.past.listings.lock().put(self.moment, Arc::clone(&tables));
        }
        Ok(tables)
    }

    pub async fn everything(&self) -> Result<Metadata, AsOfError> {
        let until = self.until();
        self.ask(move |history| everything(history, until)).await
    }

    /// These Flows, without what they collect.
    pub async fn flows_alone(&self, ids: Vec<FlowId>) -> Result<Metadata, AsOfError> {
        let until = self.until();
        let gathered = self.ask(move |history| {
            let mut gathering = Gathering::new(history, until);
            for id in ids {
                if let Some(flow) = gathering.read(id)? {
                    gathering.flows.insert(id, Flow { flow_collection: None, ..flow });
                }
            }
            gathering.finish(|_| false)
        });
        gathered.await
    }

    /// Present tags in place of past ones wherever these forbid the asker to see what is there still.
    pub fn as_they_may_be_seen(&self, mut metadata: Metadata) -> Metadata {
        if **self.access == Access::Unrestricted {
            return metadata;
        }
        self.past.live.read(|tables| {
            for (flow, _) in &mut metadata.flows {
                if let Some(tags) = tables.tags_even_hidden(flow.id).filter(|tags| !self.access.may_read(tags)) {
                    flow.tags.clone_from(tags);
                }
            }
            for source in &mut metadata.sources {
                let now = tables.source(source.id).map(|view| &view.source().tags);
                if let Some(tags) = now.filter(|tags| !self.access.may_read(tags)) {
                    source.tags.clone_from(tags);
                }
            }
        });
        metadata
    }
}
