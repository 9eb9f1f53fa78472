//! The history: where it comes from, that it is always the same, and what times mean in it.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tapelog_commands::Handled;
use tapelog_events::{ChainHash, Commit, Instant, Record, Seq, codec};
use tapelog_projections::history::{Historian, HistorianStatus, History, OpenHistoryError, moment_at, open_history};
use tapelog_store::log::memory::MemoryLog;
use tapelog_store::log::{Head, Log, replay};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::scribe::{Scribe, flow, metadata, post_ranges, put, source};
use crate::step::Step;

const LONG: Duration = Duration::from_secs(20);
pub const ACTORS: [&str; 3] = ["test", "nobody", "ü"];

/// The commits that these steps lead to.
pub fn commits(steps: &[Step]) -> Vec<Commit> {
    let mut scribe = Scribe::new();
    let handled = steps.iter().map(|step| scribe.ask(step.command(&scribe))).collect::<Vec<_>>();
    let commits = handled.into_iter().filter_map(|handled| match handled {
        Handled::Commit(commit, _) => Some((*commit).clone()),
        Handled::Nothing(..) | Handled::Rejected(..) => None,
    });
    commits.collect()
}

/// A log with these commits, the next so many in each record, by one actor after the other.
pub async fn logged(commits: Vec<Commit>, sizes: &[usize]) -> MemoryLog {
    let log = MemoryLog::reliable();
    let mut head = Head { seq: Seq(1), hash: ChainHash::of(&log.records()[0]) };
    let actors = ACTORS.iter().cycle();
    let mut left =
        commits.into_iter().zip(actors).map(|(commit, actor)| Commit { actor: (*actor).to_owned(), ..commit });
    for size in sizes.iter().cycle() {
        let commits: Vec<_> = left.by_ref().take(*size).collect();
        if commits.is_empty() {
            break;
        }
        head = append(&log, head, commits).await;
    }
    log
}

pub async fn append(log: &MemoryLog, head: Head, commits: Vec<Commit>) -> Head {
    let record = Record { format: codec::FORMAT, prev_hash: head.hash, commits };
    let payload = Bytes::from(codec::encode(&record));
    let hash = ChainHash::of(&payload);
    log.append(head.seq, payload).await.unwrap();
    Head { seq: head.seq.next(), hash }
}

pub async fn records(log: &MemoryLog) -> Vec<(Head, Record)> {
    let mut records = Vec::new();
    let tip = log.tip().await.unwrap();
    let each = |head, record| {
        records.push((head, record));
        Ok::<_, ()>(())
    };
    replay(log, Head::START, tip, each).await.unwrap();
    records
}

/// The history of all that is in a log.
pub async fn history_of(log: &MemoryLog) -> (TempDir, History) {
    let folder = tempdir().unwrap();
    let history = open_history(log, folder.path()).await.unwrap();
    history.apply(&records(log).await).unwrap();
    (folder, history)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_time_is_the_moment_after_the_last_commit_until_then(
        count in 1..40i64,
        sizes in proptest::collection::vec(1..5usize, 1..4),
        asked in proptest::collection::vec(-1..12i64, 1..12),
    ) {
        let steps: Vec<_> = (0..count).map(|number| put(flow(number as u32), metadata(source(1)))).collect();
        let mut scribe = Scribe::new();
        for step in steps {
            scribe.write(step);
        }
        // Several commits may be of one time.
        let commits = scribe.records.iter().skip(1).map(|(_, record)| record.commits[0].clone());
        let commits = commits.enumerate().map(|(number, commit)| Commit { at: Instant::from_micros(number as i64 / 4), ..commit });
        Runtime::new().unwrap().block_on(async {
            let log = logged(commits.collect(), &sizes).await;
            let tip = log.tip().await.unwrap();
            for time in asked.into_iter().map(Instant::from_micros) {
                let moment = moment_at(&log, tip, time).await.unwrap();
                for (head, record) in records(&log).await {
                    for (index, commit) in (0..).zip(&record.commits) {
                        assert_eq!(moment.has(head.seq, index), commit.at <= time, "{time}: {moment:?}");
                    }
                }
            }
        });
    }
}

