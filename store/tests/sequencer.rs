//! What a client of the sequencer sees when one thing goes wrong. The log is in memory and time is paused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod node;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use node::{Node, flow_id, name_store, put_flow, request};
use tapelog_commands::{
    Cascade, Command, DeleteFlow, IdempotencyKey, Manner, Patience, Rejection, Request, UpdateService,
};
use tapelog_events::{ChainHash, DeletionRequestId, Instant, Outcome, Record, Seq, codec};
use tapelog_store::log::memory::{Faults, MemoryLog};
use tapelog_store::log::{AppendError, Broken, Entries, Log, Unreachable};
use tapelog_store::sequencer::{Halt, SequencerSettings, Status, SubmitError};
use tokio::join;
use tokio::time::Instant as Moment;

async fn start(log: &Arc<MemoryLog>) -> Node {
    start_with(log, SequencerSettings::default()).await
}

async fn start_with(log: &Arc<MemoryLog>, settings: SequencerSettings) -> Node {
    Node::start(log, settings, || Instant::from_micros(1), || Duration::from_millis(1)).await
}

/// Deletes a Flow, however many segments it has.
fn delete_flow(flow: u128) -> Command {
    Command::DeleteFlow(DeleteFlow {
        flow_id: flow_id(flow),
        cascade: Cascade::Yes,
        manner: Manner::ForGood,
        patience: Patience { segments: usize::MAX, request_id: DeletionRequestId::from_uuid(uuid::Uuid::nil()) },
    })
}

fn with_key(mut request: Request, key: u8, digest: u8) -> Request {
    request.idempotency = Some(IdempotencyKey { key: [key; 32], request: [digest; 32] });
    request
}

