//! What a commit changed, event by event: as it was before, and as it is from then on.

use serde_json::{Value, json};
use tapelog_events::{Event, FlowId, Tags, TimeRange, Timestamp};
use tapelog_store::log::Log;

use super::draft::{Before, Draft, as_json, drafts, written};
use super::records::Records;
use super::{AuditError, Change, blocking};
use crate::history::History;
use crate::history::document::{Document, stated};
use crate::history::record::StoredRecord;
use crate::history::thing::Thing;
use crate::history::versions::{BEGINNING, Place, Stretch};

/// Members whose values nobody may read, though they are sealed or hashes.
const SECRETS: [&str; 4] = ["api_key_value", "signing", "password_hash", "secret_hash"];

/// What a commit of a record changed, event by event.
pub(super) async fn changes<L: Log>(
    history: &History,
    records: &Records<'_, L>,
    stored: &StoredRecord,
    commit: u32,
) -> Result<Vec<Change>, AuditError> {
    let mut changes = Vec::new();
    for (event, happened) in (0..).zip(&stored.record.commits[commit as usize].events) {
        let past = Past { history, records, stored, place: (stored.seq, commit, event) };
        for Draft { resource, before, mut after } in drafts(happened) {
            let mut before = past.value(before).await?;
            leave_out_equals(&mut before, &mut after);
            hide_secrets(&mut before, &mut after);
            changes.push(Change { event, kind: happened.kind(), resource, before, after });
        }
    }
    Ok(changes)
}

/// What there was right before an event.
struct Past<'a, L> {
    history: &'a History,
    records: &'a Records<'a, L>,
    /// The event's record.
    stored: &'a StoredRecord,
    /// Where the event stands.
    place: Place,
}

impl<L: Log> Past<'_, L> {
    async fn value(&self, before: Before<'_>) -> Result<Option<Value>, AuditError> {
        let place = self.place;
        match before {
            Before::Nothing => Ok(None),
            Before::Said(value) => Ok(Some(value)),
            Before::Flow(id) => {
                let flow = self.ask(move |history| history.versions().flow_before(id, place)).await?;
                Ok(flow.as_ref().map(as_json))
            }
            Before::TrashedFlow(id) => {
                let flow = self.ask(move |history| {
                    let trashed = history.versions().lives(id, place).next().transpose()?;
                    trashed.map_or(Ok(None), |(trashed, _)| history.versions().flow_before(id, trashed))
                });
                Ok(flow.await?.as_ref().map(as_json))
            }
            Before::Source(id) => {
                let source = self.ask(move |history| history.versions().source_before(id, place)).await?;
                Ok(source.as_ref().map(as_json))
            }
            Before::SegmentTags(id, start) => {
                let tags = self.segment_tags(id, start).await?;
                Ok(Some(json!({ "segment": { "start": start, "tags": tags } })))
            }
            Before::Document(document) => self.last_said(document).await,
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&History) -> Result<T, fjall::Error> + Send + 'static,
    ) -> Result<T, AuditError> {
        let history = self.history.clone();
        Ok(blocking(move || question(&history)).await?)
    }

    /// The tags of the segment that started there: those that it was given last, unless it was added since.
    async fn segment_tags(&self, id: FlowId, start: Timestamp) -> Result<Tags, AuditError> {
        let (place, nanos) = (self.place, start.as_nanos());
        let here = Stretch { from: nanos, to: nanos + 1 };
        let asked = self.ask(move |history| {
            let given = history.versions().segment_tags(id, here, (BEGINNING, place)).last().transpose()?;
            let Some((_, given_at, tags)) = given else { return Ok(None) };
            Ok(Some((tags, history.versions().added(id, here, (given_at, place))?)))
        });
        let Some((tags, added)) = asked.await? else { return Ok(Tags::new()) };
        for span in added {
            let (seq, commit, event) = span.place;
            let stored = self.records.read(seq).await?;
            let Event::SegmentsAdded(added) = &stored.record.commits[commit as usize].events[event as usize] else {
                continue;
            };
            let starts_here = |range: &TimeRange| range.half_open_nanos().0 == nanos;
            if added.segments.iter().any(|segment| starts_here(&segment.timerange)) {
                return Ok(Tags::new());
            }
        }
        Ok(tags)
    }

    /// What the last event before said of a document that stated it.
    async fn last_said(&self, document: Document<'_>) -> Result<Option<Value>, AuditError> {
        let (seq, commit, event) = self.place;
        let commits = &self.stored.record.commits;
        let last = &commits[commit as usize].events[..event as usize];
        let earlier = commits[..commit as usize].iter().flat_map(|commit| &commit.events).chain(last);
        let mut said = said_of(document, earlier);
        let name = Thing::Document(document).name();
        let mut before = seq;
        // More than once only where the names of two things are the same.
        while said.is_none() {
            let Some(seq) = self.ask(move |history| history.touched().last_before(name, before)).await? else {
                return Ok(None);
            };
            let stored = self.records.read(seq).await?;
            said = said_of(document, stored.record.commits.iter().flat_map(|commit| &commit.events));
            before = seq;
        }
        Ok(said.flatten())
    }
}

/// What the last of some events says of a document that states it: `None` where none does.
fn said_of<'a>(document: Document<'_>, events: impl DoubleEndedIterator<Item = &'a Event>) -> Option<Option<Value>> {
    events.rev().filter_map(stated).find(|(stated, _)| *stated == document).map(|(_, statement)| written(statement))
}

/// Where something was and still is, only what is different is told.
fn leave_out_equals(before: &mut Option<Value>, after: &mut Option<Value>) {
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        let unchanged: Vec<String> = before
            .iter()
            .filter(|(name, value)| after.get(*name) == Some(value))
            .map(|(name, _)| name.clone())
            .collect();
        for name in unchanged {
            before.remove(&name);
            after.remove(&name);
        }
    }
}

/// Of secrets it is told that they are set, and that they changed.
fn hide_secrets(before: &mut Option<Value>, after: &mut Option<Value>) {
    for name in SECRETS {
        let before = before.as_mut().and_then(|members| members.get_mut(name));
        let after = after.as_mut().and_then(|members| members.get_mut(name));
        if let Some(after) = after {
            *after = Value::from(if before.is_some() { "changed" } else { "set" });
        }
        if let Some(before) = before {
            *before = Value::from("set");
        }
    }
}
