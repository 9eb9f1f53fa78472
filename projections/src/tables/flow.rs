//! Flows: their listing and the form they are served in (sections 2.4 and 5).

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_commands::FlowState;
use tapelog_events::{
    Access, EssenceParameters, Flow, FlowId, FlowStatus, Format, Instant, ProfileId, SourceId, TimeRange,
};

use super::document::{self, FlowDocument};
use super::page::{InvalidCursor, Orders, Page, Paging, SortBy, Sorted};
use super::postings::{Candidates, Postings, selected_page};
use super::tag::TagKey;
use super::{Tables, TagFilter};

/// Which Flows are asked for: those that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlowFilter {
    /// Renditions of this Source.
    pub source_id: Option<SourceId>,
    /// With a segment that overlaps this range. Never means without segments; eternity is no condition (3.5).
    pub timerange: Option<TimeRange>,
    /// Of this format.
    pub format: Option<Format>,
    /// With exactly this codec.
    pub codec: Option<String>,
    /// With technical metadata from this profile.
    pub profile_id: Option<ProfileId>,
    /// With exactly this label.
    pub label: Option<String>,
    /// With this status.
    pub status: Option<FlowStatus>,
    /// With such tags.
    pub tags: Vec<TagFilter>,
    /// Pictures of this width, in pixels.
    pub frame_width: Option<u32>,
    /// Pictures of this height, in pixels.
    pub frame_height: Option<u32>,
    /// Whether its media objects have init objects; a Flow that does not say so has none.
    pub init_segments: Option<bool>,
    /// Collected by one of these Flows. An empty list asks for Flows that nothing collects.
    pub collected_by_ids: Option<Vec<FlowId>>,
    /// Whether it collects Flows.
    pub has_collection: Option<bool>,
    /// Who asks: Flows that they may not read are not among them, and what these collect or are collected by counts
    /// for nothing.
    pub access: Arc<Access>,
}

impl FlowFilter {
    fn matches(&self, tables: &Tables, flow: &Flow) -> bool {
        let essence = flow.essence_parameters.as_ref();
        let frame = essence.and_then(EssenceParameters::frame_size);
        let has_init = || essence.is_some_and(EssenceParameters::init_segments);
        self.access.may_read(&flow.tags)
            && self.source_id.is_none_or(|source_id| flow.source_id == source_id)
            && self.format.is_none_or(|format| flow.format == format)
            && self.codec.as_ref().is_none_or(|codec| flow.codec.as_ref() == Some(codec))
            && self.profile_id.is_none_or(|profile_id| flow.profile_id == Some(profile_id))
            && self.label.as_ref().is_none_or(|label| flow.label.as_ref() == Some(label))
            && self.status.is_none_or(|status| flow.status == Some(status))
            && self.tags.iter().all(|filter| filter.matches(&flow.tags))
            && self.frame_width.is_none_or(|width| frame.is_some_and(|(frame_width, _)| frame_width == width))
            && self.frame_height.is_none_or(|height| frame.is_some_and(|(_, frame_height)| frame_height == height))
            && self.init_segments.is_none_or(|init_segments| has_init() == init_segments)
            && self.collected_by_ids.as_deref().is_none_or(|asked| self.is_collected_by(tables, flow.id, asked))
            && self.has_collection.is_none_or(|has_collection| {
                flow.members().iter().any(|member| tables.may_read_flow(&self.access, member.id)) == has_collection
            })
            && self.timerange.is_none_or(|range| tables.has_content(flow.id, &range))
    }

    fn is_collected_by(&self, tables: &Tables, id: FlowId, asked: &[FlowId]) -> bool {
        let collectors = tables.state.flow(id).map(|state| state.collected_by.iter().copied());
        is_collected_by(collectors.into_iter().flatten().filter(|id| tables.may_read_flow(&self.access, *id)), asked)
    }

