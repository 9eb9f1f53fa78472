//! Webhooks as resources (12.1 to 12.4).

use tapelog_commands::{Command, CreateWebhook, KeyChange, PutWebhook, Rejection, Switch};
use tapelog_events::{
    Access, Event, Failure, Notification, Outcome, Permission, SealedSecret, Signing, Subscription, Tags, Webhook,
    WebhookCreated, WebhookDeleted, WebhookId, WebhookStatus, WebhookUpdated,
};
use uuid::Uuid;

use crate::harness::*;

pub const WEBHOOK: WebhookId = WebhookId::from_uuid(Uuid::from_u128(0x31));

pub fn sealed(byte: u8) -> SealedSecret {
    SealedSecret { sealed: vec![byte; 4] }
}

pub fn subscription(url: &str) -> Subscription {
    Subscription {
        url: url.to_owned(),
        events: vec![Notification::FlowCreated],
        api_key_name: text("X-Key"),
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
    }
}

pub fn webhook(status: WebhookStatus) -> Webhook {
    let subscription = Subscription { api_key_value: Some(sealed(1)), ..subscription("https://example.com/a") };
    Webhook {
        id: WEBHOOK,
        subscription,
        status,
        created: EARLIER,
        owner: ACTOR.to_owned(),
        access: Access::Unrestricted,
        signing: Some(Signing { secret: sealed(9), previous: None }),
        replay: None,
    }
}

pub fn created(webhook: Webhook) -> Event {
    WebhookCreated { webhook }.into()
}

fn create(subscription: Subscription, switch: Switch) -> Command {
    Command::CreateWebhook(Box::new(CreateWebhook {
        webhook_id: WEBHOOK,
        subscription,
        switch,
        signing_secret: sealed(9),
    }))
}

pub fn put(url: &str, key: KeyChange, switch: Switch) -> Command {
    let subscription = subscription(url);
    Command::PutWebhook(Box::new(PutWebhook { webhook_id: WEBHOOK, subscription, key, switch }))
}

pub fn error() -> WebhookStatus {
    WebhookStatus::Error(Failure { kind: "timeout".to_owned(), summary: "no answer".to_owned(), time: EARLIER })
}

#[test]
fn a_webhook_is_registered_for_whom_it_is_judged_by() {
    let reader = access([("news", &[Permission::Read])]);
    for (switch, status) in [(Switch::On, WebhookStatus::Created), (Switch::Off, WebhookStatus::Disabled)] {
        let registered = Webhook {
            subscription: subscription("https://example.com/a"),
            created: NOW,
            access: reader.clone(),
            ..webhook(status)
        };
        given([])
            .when_by(&reader, create(subscription("https://example.com/a"), switch))
            .then_events([created(registered)])
            .then_outcome(&Outcome::WebhookCreated { webhook_id: WEBHOOK });
    }
}

#[test]
fn a_replaced_webhook_goes_on_as_its_client_says() {
    for (before, switch, after) in [
        (WebhookStatus::Created, Switch::On, WebhookStatus::Created),
        (WebhookStatus::Started, Switch::On, WebhookStatus::Started),
        (WebhookStatus::Started, Switch::Off, WebhookStatus::Disabled),
        (WebhookStatus::Disabled, Switch::On, WebhookStatus::Created),
        (error(), Switch::On, WebhookStatus::Created),
    ] {
        let mut expected = webhook(after);
        expected.subscription.url = "https://example.com/b".to_owned();
        given([created(webhook(before))])
            .when(put("https://example.com/b", KeyChange::Keep, switch))
            .then_events([WebhookUpdated { webhook: expected }.into()])
            .then_outcome(&Outcome::Done);
    }
    given([created(webhook(error()))])
        .when(put("https://example.com/b", KeyChange::Keep, Switch::Off))
        .then_rejected(Rejection::WebhookInError);
}

