//! What the records of `golden-v1-whole-api.bin` mean: the events, fields and outcomes that came with the whole API.

use tapelog_events::*;

use crate::first::{
    bare_flow, full_flow, image, instant, other_flow_id, other_source_id, positive64, range, records_of, segments,
    source_id, storage_id, tags, text_object, uuid, uuid_object,
};

/// A record of every event, and one of every outcome.
pub fn records() -> Vec<Record> {
    records_of(events(), outcomes())
}

fn outcomes() -> Vec<Outcome> {
    use SegmentFailureKind as Kind;
    let kinds = [
        Kind::InitForbidden,
        Kind::UnknownInitObject,
        Kind::OtherUse { property: "init_object_id".to_owned(), used_as: "media".to_owned() },
        Kind::NotReadable,
        Kind::BeingDeleted { remaining: range("[0:0_1:0)") },
    ];
    let failure = |kind| SegmentFailure { object_id: text_object(), timerange: range("[0:0_1:0)"), kind };
    vec![
        Outcome::Segments { failures: kinds.map(failure).to_vec() },
        Outcome::DeletionRequested { request_id: deletion_id() },
        Outcome::WebhookCreated { webhook_id: WebhookId::from_uuid(uuid("00000000-0000-4000-8000-0000000000e2")) },
    ]
}

pub fn events() -> Vec<Event> {
    [of_flows(), of_objects(), of_profiles(), of_deletions(), of_webhooks(), of_accounts()].concat()
}

fn of_flows() -> Vec<Event> {
    let flow_id = crate::first::flow_id();
    let membership = || Membership { flow: vec![other_flow_id()], source: vec![other_source_id()], auth_classes: None };
    let full = full_flow(Format::Image, image(None));
    let updated = instant("2026-11-21T12:00:02Z");
    vec![
        FlowTrashed { flow_id, source_id: source_id(), collected_by: membership() }.into(),
        FlowTrashed { flow_id, source_id: source_id(), collected_by: Membership::default() }.into(),
        FlowRestored { flow: full, segments_updated: Some(updated), collected_by: membership() }.into(),
        FlowRestored { flow: bare_flow(), segments_updated: None, collected_by: Membership::default() }.into(),
        FlowPurged { flow_id }.into(),
        SegmentTagged { flow_id, start: "-1:500000000".parse().unwrap(), tags: tags() }.into(),
        SegmentTagged { flow_id, start: "1694429247:0".parse().unwrap(), tags: Tags::new() }.into(),
    ]
}

fn of_objects() -> Vec<Event> {
    let (controlled, uncontrolled) = (controlled(), uncontrolled());
    let with_init = |number, segment| Segment { init_object: Some(number), ..segment };
    let init_objects = vec![
        InitObject { object_id: uuid_object(), instances: InstanceIndexes::from_slice(&[0]) },
        InitObject { object_id: text_object(), instances: InstanceIndexes::from_slice(&[1, 0]) },
    ];
    vec![
        ObjectsAllocated {
            flow_id: None,
            storage_id: storage_id(),
            object_ids: vec![uuid_object()],
            content_type: "video/mp4".to_owned(),
        }
        .into(),
        SegmentsAdded {
            flow_id: other_flow_id(),
            source_id: source_id(),
            collected_by: Membership::default(),
            instances: vec![controlled.clone(), uncontrolled.clone()],
            init_objects,
            segments: segments().into_iter().zip(0..).map(|(segment, number)| with_init(number % 2, segment)).collect(),
        }
        .into(),
        InstanceAdded { object_id: text_object(), instance: uncontrolled.clone() }.into(),
        InstanceAdded { object_id: uuid_object(), instance: controlled.clone() }.into(),
        InstanceRemoved { object_id: text_object(), instance: uncontrolled }.into(),
        InstanceRemoved { object_id: uuid_object(), instance: controlled }.into(),
        InstanceErased { object_id: uuid_object(), storage_id: storage_id() }.into(),
        CopyRequested { object_id: uuid_object(), storage_id: storage_id() }.into(),
        CopyFailed { object_id: uuid_object(), storage_id: storage_id(), reason: "no space is left".to_owned() }.into(),
        ObjectsCondemned { object_ids: vec![uuid_object(), text_object()] }.into(),
        ObjectsDeleted { object_ids: vec![uuid_object(), text_object()] }.into(),
    ]
}

