//! The history of random logs: what is found by its index against what a scan of the whole log finds.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tapelog_commands::{Command, CreateWebhook, Expected, Handled, IssueToken, SetAccount, Switch};
use tapelog_events::{
    ChainHash, Commit, Event, Instant, Record, Scope, SealedSecret, Seq, Tags, Token, TokenId, TokenKind, WebhookId,
    codec,
};
use tapelog_projections::Direction;
use tapelog_projections::history::audit::{AuditFilter, AuditedCommit, Change, audit};
use tapelog_projections::history::{
    Historian, HistorianStatus, History, Moment, OpenHistoryError, moment_at, open_history,
};
use tapelog_store::log::memory::MemoryLog;
use tapelog_store::log::{Head, Log, replay};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::scribe::{Scribe, flow, metadata, post_ranges, put, source, uuid};
use crate::step::{FLOWS, OBJECTS, SOURCES, object_number, step, subscription};

const LONG: Duration = Duration::from_secs(20);
const ACTORS: [&str; 3] = ["test", "nobody", "ü"];

/// The commits that these steps lead to.
fn commits(steps: &[crate::step::Step]) -> Vec<Commit> {
    let mut scribe = Scribe::new();
    let handled = steps.iter().map(|step| scribe.ask(step.command(&scribe))).collect::<Vec<_>>();
    let commits = handled.into_iter().filter_map(|handled| match handled {
        Handled::Commit(commit, _) => Some((*commit).clone()),
        Handled::Nothing(..) | Handled::Rejected(..) => None,
    });
    commits.collect()
}

/// A log with these commits, the next so many in each record, by one actor after the other.
async fn logged(commits: Vec<Commit>, sizes: &[usize]) -> MemoryLog {
    let log = MemoryLog::reliable();
    let mut head = Head { seq: Seq(1), hash: ChainHash::of(&log.records()[0]) };
    let actors = ACTORS.iter().cycle();
    let mut left = commits.into_iter().zip(actors).map(|(commit, actor)| Commit { actor: (*actor).to_owned(), ..commit });
    for size in sizes.iter().cycle() {
        let commits: Vec<_> = left.by_ref().take(*size).collect();
        if commits.is_empty() {
            break;
        }
        head = append(&log, head, commits).await;
    }
    log
}

async fn append(log: &MemoryLog, head: Head, commits: Vec<Commit>) -> Head {
    let record = Record { format: codec::FORMAT, prev_hash: head.hash, commits };
    let payload = Bytes::from(codec::encode(&record));
    let hash = ChainHash::of(&payload);
    log.append(head.seq, payload).await.unwrap();
    Head { seq: head.seq.next(), hash }
}

