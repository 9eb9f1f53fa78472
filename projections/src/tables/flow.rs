//! Flows: their listing and the form they are served in (sections 2.4 and 5).

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_commands::FlowState;
use tapelog_events::{Flow, FlowId, FlowStatus, Format, Instant, ProfileId, SourceId, TimeRange};

use super::document;
use super::page::{InvalidCursor, Orders, Page, Paging, SortBy, Sorted};
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
}

impl FlowFilter {
    fn matches(&self, tables: &Tables, state: &FlowState) -> bool {
        let flow = &*state.flow;
        let essence = flow.essence_parameters.as_ref();
        let frame = essence.and_then(|essence| essence.frame_size());
        let has_init = || essence.is_some_and(|essence| essence.init_segments());
        self.source_id.is_none_or(|source_id| flow.source_id == source_id)
            && self.format.is_none_or(|format| flow.format == format)
            && self.codec.as_ref().is_none_or(|codec| flow.codec.as_ref() == Some(codec))
            && self.profile_id.is_none_or(|profile_id| flow.profile_id == Some(profile_id))
            && self.label.as_ref().is_none_or(|label| flow.label.as_ref() == Some(label))
            && self.status.is_none_or(|status| flow.status == Some(status))
            && self.tags.iter().all(|filter| filter.matches(&flow.tags))
            && self.frame_width.is_none_or(|width| frame.is_some_and(|(frame_width, _)| frame_width == width))
            && self.frame_height.is_none_or(|height| frame.is_some_and(|(_, frame_height)| frame_height == height))
            && self.init_segments.is_none_or(|init_segments| has_init() == init_segments)
            && self
                .collected_by_ids
                .as_deref()
                .is_none_or(|collectors| is_collected_by(&state.collected_by, collectors))
            && self.timerange.is_none_or(|range| tables.has_content(flow.id, &range))
    }
}

/// Whether one of `asked` is among the collectors; where none is asked for, whether there are none (2.3).
pub(super) fn is_collected_by<Id: Ord>(collectors: &BTreeSet<Id>, asked: &[Id]) -> bool {
    if asked.is_empty() { collectors.is_empty() } else { asked.iter().any(|id| collectors.contains(id)) }
}

/// A Flow as it stands in the tables.
#[derive(Debug, Clone, Copy)]
pub struct FlowView<'a> {
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

    /// Writes it as `flow-get.json`, with `timerange` where one is given.
    pub fn write_json(&self, out: &mut Vec<u8>, timerange: Option<TimeRange>) {
        out.extend_from_slice(self.document.as_bytes());
        if let Some(updated) = self.state.segments_updated {
            document::push_text(out, "segments_updated", &updated.to_string());
        }
        document::push_ids(out, "collected_by", self.state.collected_by.iter().map(FlowId::as_uuid));
        if let Some(timerange) = timerange {
            document::push_text(out, "timerange", &timerange.to_string());
        }
        out.push(b'}');
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// As it was when it was put into the orders.
    flow: Arc<Flow>,
    document: Box<str>,
}

/// Flows in the orders they are listed in, with their documents.
#[derive(Debug, Clone, Default)]
pub(super) struct FlowIndex {
    entries: HashMap<FlowId, Entry>,
    all: Orders<FlowId>,
    by_source: HashMap<SourceId, Orders<FlowId>>,
}

impl FlowIndex {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes the present metadata of a Flow into account; `None` once it is gone.
    pub fn put(&mut self, id: FlowId, flow: Option<&Arc<Flow>>) {
        if let Some(Entry { flow: before, .. }) = self.entries.remove(&id) {
            self.all.remove(id, sorted(&before));
            if let Some(orders) = self.by_source.get_mut(&before.source_id) {
                orders.remove(id, sorted(&before));
                if orders.is_empty() {
                    self.by_source.remove(&before.source_id);
                }
            }
        }
        if let Some(flow) = flow {
            self.all.insert(id, sorted(flow));
            self.by_source.entry(flow.source_id).or_default().insert(id, sorted(flow));
            self.entries.insert(id, Entry { flow: Arc::clone(flow), document: document::opened(&**flow) });
        }
    }
}

fn sorted(flow: &Flow) -> Sorted<'_> {
    Sorted { created: flow.created, updated: flow.metadata_updated, label: flow.label.as_deref() }
}

impl Tables {
    /// A Flow.
    pub fn flow(&self, id: FlowId) -> Option<FlowView<'_>> {
        let document = &self.flows.entries.get(&id)?.document;
        Some(FlowView { state: self.state.flow(id)?, document })
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
        let none = Orders::default();
        let orders = match &filter.source_id {
            Some(source_id) => self.flows.by_source.get(source_id).unwrap_or(&none),
            None => &self.flows.all,
        };
        orders.page(sort, paging, |id| self.flow(id).filter(|view| filter.matches(self, view.state)))
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
