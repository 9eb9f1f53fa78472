//! The log in memory, with the faults of a network between it and its users: for simulations and tests.
//!
//! Faults are drawn from a seed. On tokio's current-thread runtime with paused time, the same seed gives the same run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tapelog_events::{CommitId, Incarnation, Instant, Seq};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant as Moment, sleep, timeout};
use uuid::Builder;

use super::follow::{OpenError, Source, in_order};
use super::genesis::{genesis, incarnation_of};
use super::{AppendError, Entries, Entry, Log, Unreachable};

/// As a nats-server with default settings.
const MAX_PAYLOAD: usize = 1024 * 1024;

/// What goes wrong, and how often: probabilities between 0 and 1 for each call or delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// What a message takes at the most in each direction.
    pub latency: Duration,
    /// When a caller stops waiting for an answer.
    pub timeout: Duration,
    /// A record never arrives.
    pub lost_publish: f64,
    /// A record arrives, its acknowledgement does not.
    pub lost_ack: f64,
    /// A record arrives late, maybe long after its sender stopped waiting; it is stored if its fence still holds.
    pub late_publish: f64,
    /// An acknowledgement arrives late, maybe too late.
    pub late_ack: f64,
    /// How late the late ones are at the most.
    pub late_by: Duration,
    /// A read, or the question for the last record, fails.
    pub read_failure: f64,
    /// A delivery is skipped.
    pub gap: f64,
    /// A delivery is repeated.
    pub duplicate: f64,
    /// Deliveries break off.
    pub reset: f64,
    /// A call finds the log gone for a while, during which everything fails.
    pub outage: f64,
    /// How long the log is gone at the most.
    pub outage_length: Duration,
}

impl Faults {
    /// Everything works, at once.
    pub const NONE: Self = Self {
        latency: Duration::ZERO,
        timeout: Duration::from_secs(5),
        lost_publish: 0.0,
        lost_ack: 0.0,
        late_publish: 0.0,
        late_ack: 0.0,
        late_by: Duration::ZERO,
        read_failure: 0.0,
        gap: 0.0,
        duplicate: 0.0,
        reset: 0.0,
        outage: 0.0,
        outage_length: Duration::ZERO,
    };
}

/// The log in memory. Clones share it, as the nodes of one deployment do.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    tip: watch::Sender<Seq>,
}

#[derive(Debug)]
struct State {
    records: Vec<Bytes>,
    random: StdRng,
    faults: Faults,
    /// Until when nobody can reach the log.
    outage: Option<Moment>,
}

impl State {
    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.random_bool(probability)
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        if longest.is_zero() { longest } else { self.random.random_range(Duration::ZERO..longest) }
    }

    fn travel(&mut self) -> Duration {
        let latency = self.faults.latency;
        self.up_to(latency)
    }

    fn is_out(&mut self) -> bool {
        self.outage.take_if(|end| *end <= Moment::now());
        if self.happens(self.faults.outage) {
            let length = self.faults.outage_length;
            self.outage = Some(Moment::now() + self.up_to(length));
        }
        self.outage.is_some()
    }
}

/// What happens to a record and its acknowledgement. `None`: it is lost.
struct Fate {
    arrives_after: Option<Duration>,
    acknowledged_after: Option<Duration>,
    /// When the sender notices a loss.
    noticed_after: Duration,
}

impl MemoryLog {
    /// A log with its first record.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut uuid = || Builder::from_random_bytes(random.random()).into_uuid();
        let (incarnation, commit_id) = (Incarnation::from_uuid(uuid()), CommitId::from_uuid(uuid()));
        let records = vec![genesis(incarnation, commit_id, Instant::from_micros(0))];
        let state = Mutex::new(State { records, random, faults, outage: None });
        Self { shared: Arc::new(Shared { state, tip: watch::Sender::new(Seq(1)) }) }
    }

    /// A log on which everything works, at once.
    pub fn reliable() -> Self {
        Self::new(0, Faults::NONE)
    }

    /// Which life of the log this is.
    pub fn incarnation(&self) -> Incarnation {
        incarnation_of(&self.shared.state.lock().records[0]).expect("a new log holds its first record")
    }

    /// From now on, other things go wrong. An outage ends.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.shared.state.lock();
        state.faults = faults;
        state.outage = None;
    }

    /// Nobody can reach the log for this long.
    pub fn go_out_for(&self, length: Duration) {
        self.shared.state.lock().outage = Some(Moment::now() + length);
    }

    /// The bytes of every record, from the first on.
    pub fn records(&self) -> Vec<Bytes> {
        self.shared.state.lock().records.clone()
    }

    /// Forgets what comes after this record, as a server that did not write to disk does in a power cut.
    pub fn lose_after(&self, last: Seq) {
        self.shared.state.lock().records.truncate(last.0 as usize);
        self.shared.tip.send_replace(last);
    }

    /// Stores a record if the fence holds.
    fn store(&self, after: Seq, payload: Bytes) -> bool {
        let mut state = self.shared.state.lock();
        if state.records.len() as u64 != after.0 {
            return false;
        }
        state.records.push(payload);
        self.shared.tip.send_replace(after.next());
        true
    }

    fn fate(&self) -> Result<Fate, AppendError> {
        let mut state = self.shared.state.lock();
        let faults = state.faults;
        let noticed_after = state.up_to(faults.timeout);
        if state.is_out() {
            return if state.random.random_bool(0.5) {
                Err(AppendError::Refused("simulated outage".into()))
            } else {
                Ok(Fate { arrives_after: None, acknowledged_after: None, noticed_after })
            };
        }
        let mut travel = |lost, late| {
            if state.happens(lost) {
                return None;
            }
            let late_by = if state.happens(late) { state.up_to(faults.late_by) } else { Duration::ZERO };
            Some(state.travel() + late_by)
        };
        let arrives_after = travel(faults.lost_publish, faults.late_publish);
        let acknowledged_after = travel(faults.lost_ack, faults.late_ack);
        Ok(Fate { arrives_after, acknowledged_after, noticed_after })
    }

    /// Asks for what stands in the log at one moment between call and answer.
    async fn ask<T>(&self, question: impl FnOnce(&[Bytes]) -> T) -> Result<T, Unreachable> {
        let (there, back, fails) = {
            let mut state = self.shared.state.lock();
            let read_failure = state.faults.read_failure;
            let fails = state.is_out() || state.happens(read_failure);
            (state.travel(), state.travel(), fails)
        };
        pause(there).await;
        if fails {
            return Err(Unreachable("simulated failure".into()));
        }
        let answer = question(&self.shared.state.lock().records);
        pause(back).await;
        Ok(answer)
    }
}

