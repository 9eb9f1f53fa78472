//! Documents in the form that they are served in. What a resource's own metadata says is rendered once, without the
//! closing brace, so that what is derived from others can follow.

use serde::Serialize;
use uuid::Uuid;

/// A JSON object without its closing brace.
pub(super) fn opened(value: &impl Serialize) -> Box<str> {
    let mut text = serde_json::to_string(value).expect("metadata of the log has text keys and no other pitfalls");
    text.pop();
    text.into_boxed_str()
}

/// Writes one more member, whose text needs no escapes.
pub(super) fn push_text(out: &mut Vec<u8>, name: &str, text: &str) {
    for part in [",\"", name, "\":\"", text, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes one more member, a list of ids; nothing where there are none.
pub(super) fn push_ids<'a>(out: &mut Vec<u8>, name: &str, ids: impl Iterator<Item = &'a Uuid>) {
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
