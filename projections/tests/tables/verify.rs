//! Comparing tables with the log and with each other.

use bytes::Bytes;
use tapelog_commands::FlowProperty;
use tapelog_events::{Event, Seq, codec};
use tapelog_projections::Tables;
use tapelog_projections::rebuild::rebuild;
use tapelog_projections::verify::{Subject, Verdict, first_difference, verify};
use tapelog_store::log::Log;
use tapelog_store::log::memory::MemoryLog;

use crate::scribe::{Scribe, flow, metadata, post_ranges, put, set, source};

/// The tables after these records, the last of which is changed first.
fn with_last_changed(scribe: &Scribe, change: impl FnOnce(&mut Event)) -> Tables {
    let mut tables = Tables::new();
    let (last, before) = scribe.records.split_last().unwrap();
    for (head, record) in before {
        tables.apply(*head, record).unwrap();
    }
    let (head, mut record) = last.clone();
    change(record.commits[0].events.last_mut().unwrap());
    tables.apply(head, &record).unwrap();
    tables
}

fn recorded() -> Scribe {
    let mut scribe = Scribe::new();
    scribe.write(put(flow(1), metadata(source(1))));
    scribe.write(post_ranges(flow(1), &["[0:0_1:0)", "[1:0_2:0)"]));
    scribe
}

#[test]
fn a_planted_change_is_found_and_named() {
    let scribe = recorded();
    let later = with_last_changed(&scribe, |event| {
        let Event::SegmentsAdded(added) = event else { panic!("{event:?}") };
        added.segments[1].sample_count = Some(1);
    });
    let difference = first_difference(&scribe.tables, &later).unwrap();
    assert_eq!((difference.table, difference.row), ("segments", format!("segment [1:0_2:0) of flow {}", flow(1))));
    let changed: Vec<_> =
        scribe.tables.digest().into_iter().zip(later.digest()).filter(|(left, right)| left != right).collect();
    assert_eq!(changed.len(), 1);

    let fewer = with_last_changed(&scribe, |event| {
        let Event::SegmentsAdded(added) = event else { panic!("{event:?}") };
        added.segments.pop();
    });
    let difference = first_difference(&scribe.tables, &fewer).unwrap();
    assert!(difference.left.is_some() && difference.right.is_none(), "{difference}");
    let difference = first_difference(&fewer, &scribe.tables).unwrap();
    assert!(difference.left.is_none() && difference.right.is_some(), "{difference}");
    assert!(difference.to_string().contains("one has nothing"), "{difference}");
    assert_eq!(first_difference(&scribe.tables, &recorded().tables), None);
}

/// The same history with its records in a log.
async fn logged(scribe: &Scribe) -> (MemoryLog, Vec<Tables>) {
    let log = MemoryLog::reliable();
    let mut tables = Tables::new();
    let mut history = Vec::new();
    let first = log.records()[0].clone();
    let mut head = tapelog_store::log::Head::START;
    let rest = scribe.records[1..].iter().map(|(_, record)| record.clone());
    for record in std::iter::once(codec::decode(&first).unwrap()).chain(rest) {
        let record = tapelog_events::Record { prev_hash: head.hash, ..record };
        let payload = Bytes::from(codec::encode(&record));
        if head.seq != Seq::ZERO {
            log.append(head.seq, payload.clone()).await.unwrap();
        }
        head = tapelog_store::log::Head { seq: head.seq.next(), hash: tapelog_events::ChainHash::of(&payload) };
        tables.apply(head, &record).unwrap();
        history.push(tables.clone());
    }
    (log, history)
}

#[tokio::test]
async fn each_subject_is_compared_where_it_stands() {
    let mut scribe = recorded();
    scribe.write(set(flow(1), FlowProperty::MaxBitRate(Some(1))));
    let (log, history) = logged(&scribe).await;
    let subject = |name, tables: &Tables| Subject { name, tables: tables.clone() };
    let planted = {
        let mut tables = history[1].clone();
        let mut record = codec::decode(&log.records()[2]).unwrap();
        let Event::SegmentsAdded(added) = &mut record.commits[0].events[0] else { panic!() };
        added.segments[0].key_frame_count = Some(7);
        tables.apply(history[2].head(), &record).unwrap();
        tables
    };
    let other_record = recorded().tables;
    let mut steps = Vec::new();
    let subjects = vec![
        subject("newest", &history[3]),
        subject("planted", &planted),
        subject("oldest", &history[0]),
        subject("of another log", &other_record),
    ];
    let report = verify(&log, subjects, |done, tip| steps.push((done, tip))).await.unwrap();
    assert!(!report.is_clean());
    assert_eq!(report.head, history[3].head());
    assert_eq!(report.digest, history[3].digest());
    assert_eq!(steps, (1..=4).map(|seq| (Seq(seq), Seq(4))).collect::<Vec<_>>());
    let verdict = |name| &report.findings.iter().find(|finding| finding.name == name).unwrap().verdict;
    assert_eq!(verdict("newest"), &Verdict::Equal);
    assert_eq!(verdict("oldest"), &Verdict::Equal);
    assert_eq!(verdict("of another log"), &Verdict::OtherRecord);
    assert!(matches!(verdict("planted"), Verdict::Different(difference) if difference.table == "objects"));

    let rebuilt = rebuild(&log, |_, _| {}).await.unwrap();
    assert_eq!((rebuilt.head(), first_difference(&rebuilt, &history[3])), (history[3].head(), None));
    log.lose_after(Seq(2));
    let report = verify(&log, vec![subject("newest", &history[3])], |_, _| {}).await.unwrap();
    assert_eq!(report.findings[0].verdict, Verdict::Ahead);
}