    /// What each selective condition leaves.
    fn candidates<'a>(&'a self, tables: &'a Tables) -> Vec<Candidates<'a, FlowKey, FlowId>> {
        let having = [
            self.source_id.map(FlowKey::Source),
            self.format.map(FlowKey::Format),
            self.codec.as_deref().map(|codec| FlowKey::Codec(codec.into())),
            self.profile_id.map(FlowKey::Profile),
            self.label.as_deref().map(|label| FlowKey::Label(label.into())),
            self.status.map(FlowKey::Status),
            self.frame_width.map(FlowKey::FrameWidth),
            self.frame_height.map(FlowKey::FrameHeight),
            (self.init_segments == Some(true)).then_some(FlowKey::InitSegments),
            (self.has_collection == Some(true)).then_some(FlowKey::Collection),
        ];
        let having = having.into_iter().flatten().map(|key| Candidates::Having(vec![key]));
        let tagged = self.tags.iter().filter_map(|filter| TagKey::asked_for(filter, FlowKey::Tag));
        let collectors = self.collected_by_ids.as_deref().filter(|asked| !asked.is_empty());
        let collected = collectors.map(|collectors| {
            let flows = collectors.iter().filter_map(|id| tables.state.flow(*id));
            let members = flows.flat_map(|state| state.flow.members()).map(|member| member.id);
            Candidates::Found(members.clone().count(), Box::new(|| members.collect()))
        });
        having.chain(tagged.map(Candidates::Having)).chain(collected).collect()
    }
}

/// Whether one of `asked` is among the collectors; where none is asked for, whether there are none (2.3).
pub(super) fn is_collected_by<Id: PartialEq>(mut collectors: impl Iterator<Item = Id>, asked: &[Id]) -> bool {
    if asked.is_empty() { collectors.next().is_none() } else { collectors.any(|id| asked.contains(&id)) }
}

/// A property that Flows are found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum FlowKey {
    Source(SourceId),
    Format(Format),
    Codec(Box<str>),
    Profile(ProfileId),
    Label(Box<str>),
    Status(FlowStatus),
    Tag(TagKey),
    FrameWidth(u32),
    FrameHeight(u32),
    InitSegments,
    Collection,
}

impl FlowKey {
    /// Every property of a Flow.
    fn all_of(flow: &Flow) -> Vec<Self> {
        let essence = flow.essence_parameters.as_ref();
        let frame = essence.and_then(EssenceParameters::frame_size);
        let single = [
            Some(Self::Source(flow.source_id)),
            Some(Self::Format(flow.format)),
            flow.codec.as_deref().map(|codec| Self::Codec(codec.into())),
            flow.profile_id.map(Self::Profile),
            flow.label.as_deref().map(|label| Self::Label(label.into())),
            flow.status.map(Self::Status),
            frame.map(|(width, _)| Self::FrameWidth(width)),
            frame.map(|(_, height)| Self::FrameHeight(height)),
            essence.is_some_and(EssenceParameters::init_segments).then_some(Self::InitSegments),
            (!flow.members().is_empty()).then_some(Self::Collection),
        ];
        single.into_iter().flatten().chain(TagKey::all_of(&flow.tags).map(Self::Tag)).collect()
    }
}

/// A Flow as it stands in the tables.
#[derive(Debug, Clone, Copy)]
pub struct FlowView<'a> {
    tables: &'a Tables,
    state: &'a FlowState,
    document: &'a str,
}

impl<'a> FlowView<'a> {
    /// Its metadata.
    pub fn flow(&self) -> &'a Arc<Flow> {
        &self.state.flow
    }

    /// When its segments changed last.
    pub fn segments_updated(&self) -> Option<Instant> {
        self.state.segments_updated
    }

    /// The Flows that collect it.
    pub fn collected_by(&self) -> &'a BTreeSet<FlowId> {
        &self.state.collected_by
    }

    /// Writes it as `flow-get.json`, with `timerange` where one is given, and without the Flows that one may not read.
    pub fn write_json(&self, out: &mut Vec<u8>, timerange: Option<TimeRange>, access: &Access) {
        let document = FlowDocument {
            flow: self.flow(),
            segments_updated: self.state.segments_updated,
            collected_by: &self.state.collected_by,
            timerange,
        };
        document.write_with(self.document, out, |id| self.tables.may_read_flow(access, id));
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// As it was when it was put into the orders.
    flow: Arc<Flow>,
    document: Box<str>,
}

