//! Tables that are built from the log beside those in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tapelog_commands::FlowProperty;
use tapelog_events::{Event, Seq, codec};
use tapelog_projections::checkpoint::Checkpoints;
use tapelog_projections::rebuild::{Progress, Stage, rebuild, rebuild_live};
use tapelog_projections::verify::{Verdict, first_difference};
use tapelog_projections::{Live, Tables};
use tapelog_store::log::memory::{Faults, MemoryLog};
use tapelog_store::log::{Broken, Head, Log, ReplayError, replay};
use tapelog_store::sequencer::Sequencer;
use tokio::task::JoinHandle;

use crate::live::{request, start};
use crate::scribe::{flow, metadata, post_ranges, put, set, source};

/// Writes until it is told to stop, and looks whether what was acknowledged can be read. Answers how often.
fn write(sequencer: &Sequencer, live: &Arc<Live>, number: u32, stop: &Arc<AtomicBool>) -> JoinHandle<u32> {
    let (sequencer, live, stop) = (sequencer.clone(), Arc::clone(live), Arc::clone(stop));
    tokio::spawn(async move {
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            written += 1;
            let rate = FlowProperty::MaxBitRate(Some(u64::from(written)));
            let command =
                if written == 1 { put(flow(number), metadata(source(number))) } else { set(flow(number), rate) };
            if sequencer.submit(request(command, number << 20 | written)).await.is_err() {
                continue;
            }
            let read = live.read(|tables| tables.flow(flow(number)).map(|flow| flow.flow().max_bit_rate));
            assert_eq!(read, Some((written > 1).then_some(u64::from(written))), "L11");
        }
        written
    })
}

async fn assert_is_fold(live: &Live, log: &MemoryLog) {
    let folded = rebuild(log, |_, _| {}).await.unwrap();
    live.wait_for(folded.position(), Duration::from_secs(10)).await.unwrap();
    assert_eq!(live.read(Tables::head), folded.head());
    assert_eq!(live.read(|tables| first_difference(&folded, tables)), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_replaced_under_writers_by_equal_ones_and_what_was_acknowledged_stays_readable() {
    let log = MemoryLog::reliable();
    let (sequencer, live, _projector) = start(&log);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=4).map(|number| write(&sequencer, &live, number, &stop)).collect();
    live.wait_for(Seq(300), Duration::from_secs(10)).await.unwrap();

    let mut stages: Vec<Progress> = Vec::new();
    let rebuilt = rebuild_live(&log, &live, |progress| stages.push(progress)).await.unwrap();
    assert_eq!(rebuilt.verdict, Verdict::Equal);
    assert!(rebuilt.replaced >= rebuilt.compared.seq && rebuilt.compared.seq >= Seq(300), "{rebuilt:?}");
    assert!(stages.is_sorted_by_key(|progress| (progress.seq, progress.stage as u8)), "it only goes forward");
    assert_eq!(stages.last().unwrap().stage, Stage::Replacing);

    let after = live.position();
    live.wait_for(Seq(after.0 + 50), Duration::from_secs(10)).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 1);
    }
    assert_is_fold(&live, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_stammers_and_goes_away_for_a_while_delays_a_rebuild_and_nothing_else() {
    for seed in 0..8 {
        let faults = Faults {
            latency: Duration::from_millis(2),
            read_failure: 0.02,
            gap: 0.02,
            duplicate: 0.05,
            reset: 0.02,
            outage: 0.002,
            outage_length: Duration::from_secs(3),
            ..Faults::NONE
        };
        let log = MemoryLog::new(seed, Faults::NONE);
        let (sequencer, live, _projector) = start(&log);
        for number in 1..=100 {
            sequencer.submit(request(put(flow(number), metadata(source(number))), number)).await.unwrap();
        }
        log.set_faults(faults);
        let stop = Arc::new(AtomicBool::new(false));
        let writer = write(&sequencer, &live, 101, &stop);
        let rebuilt = rebuild_live(&log, &live, |_| {}).await.unwrap();
        assert_eq!(rebuilt.verdict, Verdict::Equal, "seed {seed}");
        stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();
        log.set_faults(Faults::NONE);
        assert_is_fold(&live, &log).await;
    }
}

/// The tables that a log comes to, but for what is changed of its last record.
async fn planted(log: &MemoryLog, change: impl Fn(&mut Event)) -> Tables {
    let mut tables = Tables::new();
    let tip = log.tip().await.unwrap();
    let apply = |head: Head, mut record: tapelog_events::Record| {
        if head.seq == tip {
            change(record.commits[0].events.last_mut().unwrap());
        }
        tables.apply(head, &record)
    };
    replay(log, Head::START, tip, apply).await.unwrap();
    tables
}

#[tokio::test]
async fn tables_that_are_not_what_the_log_says_are_named_and_replaced_and_no_checkpoint_builds_on_theirs() {
    let log = MemoryLog::reliable();
    let (sequencer, ..) = start(&log);
    sequencer.submit(request(put(flow(1), metadata(source(1))), 1)).await.unwrap();
    sequencer.submit(request(post_ranges(flow(1), &["[0:0_1:0)", "[1:0_2:0)"]), 2)).await.unwrap();
    let wrong = planted(&log, |event| {
        let Event::SegmentsAdded(added) = event else { panic!("{event:?}") };
        added.segments[1].sample_count = Some(7);
    });
    let live = Arc::new(Live::new(wrong.await));
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    checkpoints.write_live(&live).unwrap();

    let rebuilt = rebuild_live(&log, &live, |_| {}).await.unwrap();
    let Verdict::Different(difference) = &rebuilt.verdict else { panic!("{rebuilt:?}") };
    assert_eq!(
        (difference.table, difference.row.clone()),
        ("segments", format!("segment [1:0_2:0) of flow {}", flow(1)))
    );
    assert_is_fold(&live, &log).await;

    // Same position, and every part changed last with the same record as in what is stored.
    checkpoints.write_live(&live).unwrap();
    let stored = Checkpoints::open(folder.path()).unwrap().load_newest().unwrap().unwrap();
    assert_eq!(stored.digest(), rebuilt.digest);
    assert_eq!(live.read(|tables| first_difference(&stored, tables)), None);
    // Whoever looks at the checkpoint meanwhile does not make the next one build on anything else.
    checkpoints.load_newest().unwrap();
    assert_eq!(checkpoints.write_live(&live).unwrap().new_bytes, 0);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_leaves_the_tables_in_use_as_they_are() {
    let whole = MemoryLog::reliable();
    let (sequencer, live, _projector) = start(&whole);
    for number in 1..=2 {
        sequencer.submit(request(put(flow(number), metadata(source(number))), number)).await.unwrap();
    }
    let damaged = MemoryLog::reliable();
    for payload in [whole.records()[1].clone(), Bytes::from_static(b"no record")] {
        damaged.append(damaged.tip().await.unwrap(), payload).await.unwrap();
    }
    assert!(codec::decode(&damaged.records()[2]).is_err());
    let before = live.read(Tables::head);
    let failed = rebuild_live(&damaged, &live, |_| {}).await.unwrap_err();
    assert!(matches!(failed, ReplayError::Broken(Broken::Undecodable { seq: Seq(3), .. })), "{failed}");
    assert_eq!(live.read(Tables::head), before);
    sequencer.submit(request(put(flow(3), metadata(source(3))), 3)).await.unwrap();
    assert!(live.read(|tables| tables.flow(flow(3)).is_some()));
}
