//! What becomes of a webhook's notifications (12.2, 12.5).

use std::time::Duration;

use tapelog_commands::{
    Command, FailWebhook, KeyChange, RedeliverDeadLetters, Rejection, ReplayWebhook, ResealWebhook, ResolveDeadLetter,
    RotateSigningSecret, Switch,
};
use tapelog_events::{
    DeadLetter, DeadLetterResolved, DeadLettered, Event, EventPosition, Failure, Instant, Notification, Permission,
    RedeliveryRequested, Replay, ReplayRequested, Resolution, RetiredSecret, Seq, Signing, Subscription, Webhook,
    WebhookDeleted, WebhookId, WebhookStatus, WebhookUpdated,
};
use uuid::Uuid;

use crate::harness::*;
use crate::webhook::{WEBHOOK, created, error, put, sealed, subscription, webhook};

const OTHER_WEBHOOK: WebhookId = WebhookId::from_uuid(Uuid::from_u128(0x32));

fn position(seq: u64) -> EventPosition {
    EventPosition::start_of(Seq(seq))
}

fn failure() -> Failure {
    Failure { kind: "webhook_unreachable".to_owned(), summary: "nobody answers".to_owned(), time: NOW }
}

fn letter(seq: u64) -> DeadLetter {
    DeadLetter {
        webhook_id: WEBHOOK,
        position: position(seq),
        notification: Notification::FlowCreated,
        attempts: 6,
        failure: failure(),
        redelivery: None,
    }
}

fn lettered(letter: DeadLetter) -> Event {
    DeadLettered { letter }.into()
}

fn put_letter(letter: DeadLetter) -> Command {
    Command::PutDeadLetter(Box::new(letter))
}

fn redeliver<const N: usize>(positions: [u64; N]) -> Command {
    let positions = positions.map(position).to_vec();
    Command::RedeliverDeadLetters(RedeliverDeadLetters { webhook_id: WEBHOOK, positions })
}

fn requested<const N: usize>(positions: [u64; N]) -> Event {
    RedeliveryRequested { webhook_id: WEBHOOK, positions: positions.map(position).to_vec() }.into()
}

fn resolve(seq: u64, resolution: Resolution) -> Command {
    Command::ResolveDeadLetter(ResolveDeadLetter { webhook_id: WEBHOOK, position: position(seq), resolution })
}

fn resolved(seq: u64, resolution: Resolution) -> Event {
    DeadLetterResolved { webhook_id: WEBHOOK, position: position(seq), resolution }.into()
}

fn fail(url: &str) -> Command {
    Command::FailWebhook(FailWebhook { webhook_id: WEBHOOK, url: url.to_owned(), failure: failure() })
}

fn rotate(byte: u8) -> Command {
    let grace = Duration::from_secs(60);
    Command::RotateSigningSecret(RotateSigningSecret { webhook_id: WEBHOOK, secret: sealed(byte), grace })
}

fn updated(webhook: Webhook) -> Event {
    WebhookUpdated { webhook }.into()
}

#[test]
fn only_a_webhook_that_was_just_created_starts() {
    given([created(webhook(WebhookStatus::Created))])
        .when(Command::StartWebhook(WEBHOOK))
        .then_events([updated(webhook(WebhookStatus::Started))])
        .when(Command::StartWebhook(WEBHOOK))
        .then_nothing_happens();
    for status in [WebhookStatus::Disabled, error()] {
        given([created(webhook(status))]).when(Command::StartWebhook(WEBHOOK)).then_nothing_happens();
    }
    given([]).when(Command::StartWebhook(WEBHOOK)).then_nothing_happens();
}

#[test]
fn a_webhook_that_delivers_is_given_up_and_one_that_was_changed_meanwhile_is_not() {
    for status in [WebhookStatus::Created, WebhookStatus::Started] {
        given([created(webhook(status))])
            .when(fail("https://example.com/elsewhere"))
            .then_nothing_happens()
            .when(fail("https://example.com/a"))
            .then_events([updated(webhook(WebhookStatus::Error(failure())))]);
    }
    for status in [WebhookStatus::Disabled, error()] {
        given([created(webhook(status))]).when(fail("https://example.com/a")).then_nothing_happens();
    }
    given([]).when(fail("https://example.com/a")).then_nothing_happens();
}