fn of_profiles() -> Vec<Event> {
    let bare = TechnicalMetadata {
        format: Format::Audio,
        codec: None,
        container: None,
        avg_bit_rate: None,
        segment_duration: None,
        container_mapping: None,
        essence_parameters: None,
    };
    let full = TechnicalMetadata {
        format: Format::Image,
        codec: Some("image/jpeg".to_owned()),
        container: Some("image/jpeg".to_owned()),
        avg_bit_rate: Some(5000),
        segment_duration: Some(Rational { numerator: positive64(2), denominator: None }),
        container_mapping: Some(ContainerMapping { track_index: Some(0), ..ContainerMapping::default() }),
        essence_parameters: Some(image(None)),
    };
    let id = ProfileId::from_uuid(uuid("00000000-0000-4000-8000-0000000000d1"));
    let created = instant("2026-11-21T12:00:00Z");
    let described = Profile {
        id,
        label: Some("still".to_owned()),
        description: Some("for thumbnails".to_owned()),
        tags: tags(),
        created,
        created_by: Some("founder".to_owned()),
        flow_metadata: full,
    };
    let unnamed = Profile {
        label: None,
        description: None,
        tags: Tags::new(),
        created_by: None,
        flow_metadata: bare,
        ..described.clone()
    };
    [described, unnamed].map(|profile| ProfileCreated { profile }.into()).to_vec()
}

fn of_deletions() -> Vec<Event> {
    let created = instant("2026-11-21T12:00:00Z");
    let begun = DeletionRequest {
        id: deletion_id(),
        flow_id: crate::first::flow_id(),
        timerange_to_delete: TimeRange::ETERNITY,
        delete_flow: true,
        status: DeletionStatus::Created,
        timerange_remaining: range("[0:0_10:0)"),
        created,
        created_by: "editor".to_owned(),
        updated: created,
        expiry: None,
    };
    let advanced = |status, remaining: &str, expiry: Option<&str>| {
        let request = DeletionRequest {
            status,
            timerange_remaining: range(remaining),
            updated: instant("2026-11-21T12:00:01Z"),
            delete_flow: false,
            expiry: expiry.map(instant),
            ..begun.clone()
        };
        DeletionAdvanced { request }.into()
    };
    let expiry = Some("2026-11-28T12:00:01Z");
    vec![
        DeletionRequested { request: begun.clone() }.into(),
        advanced(DeletionStatus::Started, "[5:0_10:0)", None),
        advanced(DeletionStatus::Done, "()", expiry),
        advanced(DeletionStatus::Error(failure()), "[5:0_10:0)", expiry),
        DeletionForgotten { request_id: deletion_id() }.into(),
    ]
}

