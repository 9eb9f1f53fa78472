//! Bulk POST of 100 segments: what an importer does.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, connections};
use crate::load::{Work, run};
use crate::report::{Section, Series, Target};
use crate::tams::Recorder;

const SEGMENTS: u32 = 100;
/// A round ends by then, whatever the server.
const LONGEST: Duration = Duration::from_secs(20);

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut store = bench.subject.store("bulk").await?;
    let mut recorder = Recorder::connect(&store.endpoint).await?;
    let series = || Series::new("segments", SEGMENTS);
    let mut levels = bench.sizes.bulk_posts.map(|(connections, requests)| (connections, requests, series(), series()));
    for round in 0..=bench.sizes.rounds {
        for (connections, requests, server, limit) in &mut levels {
            bench.doing(format_args!("bulk: {connections} connections, round {round}"));
            let mut flows = recorder.create_flows(*connections).await?;
            let prepared = recorder.prepare_all(&mut flows, *requests / *connections, SEGMENTS as usize).await?;
            limit.add(run(&bench.limit, Work::repeating(&prepared), bench.sizes.round, 201).await?);
            server.add(run(&store.endpoint, Work::Once(prepared), LONGEST, 201).await?);
            if round == 0 {
                server.clear();
                limit.clear();
            }
        }
    }
    store.stop().await?;

    let mut rows = Vec::new();
    for (count, _, server, limit) in levels {
        let connections = connections(count);
        let limit = limit.row(&format!("{connections}, limit: parse and answer"));
        let server = server.row(&format!("{connections}, a flow each"));
        let server = server.of("its limit", &limit, None).must(Target::AtLeast(200_000.0));
        rows.extend([server, limit]);
    }
    Ok(Section { title: format!("Bulk POST of {SEGMENTS} segments"), rows })
}