fn describe_store(length: usize) -> Command {
    Command::UpdateService(UpdateService { name: None, description: Some("x".repeat(length)) })
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_together_share_a_record_and_are_answered_when_the_tables_hold_it() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    let answers = join_all((1..=10).map(|flow| node.sequencer.submit(request(put_flow(flow, 1, "a"))))).await;
    for answer in answers {
        let submitted = answer.unwrap();
        assert_eq!((submitted.seq, submitted.outcome), (Seq(2), Outcome::Created));
    }
    assert_eq!(*node.applied.borrow(), Seq(2));
    assert_eq!(node.sequencer.stats().records, 1);
    assert_eq!(node.sequencer.stats().commits, 10);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_turns_requests_away() {
    let log = Arc::new(MemoryLog::reliable());
    let settings = SequencerSettings { queue: 2, ..SequencerSettings::default() };
    let node = start_with(&log, settings).await;
    let answers = join_all((1..=3).map(|flow| node.sequencer.submit(request(put_flow(flow, 1, "a"))))).await;
    assert!(answers[0].is_ok() && answers[1].is_ok());
    assert_eq!(answers[2], Err(SubmitError::Busy { retry_after: settings.retry_after }));
}

#[tokio::test(start_paused = true)]
async fn a_request_too_large_for_a_record_is_refused_and_those_that_waited_with_it_are_not() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    // Together the first two are too large for one record, which takes a mebibyte.
    let sizes = [700_000, 700_001, 2_000_000, 100];
    let answers = join_all(sizes.map(|size| node.sequencer.submit(request(describe_store(size))))).await;
    assert!(answers[0].is_ok() && answers[1].is_ok() && answers[3].is_ok(), "{answers:?}");
    assert!(
        matches!(answers[2], Err(SubmitError::TooLarge { size, limit }) if size > 2_000_000 && limit == log.max_payload())
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_used_twice_in_one_record_takes_effect_once() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    let (first, again, other) = join!(
        node.sequencer.submit(with_key(request(put_flow(1, 1, "a")), 1, 1)),
        node.sequencer.submit(with_key(request(put_flow(1, 1, "a")), 1, 1)),
        node.sequencer.submit(with_key(request(put_flow(1, 1, "b")), 1, 2)),
    );
    assert_eq!(first.unwrap().outcome, Outcome::Created);
    assert_eq!(again.unwrap().outcome, Outcome::Created, "the repetition gets the first answer");
    assert_eq!(other, Err(SubmitError::Rejected { rejection: Rejection::IdempotencyKeyReused, seq: Seq(2) }));
    assert_eq!(node.sequencer.stats().commits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_takes_into_account_what_another_node_has_just_written() {
    // Deliveries take long, so that only asking for the tip shows what the other node wrote.
    let slow = Faults { latency: Duration::from_millis(200), ..Faults::NONE };
    let log = Arc::new(MemoryLog::new(1, slow));
    let (one, other) = (start(&log).await, start(&log).await);
    one.sequencer.submit(request(put_flow(1, 1, "a"))).await.unwrap();
    let delete = delete_flow(1);
    other.sequencer.submit(request(delete)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_wait_for_a_log_that_is_away_and_succeed_when_it_is_back() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    let mut status = node.sequencer.status();
    log.go_out_for(Duration::from_secs(30));
    let began = Moment::now();
    let first = node.sequencer.submit(request(name_store("first")));
    let second = async {
        status.wait_for(|status| *status == Status::Unreachable).await.unwrap();
        node.sequencer.submit(request(name_store("second"))).await
    };
    let (first, second) = join!(
        // It may have reached the log, in which case its answer is worth waiting for.
        async { (first.await, began.elapsed()) },
        async { (second.await, began.elapsed()) }
    );
    assert!(matches!(second.0, Err(SubmitError::Unavailable { .. })));
    assert!(second.1 < Duration::from_secs(3), "{:?}", second.1);
    assert!(matches!(first.0, Ok(_) | Err(SubmitError::Unavailable { .. })), "{:?}", first.0);
    assert!(first.1 < Duration::from_secs(40), "{:?}", first.1);
    status.wait_for(|status| *status == Status::Writing).await.unwrap();
    node.sequencer.submit(request(name_store("third"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_lost_acknowledged_records_halts_the_sequencer() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    node.sequencer.submit(request(name_store("one"))).await.unwrap();
    node.sequencer.submit(request(name_store("two"))).await.unwrap();
    log.lose_after(Seq(2));
    assert_eq!(node.sequencer.submit(request(name_store("three"))).await, Err(SubmitError::OutcomeUnknown));
    assert_eq!(node.sequencer.submit(request(name_store("four"))).await, Err(SubmitError::Halted));
    assert!(matches!(&*node.sequencer.status().borrow(), Status::Halted(why) if why.contains("record 3")));
    assert_eq!(log.records().len(), 2, "nothing is written on top");
    let halt = node.close().await.unwrap_err();
    assert!(matches!(halt, Halt::Broken(Broken::Rewound(Seq(3)))), "{halt}");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_not_answered_from_a_log_that_lost_acknowledged_records() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    node.sequencer.submit(request(name_store("one"))).await.unwrap();
    log.lose_after(Seq(1));
    let delete = delete_flow(1);
    assert_eq!(node.sequencer.submit(request(delete)).await, Err(SubmitError::Halted));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_does_not_follow_from_the_one_before_it_halts_the_sequencer() {
    let log = Arc::new(MemoryLog::reliable());
    let node = start(&log).await;
    let forged = Record { format: codec::FORMAT, prev_hash: ChainHash::of(b"another"), commits: Vec::new() };
    log.append(Seq(1), codec::encode(&forged).into()).await.unwrap();
    let mut status = node.sequencer.status();
    status.wait_for(|status| matches!(status, Status::Halted(_))).await.unwrap();
    let halt = node.close().await.unwrap_err();
    assert!(matches!(halt, Halt::Broken(Broken::Chain(Seq(2)))), "{halt}");
}

/// A log on which somebody else always writes first.
struct Rivalled(MemoryLog);

impl Log for Rivalled {
    async fn append(&self, after: Seq, payload: Bytes) -> Result<(), AppendError> {
        let last = self.0.records().pop().unwrap();
        let record = Record { format: codec::FORMAT, prev_hash: ChainHash::of(&last), commits: Vec::new() };
        self.0.append(after, codec::encode(&record).into()).await?;
        self.0.append(after, payload).await
    }

    async fn read(&self, seq: Seq) -> Result<Option<Bytes>, Unreachable> {
        Log::read(&self.0, seq).await
    }

    async fn tip(&self) -> Result<Seq, Unreachable> {
        self.0.tip().await
    }

    fn follow(&self, from: Seq) -> Entries {
        self.0.follow(from)
    }

    fn max_payload(&self) -> usize {
        self.0.max_payload()
    }

    fn is_connected(&self) -> bool {
        self.0.is_connected()
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_others_always_beat_is_turned_away_in_the_end() {
    let slow = Faults { latency: Duration::from_millis(50), ..Faults::NONE };
    let log = Arc::new(Rivalled(MemoryLog::new(1, slow)));
    let settings = SequencerSettings { decide_for: Duration::from_secs(3), ..SequencerSettings::default() };
    let node = Node::start(&log, settings, || Instant::from_micros(1), || Duration::ZERO).await;
    let answer = node.sequencer.submit(request(name_store("never"))).await;
    assert_eq!(answer, Err(SubmitError::Unavailable { retry_after: settings.retry_after }));
    let (stopped, tables) = node.close().await.unwrap();
    assert!(stopped.head.seq > Seq(10), "it was decided again and again");
    assert_eq!(tables.service(), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_closed_sequencer_finishes_what_it_accepted_and_takes_nothing_more() {
    let slow = Faults { latency: Duration::from_millis(100), ..Faults::NONE };
    let log = Arc::new(MemoryLog::new(1, slow));
    let node = start(&log).await;
    let (accepted, ()) =
        join!(node.sequencer.submit(request(name_store("accepted"))), async { node.sequencer.close() });
    assert_eq!(accepted.unwrap().seq, Seq(2));
    assert_eq!(node.sequencer.submit(request(name_store("late"))).await, Err(SubmitError::ShuttingDown));
    let (stopped, tables) = node.close().await.unwrap();
    assert_eq!(stopped.head.seq, Seq(2));
    assert_eq!(tables.service(), (Some("accepted"), None));
}

#[tokio::test(start_paused = true)]
async fn a_closed_sequencer_does_not_wait_for_ever_for_a_log_that_is_away() {
    let lossy = Faults { lost_publish: 1.0, ..Faults::NONE };
    let log = Arc::new(MemoryLog::new(1, lossy));
    let node = start(&log).await;
    let (open, ()) = join!(node.sequencer.submit(request(name_store("open"))), async { node.sequencer.close() });
    assert_eq!(open, Err(SubmitError::OutcomeUnknown));
    assert!(matches!(node.close().await, Err(Halt::CloseTimeout)));
}
