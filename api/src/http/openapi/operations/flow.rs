//! Flows.

use tapelog_events::{CollectionItem, TagValue, Tags};

use super::super::parameters::*;
use super::super::schemas::FlowDocument;
use super::{Answer, Described, LISTING, PLAIN, json, of};
use crate::http::route::Verb::{Delete, Get, Post, Put};
use crate::http::{batch, body, deletion};

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/flows/{flowId}/tags",
        Described {
            verb: Get,
            id: "list-flow-tags",
            tag: "Flows",
            summary: "Get the tags of a flow",
            answers: &[Answer::Json(200, "The tags.", of::<Tags>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/tags",
        Described {
            verb: Put,
            id: "put-flow-tags",
            tag: "Flows",
            summary: "Replace the tags of a flow",
            body: json::<body::property::TagsBody>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/tags",
        Described {
            verb: Delete,
            id: "delete-flow-tags",
            tag: "Flows",
            summary: "Delete the tags of a flow",
            text: "Without `confirm=true` it answers 405, as the specification has no such method.",
            query: &[&CONFIRM],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/tags/{name}",
        Described {
            verb: Get,
            id: "get-flow-tag",
            tag: "Flows",
            summary: "Get a tag of a flow",
            answers: &[Answer::Json(200, "Its value.", of::<TagValue>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/tags/{name}",
        Described {
            verb: Put,
            id: "put-flow-tag",
            tag: "Flows",
            summary: "Set a tag of a flow",
            body: json::<TagValue>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/tags/{name}",
        Described { verb: Delete, id: "delete-flow-tag", tag: "Flows", summary: "Delete a tag of a flow", ..PLAIN },
    ),
    (
        "/flows/{flowId}/label",
        Described {
            verb: Get,
            id: "get-flow-label",
            tag: "Flows",
            summary: "Get the label of a flow",
            answers: &[Answer::Json(200, "The label; 404 where there is none.", of::<String>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/label",
        Described {
            verb: Put,
            id: "put-flow-label",
            tag: "Flows",
            summary: "Set the label of a flow",
            body: json::<String>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/label",
        Described {
            verb: Delete,
            id: "delete-flow-label",
            tag: "Flows",
            summary: "Delete the label of a flow",
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/description",
        Described {
            verb: Get,
            id: "get-flow-description",
            tag: "Flows",
            summary: "Get the description of a flow",
            answers: &[Answer::Json(200, "The description; 404 where there is none.", of::<String>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/description",
        Described {
            verb: Put,
            id: "put-flow-description",
            tag: "Flows",
            summary: "Set the description of a flow",
            body: json::<String>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/description",
        Described {
            verb: Delete,
            id: "delete-flow-description",
            tag: "Flows",
            summary: "Delete the description of a flow",
            ..PLAIN
        },
    ),
    (
        "/flows",
        Described {
            verb: Get,
            id: "list-flows",
            tag: "Flows",
            summary: "List flows",
            query: &[
                &SOURCE_ID,
                &FLOW_TIMERANGE,
                &FORMAT,
                &CODEC,
                &PROFILE_ID,
                &LABEL,
                &STATUS,
                &TAG,
                &TAG_EXISTS,
                &FRAME_WIDTH,
                &FRAME_HEIGHT,
                &INIT_SEGMENTS,
                &COLLECTED_BY,
                &SORT_FLOWS,
                &REVERSE,
                &LIMIT,
                &PAGE,
            ],
            answers: &[Answer::Page("Flows.", of::<FlowDocument>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/flows",
        Described {
            verb: Post,
            id: "put-flows",
            tag: "Flows",
            summary: "Create or replace flows",
            text: "One, or a list of which each is judged on its own.",
            body: json::<Vec<body::flow::FlowBody>>(),
            answers: &[
                Answer::Json(201, "All were taken.", of::<batch::Answer>),
                Answer::Json(200, "Some were not; the answer says which, and why.", of::<batch::Answer>),
            ],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}",
        Described {
            verb: Get,
            id: "get-flow",
            tag: "Flows",
            summary: "Get a flow",
            query: &[&INCLUDE_TIMERANGE, &CLIP],
            answers: &[Answer::Json(200, "The flow.", of::<FlowDocument>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}",
        Described {
            verb: Put,
            id: "put-flow",
            tag: "Flows",
            summary: "Create or replace a flow",
            text: "What is left out becomes unset. What the server manages is passed over, so that a flow can be sent back as it was got.",
            body: json::<body::flow::FlowBody>(),
            answers: &[
                Answer::Json(201, "It was created.", of::<FlowDocument>),
                Answer::Empty(204, "It was replaced, or was so already."),
            ],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}",
        Described {
            verb: Delete,
            id: "delete-flow",
            tag: "Flows",
            summary: "Delete a flow with its segments",
            text: "Its source goes with its last flow.",
            query: &[&CASCADE, &SOFT_DELETE],
            answers: &[
                Answer::Empty(204, "It is gone."),
                Answer::Accepted("It goes on being deleted.", of::<deletion::Document<'static>>),
            ],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/restore",
        Described {
            verb: Post,
            id: "restore-flow",
            tag: "Flows",
            summary: "Restore a flow that was put aside",
            text: "With all its segments. What collected it does not collect it again.",
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/read_only",
        Described {
            verb: Get,
            id: "get-flow-read-only",
            tag: "Flows",
            summary: "Whether a flow is locked",
            answers: &[Answer::Json(200, "Unset is false.", of::<bool>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/read_only",
        Described {
            verb: Put,
            id: "put-flow-read-only",
            tag: "Flows",
            summary: "Lock or unlock a flow",
            body: json::<bool>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/flow_collection",
        Described {
            verb: Get,
            id: "get-flow-collection",
            tag: "Flows",
            summary: "Get what a flow collects",
            answers: &[Answer::Json(200, "In order; 404 where there is none.", of::<Vec<CollectionItem>>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/flow_collection",
        Described {
            verb: Put,
            id: "put-flow-collection",
            tag: "Flows",
            summary: "Set what a flow collects",
            text: "Members must exist, and none may lead back to the flow.",
            body: json::<Vec<CollectionItem>>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/flow_collection",
        Described {
            verb: Delete,
            id: "delete-flow-collection",
            tag: "Flows",
            summary: "Let a flow collect nothing",
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/max_bit_rate",
        Described {
            verb: Get,
            id: "get-flow-max-bit-rate",
            tag: "Flows",
            summary: "Get the greatest bit rate of a flow",
            answers: &[Answer::Json(200, "In kbit/s; 404 where there is none.", of::<u64>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/max_bit_rate",
        Described {
            verb: Put,
            id: "put-flow-max-bit-rate",
            tag: "Flows",
            summary: "Set the greatest bit rate of a flow",
            body: json::<u64>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/max_bit_rate",
        Described {
            verb: Delete,
            id: "delete-flow-max-bit-rate",
            tag: "Flows",
            summary: "Delete the greatest bit rate of a flow",
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/avg_bit_rate",
        Described {
            verb: Get,
            id: "get-flow-avg-bit-rate",
            tag: "Flows",
            summary: "Get the average bit rate of a flow",
            answers: &[Answer::Json(200, "In kbit/s; 404 where there is none.", of::<u64>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/avg_bit_rate",
        Described {
            verb: Put,
            id: "put-flow-avg-bit-rate",
            tag: "Flows",
            summary: "Set the average bit rate of a flow",
            body: json::<u64>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/avg_bit_rate",
        Described {
            verb: Delete,
            id: "delete-flow-avg-bit-rate",
            tag: "Flows",
            summary: "Delete the average bit rate of a flow",
            ..PLAIN
        },
    ),
];
