//! Single-segment POST: what a live recorder does with every segment.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, connections, deal};
use crate::load::{Work, run};
use crate::report::{Row, Section, Series, Target, grouped};
use crate::tams::Recorder;

/// A round ends by then, whatever the server. One that was meant for this rate gets through in a second or two.
const LONGEST: Duration = Duration::from_secs(10);
/// How many requests go before the first round.
const WARM_UP: usize = 2_000;
/// How many connections append to an empty Flow and to one that has grown.
const APPENDING: usize = 64;

/// The same number of connections against everything.
struct Level {
    connections: usize,
    requests: usize,
    flow_each: Series,
    one_flow: Series,
    limit: Series,
}

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut store = bench.subject.store("post").await?;
    let mut recorder = Recorder::connect(&store.endpoint).await?;
    let series = || Series::new("segments", 1);

    bench.doing("post: warm-up");
    let mut flow = recorder.create_flow().await?;
    let warm_up = deal(recorder.prepare(&mut flow, WARM_UP, 1).await?, 16);
    run(&bench.limit, Work::repeating(&warm_up), bench.sizes.round, 201).await?;
    run(&store.endpoint, Work::Once(warm_up), LONGEST, 201).await?;

    let mut levels = bench.sizes.posts.map(|(connections, requests)| Level {
        connections,
        requests,
        flow_each: series(),
        one_flow: series(),
        limit: series(),
    });
    let records = || Series::new("records", 1);
    let (mut publish_one, mut publish_many) = (records(), records());
    for round in 1..=bench.sizes.rounds {
        for level in &mut levels {
            let Level { connections, requests, .. } = *level;
            bench.doing(format_args!("post: {connections} connections, round {round}"));
            let mut flows = recorder.create_flows(connections).await?;
            let prepared = recorder.prepare_all(&mut flows, requests / connections, 1).await?;
            level.limit.add(run(&bench.limit, Work::repeating(&prepared), bench.sizes.round, 201).await?);
            level.flow_each.add(run(&store.endpoint, Work::Once(prepared), LONGEST, 201).await?);
            if connections > 1 {
                let mut flow = recorder.create_flow().await?;
                let prepared = deal(recorder.prepare(&mut flow, requests, 1).await?, connections);
                level.one_flow.add(run(&store.endpoint, Work::Once(prepared), LONGEST, 201).await?);
            }
        }
        bench.doing(format_args!("post: raw publish, round {round}"));
        publish_one.add(bench.raw_log.publish(1, bench.sizes.round).await?);
        publish_many.add(bench.raw_log.publish(64, bench.sizes.round).await?);
    }

    let mut grown = recorder.create_flow().await?;
    let requests = recorder.prepare(&mut grown, bench.sizes.grown_flow / 100, 100).await?;
    recorder.post(&requests).await?;
    let (mut into_empty, mut into_grown) = (series(), series());
    for round in 1..=bench.sizes.rounds {
        bench.doing(format_args!("post: into a grown flow, round {round}"));
        let mut empty = recorder.create_flow().await?;
        let prepared = recorder.prepare(&mut empty, bench.sizes.appended, 1).await?;
        into_empty.add(run(&store.endpoint, Work::Once(deal(prepared, APPENDING)), LONGEST, 201).await?);
        let prepared = recorder.prepare(&mut grown, bench.sizes.appended, 1).await?;
        into_grown.add(run(&store.endpoint, Work::Once(deal(prepared, APPENDING)), LONGEST, 201).await?);
    }
    store.stop().await?;

    let message = format!("{} B with 1 commit", bench.raw_log.message_bytes());
    let publish_one = publish_one.row(&format!("raw publish and ack, 1 in flight, {message}"));
    let publish_many = publish_many.row(&format!("raw publish and ack, 64 in flight, {message}"));
    let mut rows = Vec::new();
    let mut alone: Option<Row> = None;
    for Level { connections: count, flow_each, one_flow, limit, .. } in levels {
        let connections = connections(count);
        let limit = limit.row(&format!("{connections}, limit: parse and answer"));
        let target = (count == 64).then_some(Target::AtLeast(0.5));
        let mut row = flow_each.row(&format!("{connections}, a flow each")).of("its limit", &limit, target);
        match &alone {
            None => {
                row = row.p50_of("raw publish and ack", &publish_one, Some(Target::AtMost(3.0)));
                alone = Some(row.clone());
            }
            Some(alone) => {
                let target = (count == 16).then_some(Target::AtLeast(5.0));
                row = row.of("1 connection", alone, target);
            }
        }
        if count == 64 {
            row = row.of("raw publish, 64 in flight", &publish_many, None);
        }
        rows.push(row);
        if count > 1 {
            let row = one_flow.row(&format!("{connections}, all into one flow"));
            rows.push(row.of("its limit", &limit, None));
        }
        rows.push(limit);
    }
    let into_empty = into_empty.row(&format!("{APPENDING} connections, into an empty flow"));
    let name = format!("{APPENDING} connections, into a flow of {}", grouped(bench.sizes.grown_flow as f64));
    let into_grown = into_grown.row(&name).cost_of("into an empty flow", &into_empty, Some(Target::AtMost(1.1)));
    rows.extend([into_empty, into_grown, publish_one, publish_many]);
    Ok(Section { title: "Single-segment POST".to_owned(), rows })
}