#[test]
fn a_webhook_that_was_given_up_is_switched_on_again_and_started() {
    given([created(webhook(WebhookStatus::Started))])
        .when(fail("https://example.com/a"))
        .when(put("https://example.com/a", KeyChange::Keep, Switch::Off))
        .then_rejected(Rejection::WebhookInError)
        .when(put("https://example.com/a", KeyChange::Keep, Switch::On))
        .then_events([updated(webhook(WebhookStatus::Created))])
        .when(Command::StartWebhook(WEBHOOK))
        .then_events([updated(webhook(WebhookStatus::Started))]);
}

#[test]
fn a_dead_letter_is_kept_once_and_waits_until_somebody_asks_for_it() {
    let again = DeadLetter { attempts: 7, ..letter(5) };
    given([created(webhook(WebhookStatus::Started))])
        .when(put_letter(letter(5)))
        .then_events([lettered(letter(5))])
        .when(redeliver([5]))
        .then_events([requested([5])])
        .then_holds(|state| state.registry().dead_letters_of(WEBHOOK).all(|letter| letter.redelivery == Some(NOW)))
        .when(redeliver([5]))
        .then_nothing_happens()
        .when(put_letter(DeadLetter { redelivery: Some(NOW), ..again.clone() }))
        .then_events([lettered(again.clone())])
        .then_holds(|state| state.registry().dead_letters_of(WEBHOOK).eq([&again]));
    given([]).when(put_letter(letter(5))).then_nothing_happens();
}

#[test]
fn a_dead_letter_that_was_discarded_while_it_was_tried_once_more_stays_so() {
    given([created(webhook(WebhookStatus::Started)), lettered(letter(5)), requested([5])])
        .when(resolve(5, Resolution::Discarded))
        .then_events([resolved(5, Resolution::Discarded)])
        .when(put_letter(DeadLetter { redelivery: Some(EARLIER), ..letter(5) }))
        .then_nothing_happens()
        .when(resolve(5, Resolution::Delivered))
        .then_nothing_happens();
}

#[test]
fn all_dead_letters_of_a_webhook_are_asked_for_where_none_is_named() {
    let of_another = DeadLetter { webhook_id: OTHER_WEBHOOK, ..letter(6) };
    let other = Webhook { id: OTHER_WEBHOOK, ..webhook(WebhookStatus::Started) };
    let letters = [lettered(letter(5)), lettered(of_another), lettered(letter(7))];
    given([created(webhook(WebhookStatus::Started)), created(other)].into_iter().chain(letters))
        .when(redeliver([6]))
        .then_rejected(Rejection::DeadLetterNotFound(WEBHOOK, position(6)))
        .when(redeliver([7]))
        .then_events([requested([7])])
        .when(redeliver([]))
        .then_events([requested([5])])
        .when(redeliver([]))
        .then_nothing_happens();
}

#[test]
fn a_dead_letter_ends_once() {
    for resolution in [Resolution::Delivered, Resolution::Discarded] {
        given([created(webhook(WebhookStatus::Started)), lettered(letter(5))])
            .when(resolve(5, resolution))
            .then_events([resolved(5, resolution)])
            .then_holds(|state| state.registry().dead_letters.is_empty())
            .when(resolve(5, Resolution::Delivered))
            .then_nothing_happens()
            .when(resolve(5, Resolution::Discarded))
            .then_rejected(Rejection::DeadLetterNotFound(WEBHOOK, position(5)));
    }
    given([])
        .when(resolve(5, Resolution::Delivered))
        .then_nothing_happens()
        .when(resolve(5, Resolution::Discarded))
        .then_rejected(Rejection::WebhookNotFound(WEBHOOK));
}

