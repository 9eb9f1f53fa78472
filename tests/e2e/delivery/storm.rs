//! Fifty webhooks whose receivers fail in every way, and a server that is killed again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tapelog_tests::api::Api;
use tapelog_tests::eventually;
use tapelog_tests::receiver::{Receiver, Reply, delivering};
use tapelog_tests::server::{Options, Server};
use tapelog_tests::store::{all, create_flow, pluck, segments};
use tokio::sync::watch;
use tokio::time::sleep;

use super::ledger::{Behaviour, Ledger};
use super::{register, write};

const FLOWS: usize = 16;
const SEGMENTS: usize = 1250;
const WEBHOOKS: usize = 50;
const KILLS: usize = 10;
/// How long until everything has been delivered once the last event has happened.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// Fails every third time.
    Failing,
    /// Does not answer now and then.
    Hanging,
    /// Sends to the metadata of a cloud for a while.
    Redirecting,
    /// Says once that it is gone for good.
    Gone,
    /// Is away every other moment.
    Flapping,
    /// Is away for most of the time.
    Dead,
    /// Refuses some events whatever comes.
    Refusing,
}

impl Manner {
    /// One in eight is good, the others fail in every way.
    fn of(number: usize) -> Self {
        const OTHERS: [Manner; 8] = [
            Manner::Failing,
            Manner::Hanging,
            Manner::Redirecting,
            Manner::Gone,
            Manner::Flapping,
            Manner::Dead,
            Manner::Refusing,
            Manner::Good,
        ];
        OTHERS[number % OTHERS.len()]
    }

    fn behaviour(self) -> Behaviour {
        match self {
            Self::Good | Self::Flapping | Self::Dead => Box::new(|_, _| Reply::Status(200)),
            Self::Failing => Box::new(|request, _| Reply::Status(if request % 3 == 1 { 503 } else { 200 })),
            Self::Hanging => Box::new(|request, _| if request % 400 == 9 { Reply::Hang } else { Reply::Status(200) }),
            Self::Redirecting => Box::new(|request, _| {
                let to = "http://169.254.169.254/latest/meta-data/".to_owned();
                if (20..40).contains(&request) {
                    Reply::With(302, Some(("location", to)), String::new())
                } else {
                    Reply::Status(200)
                }
            }),
            Self::Gone => Box::new(|request, _| Reply::Status(if request == 100 { 410 } else { 200 })),
            Self::Refusing => Box::new(|_, objects| {
                // The same ones always: an object's id is as good as a random number.
                let refused = objects.iter().any(|object| object.starts_with("00"));
                Reply::Status(if refused { 400 } else { 200 })
            }),
        }
    }
}

struct Hook {
    id: String,
    manner: Manner,
    /// The Flow that it is about; all, where there is none.
    flow: Option<usize>,
    receiver: Receiver,
    ledger: Ledger,
}

async fn hooks(api: &Api, flows: &[String]) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for number in 0..WEBHOOKS {
        let (receiver, manner) = (Receiver::start().await, Manner::of(number));
        // Two are told everything, the others of one Flow.
        let is_told_all = manner == Manner::Good && number < 16;
        let flow = (!is_told_all).then_some(number % flows.len());
        let filter = flow.map_or(json!({}), |flow| json!({ "flow_ids": [flows[flow]] }));
        let ledger = Ledger::keep(&receiver, manner.behaviour());
        let id = register(api, &receiver.url(), json!(["flows/segments_added"]), filter).await;
        hooks.push(Hook { id, manner, flow, receiver, ledger });
    }
    hooks
}

/// Has receivers come and go until it is told to stop, and then be there.
async fn unsettle(mut hooks: Vec<Hook>, mut stop: watch::Receiver<bool>) -> Vec<Hook> {
    let mut round = 0;
    while !*stop.borrow_and_update() {
        for hook in &mut hooks {
            match hook.manner {
                Manner::Flapping if round % 2 == 0 => hook.receiver.die().await,
                Manner::Flapping => hook.receiver.start_again().await,
                Manner::Dead if round == 1 => hook.receiver.die().await,
                _ => {}
            }
        }
        round += 1;
        drop(tokio::time::timeout(Duration::from_millis(700), stop.changed()).await);
    }
    for hook in &mut hooks {
        hook.receiver.die().await;
        hook.receiver.start_again().await;
    }
    hooks
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receiver_has_every_event_in_order_whatever_fails_and_however_often_the_server_is_killed() {
    let mut server = Server::start_with(delivering(Options::checkpoint_every(5))).await;
    let flows = join_all((0..FLOWS).map(|_| create_flow(server.api()))).await;
    let hooks = hooks(server.api(), &flows).await;
    let (place, places) = watch::channel(Arc::new(server.api().clone()));
    let writers: Vec<_> =
        flows.iter().map(|flow| tokio::spawn(write(places.clone(), flow.clone(), SEGMENTS))).collect();
    let (stop, stopped) = watch::channel(false);
    let unsettled = tokio::spawn(unsettle(hooks, stopped));

    let mut kills = Vec::new();
    for _ in 0..KILLS {
        sleep(Duration::from_millis(1500)).await;
        kills.push(Instant::now());
        server.kill();
        server.start_again().await;
        place.send_replace(Arc::new(server.api().clone()));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    stop.send_replace(true);
    let hooks = unsettled.await.unwrap();

    let api = server.api();
    for hook in hooks.iter().filter(|hook| hook.manner == Manner::Gone) {
        let path = format!("/service/webhooks/{}", hook.id);
        let mut webhook = eventually("a receiver that is gone stops its webhook", PATIENCE, async || {
            let webhook = api.read(&path).await;
            (webhook["status"] == "error").then_some(webhook)
        })
        .await;
        assert!(webhook["error"]["summary"].as_str().unwrap().contains("410"), "{webhook}");
        webhook["status"] = json!("created");
        webhook.as_object_mut().unwrap().remove("error");
        api.put(&path, &webhook).await.expect(201);
    }
    let mut stored = Vec::new();
    for flow in &flows {
        let objects: HashSet<_> = pluck(&segments(api, flow).await, "object_id").into_iter().collect();
        assert_eq!(objects.len(), SEGMENTS, "what was acknowledged is stored, once");
        stored.push(objects);
    }
    for (number, hook) in hooks.iter().enumerate() {
        let name = format!("webhook {number}, {:?}", hook.manner);
        let expected: HashSet<String> = match hook.flow {
            Some(flow) => stored[flow].clone(),
            None => stored.iter().flatten().cloned().collect(),
        };
        eventually(&format!("{name} has everything"), PATIENCE, async || {
            (hook.ledger.objects().len() >= expected.len()).then_some(())
        })
        .await;
        assert_eq!(hook.ledger.objects(), expected, "{name}");
        let dead = eventually(&format!("the dead letters of {name} are listed"), PATIENCE, async || {
            let letters = all(api, &format!("/service/webhooks/{}/dead-letters?limit=1000", hook.id)).await;
            let dead: HashSet<_> = letters.iter().map(position).collect();
            (dead.len() >= hook.ledger.refused().len()).then_some(dead)
        })
        .await;
        assert_eq!(dead, hook.ledger.refused(), "{name}: gaps are dead letters, and dead letters gaps");
        hook.ledger.check(&name, &kills);
    }
    server.verify().await;
}

/// The place of a dead letter's event in the log.
fn position(letter: &serde_json::Value) -> String {
    let event = letter["event"].as_str().unwrap();
    let parts: Vec<_> = event.split('.').collect();
    parts[parts.len() - 3..].join(".")
}
