//! Random clusters over a log whose network loses, delays, repeats and skips, whose nodes die and whose clocks jump.
//! Whatever happens, what the clients were told must be what the log says. A failure prints its seed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod commands;
#[path = "../node/mod.rs"]
mod node;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use check::{Fold, portrait};
use commands::random_command;
use node::{Node, name_store, request};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tapelog_commands::{IdempotencyKey, Request, State};
use tapelog_events::{CommitId, Instant, Record, Seq};
use tapelog_store::log::memory::{Faults, MemoryLog};
use tapelog_store::log::{Entry, Head};
use tapelog_store::sequencer::{Halt, Sequencer, SequencerSettings, SubmitError, Submitted};
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, sleep, timeout};

#[test]
fn what_clients_were_told_is_what_the_log_says_seeds_0_to_499() {
    run(0..500);
}

#[test]
fn what_clients_were_told_is_what_the_log_says_seeds_500_to_999() {
    run(500..1000);
}

fn run(seeds: Range<u64>) {
    for seed in seeds {
        let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let simulation = AssertUnwindSafe(|| runtime.block_on(Simulation::new(seed).run()));
        if let Err(panic) = catch_unwind(simulation) {
            println!("seed {seed}");
            resume_unwind(panic);
        }
    }
}

/// A request and what came of it.
struct Exchange {
    request: Request,
    /// The last record that any client had heard of when the request was made.
    known: Seq,
    result: Result<Submitted, SubmitError>,
}

/// What the tasks of a simulation share.
struct World {
    log: Arc<MemoryLog>,
    settings: SequencerSettings,
    nodes: Mutex<Vec<Option<Node>>>,
    /// How far each node's clock is off, in microseconds.
    clocks: Vec<Arc<AtomicI64>>,
    /// The last record that any client has heard of.
    known: AtomicU64,
    history: Mutex<Vec<Exchange>>,
}

struct Simulation {
    random: StdRng,
    world: Arc<World>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let faults = random_faults(&mut random);
        let nodes: usize = random.random_range(1..=3);
        let settings = SequencerSettings {
            queue: random.random_range(2..=12),
            requests_per_record: random.random_range(1..=8),
            record_bytes: random.random_range(200..5000),
            decide_for: Duration::from_secs(5),
            unreachable_after: Duration::from_millis(random.random_range(200..2000)),
            close_timeout: Duration::from_millis(random.random_range(100..5000)),
            ..SequencerSettings::default()
        };
        let world = World {
            log: Arc::new(MemoryLog::new(seed, faults)),
            settings,
            nodes: Mutex::new((0..nodes).map(|_| None).collect()),
            clocks: (0..nodes).map(|_| Arc::default()).collect(),
            known: AtomicU64::new(1),
            history: Mutex::default(),
        };
        Self { random, world: Arc::new(world) }
    }

    async fn run(mut self) {
        let nodes = self.world.clocks.len();
        for number in 0..nodes {
            self.world.start_node(number, self.random.random()).await;
        }
        let mut clients = JoinSet::new();
        for _ in 0..self.random.random_range(2..=10) {
            let random = StdRng::seed_from_u64(self.random.random());
            clients.spawn(client(Arc::clone(&self.world), random));
        }
        while !clients.is_empty() {
            let pause = Duration::from_millis(self.random.random_range(1..500));
            match timeout(pause, clients.join_next()).await {
                Ok(ended) => ended.unwrap().unwrap(),
                Err(_) => self.disturb().await,
            }
        }
        self.world.log.set_faults(Faults::NONE);
        self.world.check().await;
    }

    /// A node's clock jumps, or the node ends and comes back.
    async fn disturb(&mut self) {
        let number = self.random.random_range(0..self.world.clocks.len());
        if self.random.random_bool(0.5) {
            let off = self.random.random_range(-3_600_000_000..3_600_000_000);
            self.world.clocks[number].store(off, Ordering::Relaxed);
            return;
        }
        let node = self.world.nodes.lock()[number].take().unwrap();
        if self.random.random_bool(0.5) {
            kill(node).await;
        } else if let Err(halt) = node.close().await {
            assert!(matches!(halt, Halt::CloseTimeout), "{halt}");
        }
        sleep(Duration::from_millis(self.random.random_range(0..500))).await;
        self.world.start_node(number, self.random.random()).await;
    }
}

/// Ends a node as `kill -9` does.
async fn kill(node: Node) {
    for task in [node.task.abort_handle(), node.projector.abort_handle()] {
        task.abort();
    }
    assert!(node.task.await.is_err_and(|error| error.is_cancelled()));
    assert!(node.projector.await.is_err_and(|error| error.is_cancelled()));
}

fn random_faults(random: &mut StdRng) -> Faults {
    let mut often = |most: f64| if random.random_bool(0.5) { random.random_range(0.0..most) } else { 0.0 };
    Faults {
        latency: Duration::from_millis(3),
        timeout: Duration::from_millis(300),
        lost_publish: often(0.2),
        lost_ack: often(0.2),
        late_publish: often(0.2),
        late_ack: often(0.2),
        late_by: Duration::from_millis(900),
        read_failure: often(0.2),
        gap: often(0.2),
        duplicate: often(0.2),
        reset: often(0.1),
        outage: often(0.02),
        outage_length: Duration::from_secs(4),
    }
}

