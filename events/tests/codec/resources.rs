//! Strategies for events about what there is little of: instances, profiles, deletions, webhooks, accounts.

use std::collections::BTreeSet;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tapelog_events::*;

use crate::values::{
    container_mapping, essence, format, instance, instant, object_id, rational, tags, text, time_range, uuid,
};

/// What becomes of objects besides their use.
pub fn life_event() -> BoxedStrategy<Event> {
    let added = (object_id(), instance());
    let added = added.prop_map(|(object_id, instance)| InstanceAdded { object_id, instance }.into());
    let removed = (object_id(), instance());
    let removed = removed.prop_map(|(object_id, instance)| InstanceRemoved { object_id, instance }.into());
    let place = || (object_id(), uuid().prop_map(StorageId::from_uuid));
    let erased = place().prop_map(|(object_id, storage_id)| InstanceErased { object_id, storage_id }.into());
    let requested = place().prop_map(|(object_id, storage_id)| CopyRequested { object_id, storage_id }.into());
    let failed = (place(), text())
        .prop_map(|((object_id, storage_id), reason)| CopyFailed { object_id, storage_id, reason }.into());
    let condemned = vec(object_id(), 0..3).prop_map(|object_ids| ObjectsCondemned { object_ids }.into());
    let deleted = vec(object_id(), 0..3).prop_map(|object_ids| ObjectsDeleted { object_ids }.into());
    prop_oneof![added, removed, erased, requested, failed, condemned, deleted].boxed()
}

pub fn profile_event() -> BoxedStrategy<Event> {
    let media = (option::of(rational()), option::of(container_mapping()), option::of(essence()));
    let technical = (format(), option::of(text()), option::of(text()), option::of(any::<u64>()), media);
    let technical = technical.prop_map(|(format, codec, container, avg_bit_rate, media)| TechnicalMetadata {
        format,
        codec,
        container,
        avg_bit_rate,
        segment_duration: media.0,
        container_mapping: media.1,
        essence_parameters: media.2,
    });
    let words = (option::of(text()), option::of(text()), option::of(text()));
    (uuid(), words, tags(), instant(), technical)
        .prop_map(|(id, (label, description, created_by), tags, created, flow_metadata)| {
            let id = ProfileId::from_uuid(id);
            ProfileCreated { profile: Profile { id, label, description, tags, created, created_by, flow_metadata } }
                .into()
        })
        .boxed()
}

fn failure() -> impl Strategy<Value = Failure> {
    (text(), text(), instant()).prop_map(|(kind, summary, time)| Failure { kind, summary, time })
}

pub fn deletion_event() -> BoxedStrategy<Event> {
    let status = prop_oneof![
        select(vec![DeletionStatus::Created, DeletionStatus::Started, DeletionStatus::Done]),
        failure().prop_map(DeletionStatus::Error),
    ];
    let dates = (instant(), instant(), option::of(instant()));
    let request = (uuid(), uuid(), (time_range(), time_range()), any::<bool>(), status, text(), dates).prop_map(
        |(id, flow_id, ranges, delete_flow, status, created_by, dates)| DeletionRequest {
            id: DeletionRequestId::from_uuid(id),
            flow_id: FlowId::from_uuid(flow_id),
            timerange_to_delete: ranges.0,
            delete_flow,
            status,
            timerange_remaining: ranges.1,
            created: dates.0,
            created_by,
            updated: dates.1,
            expiry: dates.2,
        },
    );
    let request = request.boxed();
    prop_oneof![
        request.clone().prop_map(|request| DeletionRequested { request }.into()),
        request.prop_map(|request| DeletionAdvanced { request }.into()),
        uuid().prop_map(|id| DeletionForgotten { request_id: DeletionRequestId::from_uuid(id) }.into()),
    ]
    .boxed()
}

fn access() -> impl Strategy<Value = Access> {
    let permissions = btree_set(select(vec![Permission::Read, Permission::Write, Permission::Delete]), 0..4);
    let classes = btree_map(text(), permissions, 0..3).prop_map(Access::Classes);
    prop_oneof![Just(Access::Unrestricted), classes]
}

fn notification() -> impl Strategy<Value = Notification> {
    select(Notification::ALL.to_vec())
}

fn sealed() -> impl Strategy<Value = SealedSecret> {
    vec(any::<u8>(), 0..40).prop_map(|sealed| SealedSecret { sealed })
}

