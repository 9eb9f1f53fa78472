//! Deliveries to webhooks: how many a second to one receiver and to many, beside a bare loop of requests with the same
//! bodies, and how long after its acknowledgement an event is delivered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Bench;
use crate::bare_loop;
use crate::histogram::Histogram;
use crate::report::{Latency, Row, Section, Target, Unit};
use crate::tams::Recorder;

/// How many receivers are many.
const MANY: usize = 50;
/// The longest that the deliveries of one round may take.
const LONGEST: Duration = Duration::from_secs(300);
/// The share of a bare loop's rate that deliveries must reach.
const SHARE: Target = Target::AtLeast(0.6);
/// The share of the events that one receiver is told which each of many is.
const SHARE_OF_MANY: usize = 20;

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let events = bench.sizes.notified;
    let mut store = bench.subject.store("webhooks").await?;
    let mut recorder = Recorder::connect(&store.endpoint).await?;
    let receivers = Receivers::start(MANY).await?;

    bench.doing(format_args!("webhooks: delay of {} events", events / 10));
    let delay = delay(&mut recorder, &receivers, events / 10).await?;

    let few = subscribe(&mut recorder, &receivers, 1, events).await?;
    let (one, bare_one) = deliver(bench, &mut recorder, &receivers, &few).await?;
    let many = subscribe(&mut recorder, &receivers, MANY, events / SHARE_OF_MANY).await?;
    let (fifty, bare_fifty) = deliver(bench, &mut recorder, &receivers, &many).await?;
    store.stop().await?;

    let unit = Unit::PerSecond("deliveries");
    let bare_one = Row::best_of("bare loop of requests to one receiver", &bare_one, unit);
    let one = Row::best_of("one webhook", &one, unit).of("a bare loop with the same bodies", &bare_one, Some(SHARE));
    let bare_fifty = Row::best_of(&format!("{MANY} bare loops, each to its receiver"), &bare_fifty, unit);
    let fifty = Row::best_of(&format!("{MANY} webhooks"), &fifty, unit);
    let fifty = fifty.of("bare loops with the same bodies", &bare_fifty, Some(SHARE));
    Ok(Section { title: "Webhooks".to_owned(), rows: vec![bare_one, one, bare_fifty, fifty, delay] })
}

/// What receivers were sent.
#[derive(Default)]
struct Received {
    count: AtomicUsize,
    changed: Notify,
    /// The bodies, or when they came by the object that they tell of, while that is asked for.
    kept: parking_lot::Mutex<Kept>,
}

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    Bodies(Vec<Bytes>),
    Times(HashMap<String, Instant>),
}

impl Received {
    async fn reach(&self, count: usize) -> Result<()> {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                if self.count.load(Ordering::Acquire) >= count {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(LONGEST, reached).await;
        waited.with_context(|| format!("{} of {count} deliveries came", self.count.load(Ordering::Acquire)))
    }

    fn begin(&self, kept: Kept) {
        self.count.store(0, Ordering::Release);
        *self.kept.lock() = kept;
    }
}

/// A notification, as far as it is looked at.
#[derive(Deserialize)]
struct Notification {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    object_id: String,
}

async fn take(State(received): State<Arc<Received>>, body: Bytes) {
    match &mut *received.kept.lock() {
        Kept::Nothing => {}
        Kept::Bodies(bodies) => bodies.push(body),
        Kept::Times(times) => {
            let now = Instant::now();
            let told: Option<Notification> = serde_json::from_slice(&body).ok();
            times.extend(told.into_iter().flat_map(|told| told.event.segments).map(|told| (told.object_id, now)));
        }
    }
    received.count.fetch_add(1, Ordering::AcqRel);
    received.changed.notify_waiters();
}

/// Receivers that take everything, each on a port of its own.
struct Receivers {
    addresses: Vec<SocketAddr>,
    received: Arc<Received>,
    serving: Vec<AbortHandle>,
}

impl Receivers {
    async fn start(count: usize) -> Result<Self> {
        let received = Arc::new(Received::default());
        let (mut addresses, mut serving) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.push(listener.local_addr()?);
            let router = Router::new().route("/", post(take)).with_state(Arc::clone(&received));
            serving.push(tokio::spawn(async { axum::serve(listener, router).await }).abort_handle());
        }
        Ok(Self { addresses, received, serving })
    }

    fn url(&self, receiver: usize) -> String {
        format!("http://{}/", self.addresses[receiver])
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.serving.iter().for_each(AbortHandle::abort);
    }
}

