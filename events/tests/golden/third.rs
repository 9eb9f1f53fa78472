//! What the records of `golden-v1-delivery.bin` mean: the events and fields that came with the delivery of notifications.

use tapelog_events::*;

use crate::first::{
    flow_id, instant, other_flow_id, other_source_id, range, records_of, source_id, tags, text_object, uuid,
};
use crate::second::failure;

/// A record of every event. No outcome is new.
pub fn records() -> Vec<Record> {
    records_of(events(), Vec::new())
}

pub fn events() -> Vec<Event> {
    [of_flows(), of_webhooks(), of_dead_letters(), vec![of_scopes()]].concat()
}

fn classes() -> Option<TagValue> {
    Some(TagValue::Many(vec!["news".to_owned(), "sport".to_owned()]))
}

fn of_flows() -> Vec<Event> {
    let (flow_id, source_id) = (flow_id(), source_id());
    let full = || Membership { flow: vec![other_flow_id()], source: vec![other_source_id()], auth_classes: classes() };
    let only_classes = || Membership { auth_classes: classes(), ..Membership::default() };
    let added = |collected_by| SegmentsAdded {
        flow_id,
        source_id,
        collected_by,
        instances: Vec::new(),
        init_objects: Vec::new(),
        segments: Vec::new(),
    };
    let deleted = |collected_by| SegmentsDeleted {
        flow_id,
        source_id,
        collected_by,
        timerange: range("[0:0_1:0)"),
        object_id: Some(text_object()),
        count: 1,
    };
    vec![
        SourceDeleted { source_id, collected_by: vec![other_source_id()], auth_classes: classes() }.into(),
        FlowDeleted { flow_id, source_id, collected_by: full() }.into(),
        FlowTrashed { flow_id, source_id, collected_by: only_classes() }.into(),
        added(full()).into(),
        added(only_classes()).into(),
        deleted(full()).into(),
        deleted(only_classes()).into(),
    ]
}

fn webhook_id() -> WebhookId {
    WebhookId::from_uuid(uuid("00000000-0000-4000-8000-0000000000f2"))
}

fn sealed(byte: u8) -> SealedSecret {
    SealedSecret { sealed: vec![byte; 40] }
}

fn replay() -> Replay {
    let id = CommitId::from_uuid(uuid("01936f00-0000-7000-8000-0000000000f3"));
    Replay { id, from: EventPosition { seq: Seq(70_000), commit: 300, event: 2 } }
}

fn of_webhooks() -> Vec<Event> {
    let subscription = Subscription {
        url: "https://example.com/receiver".to_owned(),
        events: Notification::ALL.to_vec(),
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
        tags: tags(),
    };
    let signed = |previous, replay| Webhook {
        id: webhook_id(),
        subscription: subscription.clone(),
        status: WebhookStatus::Started,
        created: instant("2026-11-21T12:00:00Z"),
        owner: "editor".to_owned(),
        access: Access::Unrestricted,
        signing: Some(Signing { secret: sealed(1), previous }),
        replay,
    };
    let retired = RetiredSecret { secret: sealed(2), until: instant("2026-11-22T12:00:00Z") };
    vec![
        WebhookCreated { webhook: signed(None, None) }.into(),
        WebhookUpdated { webhook: signed(Some(retired), Some(replay())) }.into(),
    ]
}

fn of_dead_letters() -> Vec<Event> {
    let webhook_id = webhook_id();
    let position = EventPosition { seq: Seq(7), commit: 0, event: 1 };
    let letter = DeadLetter {
        webhook_id,
        position,
        notification: Notification::SegmentsAdded,
        attempts: 6,
        failure: failure(),
        redelivery: None,
    };
    let asked_for = DeadLetter { redelivery: Some(instant("2026-11-21T12:00:03Z")), ..letter.clone() };
    let resolved = |resolution| DeadLetterResolved { webhook_id, position, resolution };
    vec![
        DeadLettered { letter }.into(),
        DeadLettered { letter: asked_for }.into(),
        RedeliveryRequested { webhook_id, positions: vec![position, EventPosition::start_of(Seq(8))] }.into(),
        resolved(Resolution::Delivered).into(),
        resolved(Resolution::Discarded).into(),
        ReplayRequested { webhook_id, replay: replay() }.into(),
    ]
}

fn of_scopes() -> Event {
    let created = instant("2026-11-21T12:00:00Z");
    let account = Account {
        name: "auditor".parse().unwrap(),
        label: None,
        password_hash: None,
        scopes: [Scope::Audit].into(),
        access: Access::Unrestricted,
        disabled: false,
        created,
        updated: created,
    };
    AccountSet { account }.into()
}
