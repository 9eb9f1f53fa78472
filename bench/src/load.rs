//! Puts a server under load: prepared requests over many connections, each with one request under way at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::client::Endpoint;
use crate::histogram::Histogram;
use crate::machine::{CpuSample, CpuUse};

/// How long a round may go on after its time is up, for the last answers.
const GRACE: Duration = Duration::from_secs(60);
/// Processor time is counted in hundredths of a second: over less than this it says little.
const SHORTEST_SAMPLED: Duration = Duration::from_millis(250);

/// What the connections send.
#[derive(Debug, Clone)]
pub enum Work {
    /// To each connection its own requests, once. The round ends as soon as one connection has sent all of its
    /// own, so that all are busy all the time.
    Once(Vec<Vec<Bytes>>),
    /// This many connections send the same requests over and over, each from another one on.
    Repeated(Arc<[Bytes]>, usize),
}

impl Work {
    /// Sends again and again what is meant for several connections, over as many: for the limit of HTTP, to which every
    /// request is new.
    pub fn repeating(queues: &[Vec<Bytes>]) -> Self {
        Self::Repeated(queues.iter().flatten().cloned().collect(), queues.len())
    }

    /// What each connection sends.
    fn queues(self) -> Vec<Queue> {
        match self {
            Self::Once(queues) => queues.into_iter().map(|requests| Queue::Once(requests.into_iter())).collect(),
            Self::Repeated(requests, connections) => {
                let start = |connection| connection * requests.len() / connections;
                let queue = |connection| Queue::Repeated(Arc::clone(&requests), start(connection));
                (0..connections).map(queue).collect()
            }
        }
    }
}

enum Queue {
    Once(std::vec::IntoIter<Bytes>),
    Repeated(Arc<[Bytes]>, usize),
}

impl Queue {
    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Once(requests) => requests.next(),
            Self::Repeated(requests, position) => {
                *position = (*position + 1) % requests.len();
                requests.get(*position).cloned()
            }
        }
    }
}

/// What one round came to.
#[derive(Debug, Clone)]
pub struct Run {
    /// How long it took.
    pub elapsed: Duration,
    /// How long each request took.
    pub latencies: Histogram,
    /// Where processor time went, where that is known.
    pub cpu: Option<CpuUse>,
}

/// Runs one round against a server: until its time is up or the work is done.
///
/// # Errors
/// When a connection fails or an answer has another status than the expected one: a server that refuses work is not
/// measured.
pub async fn run(endpoint: &Endpoint, work: Work, longest: Duration, expected: u16) -> Result<Run> {
    let endpoint = endpoint.clone();
    // A runtime of one thread, as light as a client can be: the server is to be what the machine is busy with.
    let round = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let round = drive(&endpoint, work, longest, expected);
        runtime.block_on(async { tokio::time::timeout(longest + GRACE, round).await })?
    };
    tokio::task::spawn_blocking(round).await?
}

async fn drive(endpoint: &Endpoint, work: Work, longest: Duration, expected: u16) -> Result<Run> {
    let queues = work.queues();
    let stop = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(queues.len() + 1));
    let mut tasks = JoinSet::new();
    for mut queue in queues {
        let mut connection = endpoint.connect().await?;
        let stop = Arc::clone(&stop);
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            let mut latencies = Histogram::new();
            start.wait().await;
            let begun = Instant::now();
            let mut sent = begun;
            while !stop.load(Ordering::Relaxed) && sent - begun < longest {
                let Some(request) = queue.next() else {
                    stop.store(true, Ordering::Relaxed);
                    break;
                };
                let answer = connection.exchange(&request).await?;
                answer.expect(expected).with_context(|| first_line(&request))?;
                let answered = Instant::now();
                latencies.record(answered - sent);
                sent = answered;
            }
            anyhow::Ok(latencies)
        });
    }

    let before = CpuSample::take();
    start.wait().await;
    let begun = Instant::now();
    let mut latencies = Histogram::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.merge(&ended??);
    }
    let elapsed = begun.elapsed();
    let after = CpuSample::take().filter(|_| elapsed >= SHORTEST_SAMPLED);
    let cpu = after.zip(before).map(|(after, before)| after.since(&before, endpoint.pid));
    Ok(Run { elapsed, latencies, cpu })
}

fn first_line(request: &[u8]) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}
