//! Deliveries on a real nats-server to real receivers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod node;
mod receiver;

use std::sync::atomic::Ordering;
use std::time::Duration;

use node::{Node, Server, quick, soon, subscription};
use receiver::Receiver;
use tapelog_commands::{Command, KeyChange, PutWebhook, RedeliverDeadLetters, ReplayWebhook, Switch};
use tapelog_events::{DeadLetter, EventPosition, Seq, Webhook, WebhookId, WebhookStatus};
use tapelog_store::log::Log as _;
use tapelog_webhooks::{AttemptResult, DeliverySettings, LeaseSettings, ScheduleSettings};
use tokio::time::sleep;

fn put(webhook_id: WebhookId, url: &str, switch: Switch) -> Command {
    Command::PutWebhook(Box::new(PutWebhook {
        webhook_id,
        subscription: subscription(url),
        key: KeyChange::Keep,
        switch,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_flaps_gets_every_event_in_order_while_another_hangs() {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let hanging = Receiver::start(|_| None).await;
    let mut calls = 0;
    let flapping = Receiver::start(move |_| {
        calls += 1;
        Some([200, 503, 200, 429, 302, 200, 500][calls % 7])
    })
    .await;
    node.happen(0..5).await;
    let (stuck, id) = (node.register(&hanging.url).await, node.register(&flapping.url).await);
    node.happen(5..40).await;
    node.started(id).await;
    node.started(stuck).await;

    let told = node.told(id).await;
    assert_eq!(told.len(), 70, "each flow brings its source along");
    assert_eq!(flapping.takes(told.len()).await, told);
    hanging.wait(|came| !came.is_empty()).await;
    let state = node.dispatcher.state(stuck).await.unwrap().unwrap();
    assert!(state.next <= told[0] && state.lag_records >= 35, "{state:?}");
    assert_eq!(state.owner.as_deref(), Some("a"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_becomes_a_dead_letter_that_can_be_delivered_later() {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = node.register(&receiver.url).await;
    node.happen(0..1).await;
    // What follows is the only thing that is written now.
    node.started(id).await;
    let refused = node.log.tip().await.unwrap().next();
    receiver.behave(move |position| Some(if position.seq == refused { 422 } else { 200 }));
    node.happen(1..4).await;
    let told = node.told(id).await;
    receiver.takes(told.len() - 2).await;
    node.becomes(id, |_, letters| letters.len() == 2).await;
    assert!(receiver.taken().iter().eq(told.iter().filter(|position| position.seq != refused)));
    let tries = receiver.came().iter().filter(|(position, _)| position.seq == refused).count();
    assert_eq!(tries, 4, "each of the two events is tried twice");

    receiver.behave(|_| Some(200));
    node.submit(Command::RedeliverDeadLetters(RedeliverDeadLetters { webhook_id: id, positions: Vec::new() })).await;
    node.becomes(id, |_, letters| letters.is_empty()).await;
    let mut taken = receiver.taken();
    assert!(taken[told.len() - 2..].iter().all(|position| position.seq == refused));
    taken.sort();
    assert_eq!(taken, told);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_everything_does_not_have_everything_become_a_dead_letter() {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let receiver = Receiver::start(|_| Some(400)).await;
    let id = node.register(&receiver.url).await;
    node.happen(0..5).await;
    let told = node.told(id).await;
    receiver.wait(|came| came.iter().filter(|(position, _)| *position == told[3]).count() > 5).await;
    assert!(receiver.came().iter().all(|(position, _)| *position <= told[3]));
    receiver.behave(|_| Some(200));
    assert_eq!(receiver.takes(told.len() - 3).await, told[3..]);
    node.becomes(id, |_, letters| letters.iter().map(|letter| letter.position).eq(told[..3].iter().copied())).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_given_up_or_switched_off_goes_on_where_it_stopped() {
    let server = Server::start().await;
    let schedule = ScheduleSettings { give_up_after: Duration::from_millis(50), ..quick().schedule };
    let node = Node::start(&server, "a", DeliverySettings { schedule, ..quick() }).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = node.register(&receiver.url).await;
    let failed = |kind: &'static str| move |webhook: &Webhook, _: &[DeadLetter]| matches!(&webhook.status, WebhookStatus::Error(failure) if failure.kind == kind);
    node.happen(0..3).await;
    receiver.takes(6).await;

    receiver.behave(|_| Some(410));
    node.happen(3..6).await;
    node.becomes(id, failed("receiver_gone")).await;
    receiver.behave(|_| Some(503));
    node.submit(put(id, &receiver.url, Switch::On)).await;
    node.becomes(id, failed("receiver_unreachable")).await;
    receiver.behave(|_| Some(200));
    node.submit(put(id, &receiver.url, Switch::On)).await;
    receiver.takes(12).await;
    node.submit(put(id, &receiver.url, Switch::Off)).await;
    node.happen(6..9).await;
    node.submit(put(id, &receiver.url, Switch::On)).await;
    receiver.takes(18).await;
    assert_eq!(receiver.taken(), node.told(id).await);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_is_tried_at_once_and_a_ping_says_how_it_went() {
    let server = Server::start().await;
    let schedule = ScheduleSettings { unreachable: vec![Duration::from_secs(3600)], ..quick().schedule };
    let node = Node::start(&server, "a", DeliverySettings { schedule, ..quick() }).await;
    let (dead, alive) = (Receiver::start(|_| Some(503)).await, Receiver::start(|_| Some(200)).await);
    let id = node.register(&dead.url).await;
    node.happen(0..2).await;
    dead.wait(|came| came.len() == 1).await;
    node.submit(put(id, &alive.url, Switch::On)).await;
    assert_eq!(alive.takes(4).await, node.told(id).await);
    let ping = node.dispatcher.ping(id).await.unwrap();
    assert_eq!(ping.result, AttemptResult::Delivered { status: 204 });
    assert!(node.dispatcher.ping(WebhookId::from_uuid(uuid::Uuid::nil())).await.is_err());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_delivers_everything_again_from_where_it_is_asked_for() {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = node.register(&receiver.url).await;
    node.happen(0..5).await;
    let told = node.told(id).await;
    receiver.takes(told.len()).await;
    node.submit(Command::ReplayWebhook(ReplayWebhook { webhook_id: id, from: told[3] })).await;
    let again = receiver.takes(told.len() + told.len() - 3).await;
    assert_eq!(again[told.len()..], told[3..]);
    node.stop().await;

    // It is not done again by the next process, which goes on after all of it.
    let node = Node::start(&server, "b", quick()).await;
    node.happen(5..6).await;
    let taken = receiver.takes(again.len() + 2).await;
    assert_eq!(taken[again.len()..], node.told(id).await[told.len()..]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_node_that_delivers_dies_another_goes_on_without_a_gap() {
    let server = Server::start().await;
    let lease = LeaseSettings { renew_every: Duration::from_millis(50), expires_after: Duration::from_secs(1) };
    let first = Node::start(&server, "a", DeliverySettings { lease, ..quick() }).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = first.register(&receiver.url).await;
    first.happen(0..10).await;
    receiver.takes(1).await;
    let second = Node::start(&server, "b", DeliverySettings { lease, ..quick() }).await;
    first.kill().await;
    second.happen(10..20).await;
    let told = second.told(id).await;
    let (last, total) = (*told.last().unwrap(), told.len());
    receiver.wait(|came| came.last().is_some_and(|(position, _)| *position == last)).await;
    let mut taken = receiver.taken();
    let falls = taken.windows(2).filter(|pair| pair[0] >= pair[1]).count();
    assert!(falls <= 1, "only where the other took over may events be repeated");
    taken.sort();
    taken.dedup();
    assert_eq!((taken.len(), taken), (total, told));
    assert_eq!(second.dispatcher.state(id).await.unwrap().unwrap().owner.as_deref(), Some("b"));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_owner_that_stood_still_never_moves_a_position_back() {
    let server = Server::start().await;
    // It takes itself for the owner for an hour after each renewal, and renews every hour.
    let hour = Duration::from_secs(3600);
    let asleep = LeaseSettings { renew_every: hour, expires_after: 2 * hour };
    let former = Node::start(&server, "a", DeliverySettings { lease: asleep, ..quick() }).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = former.register(&receiver.url).await;
    former.happen(0..3).await;
    receiver.takes(6).await;
    receiver.behave(|_| None);
    former.happen(3..4).await;
    receiver.wait(|came| came.len() == 7).await;

    // Meanwhile another goes on.
    receiver.behave(|_| Some(200));
    let lease = LeaseSettings { renew_every: Duration::from_millis(50), expires_after: Duration::from_secs(1) };
    let present = Node::start(&server, "b", DeliverySettings { lease, ..quick() }).await;
    present.happen(4..6).await;
    let told = present.told(id).await;
    let all = |came: &[(EventPosition, Option<u16>)]| told.iter().all(|event| came.contains(&(*event, Some(200))));
    receiver.wait(all).await;

    // The former one wakes: its request ends, and it goes on where it was, until it sees that it is not the owner.
    soon(async {
        while former.dispatcher.state(id).await.unwrap().unwrap().last_attempt.is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let taken = receiver.taken().len();
    former.stop().await;
    present.stop().await;
    let last = Node::start(&server, "c", quick()).await;
    last.happen(6..7).await;
    assert_eq!(receiver.takes(taken + 2).await[taken..], last.told(id).await[told.len()..]);
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_ahead_of_the_log_stops_the_webhook_until_a_replay_is_asked_for() {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = node.register(&receiver.url).await;
    node.started(id).await;
    node.stop().await;
    let bucket = server.bucket().await;
    let ahead = r#"{"next":{"seq":1000,"commit":0,"event":0},"replay":null,"failing":null,"term":1}"#;
    let key = format!("position.{id}");
    bucket.delete(&key).await.unwrap();
    bucket.put(&key, ahead.into(), tapelog_store::bucket::Expected::Absent).await.unwrap();

    let node = Node::start(&server, "b", quick()).await;
    node.happen(0..2).await;
    let stuck = async {
        while node.dispatcher.state(id).await.unwrap().is_none_or(|state| state.stuck.is_none()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(stuck).await;
    assert!(receiver.came().is_empty());
    let from = EventPosition::start_of(Seq(1));
    node.submit(Command::ReplayWebhook(ReplayWebhook { webhook_id: id, from })).await;
    assert_eq!(receiver.takes(4).await, node.told(id).await);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_ended_early_is_begun_again_even_while_the_log_never_rests() {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let receiver = Receiver::start(|_| Some(200)).await;
    let id = node.register(&receiver.url).await;
    node.started(id).await;
    node.render.fails_once.store(true, Ordering::Relaxed);
    tokio::select! {
        () = node.happen(0..u128::MAX) => {}
        taken = receiver.takes(1) => assert_eq!(taken[0], node.told(id).await[0]),
    }
    node.stop().await;
}
