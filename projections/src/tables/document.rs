//! Documents in the form that they are served in. What a resource's own metadata says is rendered once, without the
//! closing brace, so that what is derived from others can follow.

use serde::Serialize;
use tapelog_events::{Flow, FlowId, Instant, Source, SourceCollectionItem, SourceId, TimeRange};
use uuid::Uuid;

/// A Flow with what is derived from others, as it is now or was at some moment.
#[derive(Debug, Clone)]
pub struct FlowDocument<'a, C> {
    /// Its own metadata.
    pub flow: &'a Flow,
    /// When its segments changed last.
    pub segments_updated: Option<Instant>,
    /// The Flows that collect it.
    pub collected_by: C,
    /// From its first segment to its last, where that is told.
    pub timerange: Option<TimeRange>,
}

impl<'a, C: IntoIterator<Item = &'a FlowId>> FlowDocument<'a, C> {
    /// Writes it as `flow-get.json`, without the Flows that one may not read.
    pub fn write_json(self, out: &mut Vec<u8>, may_read: impl Fn(FlowId) -> bool) {
        self.write(None, out, may_read);
    }

    /// The same where the metadata are [`opened`] already.
    pub(super) fn write_with(self, document: &str, out: &mut Vec<u8>, may_read: impl Fn(FlowId) -> bool) {
        self.write(Some(document), out, may_read);
    }

    fn write(self, document: Option<&str>, out: &mut Vec<u8>, may_read: impl Fn(FlowId) -> bool) {
        let Self { flow, segments_updated, collected_by, timerange } = self;
        if flow.members().iter().all(|member| may_read(member.id)) {
            match document {
                Some(document) => out.extend_from_slice(document.as_bytes()),
                None => out.extend_from_slice(opened(flow).as_bytes()),
            }
        } else {
            let mut readable = flow.clone();
            readable.flow_collection = flow.flow_collection.as_ref().and_then(|members| {
                let members: Vec<_> = members.iter().filter(|member| may_read(member.id)).cloned().collect();
                (!members.is_empty()).then_some(members)
            });
            out.extend_from_slice(opened(&readable).as_bytes());
        }
        if let Some(updated) = segments_updated {
            push_text(out, "segments_updated", &updated.to_string());
        }
        let collectors = collected_by.into_iter().filter(|id| may_read(**id));
        push_ids(out, "collected_by", collectors.map(FlowId::as_uuid));
        if let Some(timerange) = timerange {
            push_text(out, "timerange", &timerange.to_string());
        }
        out.push(b'}');
    }
}

/// A Source with what is derived from others, as it is now or was at some moment.
#[derive(Debug, Clone, Copy)]
pub struct SourceDocument<'a> {
    /// Its own metadata.
    pub source: &'a Source,
    /// The Sources that it collects.
    pub source_collection: &'a [SourceCollectionItem],
    /// The Sources that collect it.
    pub collected_by: &'a [SourceId],
}

impl SourceDocument<'_> {
    /// Writes it as `source.json`, without the Sources that one may not read.
    pub fn write_json(self, out: &mut Vec<u8>, may_read: impl Fn(SourceId) -> bool) {
        self.write_with(&opened(self.source), out, may_read);
    }

    /// The same where the metadata are [`opened`] already.
    pub(super) fn write_with(self, document: &str, out: &mut Vec<u8>, may_read: impl Fn(SourceId) -> bool) {
        out.extend_from_slice(document.as_bytes());
        let collection: Vec<_> = self.source_collection.iter().filter(|item| may_read(item.id)).collect();
        if !collection.is_empty() {
            out.extend_from_slice(b",\"source_collection\":");
            serde_json::to_writer(&mut *out, &collection).expect("writing ids and roles to memory cannot fail");
        }
        let readable = self.collected_by.iter().filter(|id| may_read(**id));
        push_ids(out, "collected_by", readable.map(SourceId::as_uuid));
        out.push(b'}');
    }
}

/// A JSON object without its closing brace.
pub(super) fn opened(value: &impl Serialize) -> Box<str> {
    let mut text = serde_json::to_string(value).expect("metadata of the log has text keys and no other pitfalls");
    text.pop();
    text.into_boxed_str()
}

/// Writes one more member, whose text needs no escapes.
fn push_text(out: &mut Vec<u8>, name: &str, text: &str) {
    for part in [",\"", name, "\":\"", text, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes one more member, a list of ids; nothing where there are none.
fn push_ids<'a>(out: &mut Vec<u8>, name: &str, ids: impl Iterator<Item = &'a Uuid>) {
    let mut separator = None;
    for id in ids {
        match separator {
            None => {
                for part in [",\"", name, "\":[\""] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            Some(separator) => out.extend_from_slice(separator),
        }
        out.extend_from_slice(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        separator = Some(b"\",\"");
    }
    if separator.is_some() {
        out.extend_from_slice(b"\"]");
    }
}