/// A log with some of everything.
async fn example() -> MemoryLog {
    let mut scribe = Scribe::new();
    for number in 0..40 {
        scribe.write(put(flow(number), metadata(source(number % 3))));
        scribe.write(post_ranges(flow(number), &["[0:0_1:0)", "[1:0_2:0)"]));
    }
    let commits = scribe.records.iter().skip(1).flat_map(|(_, record)| record.commits.clone());
    logged(commits.collect(), &[3, 1, 2]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_followed_one_that_was_cut_short_and_one_built_anew_are_equal() {
    let log = example().await;
    let (_folder, at_once) = history_of(&log).await;
    let records = records(&log).await;

    let cut_short = tempdir().unwrap();
    let (before, after) = records.split_at(records.len() / 2);
    History::open(cut_short.path()).unwrap().apply(before).unwrap();
    let continued = open_history(&log, cut_short.path()).await.unwrap();
    assert_eq!(continued.head(), before.last().unwrap().0);
    for record in after {
        continued.apply(std::slice::from_ref(record)).unwrap();
    }
    assert_eq!(continued.digest().unwrap(), at_once.digest().unwrap());

    let folder = tempdir().unwrap();
    let followed = open_history(&log, folder.path()).await.unwrap();
    let stop = CancellationToken::new();
    let (historian, task) = Historian::start(log.clone(), followed.clone(), stop.clone());
    let tip = log.tip().await.unwrap();
    followed.wait_for(tip, LONG).await.unwrap();
    assert_eq!(historian.lag(tip), 0);
    let head = append(&log, followed.head(), vec![records[1].1.commits[0].clone()]).await;
    followed.wait_for(head.seq, LONG).await.unwrap();
    assert_eq!(followed.head(), head);
    at_once.apply(&[(head, codec::decode(log.records().last().unwrap()).unwrap())]).unwrap();
    assert_eq!(followed.digest().unwrap(), at_once.digest().unwrap());
    stop.cancel();
    task.await.unwrap();
    assert!(matches!(*historian.status().borrow(), HistorianStatus::Ended));
    assert!(followed.wait_for(head.seq.next(), Duration::ZERO).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_next_record_of_the_chain_is_entered_and_the_historian_stops_at_another() {
    let log = example().await;
    let records = records(&log).await;
    let folder = tempdir().unwrap();
    let history = open_history(&log, folder.path()).await.unwrap();
    history.apply(&records[..1]).unwrap();
    let digest = history.digest().unwrap();
    assert!(history.apply(&records[2..]).is_err());
    let mut foreign = records[1].clone();
    foreign.1.prev_hash = ChainHash::ZERO;
    assert!(history.apply(&[foreign.clone()]).is_err());
    assert_eq!(history.digest().unwrap(), digest);

    log.lose_after(Seq(1));
    log.append(Seq(1), Bytes::from(codec::encode(&foreign.1))).await.unwrap();
    let (historian, task) = Historian::start(log, history.clone(), CancellationToken::new());
    task.await.unwrap();
    assert!(matches!(*historian.status().borrow(), HistorianStatus::Stopped { seq: Seq(2), .. }));
    assert_eq!(history.head().seq, Seq(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_another_log_is_begun_anew_and_one_that_is_ahead_is_refused() {
    let log = example().await;
    let (folder, history) = history_of(&log).await;
    let whole = history.head();
    drop(history);
    assert_eq!(open_history(&log, folder.path()).await.unwrap().head(), whole);

    let shorter = MemoryLog::reliable();
    let refused = open_history(&shorter, folder.path()).await.unwrap_err();
    assert!(matches!(refused, OpenHistoryError::Ahead { tip: Seq(1), .. }), "{refused}");

    let other = example().await;
    let tip = log.tip().await.unwrap();
    let last = Head { seq: Seq(tip.0 - 1), hash: records(&other).await[tip.0 as usize - 2].0.hash };
    other.lose_after(last.seq);
    append(&other, last, vec![records(&other).await[1].1.commits[0].clone()]).await;
    let empty = open_history(&other, folder.path()).await.unwrap();
    assert_eq!(empty.head(), Head::START);
    let fresh = tempdir().unwrap();
    assert_eq!(empty.digest().unwrap(), History::open(fresh.path()).unwrap().digest().unwrap());
    drop(empty);

    std::fs::write(folder.path().join("version"), "not of this form").unwrap();
    assert_eq!(open_history(&other, folder.path()).await.unwrap().head(), Head::START);
}
