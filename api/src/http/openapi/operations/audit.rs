//! The audit of all changes.

use super::super::parameters::*;
use super::{Answer, Described, LISTING, PLAIN, of};
use crate::audit::CommitDocument;
use crate::http::audit::ExportKey;
use crate::http::route::Verb::Get;

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/audit",
        Described {
            verb: Get,
            id: "list-audit",
            tag: "Audit",
            summary: "List who changed what, and when",
            text: "Commits that meet every condition, newest first; each with its place in the log and what it changed. A \
                   commit touches what its events are about: a flow and its source, the objects of segments that are \
                   added, a webhook. Deleting segments by range does not touch their objects.",
            query: &[
                &AUDIT_FLOW,
                &AUDIT_SOURCE,
                &AUDIT_OBJECT,
                &AUDIT_WEBHOOK,
                &AUDIT_ACTOR,
                &AUDIT_TYPE,
                &AUDIT_FROM,
                &AUDIT_TO,
                &AUDIT_FORMAT,
                &REVERSE,
                &LIMIT,
                &PAGE,
            ],
            answers: &[Answer::Page("Commits.", of::<CommitDocument<'static>>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/audit/export",
        Described {
            verb: Get,
            id: "export-audit",
            tag: "Audit",
            summary: "Export records of the log, signed",
            text: "The records of the commits that an audit with the same parameters lists, oldest first, as they stand \
                   in the log: whole, so with the commits that were written together with those, and with hashes of \
                   secrets. Lines of JSON, of which \
                   the last holds a signature; `tapelog verify --export` checks them offline.",
            query: &[
                &AUDIT_FLOW,
                &AUDIT_SOURCE,
                &AUDIT_OBJECT,
                &AUDIT_WEBHOOK,
                &AUDIT_ACTOR,
                &AUDIT_TYPE,
                &AUDIT_FROM,
                &AUDIT_TO,
            ],
            answers: &[Answer::Other("application/x-ndjson", "The export.")],
            ..PLAIN
        },
    ),
    (
        "/audit/key",
        Described {
            verb: Get,
            id: "get-audit-key",
            tag: "Audit",
            summary: "Get the public key that exports are signed with",
            answers: &[Answer::Json(200, "The key.", of::<ExportKey>)],
            ..PLAIN
        },
    ),
];