#[test]
fn a_key_stays_unless_it_is_replaced_or_removed() {
    for (change, key) in
        [(KeyChange::Keep, Some(sealed(1))), (KeyChange::Set(sealed(2)), Some(sealed(2))), (KeyChange::Remove, None)]
    {
        given([created(webhook(WebhookStatus::Started))])
            .when(put("https://example.com/b", change, Switch::On))
            .then_holds(|state| state.registry().webhooks.get(&WEBHOOK).unwrap().subscription.api_key_value == key);
    }
    given([created(webhook(WebhookStatus::Started))])
        .when(put("https://example.com/a", KeyChange::Keep, Switch::On))
        .then_nothing_happens();
}

#[test]
fn a_key_goes_nowhere_but_where_it_was_given_for() {
    let of_another = Webhook { owner: "another".to_owned(), ..webhook(WebhookStatus::Started) };
    let off = Webhook { status: WebhookStatus::Disabled, ..of_another.clone() };
    let refused = || Rejection::Forbidden("have a key that another gave sent elsewhere: give api_key_value".to_owned());
    given([created(of_another)])
        .when(put("https://example.com/b", KeyChange::Keep, Switch::On))
        .then_rejected(refused())
        .when_by(&access([]), put("https://example.com/a", KeyChange::Keep, Switch::Off))
        .then_events([WebhookUpdated { webhook: off }.into()])
        .when(put("https://example.com/b", KeyChange::Keep, Switch::On))
        .then_rejected(refused())
        .when(put("https://example.com/b", KeyChange::Set(sealed(2)), Switch::On))
        .then_holds(|state| state.registry().webhooks.get(&WEBHOOK).unwrap().owner == ACTOR);
}

#[test]
fn a_webhook_is_deleted_once() {
    given([created(webhook(WebhookStatus::Started))])
        .when(Command::DeleteWebhook(WEBHOOK))
        .then_events([WebhookDeleted { webhook_id: WEBHOOK }.into()])
        .when(Command::DeleteWebhook(WEBHOOK))
        .then_rejected(Rejection::WebhookNotFound(WEBHOOK))
        .when(put("https://example.com/a", KeyChange::Keep, Switch::On))
        .then_rejected(Rejection::WebhookNotFound(WEBHOOK));
}

#[test]
fn a_webhook_names_only_flows_and_sources_that_may_be_seen() {
    let mut flow = stored_flow(FLOW, SOURCE);
    flow.tags = of_class("news");
    let names = Subscription { flow_ids: Some(vec![FLOW, OTHER_FLOW]), ..subscription("https://example.com/a") };
    let refused = || Rejection::Forbidden("see every flow and source that the webhook names".to_owned());
    given([source_created(SOURCE), flow_created(flow)])
        .when_by(&access([]), create(names.clone(), Switch::On))
        .then_rejected(refused())
        .when_by(&access([("news", &[Permission::Read])]), create(names, Switch::On))
        .then_outcome(&Outcome::WebhookCreated { webhook_id: WEBHOOK });
}

#[test]
fn a_webhook_is_changed_only_by_who_may_write_in_its_classes() {
    let mut classified = webhook(WebhookStatus::Started);
    classified.subscription.tags = of_class("news");
    let mut sent = subscription("https://example.com/b");
    sent.tags = of_class("news");
    let change =
        || PutWebhook { webhook_id: WEBHOOK, subscription: sent.clone(), key: KeyChange::Keep, switch: Switch::On };
    for command in [Command::PutWebhook(Box::new(change())), Command::DeleteWebhook(WEBHOOK)] {
        given([created(classified.clone())])
            .when_by(&access([]), command.clone())
            .then_rejected(Rejection::WebhookNotFound(WEBHOOK))
            .when_by(&access([("news", &[Permission::Read])]), command.clone())
            .then_rejected(Rejection::Forbidden("change it".to_owned()))
            .when_by(&access([("news", &[Permission::Write])]), command)
            .then_outcome(&Outcome::Done);
    }
    given([]).when_by(&access([]), create(sent.clone(), Switch::On)).then_rejected(Rejection::Reclassified);
}
