//! What a commit changed, event by event: as it was before, and as it is from then on.

use serde_json::Value;
use tapelog_events::Event;
use tapelog_store::log::Log;

use super::draft::{Before, Draft, Version, drafts, json, written};
use super::records::Records;
use super::{AuditError, Change, blocking};
use crate::history::History;
use crate::history::document::{Document, stated};
use crate::history::record::StoredRecord;
use crate::history::thing::Thing;
use crate::history::versions::Place;

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
        for Draft { resource, before, mut after } in drafts(happened) {
            let mut before = match before {
                Before::Nothing => None,
                Before::Said(value) => Some(value),
                Before::Version(version) => {
                    let (history, place) = (history.clone(), (stored.seq, commit, event));
                    blocking(move || version.before(&history, place)).await?
                }
                Before::Document(document) => last_said(history, records, stored, (commit, event), document).await?,
            };
            leave_out_equals(&mut before, &mut after);
            hide_secrets(&mut before, &mut after);
            changes.push(Change { event, kind: happened.kind(), resource, before, after });
        }
    }
    Ok(changes)
}

impl Version {
    /// What it was right before an event.
    fn before(self, history: &History, place: Place) -> Result<Option<Value>, fjall::Error> {
        let versions = history.versions();
        match self {
            Self::Flow(id) => Ok(versions.flow_before(id, place)?.as_ref().map(json)),
            Self::Source(id) => Ok(versions.source_before(id, place)?.as_ref().map(json)),
            Self::TrashedFlow(id) => match versions.lives(id, place).next().transpose()? {
                Some((trashed, _)) => Ok(versions.flow_before(id, trashed)?.as_ref().map(json)),
                None => Ok(None),
            },
        }
    }
}

/// What the last event said of a document that stated it before this event of this record.
async fn last_said<L: Log>(
    history: &History,
    records: &Records<'_, L>,
    stored: &StoredRecord,
    (commit, event): (u32, u32),
    document: Document<'_>,
) -> Result<Option<Value>, AuditError> {
    let (commit, event) = (commit as usize, event as usize);
    let commits = &stored.record.commits;
    let earlier = commits[..commit].iter().flat_map(|commit| &commit.events).chain(&commits[commit].events[..event]);
    let mut said = said_of(document, earlier);
    let name = Thing::Document(document).name();
    let mut before = stored.seq;
    // More than once only where the names of two things are the same.
    while said.is_none() {
        let asked = history.clone();
        let Some(seq) = blocking(move || asked.touched().last_before(name, before)).await? else { return Ok(None) };
        let stored = records.read(seq).await?;
        said = said_of(document, stored.record.commits.iter().flat_map(|commit| &commit.events));
        before = seq;
    }
    Ok(said.flatten())
}

/// What the last of some events says of a document that states it: `None` where none does.
fn said_of<'a>(
    document: Document<'_>,
    events: impl DoubleEndedIterator<Item = &'a Event>,
) -> Option<Option<Value>> {
    events.rev().filter_map(stated).find(|(stated, _)| *stated == document).map(|(_, statement)| written(statement))
}

/// Where something was and still is, only what is different is told.
fn leave_out_equals(before: &mut Option<Value>, after: &mut Option<Value>) {
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        let unchanged: Vec<String> =
            before.iter().filter(|(name, value)| after.get(*name) == Some(value)).map(|(name, _)| name.clone()).collect();
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