/// Sends requests one after the other, each to a random node, and again where it makes sense.
async fn client(world: Arc<World>, mut random: StdRng) {
    for _ in 0..random.random_range(5..=15) {
        sleep(Duration::from_millis(random.random_range(0..5))).await;
        let mut request = request(random_command(&mut random));
        if random.random_bool(0.3) {
            // Few keys and one digest for each, as if a client repeated its requests.
            let key = [random.random_range(0..3); 32];
            request.idempotency = Some(IdempotencyKey { key, request: key });
        }
        for _ in 0..random.random_range(1..=3) {
            let Some((sequencer, applied)) = world.some_node(&mut random) else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            request.commit_id = CommitId::from_uuid(uuid::Uuid::now_v7());
            let result = world.submit(&sequencer, applied, request.clone()).await;
            if result.is_ok() && request.idempotency.is_none() {
                break;
            }
        }
    }
}

impl World {
    async fn start_node(&self, number: usize, seed: u64) {
        let off = Arc::clone(&self.clocks[number]);
        let started = Moment::now();
        let clock = move || {
            let elapsed = started.elapsed().as_micros() as i64;
            Instant::from_micros(1_700_000_000_000_000 + elapsed + off.load(Ordering::Relaxed))
        };
        let mut random = StdRng::seed_from_u64(seed);
        let lag = move || Duration::from_micros(random.random_range(0..5000));
        let node = Node::start(&self.log, self.settings, clock, lag).await;
        self.nodes.lock()[number] = Some(node);
    }

    /// A node that lives, and how far its projector is.
    fn some_node(&self, random: &mut StdRng) -> Option<(Sequencer, watch::Receiver<Seq>)> {
        let nodes = self.nodes.lock();
        let node = nodes.choose(random)?.as_ref()?;
        Some((node.sequencer.clone(), node.applied.clone()))
    }

    async fn submit(
        &self,
        sequencer: &Sequencer,
        mut applied: watch::Receiver<Seq>,
        request: Request,
    ) -> Result<Submitted, SubmitError> {
        let known = Seq(self.known.load(Ordering::Relaxed));
        let result = sequencer.submit(request.clone()).await;
        match &result {
            Ok(Submitted { seq, .. }) | Err(SubmitError::Rejected { seq, .. }) => {
                // A node that died may have let its receipts go unapplied: its tables died with it.
                if applied.has_changed().is_ok() {
                    assert!(*applied.borrow() >= *seq, "the tables hold what the answer speaks of (L11)");
                }
                self.known.fetch_max(seq.0, Ordering::Relaxed);
            }
            Err(SubmitError::OutcomeUnknown) => {
                let ended = async { while applied.changed().await.is_ok() {} };
                timeout(Duration::from_secs(1), ended).await.expect("only a node that ended leaves an outcome open");
            }
            Err(_) => {}
        }
        self.history.lock().push(Exchange { request, known, result: result.clone() });
        result
    }

    /// Compares what clients were told with what the log says.
    async fn check(&self) {
        self.check_recovery().await;
        let records = self.read_log();
        self.check_nodes(&records).await;
        let log = Fold::of(&records);
        let history = self.history.lock();
        for exchange in &*history {
            log.check(exchange);
        }
        log.check_commits(&history);
    }

    /// Every node writes again by itself, and comes to hold the whole log.
    async fn check_recovery(&self) {
        let nodes: Vec<_> = self.nodes.lock().iter_mut().map(|node| node.take().unwrap()).collect();
        for (number, node) in nodes.iter().enumerate() {
            let command = name_store(&format!("node {number}"));
            let recovered = async {
                while self.submit(&node.sequencer, node.applied.clone(), request(command.clone())).await.is_err() {
                    sleep(Duration::from_millis(200)).await;
                }
            };
            timeout(Duration::from_secs(60), recovered).await.expect("a node recovers by itself");
        }
        *self.nodes.lock() = nodes.into_iter().map(Some).collect();
    }

    /// The log as a reader that checks the chain reads it (L2).
    fn read_log(&self) -> Vec<Record> {
        let mut head = Head::START;
        let mut records = Vec::new();
        for payload in self.log.records() {
            let (record, next) = head.read_next(&Entry { seq: head.seq.next(), payload }).unwrap();
            records.push(record);
            head = next;
        }
        records
    }

    async fn check_nodes(&self, records: &[Record]) {
        let mut fresh = State::default();
        for commit in records.iter().flat_map(|record| &record.commits) {
            assert!(commit.at >= fresh.time(), "time runs backwards along the log");
            fresh.fold(commit).unwrap();
        }
        let expected = portrait(&fresh, records);
        let nodes: Vec<_> = self.nodes.lock().drain(..).flatten().collect();
        for mut node in nodes {
            let all = Seq(records.len() as u64);
            let caught_up = node.applied.wait_for(|applied| *applied == all);
            timeout(Duration::from_secs(60), caught_up).await.expect("a node follows the log to its end").unwrap();
            let (stopped, tables) = node.close().await.unwrap();
            assert_eq!(stopped.head.seq, all);
            assert_eq!(portrait(&stopped.state, records), expected, "the write-side state is a fold of the log");
            assert_eq!(portrait(&tables, records), expected, "the tables are a fold of the log");
        }
    }
}
