//! Segments, storage, objects, deletion.

use tapelog_events::{TagValue, Tags};

use super::super::parameters::*;
use super::super::schemas::{ObjectDocument, SegmentDocument};
use super::{Answer, Body, Described, LISTING, OPTIONAL_STORAGE, PLAIN, Repetition, SEGMENTS, json, of};
use crate::http::route::Verb::{Delete, Get, Post, Put};
use crate::http::{body, deletion, segment, storage, trash};

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/flows/{flowId}/segments",
        Described {
            verb: Get,
            id: "list-segments",
            tag: "Segments",
            summary: "List segments",
            text: "By time. A flow that does not exist has none.",
            query: &[
                &OBJECT_ID,
                &OVERLAP,
                &REVERSE,
                &OBJECT_TIMERANGE,
                &INCLUDE_TAGS,
                &TAG,
                &TAG_EXISTS,
                &ACCEPT_GET_URLS,
                &ACCEPT_STORAGE_IDS,
                &PRESIGNED,
                &VERBOSE_STORAGE,
                &BACKEND_TAG,
                &BACKEND_TAG_EXISTS,
                &PRESIGNED_HEAD,
                &LIMIT,
                &PAGE,
            ],
            answers: &[Answer::Page("Segments.", of::<SegmentDocument>, SEGMENTS)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments",
        Described {
            verb: Post,
            id: "post-segments",
            tag: "Segments",
            summary: "Add segments",
            text: "One, or a list of which each is judged on its own. They may come in any order and must not overlap.",
            body: json::<Vec<body::segment::SegmentBody>>(),
            answers: &[
                Answer::Empty(201, "All were added."),
                Answer::Json(
                    200,
                    "Some of a list were not; the answer says which, and why.",
                    of::<segment::Failed<'static>>,
                ),
            ],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments",
        Described {
            verb: Delete,
            id: "delete-segments",
            tag: "Segments",
            summary: "Delete segments",
            query: &[&INSIDE, &OBJECT_ID],
            answers: &[
                Answer::Empty(204, "They are gone."),
                Answer::Accepted("They go on being deleted.", of::<deletion::Document<'static>>),
            ],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments/{segment}/tags",
        Described {
            verb: Get,
            id: "list-segment-tags",
            tag: "Segments",
            summary: "Get the tags of a segment",
            answers: &[Answer::Json(200, "The tags.", of::<Tags>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments/{segment}/tags",
        Described {
            verb: Put,
            id: "put-segment-tags",
            tag: "Segments",
            summary: "Replace the tags of a segment",
            body: json::<body::property::TagsBody>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments/{segment}/tags",
        Described {
            verb: Delete,
            id: "delete-segment-tags",
            tag: "Segments",
            summary: "Delete the tags of a segment",
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments/{segment}/tags/{name}",
        Described {
            verb: Get,
            id: "get-segment-tag",
            tag: "Segments",
            summary: "Get a tag of a segment",
            answers: &[Answer::Json(200, "Its value.", of::<TagValue>)],
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments/{segment}/tags/{name}",
        Described {
            verb: Put,
            id: "put-segment-tag",
            tag: "Segments",
            summary: "Set a tag of a segment",
            body: json::<TagValue>(),
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/segments/{segment}/tags/{name}",
        Described {
            verb: Delete,
            id: "delete-segment-tag",
            tag: "Segments",
            summary: "Delete a tag of a segment",
            ..PLAIN
        },
    ),
    (
        "/flows/{flowId}/storage",
        Described {
            verb: Post,
            id: "allocate-storage",
            tag: "Storage",
            summary: "Get places for objects to come",
            text: "Each with a URL to upload it to. The flow registers them first.",
            body: OPTIONAL_STORAGE,
            answers: &[Answer::Json(201, "The objects.", of::<storage::Storage<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/objects",
        Described {
            verb: Post,
            id: "allocate-objects",
            tag: "Objects",
            summary: "Get places for objects of any flow",
            text: "As for a flow, but for objects that any flow may register first.",
            body: OPTIONAL_STORAGE,
            answers: &[Answer::Json(201, "The objects.", of::<storage::Storage<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/objects/{objectId}",
        Described {
            verb: Get,
            id: "get-object",
            tag: "Objects",
            summary: "Get an object",
            text: "Once a segment uses it. Pages go over `referenced_by_flows`.",
            query: &[
                &FLOW_TAG,
                &FLOW_TAG_EXISTS,
                &ACCEPT_GET_URLS,
                &ACCEPT_STORAGE_IDS,
                &PRESIGNED,
                &VERBOSE_STORAGE,
                &BACKEND_TAG,
                &BACKEND_TAG_EXISTS,
                &PRESIGNED_HEAD,
                &LIMIT,
                &PAGE,
            ],
            answers: &[Answer::Json(200, "The object.", of::<ObjectDocument>)],
            ..PLAIN
        },
    ),
    (
        "/objects/{objectId}",
        Described {
            verb: Delete,
            id: "delete-object",
            tag: "Objects",
            summary: "Give up an object",
            text: "One that no segment uses, without waiting for its grace to end. Without `confirm=true` it answers 405, as the specification has no such method.",
            query: &[&CONFIRM],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/objects/{objectId}/content",
        Described {
            verb: Get,
            id: "get-object-content",
            tag: "Objects",
            summary: "Get the bytes of an object",
            answers: &[Answer::Redirect("They are at this URL, which needs no credentials.")],
            ..PLAIN
        },
    ),
    (
        "/objects/{objectId}/content",
        Described {
            verb: Put,
            id: "put-object-content",
            tag: "Objects",
            summary: "Upload the bytes of an object",
            text: "Through this server, for clients that do not reach the object storage. The same bytes can be stored \
                again, so that an `Idempotency-Key` is ignored.",
            body: Some(Body { required: true, media_type: "*/*", schema: None }),
            answers: &[Answer::Empty(201, "They are stored.")],
            conflicts: true,
            repetition: Repetition::Unknown,
            ..PLAIN
        },
    ),
    (
        "/objects/{objectId}/instances",
        Described {
            verb: Post,
            id: "add-instance",
            tag: "Objects",
            summary: "Add an instance of an object",
            text: "With `storage_id` a copy, which is listed once it is whole; with `url` and `label` an address outside the store.",
            body: json::<body::instance::InstanceBody>(),
            answers: &[Answer::Empty(201, "It is there, or on its way.")],
            ..PLAIN
        },
    ),
    (
        "/objects/{objectId}/instances",
        Described {
            verb: Delete,
            id: "remove-instance",
            tag: "Objects",
            summary: "Remove an instance of an object",
            text: "By `storage_id` or by `label`. The last one stays.",
            query: &[&STORAGE_ID, &INSTANCE_LABEL],
            ..PLAIN
        },
    ),
    (
        "/flow-delete-requests",
        Described {
            verb: Get,
            id: "list-deletion-requests",
            tag: "Deletion",
            summary: "List deletion requests",
            text: "A parameter that cannot be read is as good as absent.",
            query: &[&SORT_DELETIONS, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Deletion requests.", of::<deletion::Document<'static>>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/flow-delete-requests/{request-id}",
        Described {
            verb: Get,
            id: "get-deletion-request",
            tag: "Deletion",
            summary: "Get a deletion request",
            answers: &[Answer::Json(200, "How far it is.", of::<deletion::Document<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/trash",
        Described {
            verb: Get,
            id: "list-trash",
            tag: "Deletion",
            summary: "List flows that were put aside",
            query: &[&REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Flows that can be restored.", of::<trash::Trashed<'static>>, LISTING)],
            ..PLAIN
        },
    ),
];
