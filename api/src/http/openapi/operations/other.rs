//! Tags and collections across the store, accounts, operations.

use tapelog_events::CollectionItem;

use super::super::parameters::*;
use super::super::schemas::{
    CollectionDocument, FlowDocument, SourceCollectionDocument, SourceDocument, TagCount, TagValueCount,
};
use super::{Answer, Described, LISTING, PLAIN, Repetition, TOKEN_FORM, json, of};
use crate::http::route::Verb::{Delete, Get, Post, Put};
use crate::http::{account, body, token};

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/tags",
        Described {
            verb: Get,
            id: "list-tag-names",
            tag: "Tags",
            summary: "List the tags of the store",
            text: "With how often each is used, for those who may see every resource.",
            query: &[&PREFIX, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Names of tags.", of::<TagCount>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/tags/{name}",
        Described {
            verb: Get,
            id: "list-tag-values",
            tag: "Tags",
            summary: "List the values of a tag",
            text: "With how often each is used, for those who may see every resource.",
            query: &[&REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Values of the tag.", of::<TagValueCount>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/collections",
        Described {
            verb: Get,
            id: "list-collections",
            tag: "Collections",
            summary: "List flows that collect others",
            query: &[&LABEL, &TAG, &TAG_EXISTS, &SORT_FLOWS, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Flows.", of::<FlowDocument>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/collections",
        Described {
            verb: Post,
            id: "create-collection",
            tag: "Collections",
            summary: "Make a flow that collects others",
            body: json::<body::collection::CollectionBody<CollectionItem>>(),
            answers: &[Answer::Json(201, "The flow.", of::<FlowDocument>)],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/collections/{flowId}",
        Described {
            verb: Get,
            id: "get-collection",
            tag: "Collections",
            summary: "Get a flow that collects others, with those",
            answers: &[Answer::Json(200, "The flow, and what it collects.", of::<CollectionDocument>)],
            ..PLAIN
        },
    ),
    (
        "/source-collections",
        Described {
            verb: Get,
            id: "list-source-collections",
            tag: "Collections",
            summary: "List sources that collect others",
            query: &[&LABEL, &TAG, &TAG_EXISTS, &SORT_SOURCES, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Sources.", of::<SourceDocument>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/source-collections",
        Described {
            verb: Post,
            id: "create-source-collection",
            tag: "Collections",
            summary: "Make a source that collects others",
            text: "Through a flow that collects all their flows.",
            body: json::<body::collection::CollectionBody<body::collection::SourceMember>>(),
            answers: &[Answer::Json(201, "The source.", of::<SourceDocument>)],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/source-collections/{sourceId}",
        Described {
            verb: Get,
            id: "get-source-collection",
            tag: "Collections",
            summary: "Get a source that collects others, with those",
            answers: &[Answer::Json(200, "The source, and what it collects.", of::<SourceCollectionDocument>)],
            ..PLAIN
        },
    ),
    (
        "/oauth2/token",
        Described {
            verb: Post,
            id: "grant-token",
            tag: "Accounts",
            summary: "Trade credentials for an access token",
            text: "The grants `client_credentials` and `refresh_token` of OAuth 2 (RFC 6749). Each grants another token: \
                an `Idempotency-Key` is ignored.",
            body: TOKEN_FORM,
            repetition: Repetition::Unknown,
            answers: &[Answer::Json(200, "The token.", of::<token::TokenResponse<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/auth/me",
        Described {
            verb: Get,
            id: "get-me",
            tag: "Accounts",
            summary: "Who asks",
            answers: &[Answer::Json(200, "Name, scopes and classes.", of::<account::MeView<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/auth/accounts",
        Described {
            verb: Get,
            id: "list-accounts",
            tag: "Accounts",
            summary: "List accounts",
            query: &[&REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Accounts.", of::<account::AccountView<'static>>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/auth/accounts",
        Described {
            verb: Post,
            id: "create-account",
            tag: "Accounts",
            summary: "Make an account",
            text: "An `Idempotency-Key` is ignored, since the log would need a digest of the password to know the request \
                again. A repetition is refused with 409.",
            body: json::<body::account::AccountMembers>(),
            repetition: Repetition::Unknown,
            answers: &[Answer::Json(201, "The account.", of::<account::AccountView<'static>>)],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/auth/accounts/{account}",
        Described {
            verb: Get,
            id: "get-account",
            tag: "Accounts",
            summary: "Get an account",
            answers: &[Answer::Json(200, "The account.", of::<account::AccountView<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/auth/accounts/{account}",
        Described {
            verb: Put,
            id: "put-account",
            tag: "Accounts",
            summary: "Change an account",
            text: "What is absent stays. An `Idempotency-Key` is ignored, since the log would need a digest of the \
                password to know the request again.",
            body: json::<body::account::AccountMembers>(),
            repetition: Repetition::Unknown,
            answers: &[Answer::Json(200, "The account.", of::<account::AccountView<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/auth/accounts/{account}",
        Described {
            verb: Delete,
            id: "delete-account",
            tag: "Accounts",
            summary: "Delete an account with its tokens",
            ..PLAIN
        },
    ),
    (
        "/auth/accounts/{account}/tokens",
        Described {
            verb: Get,
            id: "list-tokens",
            tag: "Accounts",
            summary: "List the tokens of an account",
            answers: &[Answer::Json(200, "Tokens, without their secrets.", of::<Vec<account::TokenView<'static>>>)],
            ..PLAIN
        },
    ),
    (
        "/auth/accounts/{account}/tokens",
        Described {
            verb: Post,
            id: "create-token",
            tag: "Accounts",
            summary: "Give out a token",
            text: "An `Idempotency-Key` is ignored, since the secret cannot be told twice: a repetition gives out another.",
            body: json::<body::account::TokenMembers>(),
            repetition: Repetition::Unknown,
            answers: &[Answer::Json(
                201,
                "The token, with its secret, which is told this once.",
                of::<account::TokenView<'static>>,
            )],
            ..PLAIN
        },
    ),
    (
        "/auth/accounts/{account}/tokens/{tokenId}",
        Described { verb: Delete, id: "revoke-token", tag: "Accounts", summary: "End a token", ..PLAIN },
    ),
    (
        "/auth/log",
        Described {
            verb: Get,
            id: "list-authentications",
            tag: "Accounts",
            summary: "Who tried to log in, the latest first",
            query: &[&SINCE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Entries.", of::<crate::auth::Entry>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/events",
        Described {
            verb: Get,
            id: "follow-events",
            tag: "Events",
            summary: "Follow what happens, as server-sent events",
            text: "Each event has the name of its kind, an id, and as data the body that a webhook would be sent. The stream \
                may end at any time, as when the server stops or its reader is too slow; whoever comes back with \
                `Last-Event-ID`, as browsers do by themselves, goes on with the next event, on any server of the store. \
                Comments show that the stream stands; an id comes with each, which is as far as the log was read.",
            query: &[
                &EVENTS,
                &FLOW_IDS,
                &SOURCE_IDS,
                &FLOW_COLLECTED_BY,
                &SOURCE_COLLECTED_BY,
                &ACCEPT_GET_URLS,
                &ACCEPT_STORAGE_IDS,
                &PRESIGNED,
                &VERBOSE_STORAGE,
                &OBJECT_TIMERANGE,
                &LAST_EVENT_ID,
                &FROM_EVENT,
            ],
            answers: &[Answer::Other("Events, without end.", "text/event-stream")],
            ..PLAIN
        },
    ),
    (
        "/healthz",
        Described {
            verb: Get,
            id: "get-health",
            tag: "Operations",
            summary: "Whether the process answers",
            answers: &[Answer::Other("It does.", "application/json")],
            ..PLAIN
        },
    ),
    (
        "/readyz",
        Described {
            verb: Get,
            id: "get-readiness",
            tag: "Operations",
            summary: "Whether requests can be served",
            text: "503 names what keeps the server from it.",
            answers: &[Answer::Other("They can.", "application/json")],
            ..PLAIN
        },
    ),
    (
        "/admin/projections",
        Described {
            verb: Get,
            id: "get-projections",
            tag: "Operations",
            summary: "How far the tables are",
            text: "With the verification or rebuild under way, and what the last one came to.",
            answers: &[Answer::Other("The position, and how far behind the log it is.", "application/json")],
            ..PLAIN
        },
    ),
    (
        "/admin/verify",
        Described {
            verb: Post,
            id: "verify-tables",
            tag: "Operations",
            summary: "Compare tables and checkpoint with the log",
            text: "Answers with lines of JSON while it goes on: `progress`, and at the end `report` or `failed`. It goes on \
                when nobody listens. Only one verification or rebuild can be under way; the problem says which one is.",
            answers: &[Answer::Other("Lines of JSON.", "application/x-ndjson")],
            conflicts: true,
            repetition: Repetition::Unknown,
            ..PLAIN
        },
    ),
    (
        "/admin/rebuild",
        Described {
            verb: Post,
            id: "rebuild-tables",
            tag: "Operations",
            summary: "Build the tables anew from the log, compare, and use them",
            text: "Requests go on meanwhile. Answers with lines of JSON: `progress`, and at the end `rebuilt` or `failed`. It \
                goes on when nobody listens. Tables that differ from the log are replaced as equal ones are, and the \
                report names the first difference. Only one verification or rebuild can be under way; the problem \
                says which one is.",
            answers: &[Answer::Other("Lines of JSON.", "application/x-ndjson")],
            conflicts: true,
            repetition: Repetition::Unknown,
            ..PLAIN
        },
    ),
    (
        "/metrics",
        Described {
            verb: Get,
            id: "get-metrics",
            tag: "Operations",
            summary: "Metrics for Prometheus",
            answers: &[Answer::Other("Metrics.", "text/plain")],
            ..PLAIN
        },
    ),
    (
        "/openapi.json",
        Described {
            verb: Get,
            id: "get-openapi",
            tag: "Operations",
            summary: "This document",
            answers: &[Answer::Other("OpenAPI 3.1.", "application/json")],
            ..PLAIN
        },
    ),
    (
        "/docs",
        Described {
            verb: Get,
            id: "get-docs",
            tag: "Operations",
            summary: "This document, to browse",
            answers: &[Answer::Other("A page.", "text/html")],
            ..PLAIN
        },
    ),
];