#[test]
fn a_webhook_takes_its_dead_letters_along() {
    let of_another = DeadLetter { webhook_id: OTHER_WEBHOOK, ..letter(6) };
    let letters = [lettered(letter(5)), lettered(of_another.clone()), lettered(letter(7))];
    given([created(webhook(WebhookStatus::Started))].into_iter().chain(letters))
        .when(Command::DeleteWebhook(WEBHOOK))
        .then_events([WebhookDeleted { webhook_id: WEBHOOK }.into()])
        .then_holds(|state| state.registry().dead_letters.values().eq([&of_another]));
}

#[test]
fn each_replay_has_a_name_of_its_own() {
    let replay = Replay { id: COMMIT, from: position(3) };
    given([created(webhook(WebhookStatus::Started))])
        .when(Command::ReplayWebhook(ReplayWebhook { webhook_id: WEBHOOK, from: position(3) }))
        .then_events([ReplayRequested { webhook_id: WEBHOOK, replay }.into()])
        .then_holds(|state| state.registry().webhooks.get(&WEBHOOK).unwrap().replay == Some(replay))
        .when(put("https://example.com/b", KeyChange::Keep, Switch::On))
        .then_holds(|state| state.registry().webhooks.get(&WEBHOOK).unwrap().replay == Some(replay));
}

#[test]
fn a_new_secret_signs_beside_the_one_before_for_a_while() {
    let until = Instant::from_micros(NOW.as_micros() + 60_000_000);
    let signed = |byte, before: Option<u8>| {
        let previous = before.map(|byte| RetiredSecret { secret: sealed(byte), until });
        let signing = Some(Signing { secret: sealed(byte), previous });
        updated(Webhook { signing, ..webhook(WebhookStatus::Started) })
    };
    given([created(webhook(WebhookStatus::Started))])
        .when(rotate(10))
        .then_events([signed(10, Some(9))])
        .when(rotate(11))
        .then_events([signed(11, Some(10))]);
    let unsigned = Webhook { signing: None, ..webhook(WebhookStatus::Started) };
    given([created(unsigned)]).when(rotate(10)).then_events([signed(10, None)]);
}

#[test]
fn every_secret_that_was_sealed_anew_takes_the_place_of_the_same_one() {
    let retired = |byte| RetiredSecret { secret: sealed(byte), until: NOW };
    let with = |key, secret, previous| Webhook {
        subscription: Subscription { api_key_value: Some(sealed(key)), ..subscription("https://example.com/a") },
        signing: Some(Signing { secret: sealed(secret), previous: Some(retired(previous)) }),
        ..webhook(WebhookStatus::Disabled)
    };
    let reseal = |pairs: &[(u8, u8)]| {
        let secrets = pairs.iter().map(|(before, after)| (sealed(*before), sealed(*after))).collect();
        Command::ResealWebhook(ResealWebhook { webhook_id: WEBHOOK, secrets })
    };
    given([created(with(1, 2, 3))])
        .when(reseal(&[(1, 11), (2, 12), (3, 13)]))
        .then_events([updated(with(11, 12, 13))])
        .when(reseal(&[(1, 21), (12, 22)]))
        .then_events([updated(with(11, 22, 13))])
        .when(reseal(&[(1, 31)]))
        .then_nothing_happens();
    given([]).when(reseal(&[(1, 11)])).then_nothing_happens();
}

#[test]
fn delivery_is_managed_only_by_who_may_write_in_the_classes_of_the_webhook() {
    let mut classified = webhook(WebhookStatus::Started);
    classified.subscription.tags = of_class("news");
    for command in [
        redeliver([5]),
        resolve(5, Resolution::Discarded),
        Command::ReplayWebhook(ReplayWebhook { webhook_id: WEBHOOK, from: position(3) }),
        rotate(10),
    ] {
        given([created(classified.clone()), lettered(letter(5))])
            .when_by(&access([]), command.clone())
            .then_rejected(Rejection::WebhookNotFound(WEBHOOK))
            .when_by(&access([("news", &[Permission::Read])]), command.clone())
            .then_rejected(Rejection::Forbidden("change it".to_owned()))
            .when_by(&access([("news", &[Permission::Write])]), command)
            .then_holds(|state| state.registry().webhooks.get(&WEBHOOK).is_some());
    }
}
