//! What a segment costs in memory and on disk, and how long a start takes.

use std::fs;

use anyhow::Result;

use super::Bench;
use super::large::Large;
use crate::machine::folder_bytes;
use crate::report::{Row, Section, Target, Unit, grouped};

/// A store of this many segments has to get by with so many bytes for each: the target is for no smaller one, since what
/// an empty server takes is counted too.
const JUDGED_FROM: usize = 1_000_000;
const MOST_MEMORY: f64 = 150.0;

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut large = Large::take(bench).await?;
    let segments = large.large.segments as f64;
    let per_segment = |name: &str, bytes: u64| Row::figure(name, bytes as f64 / segments, Unit::Bytes);
    let mut rows = Vec::new();
    if let (Some(empty), Some(loaded)) = (large.memory_empty, large.memory_loaded) {
        let all = per_segment("resident memory a segment, everything counted", loaded.server);
        let judged = large.large.segments >= JUDGED_FROM;
        rows.push(if judged { all.must(Target::AtMost(MOST_MEMORY)) } else { all });
        let grown = loaded.server.saturating_sub(empty.server);
        rows.push(per_segment("resident memory a segment, beyond an empty server", grown));
        rows.push(Row::figure("resident memory of an empty server", empty.server as f64, Unit::Bytes));
        rows.push(Row::figure("resident memory of its nats-server", loaded.log_server as f64, Unit::Bytes));
    }

    // A graceful stop writes a checkpoint.
    large.store.stop().await?;
    let data = large.store.data()?.to_owned();
    let checkpoints = data.join("checkpoints");
    let stored = segments + large.small.segments as f64;
    let on_disk = |name: &str, bytes: u64| Row::figure(name, bytes as f64 / stored, Unit::Bytes);
    rows.push(on_disk("log on disk, a segment", folder_bytes(&data.join("nats"))?));
    rows.push(on_disk("checkpoint on disk, a segment", folder_bytes(&checkpoints)?));

    let (mut from_checkpoint, mut from_log) = (Vec::new(), Vec::new());
    let mut memory_restored = None;
    for round in 1..=bench.sizes.rounds {
        bench.doing(format_args!("footprint: start from a checkpoint, round {round}"));
        from_checkpoint.push(large.store.start().await?.as_secs_f64());
        memory_restored = large.store.memory();
        large.store.stop().await?;
        bench.doing(format_args!("footprint: start from the log, round {round}"));
        fs::remove_dir_all(&checkpoints)?;
        from_log.push(large.store.start().await?.as_secs_f64());
        large.store.stop().await?;
    }
    if let Some(restored) = memory_restored {
        let name = "resident memory a segment, after a start from a checkpoint";
        rows.push(Row::figure(name, restored.server as f64 / stored, Unit::Bytes));
    }
    let from_log = Row::best_of("start from the log", &from_log, Unit::Seconds);
    let from_checkpoint = Row::best_of("start from a checkpoint", &from_checkpoint, Unit::Seconds);
    rows.push(from_checkpoint.of("start from the log", &from_log, None));
    rows.push(from_log);

    let title =
        format!("Memory, disk and cold start with {} segments, each with an object of its own", grouped(segments));
    bench.large = Some(large);
    Ok(Section { title, rows })
}