async fn records(log: &MemoryLog) -> Vec<(Head, Record)> {
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
async fn history_of(log: &MemoryLog) -> (TempDir, History) {
    let folder = tempdir().unwrap();
    let history = open_history(log, folder.path()).await.unwrap();
    history.apply(&records(log).await).unwrap();
    (folder, history)
}

/// All pages of an audit.
async fn all_pages(
    history: &History,
    log: &MemoryLog,
    filter: &AuditFilter,
    direction: Direction,
    limit: usize,
) -> Vec<AuditedCommit> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = audit(history, log, filter, direction, after, limit).await.unwrap();
        assert!(page.commits.len() == limit || page.next.is_none(), "{after:?}");
        found.extend(page.commits);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// Members that name what collects something, or what it collects, or what somebody wants to be told of.
const NO_SUBJECTS: [&str; 7] = [
    "collected_by",
    "flow_collection",
    "source_collection",
    "flow_ids",
    "source_ids",
    "flow_collected_by_ids",
    "source_collected_by_ids",
];

fn names(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Array(items) => items.iter().any(|item| names(item, id)),
        Value::Object(members) => {
            members.iter().any(|(name, value)| !NO_SUBJECTS.contains(&name.as_str()) && names(value, id))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a commit is asked for, judged by how its events are written.
fn is_asked(filter: &AuditFilter, seq: Seq, index: u32, commit: &Commit) -> bool {
    let AuditFilter { flow_id, source_id, object_id, webhook_id, actor, kind, from, to } = filter;
    let written = serde_json::to_value(&commit.events).unwrap();
    let has = |id: Option<String>| id.is_none_or(|id| names(&written, &id));
    has(flow_id.map(|id| id.to_string()))
        && has(source_id.map(|id| id.to_string()))
        && has(object_id.as_ref().map(ToString::to_string))
        && has(webhook_id.map(|id| id.to_string()))
        && actor.as_ref().is_none_or(|actor| *actor == commit.actor)
        && kind.as_ref().is_none_or(|kind| commit.events.iter().any(|event| event.kind() == kind))
        && from.is_none_or(|from| (seq, index) >= (from.seq, from.commits))
        && to.is_none_or(|to| (seq, index) < (to.seq, to.commits))
}

fn filter() -> impl Strategy<Value = AuditFilter> {
    let now_and_then = |chance| proptest::option::weighted(chance, any::<u32>());
    let moment = || proptest::option::weighted(0.3, (0..60u64, prop_oneof![0..4u32, Just(u32::MAX)]));
    let ids = (now_and_then(0.4), now_and_then(0.3), now_and_then(0.3), now_and_then(0.1));
    (ids, now_and_then(0.3), now_and_then(0.3), moment(), moment()).prop_map(
        |((flow_id, source_id, object_id, webhook_id), actor, kind, from, to)| {
            let kinds = ["segments_added", "flow_updated", "source_deleted", "objects_allocated", "no_such_kind"];
            let moment = |(seq, commits)| Moment { seq: Seq(seq), commits };
            AuditFilter {
                flow_id: flow_id.map(|number| flow(number % FLOWS)),
                source_id: source_id.map(|number| source(number % SOURCES)),
                object_id: object_id.map(|number| object_number(number % OBJECTS)),
                webhook_id: webhook_id.map(|number| WebhookId::from_uuid(uuid(0xc000 + number % 3))),
                actor: actor.map(|number| ACTORS[number as usize % ACTORS.len()].to_owned()),
                kind: kind.map(|number| kinds[number as usize % kinds.len()].to_owned()),
                from: from.map(moment),
                to: to.map(moment),
            }
        },
    )
}

/// What every resource is, as far as changes say, and as far as it is known from the events.
#[derive(Default)]
struct Resources {
    known: HashMap<(&'static str, String), Map<String, Value>>,
}

impl Resources {
    /// Checks a change against what came before, and takes it over.
    fn change(&mut self, event: &Event, change: Change) {
        let told = |value: Option<Value>| value.map(|value| value.as_object().unwrap().clone());
        let Change { resource, before, after, .. } = change;
        let (before, after) = (told(before), told(after));
        let now = match event {
            Event::FlowCreated(event) => told(serde_json::to_value(&event.flow).ok()),
            Event::FlowUpdated(event) => told(serde_json::to_value(&event.flow).ok()),
            Event::FlowRestored(event) => told(serde_json::to_value(&event.flow).ok()),
            Event::SourceCreated(event) => told(serde_json::to_value(&event.source).ok()),
            Event::SourceUpdated(event) => told(serde_json::to_value(&event.source).ok()),
            Event::FlowTrashed(_) => {
                assert_eq!(before.as_ref(), self.known.get(&resource));
                return;
            }
            Event::FlowDeleted(_)
            | Event::FlowPurged(_)
            | Event::SourceDeleted(_)
            | Event::WebhookDeleted(_)
            | Event::AccountDeleted(_)
            | Event::TokenRevoked(_)
            | Event::DeletionForgotten(_) => {
                assert_eq!((before, after), (self.known.remove(&resource), None));
                return;
            }
            Event::ServiceUpdated(_)
            | Event::WebhookCreated(_)
            | Event::WebhookUpdated(_)
            | Event::AccountSet(_)
            | Event::TokenIssued(_)
            | Event::DeletionRequested(_)
            | Event::DeletionAdvanced(_) => None,
            _ => return,
        };
        let is_back = matches!(event, Event::FlowRestored(_));
        let mut document = if is_back { Map::new() } else { self.known.remove(&resource).unwrap_or_default() };
        assert_eq!(before.is_none(), document.is_empty(), "{event:?}");
        for (name, value) in before.unwrap_or_default() {
            assert_eq!(document.remove(&name).as_ref(), Some(&value), "{name} of {event:?}");
            assert_ne!(after.as_ref().unwrap().get(&name), Some(&value), "{name} of {event:?}");
        }
        for (name, value) in after.unwrap() {
            assert!(document.insert(name.clone(), value).is_none(), "{name} of {event:?}");
        }
        if let Some(now) = now {
            assert_eq!(document, now);
        }
        self.known.insert(resource, document);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn an_audit_lists_exactly_the_commits_that_a_scan_of_the_log_finds(
        steps in proptest::collection::vec(step(), 1..100),
        sizes in proptest::collection::vec(1..5usize, 1..8),
        queries in proptest::collection::vec((filter(), any::<bool>(), 1..6usize), 24),
    ) {
        Runtime::new().unwrap().block_on(async {
            let log = logged(commits(&steps), &sizes).await;
            let (_folder, history) = history_of(&log).await;
            let records = records(&log).await;
            for (filter, is_reversed, limit) in queries {
                let mut expected: Vec<(Seq, u32, ChainHash, ChainHash, Commit)> = Vec::new();
                for (head, record) in &records {
                    let commits = (0..).zip(&record.commits);
                    let asked = commits.filter(|(index, commit)| is_asked(&filter, head.seq, *index, commit));
                    let told = asked.map(|(index, commit)| (head.seq, index, head.hash, record.prev_hash, commit.clone()));
                    expected.extend(told);
                }
                let direction = if is_reversed { Direction::Reversed } else { Direction::Usual };
                if is_reversed {
                    expected.reverse();
                }
                let found = all_pages(&history, &log, &filter, direction, limit).await;
                let found: Vec<_> = found
                    .into_iter()
                    .map(|found| (found.seq, found.index, found.hash, found.prev_hash, without_secrets(found.commit)))
                    .collect();
                let expected: Vec<_> = expected
                    .into_iter()
                    .map(|(seq, index, hash, prev_hash, commit)| (seq, index, hash, prev_hash, without_secrets(commit)))
                    .collect();
                assert_eq!(found, expected, "{filter:?}");
            }
        });
    }

    #[test]
    fn what_changed_is_told_as_it_was_before_and_as_it_is_after(
        steps in proptest::collection::vec(step(), 1..100),
        sizes in proptest::collection::vec(1..5usize, 1..8),
    ) {
        Runtime::new().unwrap().block_on(async {
            let log = logged(commits(&steps), &sizes).await;
            let (_folder, history) = history_of(&log).await;
            let mut resources = Resources::default();
            for audited in all_pages(&history, &log, &AuditFilter::default(), Direction::Usual, 7).await {
                for change in audited.changes {
                    let event = &audited.commit.events[change.event as usize];
                    assert_eq!(change.kind, event.kind());
                    resources.change(event, change);
                }
            }
        });
    }

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

/// Commits that may be compared with others whose secrets are left out.
fn without_secrets(mut commit: Commit) -> Commit {
    for event in &mut commit.events {
        match event {
            Event::WebhookCreated(event) => event.webhook.signing = None,
            Event::WebhookUpdated(event) => event.webhook.signing = None,
            Event::TokenIssued(event) => event.token.secret_hash = [0; 32],
            _ => {}
        }
    }
    commit
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

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_tells_of_secrets_only_that_they_are_set() {
    let mut scribe = Scribe::new();
    let webhook_id = WebhookId::from_uuid(uuid(1));
    let mut subscription = subscription("https://example.com", Tags::new());
    subscription.api_key_value = Some(SealedSecret { sealed: b"sealed key".to_vec() });
    let signing_secret = SealedSecret { sealed: b"sealed secret".to_vec() };
    let create = CreateWebhook { webhook_id, subscription, switch: Switch::On, signing_secret };
    scribe.write(Command::CreateWebhook(Box::new(create)));
    for password in ["hash one", "hash two"] {
        scribe.write(Command::SetAccount(SetAccount {
            name: "somebody".parse().unwrap(),
            label: None,
            password_hash: Some(password.to_owned()),
            scopes: Some([Scope::Read].into()),
            access: None,
            disabled: None,
            expected: Expected::Any,
        }));
    }
    let token = Token {
        id: TokenId::from_uuid(uuid(2)),
        account: "somebody".parse().unwrap(),
        kind: TokenKind::Api,
        label: None,
        secret_hash: [77; 32],
        scopes: [Scope::Read].into(),
        created: scribe.now(),
        expires: None,
    };
    scribe.write(Command::IssueToken(IssueToken { token, replaces: None }));
    let commits = scribe.records.iter().skip(1).flat_map(|(_, record)| record.commits.clone());
    let log = logged(commits.collect(), &[2]).await;
    let (_folder, history) = history_of(&log).await;
    let found = all_pages(&history, &log, &AuditFilter::default(), Direction::Usual, 10).await;
    let changes: Vec<&Change> = found.iter().flat_map(|commit| &commit.changes).collect();
    let (webhook, [made, changed, token]) = (changes[1], [changes[2], changes[3], changes[4]]);
    let after = |change: &Change, name: &str| change.after.as_ref().unwrap()[name].clone();
    assert_eq!(after(webhook, "api_key_value"), "set");
    assert_eq!(after(webhook, "signing"), "set");
    assert_eq!(after(made, "password_hash"), "set");
    assert_eq!(changed.before.as_ref().unwrap()["password_hash"], "set");
    assert_eq!(after(changed, "password_hash"), "changed");
    assert_eq!(after(token, "secret_hash"), "set");

    let commits: Vec<&Commit> = found.iter().map(|found| &found.commit).collect();
    let told = codec::encode_value(&commits);
    for secret in [&b"sealed key"[..], b"sealed secret", b"hash one", b"hash two", &[77; 32]] {
        let logged = log.records().iter().any(|record| record.windows(secret.len()).any(|bytes| bytes == secret));
        assert!(logged && !told.windows(secret.len()).any(|bytes| bytes == secret));
    }
}
