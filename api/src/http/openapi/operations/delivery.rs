//! Delivery to webhooks.

use super::super::parameters::*;
use super::{Answer, Described, LISTING, OPTIONAL_REDELIVERY, PLAIN, Repetition, json, of};
use crate::http::body::delivery::ReplayBody;
use crate::http::delivery::{
    AttemptDocument, DeadLetterDocument, RedeliveryDocument, ReplayDocument, ResultDocument, StateDocument,
};
use crate::http::route::Verb::{Delete, Get, Post};
use crate::http::signing;

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/service/webhooks/{webhookId}/delivery",
        Described {
            verb: Get,
            id: "get-delivery",
            tag: "Webhooks",
            summary: "Get how far delivery to a webhook is",
            answers: &[Answer::Json(200, "How far it is.", of::<StateDocument>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/deliveries",
        Described {
            verb: Get,
            id: "list-deliveries",
            tag: "Webhooks",
            summary: "List attempts to deliver to a webhook",
            text: "Newest first. Attempts are kept for as long as the settings say; a page may have fewer items than it \
                   could have, and not be the last one.",
            query: &[
                &DELIVERY_RESULT,
                &DELIVERY_TYPE,
                &DELIVERY_EVENT,
                &DELIVERY_FROM,
                &DELIVERY_TO,
                &REVERSE,
                &LIMIT,
                &PAGE,
            ],
            answers: &[Answer::Page("Attempts.", of::<AttemptDocument>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/dead-letters",
        Described {
            verb: Get,
            id: "list-dead-letters",
            tag: "Webhooks",
            summary: "List notifications that a receiver refused for good",
            text: "In the order of their events. They are the only gaps in what a webhook is told.",
            query: &[&REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Dead letters.", of::<DeadLetterDocument<'static>>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/dead-letters/{eventId}",
        Described {
            verb: Get,
            id: "get-dead-letter",
            tag: "Webhooks",
            summary: "Get a dead letter",
            answers: &[Answer::Json(200, "The dead letter.", of::<DeadLetterDocument<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/dead-letters/{eventId}",
        Described {
            verb: Delete,
            id: "delete-dead-letter",
            tag: "Webhooks",
            summary: "Give up a dead letter",
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/dead-letters/redeliver",
        Described {
            verb: Post,
            id: "redeliver-dead-letters",
            tag: "Webhooks",
            summary: "Have dead letters tried once more",
            text: "All of them without a body. What is delivered is a dead letter no more; what is refused again is one \
                   still.",
            body: OPTIONAL_REDELIVERY,
            answers: &[Answer::Json(202, "They will be tried.", of::<RedeliveryDocument>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/replay",
        Described {
            verb: Post,
            id: "replay-webhook",
            tag: "Webhooks",
            summary: "Have notifications delivered again",
            text: "From a time or a position on, in log order, with the ids that they had the first time; delivery then \
                   goes on with what comes after.",
            body: json::<ReplayBody>(),
            answers: &[Answer::Json(202, "They will be delivered.", of::<ReplayDocument>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/ping",
        Described {
            verb: Post,
            id: "ping-webhook",
            tag: "Webhooks",
            summary: "Try whether a receiver answers",
            text: "Posts a notification of type `tapelog/ping` at once, signed like any other, whatever the status of the \
                   webhook. It changes nothing, so that an `Idempotency-Key` means nothing to it.",
            answers: &[Answer::Json(200, "What it came to.", of::<ResultDocument>)],
            conflicts: true,
            repetition: Repetition::Unknown,
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/secret",
        Described {
            verb: Get,
            id: "get-signing-secret",
            tag: "Webhooks",
            summary: "Get the secret that notifications are signed with",
            text: "As Standard Webhooks has it. For those who may change the webhook.",
            answers: &[Answer::Json(200, "The secret.", of::<signing::Document>)],
            conflicts: true,
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}/secret",
        Described {
            verb: Post,
            id: "rotate-signing-secret",
            tag: "Webhooks",
            summary: "Sign notifications with another secret",
            text: "The secret before signs as well for a while, so that receivers have time to learn the new one.",
            answers: &[Answer::Json(200, "The secret.", of::<signing::Document>)],
            ..PLAIN
        },
    ),
];