/// Flows in the orders they are listed in and by their properties, with their documents.
#[derive(Debug, Clone, Default)]
pub(super) struct FlowIndex {
    entries: HashMap<FlowId, Entry>,
    orders: Orders<FlowId>,
    postings: Postings<FlowKey, FlowId>,
}

impl FlowIndex {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The Flows that collect others, at most as many as are said first.
    pub fn collectors(&self) -> (usize, impl Iterator<Item = &Flow>) {
        let ids = self.postings.ids(&FlowKey::Collection);
        let flows = ids.filter_map(|id| self.entries.get(&id)).map(|entry| &*entry.flow);
        (self.postings.count(&FlowKey::Collection), flows)
    }

    /// Takes the present metadata of a Flow into account, `None` once it is gone, and gives back what was there before.
    pub fn put(&mut self, id: FlowId, flow: Option<&Arc<Flow>>) -> Option<Arc<Flow>> {
        let before = self.entries.remove(&id).map(|entry| entry.flow);
        if let Some(before) = &before {
            self.orders.remove(id, sorted(before));
        }
        if let Some(flow) = flow {
            self.orders.insert(id, sorted(flow));
            self.entries.insert(id, Entry { flow: Arc::clone(flow), document: document::opened(&**flow) });
        }
        let placed = |flow: &Flow| (flow.created, FlowKey::all_of(flow));
        self.postings.change(id, before.as_deref().map(placed), flow.map(|flow| placed(flow)));
        before
    }
}

fn sorted(flow: &Flow) -> Sorted<'_> {
    Sorted { created: flow.created, updated: flow.metadata_updated, label: flow.label.as_deref() }
}

impl Tables {
    /// A Flow.
    pub fn flow(&self, id: FlowId) -> Option<FlowView<'_>> {
        let document = &self.flows.entries.get(&id)?.document;
        Some(FlowView { tables: self, state: self.state.flow(id)?, document })
    }

    /// The Flows that a filter lets pass, in order.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn flows(
        &self,
        filter: &FlowFilter,
        sort: SortBy,
        paging: &Paging<'_>,
    ) -> Result<Page<FlowView<'_>>, InvalidCursor> {
        let FlowIndex { entries, orders, postings } = &self.flows;
        let select = |id: FlowId| {
            let flow = &*entries.get(&id)?.flow;
            if filter.matches(self, flow) { Some((sorted(flow), self.flow(id)?)) } else { None }
        };
        selected_page((orders, postings), filter.candidates(self), sort, paging, select)
    }

    /// How many segments a Flow has.
    pub fn segments_of(&self, id: FlowId) -> usize {
        let inventory = self.state.inventory();
        inventory.flow(id).map_or(0, |slot| inventory.segments_of(slot))
    }

    /// From the start of a Flow's first segment to the end of its last (3.7). With `clip`, the part of that range over
    /// which segments overlap it (3.6). Never where there are none.
    pub fn flow_range(&self, id: FlowId, clip: Option<&TimeRange>) -> TimeRange {
        let inventory = self.state.inventory();
        let Some(slot) = inventory.flow(id) else { return TimeRange::NEVER };
        let Some(clip) = clip else { return inventory.flow_range(slot) };
        let mut overlapping = inventory.segments(slot, clip);
        let Some(first) = overlapping.next() else { return TimeRange::NEVER };
        let last = overlapping.next_back().unwrap_or(first);
        first.timerange.hull(&last.timerange).intersection(clip)
    }

    /// Whether a Flow has a segment that overlaps the range; for never, whether it has none at all.
    fn has_content(&self, id: FlowId, range: &TimeRange) -> bool {
        let inventory = self.state.inventory();
        let slot = inventory.flow(id);
        if range.is_eternity() {
            true
        } else if range.is_never() {
            slot.is_none_or(|slot| inventory.segments_of(slot) == 0)
        } else {
            slot.is_some_and(|slot| inventory.overlap(slot, range).is_some())
        }
    }
}