fn subscription() -> BoxedStrategy<Subscription> {
    let receiver = (text(), option::of(text()), option::of(sealed()));
    let flows = || option::of(vec(uuid().prop_map(FlowId::from_uuid), 0..3));
    let sources = || option::of(vec(uuid().prop_map(SourceId::from_uuid), 0..3));
    let filters = (flows(), sources(), flows(), sources());
    let urls = (option::of(vec(text(), 0..3)), option::of(vec(uuid().prop_map(StorageId::from_uuid), 0..3)));
    let switches = any::<(Option<bool>, Option<bool>, Option<bool>)>();
    (receiver, vec(notification(), 0..4), filters, urls, switches, tags())
        .prop_map(|(receiver, events, filters, urls, switches, tags)| Subscription {
            url: receiver.0,
            events,
            api_key_name: receiver.1,
            api_key_value: receiver.2,
            flow_ids: filters.0,
            source_ids: filters.1,
            flow_collected_by_ids: filters.2,
            source_collected_by_ids: filters.3,
            accept_get_urls: urls.0,
            accept_storage_ids: urls.1,
            presigned: switches.0,
            verbose_storage: switches.1,
            include_object_timerange: switches.2,
            tags,
        })
        .boxed()
}

pub fn webhook_event() -> BoxedStrategy<Event> {
    let status = prop_oneof![
        select(vec![WebhookStatus::Created, WebhookStatus::Started, WebhookStatus::Disabled]),
        failure().prop_map(WebhookStatus::Error),
    ];
    let retired = (sealed(), instant()).prop_map(|(secret, until)| RetiredSecret { secret, until });
    let signing = (sealed(), option::of(retired)).prop_map(|(secret, previous)| Signing { secret, previous });
    let delivery = (option::of(signing), option::of(replay()));
    let webhook = (uuid(), subscription(), status, instant(), text(), access(), delivery);
    let webhook = webhook.prop_map(|(id, subscription, status, created, owner, access, (signing, replay))| {
        let id = WebhookId::from_uuid(id);
        Webhook { id, subscription, status, created, owner, access, signing, replay }
    });
    let webhook = webhook.boxed();
    prop_oneof![
        webhook.clone().prop_map(|webhook| WebhookCreated { webhook }.into()),
        webhook.prop_map(|webhook| WebhookUpdated { webhook }.into()),
        uuid().prop_map(|id| WebhookDeleted { webhook_id: WebhookId::from_uuid(id) }.into()),
    ]
    .boxed()
}

fn position() -> impl Strategy<Value = EventPosition> {
    any::<(u64, u32, u32)>().prop_map(|(seq, commit, event)| EventPosition { seq: Seq(seq), commit, event })
}

fn replay() -> impl Strategy<Value = Replay> {
    (uuid(), position()).prop_map(|(id, from)| Replay { id: CommitId::from_uuid(id), from })
}

pub fn delivery_event() -> BoxedStrategy<Event> {
    let webhook_id = || uuid().prop_map(WebhookId::from_uuid);
    let letter = (webhook_id(), position(), notification(), any::<u32>(), failure(), option::of(instant()));
    let lettered = letter.prop_map(|(webhook_id, position, notification, attempts, failure, redelivery)| {
        let letter = DeadLetter { webhook_id, position, notification, attempts, failure, redelivery };
        DeadLettered { letter }.into()
    });
    let requested = (webhook_id(), vec(position(), 0..4))
        .prop_map(|(webhook_id, positions)| RedeliveryRequested { webhook_id, positions }.into());
    let resolutions = select(vec![Resolution::Delivered, Resolution::Discarded]);
    let resolved = (webhook_id(), position(), resolutions)
        .prop_map(|(webhook_id, position, resolution)| DeadLetterResolved { webhook_id, position, resolution }.into());
    let replayed =
        (webhook_id(), replay()).prop_map(|(webhook_id, replay)| ReplayRequested { webhook_id, replay }.into());
    prop_oneof![lettered, requested, resolved, replayed].boxed()
}

pub fn account_event() -> BoxedStrategy<Event> {
    let name = || "[a-z0-9._@-]{1,20}".prop_map(|text| text.parse::<AccountName>().unwrap());
    let scopes = || btree_set(select(Scope::ALL.to_vec()), 0..5);
    let dates = (instant(), instant());
    let account = (name(), option::of(text()), option::of(text()), scopes(), access(), any::<bool>(), dates).prop_map(
        |(name, label, password_hash, scopes, access, disabled, (created, updated))| {
            AccountSet { account: Account { name, label, password_hash, scopes, access, disabled, created, updated } }
                .into()
        },
    );
    let kind = select(vec![TokenKind::Api, TokenKind::Refresh]);
    let words = (option::of(text()), any::<[u8; 32]>());
    let token = (uuid(), name(), kind, words, scopes(), instant(), option::of(instant())).prop_map(
        |(id, account, kind, (label, secret_hash), scopes, created, expires)| {
            let scopes: BTreeSet<Scope> = scopes;
            let id = TokenId::from_uuid(id);
            TokenIssued { token: Token { id, account, kind, label, secret_hash, scopes, created, expires } }.into()
        },
    );
    let deleted = name().prop_map(|name| AccountDeleted { name }.into());
    let revoked = uuid().prop_map(|id| TokenRevoked { token_id: TokenId::from_uuid(id) }.into());
    prop_oneof![account, token, deleted, revoked].boxed()
}
