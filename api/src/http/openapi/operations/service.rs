//! The store itself, profiles, webhooks.

use tapelog_events::Profile;

use super::super::parameters::*;
use super::{Answer, Described, LISTING, PLAIN, REFERENCES, json, of};
use crate::http::route::Verb::{Delete, Get, Post, Put};
use crate::http::{backend, body, service, webhook};

pub const OPERATIONS: &[(&str, Described)] = &[
    (
        "/",
        Described {
            verb: Get,
            id: "root",
            tag: "Service",
            summary: "What there is",
            answers: &[Answer::Json(200, "Names of paths.", of::<Vec<String>>)],
            ..PLAIN
        },
    ),
    (
        "/service",
        Described {
            verb: Get,
            id: "get-service",
            tag: "Service",
            summary: "What the store says of itself",
            answers: &[Answer::Json(200, "The store.", of::<service::Service<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/service",
        Described {
            verb: Post,
            id: "update-service",
            tag: "Service",
            summary: "Name or describe the store",
            text: "What is absent stays.",
            body: json::<body::service::ServiceBody>(),
            answers: &[Answer::Empty(200, "Done.")],
            ..PLAIN
        },
    ),
    (
        "/service/storage-backends",
        Described {
            verb: Get,
            id: "list-storage-backends",
            tag: "Service",
            summary: "List storage backends",
            text: "By label. A parameter that cannot be read is as good as absent.",
            query: &[&TAG, &TAG_EXISTS, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Storage backends.", of::<backend::BackendDescription>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/service/profiles",
        Described {
            verb: Get,
            id: "list-profiles",
            tag: "Profiles",
            summary: "List profiles",
            query: &[&FORMAT, &CODEC, &LABEL, &LIMIT, &PAGE],
            answers: &[Answer::Page("Profiles.", of::<Profile>, REFERENCES)],
            ..PLAIN
        },
    ),
    (
        "/service/profiles/{profileId}",
        Described {
            verb: Get,
            id: "get-profile",
            tag: "Profiles",
            summary: "Get a profile",
            answers: &[Answer::Json(200, "The profile.", of::<Profile>)],
            ..PLAIN
        },
    ),
    (
        "/service/profiles/{profileId}",
        Described {
            verb: Post,
            id: "create-profile",
            tag: "Profiles",
            summary: "Create a profile",
            text: "Under an id of the client's choice. It never changes and is never deleted; 400 where the id is taken.",
            body: json::<body::profile::ProfileBody>(),
            answers: &[Answer::Json(201, "The profile.", of::<Profile>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks",
        Described {
            verb: Get,
            id: "list-webhooks",
            tag: "Webhooks",
            summary: "List webhooks",
            text: "By URL. A parameter that cannot be read is as good as absent.",
            query: &[&TAG, &TAG_EXISTS, &REVERSE, &LIMIT, &PAGE],
            answers: &[Answer::Page("Webhooks, without their keys.", of::<webhook::Document<'static>>, LISTING)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks",
        Described {
            verb: Post,
            id: "create-webhook",
            tag: "Webhooks",
            summary: "Register a webhook",
            text: "Always a new one, with an id of the server's. The key is sealed before it is stored and told to nobody but the receiver.",
            body: json::<body::webhook::WebhookBody>(),
            answers: &[Answer::Json(201, "The webhook.", of::<webhook::Document<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}",
        Described {
            verb: Get,
            id: "get-webhook",
            tag: "Webhooks",
            summary: "Get a webhook",
            answers: &[Answer::Json(200, "The webhook, without its key.", of::<webhook::Document<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}",
        Described {
            verb: Put,
            id: "put-webhook",
            tag: "Webhooks",
            summary: "Replace a webhook",
            text: "Without `api_key_value` the key stays; without `api_key_name`, or with an empty value, it goes.",
            body: json::<body::webhook::WebhookBody>(),
            answers: &[Answer::Json(201, "The webhook.", of::<webhook::Document<'static>>)],
            ..PLAIN
        },
    ),
    (
        "/service/webhooks/{webhookId}",
        Described { verb: Delete, id: "delete-webhook", tag: "Webhooks", summary: "Delete a webhook", ..PLAIN },
    ),
];
