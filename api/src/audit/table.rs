//! Audited commits as documents of the API, and as rows of a table.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tapelog_events::{CommitId, Incarnation, Instant, Position};
use tapelog_projections::history::audit::{AuditedCommit, Change};

/// A commit of the audit.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditedCommit")]
pub struct CommitDocument<'a> {
    /// Its record in the log.
    position: String,
    /// Its place in the record, counted from zero.
    commit: u32,
    commit_id: CommitId,
    time: Instant,
    /// Who asked for it.
    actor: &'a str,
    /// The id that the client gave its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The hash of the record.
    record_hash: String,
    /// The hash of the record before, which the record holds.
    prev_hash: String,
    changes: Vec<ChangeDocument<'a>>,
}

/// What one event of a commit changed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditedChange")]
struct ChangeDocument<'a> {
    /// The type of the event.
    r#type: &'static str,
    /// The kind of the resource.
    resource_type: &'static str,
    resource_id: &'a str,
    /// The members that changed, as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a Value>,
    /// The members that changed, as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a Value>,
}

impl<'a> CommitDocument<'a> {
    /// The document of a commit of this log.
    pub fn of(audited: &'a AuditedCommit, incarnation: Incarnation) -> Self {
        let AuditedCommit { seq, index, hash, prev_hash, commit, changes } = audited;
        Self {
            position: Position { incarnation, seq: *seq }.to_string(),
            commit: *index,
            commit_id: commit.id,
            time: commit.at,
            actor: &commit.actor,
            request_id: commit.request_id.as_deref(),
            record_hash: hash.to_string(),
            prev_hash: prev_hash.to_string(),
            changes: changes.iter().map(ChangeDocument::of).collect(),
        }
    }
}

impl<'a> ChangeDocument<'a> {
    fn of(change: &'a Change) -> Self {
        let Change { event: _, kind, resource: (resource_type, resource_id), before, after } = change;
        Self { r#type: kind, resource_type, resource_id, before: before.as_ref(), after: after.as_ref() }
    }
}

/// The columns of the table.
const COLUMNS: [&str; 11] = [
    "position",
    "commit",
    "commit_id",
    "time",
    "actor",
    "request_id",
    "type",
    "resource_type",
    "resource_id",
    "before",
    "after",
];

/// Commits as CSV (RFC 4180) with a header: a row for each change; before and after are JSON.
pub fn write_csv(commits: &[AuditedCommit], incarnation: Incarnation) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let rows =
        commits.iter().flat_map(|audited| audited.changes.iter().map(move |change| row(audited, change, incarnation)));
    let written =
        writer.write_record(COLUMNS).and_then(|()| rows.into_iter().try_for_each(|row| writer.write_record(row)));
    written.expect("rows of one length are written to memory");
    writer.into_inner().expect("memory has nothing to flush")
}

fn row(audited: &AuditedCommit, change: &Change, incarnation: Incarnation) -> [String; COLUMNS.len()] {
    let AuditedCommit { seq, index, commit, .. } = audited;
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    [
        Position { incarnation, seq: *seq }.to_string(),
        index.to_string(),
        commit.id.to_string(),
        commit.at.to_string(),
        literal(&commit.actor),
        literal(commit.request_id.as_deref().unwrap_or_default()),
        change.kind.to_owned(),
        change.resource.0.to_owned(),
        literal(&change.resource.1),
        json(&change.before),
        json(&change.after),
    ]
}

/// A text that clients chose, so that a spreadsheet does not take it for a formula.
fn literal(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
