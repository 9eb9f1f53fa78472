use std::time::Duration;

use tapelog_events::{EventPosition, Notification, Seq};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::attempts::page::AttemptKind;
use crate::{AttemptResult, Attempted};

const STREAM: StreamState = StreamState { created: Instant::from_micros(5), first_at: None, last_sequence: 100 };
const ALL: AttemptFilter = AttemptFilter { kind: None, notification: None, from: None, to: None, position: None };

fn webhook(number: u128) -> WebhookId {
    WebhookId::from_uuid(Uuid::from_u128(number))
}

fn at(second: i64) -> Instant {
    Instant::from_micros(second * 1_000_000)
}

/// The attempt that a webhook's receiver was sent in this second.
fn row(webhook_id: u128, second: i64, result: AttemptResult) -> AttemptRow {
    AttemptRow {
        webhook_id: webhook(webhook_id),
        position: EventPosition::start_of(Seq(second.cast_unsigned() / 2)),
        notification: if second % 2 == 0 { Notification::FlowCreated } else { Notification::SegmentsAdded },
        attempt: 1,
        attempted: Attempted { started: at(second), took: Duration::from_millis(3), result, excerpt: None },
        node: "a".to_owned(),
    }
}

const DELIVERED: AttemptResult = AttemptResult::Delivered { status: 200 };
const REFUSED: AttemptResult = AttemptResult::Refused { status: 400 };

/// A table in which three webhooks have attempts in the seconds 1 to 10; every fifth was refused.
fn table() -> (Table, TempDir) {
    let folder = TempDir::new().unwrap();
    let table = Table::open(folder.path()).unwrap();
    assert_eq!(table.begin(&STREAM).unwrap(), 1);
    let result = |second| if second % 5 == 0 { REFUSED } else { DELIVERED };
    let rows = (1..=3).flat_map(|webhook| (1..=10).map(move |second| row(webhook, second, result(second))));
    table.enter(STREAM.created, 7, rows).unwrap();
    (table, folder)
}

/// All pages, each of the seconds of its attempts.
fn pages(table: &Table, filter: &AttemptFilter, order: AttemptOrder, oldest: Instant, limit: usize) -> Vec<Vec<i64>> {
    let (mut cursor, mut pages) = (None, Vec::new());
    loop {
        let page = table.page(webhook(2), filter, order, cursor, oldest, limit).unwrap();
        assert!(page.rows.iter().all(|row| row.webhook_id == webhook(2)));
        pages.push(page.rows.iter().map(|row| row.attempted.started.as_micros() / 1_000_000).collect());
        match page.next {
            Some(next) => cursor = Some(next.to_string().parse().unwrap()),
            None => return pages,
        }
    }
}

#[test]
fn attempts_for_one_webhook_are_paged_in_both_orders() {
    let (table, _folder) = table();
    let pages = |order| pages(&table, &ALL, order, at(0), 4);
    assert_eq!(pages(AttemptOrder::NewestFirst), [vec![10, 9, 8, 7], vec![6, 5, 4, 3], vec![2, 1]]);
    assert_eq!(pages(AttemptOrder::OldestFirst), [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]]);
}

#[test]
fn attempts_are_filtered_by_all_that_is_given() {
    let (table, _folder) = table();
    let seconds = |filter: AttemptFilter| pages(&table, &filter, AttemptOrder::OldestFirst, at(0), 20).concat();
    assert_eq!(seconds(AttemptFilter { kind: Some(AttemptKind::Refused), ..ALL }), [5, 10]);
    assert!(seconds(AttemptFilter { kind: Some(AttemptKind::Failed), ..ALL }).is_empty());
    assert_eq!(seconds(AttemptFilter { from: Some(at(3)), to: Some(at(6)), ..ALL }), [3, 4, 5]);
    assert!(seconds(AttemptFilter { from: Some(at(6)), to: Some(at(3)), ..ALL }).is_empty());
    assert_eq!(seconds(AttemptFilter { position: Some(EventPosition::start_of(Seq(3))), ..ALL }), [6, 7]);
    let notification = Some(Notification::FlowCreated);
    assert_eq!(seconds(AttemptFilter { notification, from: Some(at(7)), ..ALL }), [8, 10]);
    let cursors =
        pages(&table, &AttemptFilter { kind: Some(AttemptKind::Refused), ..ALL }, AttemptOrder::NewestFirst, at(0), 1);
    assert_eq!(cursors, [vec![10], vec![5], vec![]]);
}

#[test]
fn old_attempts_are_forgotten_whoever_they_were_for() {
    let (table, _folder) = table();
    assert_eq!(pages(&table, &ALL, AttemptOrder::OldestFirst, at(9), 20), [[9, 10]], "they count as forgotten before");
    table.forget(at(4)).unwrap();
    let left = table.attempts.iter().count();
    assert_eq!(left, 3 * 7);
    assert_eq!(pages(&table, &ALL, AttemptOrder::OldestFirst, at(0), 20).concat(), [4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_table_goes_on_where_it_left_off_and_is_emptied_for_another_stream() {
    let (table, folder) = table();
    drop(table);
    let table = Table::open(folder.path()).unwrap();
    assert_eq!(table.begin(&STREAM).unwrap(), 8);
    assert_eq!(table.attempts.iter().count(), 30);
    for other in
        [StreamState { created: Instant::from_micros(6), ..STREAM }, StreamState { last_sequence: 6, ..STREAM }]
    {
        table.enter(STREAM.created, 7, [row(1, 1, DELIVERED)]).unwrap();
        assert_eq!(table.begin(&other).unwrap(), 1);
        assert_eq!(table.attempts.iter().count(), 0);
    }
}
