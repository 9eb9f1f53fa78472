//! Audits of random logs: what is found by the index against what a scan of the whole log finds.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Map, Value};
use tapelog_commands::{Command, CreateWebhook, Expected, IssueToken, SetAccount, Switch};
use tapelog_events::{
    ChainHash, Commit, Event, FlowId, Scope, SealedSecret, Seq, Tags, Timestamp, Token, TokenId, TokenKind, WebhookId,
    codec,
};
use tapelog_projections::Direction;
use tapelog_projections::history::audit::{AuditFilter, AuditedCommit, Change, audit};
use tapelog_projections::history::{History, Moment};
use tapelog_store::log::memory::MemoryLog;
use tokio::runtime::Runtime;

use crate::history::{ACTORS, commits, history_of, logged, records};
use crate::scribe::{Scribe, flow, metadata, put, source, uuid};
use crate::step::{FLOWS, OBJECTS, SOURCES, object_number, step, subscription};

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
    /// The tags of segments, by Flow and start.
    segment_tags: HashMap<(FlowId, Timestamp), Tags>,
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
            Event::SegmentsAdded(added) => {
                let starts = added.segments.iter().map(|segment| segment.timerange.start().unwrap().0);
                self.segment_tags.extend(starts.map(|start| ((added.flow_id, start), Tags::new())));
                return;
            }
            Event::SegmentTagged(event) => {
                let known = self.segment_tags.insert((event.flow_id, event.start), event.tags.clone()).unwrap();
                let (before, after) = (before.unwrap(), after.unwrap());
                assert_eq!(before["segment"]["tags"], serde_json::to_value(known).unwrap());
                assert_eq!(after["segment"]["tags"], serde_json::to_value(&event.tags).unwrap());
                return;
            }
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

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

/// Commits that create a Flow each.
fn flows(count: u32) -> Vec<Commit> {
    let mut scribe = Scribe::new();
    for number in 0..count {
        scribe.write(put(flow(number), metadata(source(number % 50))));
    }
    scribe.records.iter().skip(1).flat_map(|(_, record)| record.commits.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rare_is_found_among_what_is_frequent_either_way() {
    let log = logged(flows(300), &[1]).await;
    let (_folder, history) = history_of(&log).await;
    let kind = Some("flow_created".to_owned());
    let rare = AuditFilter { source_id: Some(source(7)), kind: kind.clone(), ..AuditFilter::default() };
    let frequent = AuditFilter { kind, ..AuditFilter::default() };
    for (filter, limit, expected) in [(rare, 4, 6), (frequent, 150, 300)] {
        let found = all_pages(&history, &log, &filter, Direction::Usual, limit).await;
        let mut reversed = all_pages(&history, &log, &filter, Direction::Reversed, limit).await;
        reversed.reverse();
        assert_eq!((found.len(), &found), (expected, &reversed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_would_read_too_much_ends_early_and_the_next_goes_on() {
    let mut commits = flows(80);
    let large = Some("x".repeat(1_000_000));
    commits.iter_mut().step_by(2).for_each(|commit| commit.request_id.clone_from(&large));
    let log = logged(commits, &[2]).await;
    let (_folder, history) = history_of(&log).await;
    for direction in [Direction::Usual, Direction::Reversed] {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let page = audit(&history, &log, &AuditFilter::default(), direction, after, 1000).await.unwrap();
            pages.push(page.commits.len());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(pages.len() > 1, "{pages:?}");
        assert_eq!(pages.iter().sum::<usize>(), 81);
    }
}