fn of_webhooks() -> Vec<Event> {
    let bare = Subscription {
        url: "https://example.com/hook".to_owned(),
        events: Vec::new(),
        api_key_name: None,
        api_key_value: None,
        flow_ids: None,
        source_ids: None,
        flow_collected_by_ids: None,
        source_collected_by_ids: None,
        accept_get_urls: None,
        accept_storage_ids: None,
        presigned: None,
        verbose_storage: None,
        include_object_timerange: None,
        tags: Tags::new(),
    };
    let full = Subscription {
        events: vec![
            Notification::FlowCreated,
            Notification::FlowUpdated,
            Notification::FlowDeleted,
            Notification::SegmentsAdded,
            Notification::SegmentsDeleted,
            Notification::SourceCreated,
            Notification::SourceUpdated,
            Notification::SourceDeleted,
        ],
        api_key_name: Some("x-api-key".to_owned()),
        api_key_value: Some(SealedSecret { sealed: vec![0x00, 0xff, 0x5a] }),
        flow_ids: Some(vec![other_flow_id()]),
        source_ids: Some(vec![other_source_id()]),
        flow_collected_by_ids: Some(Vec::new()),
        source_collected_by_ids: Some(vec![source_id()]),
        accept_get_urls: Some(vec!["copy".to_owned()]),
        accept_storage_ids: Some(vec![storage_id()]),
        presigned: Some(false),
        verbose_storage: Some(true),
        include_object_timerange: Some(true),
        tags: tags(),
        ..bare.clone()
    };
    let webhook_id = WebhookId::from_uuid(uuid("00000000-0000-4000-8000-0000000000e2"));
    let webhook = |subscription, status, access| Webhook {
        id: webhook_id,
        subscription,
        status,
        created: instant("2026-11-21T12:00:00Z"),
        owner: "editor".to_owned(),
        access,
        signing: None,
        replay: None,
    };
    let error = WebhookStatus::Error(failure());
    vec![
        WebhookCreated { webhook: webhook(full.clone(), WebhookStatus::Created, access()) }.into(),
        WebhookCreated { webhook: webhook(bare.clone(), WebhookStatus::Started, Access::Unrestricted) }.into(),
        WebhookUpdated { webhook: webhook(full, WebhookStatus::Disabled, access()) }.into(),
        WebhookUpdated { webhook: webhook(bare, error, Access::Unrestricted) }.into(),
        WebhookDeleted { webhook_id }.into(),
    ]
}

fn of_accounts() -> Vec<Event> {
    let name: AccountName = "operator@example.com".parse().unwrap();
    let token_id = TokenId::from_uuid(uuid("00000000-0000-4000-8000-0000000000e3"));
    let created = instant("2026-11-21T12:00:00Z");
    let full = Account {
        name: name.clone(),
        label: Some("the operator".to_owned()),
        password_hash: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
        scopes: [Scope::Read, Scope::Write, Scope::Delete, Scope::Admin].into(),
        access: access(),
        disabled: true,
        created,
        updated: instant("2026-11-21T12:00:01Z"),
    };
    let bare = Account {
        label: None,
        password_hash: None,
        scopes: [].into(),
        access: Access::Unrestricted,
        disabled: false,
        ..full.clone()
    };
    let refresh = Token {
        id: token_id,
        account: name.clone(),
        kind: TokenKind::Refresh,
        label: Some("laptop".to_owned()),
        secret_hash: [0x5a; 32],
        scopes: [Scope::Read, Scope::Write].into(),
        created,
        expires: Some(instant("2026-11-28T12:00:00Z")),
    };
    let api = Token { kind: TokenKind::Api, label: None, scopes: [].into(), expires: None, ..refresh.clone() };
    vec![
        AccountSet { account: full }.into(),
        AccountSet { account: bare }.into(),
        AccountDeleted { name }.into(),
        TokenIssued { token: refresh }.into(),
        TokenIssued { token: api }.into(),
        TokenRevoked { token_id }.into(),
    ]
}

fn deletion_id() -> DeletionRequestId {
    DeletionRequestId::from_uuid(uuid("00000000-0000-4000-8000-0000000000e4"))
}

pub fn failure() -> Failure {
    Failure {
        kind: "unreachable".to_owned(),
        summary: "nobody answered".to_owned(),
        time: instant("2026-11-21T12:00:02Z"),
    }
}

fn access() -> Access {
    let all = [Permission::Read, Permission::Write, Permission::Delete];
    Access::Classes([("news".to_owned(), all.into()), ("sport".to_owned(), [].into())].into())
}

fn controlled() -> Instance {
    Instance::Controlled { storage_id: storage_id() }
}

fn uncontrolled() -> Instance {
    Instance::Uncontrolled { url: "https://example.com/a".to_owned(), label: "copy".to_owned() }
}
