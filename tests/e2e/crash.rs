//! `kill -9` of the server, of nats-server, and of both, at random moments under load.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tapelog_tests::eventually;
use tapelog_tests::load::{Load, Writer};
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{check_invariants, create_flow};

const ROUNDS: u32 = 10;
const WRITERS: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Nats,
    Both,
}

/// Ten rounds; after each, everything acknowledged is there once, everything refused is not, and a request without an
/// answer is there as a whole or not at all.
async fn survive(victim: Victim, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    // So often that kills fall before, into and after the writing of checkpoints.
    let mut server = Server::start_with(Options::checkpoint_every(1)).await;
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(server.api(), seed + number).await);
    }
    let mut furthest = 0;
    for round in 0..ROUNDS {
        let load = Load::start(writers, server.api());
        // Every third round is so long that checkpoints are written in it.
        let span = if round % 3 == 2 { 2000..4000 } else { 20..1000 };
        tokio::time::sleep(Duration::from_millis(random.random_range(span))).await;
        if victim != Victim::Server {
            server.kill_nats();
        }
        if victim != Victim::Nats {
            server.kill();
        }
        writers = match victim {
            Victim::Server | Victim::Both => {
                let writers = load.stop().await;
                server.start_again().await;
                furthest = furthest.max(server.started_from());
                writers
            }
            Victim::Nats => {
                eventually("writes are taken again", PATIENCE, async || {
                    let answer = server.api().post("/service", &json!({ "name": round.to_string() })).await;
                    (answer.status == 200).then_some(())
                })
                .await;
                load.stop().await
            }
        };
        for writer in &mut writers {
            writer.check(server.api()).await;
            if random.random() {
                writer.repeat_unanswered(server.api()).await;
                writer.check(server.api()).await;
            }
        }
    }
    let counts =
        writers.iter().map(Writer::counts).fold([0; 3], |sum, counts| std::array::from_fn(|at| sum[at] + counts[at]));
    assert!(counts[0] > 100, "there was load: {counts:?} acknowledged, refused and unanswered, seed {seed}");
    assert!(victim == Victim::Nats || furthest > 0, "no start after a kill went on from a checkpoint, seed {seed}");
    check_invariants(server.api()).await;
    server.verify().await;
    server.stop().await;
    server.verify().await;
    server.start_again().await;
    for writer in &writers {
        writer.check(server.api()).await;
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    survive(Victim::Server, 11).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_nats_server_is_killed() {
    survive(Victim::Nats, 22).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_both_are_killed() {
    survive(Victim::Both, 33).await;
}

/// What the other tests rely on: a writer that is asked whether all it wrote is there sees when it is not.
#[tokio::test]
async fn a_loss_would_be_noticed() {
    let server = Server::start().await;
    let api = server.api();
    for damage in ["segments?timerange=[3:0_4:0)", "label", ""] {
        let load = Load::start(vec![Writer::new(api, 7).await], api);
        let flow = api.read("/flows?limit=1").await[0]["id"].as_str().unwrap().to_owned();
        eventually("there are segments and labels", PATIENCE, async || {
            let segment = api.read(&format!("/flows/{flow}/segments?timerange=[3:0_4:0)")).await != json!([]);
            let label = api.read(&format!("/flows/{flow}/label")).await != "a camera";
            (segment && label).then_some(())
        })
        .await;
        let writer = load.stop().await.remove(0);
        match damage {
            "" => {}
            "label" => drop(api.put(&format!("/flows/{flow}/label"), &json!("another")).await.expect(204)),
            segments => drop(api.delete(&format!("/flows/{flow}/{segments}")).await.expect(204)),
        }
        let api = api.clone();
        let checked = tokio::spawn(async move { writer.check(&api).await }).await;
        assert_eq!(checked.is_err(), !damage.is_empty(), "{damage}");
    }
}

/// Ended by a signal that can be handled, a server finishes what it has taken on, and takes its nats-server with it.
#[tokio::test]
async fn a_server_that_is_asked_to_stop_finishes_what_it_has_accepted() {
    let mut server = Server::start().await;
    for round in 0..3 {
        let writer = Writer::new(server.api(), round).await;
        let flow = create_flow(server.api()).await;
        let load = Load::start(vec![writer], server.api());
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop().await;
        assert_eq!(server.nats_pid(), None, "no process is left behind");
        let writers = load.stop().await;
        server.start_again().await;
        for writer in &writers {
            writer.check(server.api()).await;
            let [acknowledged, refused, unanswered] = writer.counts();
            assert!(acknowledged > 0 && refused <= 1 && unanswered <= 1, "{:?}", writer.counts());
        }
        server.api().read(&format!("/flows/{flow}")).await;
    }
}
