//! The tables in use, and the task that keeps them up to date.

use std::sync::Arc;
use std::time::Duration;

use tapelog_commands::State;
use tapelog_events::{Event, Instant, Seq, SourceDeleted};
use tapelog_projections::{ApplyError, Live, Projector, ProjectorStatus, Tables};
use tapelog_store::log::memory::MemoryLog;
use tapelog_store::log::{Head, Log, replay};
use tapelog_store::sequencer::{Sequencer, SequencerSettings};
use tokio::sync::mpsc;

use crate::scribe::{Scribe, flow, metadata, put, source};

const LONG: Duration = Duration::from_secs(10);

fn tables_of(scribe: &Scribe, records: usize) -> Tables {
    let mut tables = Tables::new();
    for (head, record) in &scribe.records[..records] {
        tables.apply(*head, record).unwrap();
    }
    tables
}

#[test]
fn only_the_next_record_of_the_chain_is_applied_and_nothing_after_one_that_fails() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), metadata(source(1))));
    let mut tables = tables_of(&scribe, 1);
    let (second, third) = (scribe.records[1].clone(), scribe.records[2].clone());
    let early = tables.apply(third.0, &third.1);
    assert_eq!(early, Err(ApplyError::OutOfOrder { expected: Seq(2), found: Seq(3) }));
    assert_eq!(tables.apply(second.0, &third.1), Err(ApplyError::Chain(Seq(2))));

    let mut impossible = second.1.clone();
    let gone = SourceDeleted { source_id: source(9), collected_by: Vec::new(), auth_classes: None };
    impossible.commits[0].events = vec![Event::from(gone)];
    assert!(matches!(tables.apply(second.0, &impossible), Err(ApplyError::Corrupt { seq: Seq(2), .. })));
    assert_eq!(tables.apply(second.0, &second.1), Err(ApplyError::Failed(Seq(2))));
    assert_eq!(tables.position(), Seq(1));
}

#[tokio::test]
async fn tables_take_the_place_of_others_unless_they_are_behind() {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1)))).write(put(flow(2), metadata(source(1))));
    let live = Live::new(tables_of(&scribe, 2));
    assert!(live.replace(tables_of(&scribe, 1)).is_err());
    assert!(live.wait_for(Seq(3), Duration::ZERO).await.is_err());
    live.replace(tables_of(&scribe, 3)).unwrap();
    live.wait_for(Seq(3), Duration::ZERO).await.unwrap();
    assert!(live.read(|tables| tables.flow(flow(2)).is_some()));
}

/// A node: a sequencer on a log, with its tables.
pub fn start(log: &MemoryLog) -> (Sequencer, Arc<Live>, Projector) {
    let live = Arc::new(Live::new(Tables::new()));
    let (sink, deliveries) = mpsc::channel(16);
    let (projector, _) = Projector::start(Arc::clone(&live), deliveries);
    let clock = || Instant::from_micros(1);
    let settings = SequencerSettings::default();
    let (sequencer, _) = Sequencer::start(Arc::new(log.clone()), State::default(), Head::START, clock, settings, sink);
    (sequencer, live, projector)
}

pub fn request(command: tapelog_commands::Command, number: u32) -> tapelog_commands::Request {
    crate::scribe::request(command, tapelog_events::CommitId::from_uuid(crate::scribe::uuid(number)), None)
}

#[tokio::test]
async fn what_was_answered_can_be_read_and_another_node_sees_it_soon() {
    let log = MemoryLog::reliable();
    let (sequencer, live, _projector) = start(&log);
    let (_other_sequencer, other, _other_projector) = start(&log);
    let submitted = sequencer.submit(request(put(flow(1), metadata(source(1))), 1)).await.unwrap();
    assert!(live.read(|tables| tables.flow(flow(1)).is_some()));
    other.wait_for(submitted.seq, LONG).await.unwrap();
    assert!(other.read(|tables| tables.flow(flow(1)).is_some()));
    assert_eq!(other.read(|tables| tables.head()), live.read(|tables| tables.head()));
}

#[tokio::test]
async fn the_projector_stops_at_a_record_that_it_cannot_apply_and_says_so() {
    let log = MemoryLog::reliable();
    let (sequencer, live, projector) = start(&log);
    sequencer.submit(request(put(flow(1), metadata(source(1))), 1)).await.unwrap();
    // Tables of another log in its place: the next record does not follow from theirs.
    let mut foreign = Scribe::new();
    foreign.write(put(flow(2), metadata(source(2)))).write(put(flow(3), metadata(source(2))));
    let ahead = foreign.tables.position();
    live.replace(foreign.tables).unwrap();
    for number in 2..=3 {
        sequencer.submit(request(put(flow(9), crate::scribe::metadata(source(number))), number)).await.ok();
    }
    let mut status = projector.status();
    let stopped = status.wait_for(|status| *status != ProjectorStatus::Following);
    let stopped = tokio::time::timeout(LONG, stopped).await.unwrap().unwrap().clone();
    let seq = ahead.next();
    assert_eq!(stopped, ProjectorStatus::Stopped { seq, error: ApplyError::Chain(seq) });
    assert!(live.read(|tables| tables.flow(flow(2)).is_some()));
}

#[tokio::test]
async fn tables_that_were_built_ahead_of_the_projector_are_not_told_twice() {
    let log = MemoryLog::reliable();
    let (sequencer, live, _projector) = start(&log);
    sequencer.submit(request(put(flow(1), metadata(source(1))), 1)).await.unwrap();
    let mut rebuilt = Tables::new();
    let tip = log.tip().await.unwrap();
    replay(&log, Head::START, tip, |head, record| rebuilt.apply(head, &record)).await.unwrap();
    live.replace(rebuilt).unwrap();
    let submitted = sequencer.submit(request(put(flow(2), metadata(source(1))), 2)).await.unwrap();
    live.wait_for(submitted.seq, LONG).await.unwrap();
    assert!(live.read(|tables| tables.flow(flow(2)).is_some()));
}
