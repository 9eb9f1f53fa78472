//! Sources.

use tapelog_events::{TagValue, Tags};

use super::super::parameters::*;
use super::super::schemas::SourceDocument;
use super::{Answer, Described, LISTING, PLAIN, json, of};
use crate::http::route::Verb::{Delete, Get, Post, Put};
use crate::http::{batch, body, deletion};

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/sources",
        Described {
            verb: Get,
            id: "list-sources",
            tag: "Sources",
            summary: "List sources",
            query: &[&LABEL, &FORMAT, &TAG, &TAG_EXISTS, &COLLECTED_BY, &SORT_SOURCES, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Sources.", of::<SourceDocument>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/sources",
        Described {
            verb: Post,
            id: "edit-sources",
            tag: "Sources",
            summary: "Change sources",
            text: "One, or a list of which each is judged on its own. A source appears with its first flow, so none is made here.",
            body: json::<Vec<body::source::SourceBody>>(),
            answers: &[
                Answer::Json(201, "All were taken.", of::<batch::Answer>),
                Answer::Json(200, "Some were not; the answer says which, and why.", of::<batch::Answer>),
            ],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}",
        Described {
            verb: Get,
            id: "get-source",
            tag: "Sources",
            summary: "Get a source",
            answers: &[Answer::Json(200, "The source.", of::<SourceDocument>)],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}",
        Described {
            verb: Delete,
            id: "delete-source",
            tag: "Sources",
            summary: "Delete a source with its flows",
            text: "Without `cascade` it answers 405, as the specification has no such method.",
            query: &[&CASCADE_SOURCE, &SOFT_DELETE],
            answers: &[
                Answer::Empty(204, "Done."),
                Answer::Accepted("The last of its flows goes on being deleted.", of::<deletion::Document<'static>>),
            ],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/restore",
        Described {
            verb: Post,
            id: "restore-source",
            tag: "Sources",
            summary: "Restore the flows of a source that were put aside",
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/tags",
        Described {
            verb: Get,
            id: "list-source-tags",
            tag: "Sources",
            summary: "Get the tags of a source",
            answers: &[Answer::Json(200, "The tags.", of::<Tags>)],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/tags",
        Described {
            verb: Put,
            id: "put-source-tags",
            tag: "Sources",
            summary: "Replace the tags of a source",
            body: json::<body::property::TagsBody>(),
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/tags",
        Described {
            verb: Delete,
            id: "delete-source-tags",
            tag: "Sources",
            summary: "Delete the tags of a source",
            text: "Without `confirm=true` it answers 405, as the specification has no such method.",
            query: &[&CONFIRM],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/tags/{name}",
        Described {
            verb: Get,
            id: "get-source-tag",
            tag: "Sources",
            summary: "Get a tag of a source",
            answers: &[Answer::Json(200, "Its value.", of::<TagValue>)],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/tags/{name}",
        Described {
            verb: Put,
            id: "put-source-tag",
            tag: "Sources",
            summary: "Set a tag of a source",
            body: json::<TagValue>(),
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/tags/{name}",
        Described {
            verb: Delete,
            id: "delete-source-tag",
            tag: "Sources",
            summary: "Delete a tag of a source",
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/label",
        Described {
            verb: Get,
            id: "get-source-label",
            tag: "Sources",
            summary: "Get the label of a source",
            answers: &[Answer::Json(200, "The label; 404 where there is none.", of::<String>)],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/label",
        Described {
            verb: Put,
            id: "put-source-label",
            tag: "Sources",
            summary: "Set the label of a source",
            body: json::<String>(),
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/label",
        Described {
            verb: Delete,
            id: "delete-source-label",
            tag: "Sources",
            summary: "Delete the label of a source",
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/description",
        Described {
            verb: Get,
            id: "get-source-description",
            tag: "Sources",
            summary: "Get the description of a source",
            answers: &[Answer::Json(200, "The description; 404 where there is none.", of::<String>)],
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/description",
        Described {
            verb: Put,
            id: "put-source-description",
            tag: "Sources",
            summary: "Set the description of a source",
            body: json::<String>(),
            ..PLAIN
        },
    ),
    (
        "/sources/{sourceId}/description",
        Described {
            verb: Delete,
            id: "delete-source-description",
            tag: "Sources",
            summary: "Delete the description of a source",
            ..PLAIN
        },
    ),
];
