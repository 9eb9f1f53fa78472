//! Which tags there are across the store, and how often.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use tapelog_commands::inventory::Inventory;
use tapelog_events::{Commit, Event, FlowId, Tags, TimeRange, Timestamp};

use super::Tables;
use super::page::{Direction, InvalidCursor, Page, Paging, decode_cursor, encode_cursor};
use super::tag::TagKey;

/// A tag, and how many have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagStatistics {
    /// Its name.
    pub name: String,
    /// How many Flows have it.
    pub flows: u64,
    /// How many Sources have it.
    pub sources: u64,
    /// How many segments have it.
    pub segments: u64,
    /// How many different texts it has.
    pub values: u64,
}

/// A text of a tag, and how many have the tag with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagValueStatistics {
    /// The text.
    pub value: String,
    /// How many Flows have it.
    pub flows: u64,
    /// How many Sources have it.
    pub sources: u64,
    /// How many segments have it.
    pub segments: u64,
}

/// What has tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tagged {
    Flow,
    Source,
    Segment,
}

/// How many of what have a tag, or a text of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    flows: u64,
    sources: u64,
    segments: u64,
}

impl Counts {
    fn of(&mut self, what: Tagged) -> &mut u64 {
        match what {
            Tagged::Flow => &mut self.flows,
            Tagged::Source => &mut self.sources,
            Tagged::Segment => &mut self.segments,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Name {
    counts: Counts,
    values: BTreeMap<Box<str>, Counts>,
}

/// Every tag of Flows, Sources and segments that are there to be seen.
#[derive(Debug, Clone, Default)]
pub(super) struct TagIndex {
    names: BTreeMap<Box<str>, Name>,
}

impl TagIndex {
    /// Something has these tags.
    pub fn add(&mut self, what: Tagged, tags: &Tags) {
        for key in TagKey::all_of(tags) {
            match key {
                TagKey::Name(name) => *self.names.entry(name).or_default().counts.of(what) += 1,
                TagKey::Text(name, text) => {
                    *self.names.entry(name).or_default().values.entry(text).or_default().of(what) += 1;
                }
            }
        }
    }

    /// Something had the first tags and has the second; none before it came, and once it is gone.
    pub fn change(&mut self, what: Tagged, before: Option<&Tags>, now: Option<&Tags>) {
        if before != now {
            before.into_iter().for_each(|tags| self.remove(what, tags));
            now.into_iter().for_each(|tags| self.add(what, tags));
        }
    }

    /// Something has these tags no longer.
    pub fn remove(&mut self, what: Tagged, tags: &Tags) {
        for key in TagKey::all_of(tags) {
            match key {
                TagKey::Name(name) => {
                    if let Some(known) = self.names.get_mut(&name) {
                        *known.counts.of(what) -= 1;
                    }
                }
                TagKey::Text(name, text) => {
                    let values = self.names.get_mut(&name).map(|known| &mut known.values);
                    if let Some(values) = values
                        && let Some(counts) = values.get_mut(&text)
                    {
                        *counts.of(what) -= 1;
                        if *counts == Counts::default() {
                            values.remove(&text);
                        }
                    }
                }
            }
        }
        for name in tags.keys() {
            if self.names.get(name.as_str()).is_some_and(|known| known.counts == Counts::default()) {
                self.names.remove(name.as_str());
            }
        }
    }
}

/// Names one segment.
pub(super) type SegmentPlace = (FlowId, Timestamp);

impl Tables {
    /// The tags that Flows, Sources and segments have whose names begin with `prefix`, A to Z.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn tag_names(&self, prefix: &str, paging: &Paging<'_>) -> Result<Page<TagStatistics>, InvalidCursor> {
        let statistics = |name: &str, known: &Name| TagStatistics {
            name: name.to_owned(),
            flows: known.counts.flows,
            sources: known.counts.sources,
            segments: known.counts.segments,
            values: known.values.len() as u64,
        };
        texts_page(b'n', &self.tags.names, prefix, paging, statistics)
    }

    /// The texts of a tag, A to Z; none of a tag that nothing has.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn tag_values(&self, name: &str, paging: &Paging<'_>) -> Result<Page<TagValueStatistics>, InvalidCursor> {
        let statistics = |value: &str, counts: &Counts| TagValueStatistics {
            value: value.to_owned(),
            flows: counts.flows,
            sources: counts.sources,
            segments: counts.segments,
        };
        let none = BTreeMap::new();
        let values = self.tags.names.get(name).map_or(&none, |known| &known.values);
        texts_page(b'v', values, "", paging, statistics)
    }

    /// The segments that have tags and may lose them, get others, or be hidden or shown by a commit that is not folded
    /// yet, and those that it gives some.
    pub(super) fn retagged_segments(&self, commit: &Commit) -> Vec<SegmentPlace> {
        let mut retagged = Vec::new();
        let mut all_of = |flow_id: FlowId, range: &TimeRange| {
            let inventory = self.state.inventory();
            let flow = inventory.flow_even_hidden(flow_id);
            let tagged = flow.into_iter().flat_map(|flow| inventory.tagged_segments(flow, range));
            retagged.extend(tagged.filter_map(|(segment, _)| Some((flow_id, segment.timerange.start()?.0))));
        };
        let mut tagged = Vec::new();
        for event in &commit.events {
            match event {
                Event::SegmentTagged(event) => tagged.push((event.flow_id, event.start)),
                Event::SegmentsDeleted(event) => all_of(event.flow_id, &event.timerange),
                Event::FlowDeleted(event) => all_of(event.flow_id, &TimeRange::ETERNITY),
                Event::FlowTrashed(event) => all_of(event.flow_id, &TimeRange::ETERNITY),
                Event::FlowRestored(event) => all_of(event.flow.id, &TimeRange::ETERNITY),
                Event::LogStarted(_)
                | Event::ServiceUpdated(_)
                | Event::SourceCreated(_)
                | Event::SourceUpdated(_)
                | Event::SourceDeleted(_)
                | Event::FlowCreated(_)
                | Event::FlowUpdated(_)
                | Event::FlowPurged(_)
                | Event::ObjectsAllocated(_)
                | Event::ObjectsCondemned(_)
                | Event::ObjectsDeleted(_)
                | Event::SegmentsAdded(_)
                | Event::ProfileCreated(_)
                | Event::InstanceAdded(_)
                | Event::InstanceRemoved(_)
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
        }
        retagged.append(&mut tagged);
        retagged.sort_unstable();
        retagged.dedup();
        retagged
    }
}

/// The tags of a segment, if it has any and its Flow is not hidden.
pub(super) fn visible_tags(inventory: &Inventory, (flow_id, start): SegmentPlace) -> Option<&Tags> {
    inventory.segment_tags(inventory.flow(flow_id)?, start)
}

/// One page of texts that begin with a prefix, A to Z.
fn texts_page<V, T>(
    mark: u8,
    texts: &BTreeMap<Box<str>, V>,
    prefix: &str,
    paging: &Paging<'_>,
    item: impl Fn(&str, &V) -> T,
) -> Result<Page<T>, InvalidCursor> {
    let after = paging.cursor.map(|cursor| decode_text(mark, cursor)).transpose()?;
    let after = after.as_deref();
    let encode = |text: &str| encode_cursor(&[&[mark], text.as_bytes()].concat());
    let within =
        |bounds: (Bound<&str>, Bound<&str>)| texts.range::<str, _>(bounds).map(|(text, value)| (&**text, value));
    let begins = |text: &str| text.starts_with(prefix);
    let placed = |(text, value)| (text, item(text, value));
    Ok(match paging.direction {
        Direction::Usual => {
            let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
            let rest = within((from, Bound::Unbounded)).take_while(|(text, _)| begins(text));
            Page::collect(rest.map(placed), paging.limit, encode)
        }
        Direction::Reversed => {
            let to = after.map_or(Bound::Unbounded, Bound::Excluded);
            let is_left = after.is_none_or(|after| after >= prefix);
            let rest = is_left.then(|| within((Bound::Included(prefix), to)).rev());
            // Those that begin otherwise come after all that begin so.
            let rest = rest.into_iter().flatten().skip_while(|(text, _)| !begins(text));
            Page::collect(rest.map(placed), paging.limit, encode)
        }
    })
}

fn decode_text(mark: u8, cursor: &str) -> Result<String, InvalidCursor> {
    let mut bytes = decode_cursor(cursor)?;
    if bytes.first() != Some(&mark) {
        return Err(InvalidCursor);
    }
    bytes.remove(0);
    String::from_utf8(bytes).map_err(|_| InvalidCursor)
}
