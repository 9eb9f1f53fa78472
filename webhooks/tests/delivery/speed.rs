use crate::node::{Node, Server, quick};
use crate::receiver::Receiver;
use futures::future::join_all;
use std::time::Instant;

async fn run(receivers: usize, flows: u128) {
    let server = Server::start().await;
    let node = Node::start(&server, "a", quick()).await;
    let all = join_all((0..receivers).map(|_| Receiver::start(|_| None))).await;
    let mut ids = Vec::new();
    for r in &all {
        r.behave(|_| Some(503));
        ids.push(node.register(&r.url).await);
    }
    node.happen(0..flows).await;
    let events = 2 * flows as usize;
    for r in &all {
        r.behave(|_| Some(200));
    }
    for r in &all {
        r.takes(1).await;
    }
    let before: usize = all.iter().map(|r| r.taken().len()).sum();
    let start = Instant::now();
    for r in &all {
        r.takes(events).await;
    }
    let rate = (events * receivers - before) as f64 / start.elapsed().as_secs_f64();
    // bare
    let client = reqwest::Client::builder().build().unwrap();
    let start = Instant::now();
    join_all(all.iter().zip(&ids).map(|(r, id)| { let client = client.clone(); async move {
        for n in 0..events {
            let body = format!("{{\"event_timestamp\":\"2026-11-21T18:40:44.000000Z\",\"event_type\":\"flows/created\",\"event\":{{\"position\":\"{n}.0.0\"}}}}");
            let a = client.post(&r.url).header("webhook-id", format!("x.{n}.0.0.{id}")).header("webhook-signature", "v1,aaaa").header("content-type", "application/json").body(body).send().await.unwrap();
            assert!(a.status().is_success());
            a.bytes().await.unwrap();
        }
    }})).await;
    let bare = (events * receivers) as f64 / start.elapsed().as_secs_f64();
    println!("receivers {receivers}: {rate:.0}/s, bare {bare:.0}/s, ratio {:.2}", rate / bare);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn speed() {
    run(1, 1500).await;
    run(50, 200).await;
}
