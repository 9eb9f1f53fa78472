//! Several nodes, and a cluster of nats-servers, of which any may die.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tapelog_tests::cluster::{Cluster, SERVERS};
use tapelog_tests::eventually;
use tapelog_tests::nats::Nats;
use tapelog_tests::receiver::{Receiver, Reply, delivering};
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{create_flow, pluck, segments};
use tokio::sync::watch;

use super::ledger::Ledger;
use super::{register, write};

/// Within how long another node goes on with deliveries.
const TAKEOVER: Duration = Duration::from_secs(10);

/// The node that delivers, once one does.
async fn owner(servers: &[Server; 2], webhook: &str) -> usize {
    let path = format!("/service/webhooks/{webhook}/delivery");
    eventually("a node delivers", PATIENCE, async || {
        let state = servers[0].api().read(&path).await;
        let process: u32 = state["node"].as_str()?.rsplit_once(':')?.1.parse().ok()?;
        servers.iter().position(|server| server.id() == Some(process))
    })
    .await
}

#[tokio::test]
async fn when_the_node_that_delivers_is_killed_another_goes_on_within_ten_seconds_without_a_gap() {
    let nats = Nats::start().await;
    // What is sealed on one node is opened on the other.
    let options = delivering(Options::on(&nats.url())).and("TAPELOG_SECRETS__KEY", "5e".repeat(32));
    let mut servers = [Server::start_with(options.clone()).await, Server::start_with(options).await];
    let receiver = Receiver::start().await;
    let ledger = Ledger::keep(&receiver, Box::new(|_, _| Reply::Status(200)));
    let webhook = register(servers[0].api(), &receiver.url(), json!(["flows/segments_added"]), json!({})).await;
    let mut kills = Vec::new();
    let mut written = HashSet::new();
    for _ in 0..2 {
        let owner = owner(&servers, &webhook).await;
        let other = 1 - owner;
        let (_place, place) = watch::channel(Arc::new(servers[other].api().clone()));
        let flow = create_flow(servers[other].api()).await;
        let writer = tokio::spawn(write(place, flow.clone(), 300));
        let before = ledger.count();
        eventually("it delivers", PATIENCE, async || (ledger.count() > before + 20).then_some(())).await;
        let kill = Instant::now();
        kills.push(kill);
        servers[owner].kill();
        writer.await.unwrap();
        written.extend(pluck(&segments(servers[other].api(), &flow).await, "object_id"));
        let missing = async || (ledger.objects().len() >= written.len()).then_some(());
        eventually("all that was written is delivered", PATIENCE, missing).await;
        let first_after = ledger.first_after(kill + Duration::from_millis(500));
        assert!(first_after.is_none_or(|at| at < kill + TAKEOVER), "the other node went on too late");
        assert_eq!(ledger.objects(), written);
        servers[owner].start_again().await;
    }
    ledger.check("the receiver", &kills);
}

#[tokio::test]
async fn of_three_nats_servers_any_may_die_and_nothing_acknowledged_is_lost_and_nobody_needs_to_act() {
    let mut cluster = Cluster::start().await;
    let options = delivering(Options::on(&cluster.url()).and("TAPELOG_NATS__REPLICAS", SERVERS));
    let server = Server::start_with(options).await;
    let receiver = Receiver::start().await;
    let ledger = Ledger::keep(&receiver, Box::new(|_, _| Reply::Status(200)));
    register(server.api(), &receiver.url(), json!(["flows/segments_added"]), json!({})).await;
    let (_place, place) = watch::channel(Arc::new(server.api().clone()));
    let mut written = HashSet::new();
    let mut kills = Vec::new();
    for victim in 0..SERVERS {
        let flow = create_flow(server.api()).await;
        let writer = tokio::spawn(write(place.clone(), flow.clone(), 200));
        let before = ledger.count();
        eventually("it delivers", PATIENCE, async || (ledger.count() > before + 20).then_some(())).await;
        kills.push(Instant::now());
        cluster.kill(victim);
        // Two servers are enough.
        writer.await.unwrap();
        written.extend(pluck(&segments(server.api(), &flow).await, "object_id"));
        eventually("all that was written is delivered", PATIENCE, async || {
            (ledger.objects().len() >= written.len()).then_some(())
        })
        .await;
        assert_eq!(ledger.objects(), written, "after the death of server {victim}");
        cluster.start_again(victim);
        cluster.is_whole().await;
    }
    ledger.check("the receiver", &kills);
    server.verify().await;
}