/// Webhooks that have been told of the same events.
struct Subscribed {
    webhooks: Vec<String>,
    events: usize,
    /// Where the log was before the first of them, from where they can be told again.
    position: String,
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

#[derive(Deserialize)]
struct Projections {
    position: String,
}

/// Makes a Flow with so many events, and so many webhooks that are told of them and of nothing else.
async fn subscribe(
    recorder: &mut Recorder,
    receivers: &Receivers,
    webhooks: usize,
    events: usize,
) -> Result<Subscribed> {
    let mut flow = recorder.create_flow().await?;
    let Projections { position } = recorder.ask("GET", "/admin/projections", None, 200).await?;
    receivers.received.begin(Kept::Nothing);
    let mut ids = Vec::new();
    for receiver in 0..webhooks {
        let webhook = json!({
            "url": receivers.url(receiver), "events": ["flows/segments_added"], "flow_ids": [flow.flow_id],
        });
        let Created { id } = recorder.ask("POST", "/service/webhooks", Some(&webhook), 201).await?;
        ids.push(id);
    }
    let prepared = recorder.prepare(&mut flow, events, 1).await?;
    recorder.post(&prepared).await?;
    receivers.received.reach(webhooks * events).await?;
    Ok(Subscribed { webhooks: ids, events, position })
}

/// Has everything delivered again, and sends the same bodies in bare loops: the rates of each round.
async fn deliver(
    bench: &Bench,
    recorder: &mut Recorder,
    receivers: &Receivers,
    subscribed: &Subscribed,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let Subscribed { webhooks, events, position } = subscribed;
    let (mut delivered, mut bare) = (Vec::new(), Vec::new());
    let count = webhooks.len() * events;
    let received = &receivers.received;
    for round in 1..=bench.sizes.rounds {
        bench.doing(format_args!("webhooks: {count} deliveries to {}, round {round}", webhooks.len()));
        received.begin(Kept::Bodies(Vec::with_capacity(count)));
        let begun = Instant::now();
        for webhook in webhooks {
            let path = format!("/service/webhooks/{webhook}/replay");
            let serde::de::IgnoredAny = recorder.ask("POST", &path, Some(&json!({ "from": position })), 202).await?;
        }
        received.reach(count).await?;
        delivered.push(count as f64 / begun.elapsed().as_secs_f64());

        let Kept::Bodies(bodies) = std::mem::take(&mut *received.kept.lock()) else { continue };
        ensure!(bodies.len() == count, "{} bodies came of {count}", bodies.len());
        received.begin(Kept::Nothing);
        let urls: Vec<_> = (0..webhooks.len()).map(|receiver| receivers.url(receiver)).collect();
        bare.push(count as f64 / bare_loop::run(&urls, &bodies).await?.as_secs_f64());
    }
    Ok((delivered, bare))
}

/// How long after its acknowledgement an event is delivered, where one is posted after the other.
async fn delay(recorder: &mut Recorder, receivers: &Receivers, events: usize) -> Result<Row> {
    let mut flow = recorder.create_flow().await?;
    receivers.received.begin(Kept::Times(HashMap::new()));
    let webhook = json!({
        "url": receivers.url(0), "events": ["flows/segments_added"], "flow_ids": [flow.flow_id],
    });
    let Created { id } = recorder.ask("POST", "/service/webhooks", Some(&webhook), 201).await?;
    let prepared = recorder.prepare(&mut flow, events, 1).await?;
    let mut acknowledged = Vec::with_capacity(events);
    for request in &prepared {
        recorder.post(std::slice::from_ref(request)).await?;
        acknowledged.push((object_of(request)?, Instant::now()));
    }
    receivers.received.reach(events).await?;
    let serde::de::IgnoredAny = recorder.ask("DELETE", &format!("/service/webhooks/{id}"), None, 204).await?;
    let Kept::Times(times) = std::mem::take(&mut *receivers.received.kept.lock()) else {
        anyhow::bail!("nothing was kept")
    };
    let mut delays = Histogram::new();
    for (object, at) in acknowledged {
        let delivered = times.get(&object).with_context(|| format!("object {object} was not told of"))?;
        delays.record(delivered.saturating_duration_since(at));
    }
    let median = delays.quantile(0.5).as_secs_f64();
    let row = Row::figure("delay from acknowledgement to delivery, one post after the other", median, Unit::Seconds);
    Ok(Row { latency: Some(Latency::of(&delays)), ..row })
}

/// The object of a prepared request.
fn object_of(request: &Bytes) -> Result<String> {
    let body = request.windows(4).position(|window| window == b"\r\n\r\n").context("a request has a head")? + 4;
    let Segment { object_id } = serde_json::from_slice(&request[body..])?;
    Ok(object_id)
}
