//! The log is away for a while: writes wait or are put off, reads go on, nothing acknowledged is lost, and everything
//! mends by itself.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tapelog_tests::eventually;
use tapelog_tests::load::{Load, Writer};
use tapelog_tests::nats::Nats;
use tapelog_tests::server::{Options, Server};
use tapelog_tests::store::check_invariants;

const OUTAGE: Duration = Duration::from_secs(10);
/// How soon everything is as before, once the log is back.
const RECOVERY: Duration = Duration::from_secs(10);

async fn readiness(server: &Server) -> u16 {
    server.api().request(Method::GET, "/readyz").send().await.unwrap().status().as_u16()
}

/// Lets `end` take the log away under load and `mend` bring it back ten seconds later.
async fn outage(end: impl AsyncFnOnce(&mut Nats), mend: impl AsyncFnOnce(&mut Nats), seed: u64) {
    let mut nats = Nats::start().await;
    let server = Server::start_with(Options::on(&nats.url())).await;
    let api = server.api();
    let mut writers = Vec::new();
    for number in 0..6 {
        writers.push(Writer::new(api, seed + number).await);
    }
    let load = Load::start(writers, api);
    tokio::time::sleep(Duration::from_millis(500)).await;

    end(&mut nats).await;
    let ended = Instant::now();
    eventually("the server says that it is not ready", OUTAGE, async || {
        (readiness(&server).await == 503).then_some(())
    })
    .await;
    let mut slowest = Duration::ZERO;
    while ended.elapsed() < OUTAGE {
        let started = Instant::now();
        for path in ["/flows", "/sources", "/service", "/healthz"] {
            api.get(path).await.expect(200);
        }
        slowest = slowest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slowest < Duration::from_secs(3), "reads go on, but took {slowest:?}");

    mend(&mut nats).await;
    eventually("the server is ready again", RECOVERY, async || (readiness(&server).await == 200).then_some(())).await;
    eventually("writes are taken again", RECOVERY, async || {
        let answer = api.post("/service", &json!({ "name": "after" })).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let writers = load.stop().await;
    for writer in &writers {
        let [acknowledged, _, unanswered] = writer.counts();
        assert!(acknowledged > 0, "{:?}", writer.counts());
        assert_eq!(unanswered, 0, "every request is answered");
        writer.check(api).await;
    }
    check_invariants(api).await;
    server.verify().await;
}

#[tokio::test]
async fn a_log_that_dies_and_comes_back_costs_nothing_but_time() {
    outage(async |nats| nats.kill(), async |nats| nats.start_again().await, 1).await;
}

/// Acknowledgements of what was sent before the halt come ten seconds late.
#[tokio::test]
async fn a_log_that_halts_and_goes_on_costs_nothing_but_time() {
    outage(async |nats| nats.halt(), async |nats| nats.go_on(), 2).await;
}

/// Nothing is guessed about a log that cannot be reached: the server does not come up with an empty store.
#[tokio::test]
async fn a_server_waits_for_its_log_or_says_that_it_is_not_there() {
    let mut nats = Nats::start().await;
    let mut server = Server::start_with(Options::on(&nats.url())).await;
    let flow = tapelog_tests::store::create_flow(server.api()).await;
    server.stop().await;
    nats.kill();
    let said = server.refuses_to_start().await;
    assert!(said.to_lowercase().contains("nats"), "{said}");
    nats.start_again().await;
    server.start_again().await;
    server.api().get(&format!("/flows/{flow}")).await.expect(200);
}