impl Log for MemoryLog {
    async fn append(&self, after: Seq, payload: Bytes) -> Result<(), AppendError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(AppendError::TooLarge);
        }
        let Fate { arrives_after, acknowledged_after, noticed_after } = self.fate()?;
        let (acknowledge, acknowledged) = oneshot::channel();
        let log = self.clone();
        // A record on its way arrives whether or not its sender still waits for it.
        tokio::spawn(async move {
            if let Some(travel) = arrives_after {
                pause(travel).await;
                let stored = log.store(after, payload);
                if let Some(travel) = acknowledged_after {
                    pause(travel).await;
                    // The sender may have given up.
                    acknowledge.send(stored).ok();
                    return;
                }
            }
            pause(noticed_after).await;
            drop(acknowledge);
        });
        let patience = self.shared.state.lock().faults.timeout;
        match timeout(patience, acknowledged).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(AppendError::Conflict),
            Ok(Err(_)) | Err(_) => Err(AppendError::Unknown("simulated loss".into())),
        }
    }

    async fn read(&self, seq: Seq) -> Result<Option<Bytes>, Unreachable> {
        self.ask(|records| record(records, seq)).await
    }

    async fn tip(&self) -> Result<Seq, Unreachable> {
        self.ask(|records| Seq(records.len() as u64)).await
    }

    fn follow(&self, from: Seq) -> Entries {
        in_order(self.clone(), from)
    }

    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    fn is_connected(&self) -> bool {
        self.shared.state.lock().outage.is_none_or(|end| end <= Moment::now())
    }
}

fn record(records: &[Bytes], seq: Seq) -> Option<Bytes> {
    records.get(seq.0.checked_sub(1)? as usize).cloned()
}

async fn pause(length: Duration) {
    if !length.is_zero() {
        sleep(length).await;
    }
}

impl Source for MemoryLog {
    type Deliveries = BoxStream<'static, Result<Entry, Unreachable>>;

    async fn open(&self, from: Seq) -> Result<Self::Deliveries, OpenError> {
        self.ask(|_| ()).await?;
        let deliveries = Deliveries { log: self.clone(), tip: self.shared.tip.subscribe(), next: from };
        Ok(stream::unfold(deliveries, |mut deliveries| {
            async move { Some((deliveries.next().await?, deliveries)) }.boxed()
        })
        .boxed())
    }

    async fn read(&self, seq: Seq) -> Result<Option<Entry>, Unreachable> {
        let payload = Log::read(self, seq).await?;
        Ok(payload.map(|payload| Entry { seq, payload }))
    }
}

struct Deliveries {
    log: MemoryLog,
    tip: watch::Receiver<Seq>,
    next: Seq,
}

impl Deliveries {
    /// The next delivery; `None` when they end.
    async fn next(&mut self) -> Option<Result<Entry, Unreachable>> {
        loop {
            let next = self.next;
            self.tip.wait_for(|tip| *tip >= next).await.ok()?;
            let travel = self.log.shared.state.lock().travel();
            pause(travel).await;
            let mut state = self.log.shared.state.lock();
            let faults = state.faults;
            if state.is_out() || state.happens(faults.reset) {
                let silently = state.random.random_bool(0.5);
                return if silently { None } else { Some(Err(Unreachable("simulated reset".into()))) };
            }
            let seq = if state.happens(faults.duplicate) {
                Seq(state.random.random_range(1..=next.0))
            } else {
                self.next = next.next();
                if state.happens(faults.gap) {
                    continue;
                }
                next
            };
            let payload = record(&state.records, seq)?;
            return Some(Ok(Entry { seq, payload }));
        }
    }
}
