//! Whether the server lives, can be used, and how far its tables are: for probes, load balancers and operators.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join_all};
use hyper::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use tapelog_events::{Position, Seq, StorageId};
use tapelog_projections::ProjectorStatus;
use tapelog_projections::history::HistorianStatus;
use tapelog_store::sequencer::Status;
use tokio::time::timeout;

use super::app::App;
use super::call::Call;
use super::response::{self, Response};
use crate::maintenance::Maintenance;

/// How long a probe waits for what it asks.
const PATIENCE: Duration = Duration::from_secs(2);

/// For how long what was found out is told again: a storm of probes must not become one for what they ask about.
const FRESH: Duration = Duration::from_secs(1);
/// How many records the tables may be behind the log before this server should not be asked: about a second of a busy log.
const MOST_LAG: u64 = 1000;

/// How what the server depends on was when it was asked last.
#[derive(Default)]
pub struct Probes {
    tip: Probe<Option<Seq>>,
    storage: Mutex<HashMap<StorageId, Arc<Probe<StorageState>>>>,
}

#[derive(Debug, Clone, Copy)]
enum StorageState {
    Reachable,
    Wrong,
    Silent,
}

/// A question that is asked once for all who want to know at about the same time.
struct Probe<T: Clone>(Mutex<Option<(Instant, Shared<BoxFuture<'static, T>>)>>);

impl<T: Clone> Default for Probe<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Probe<T> {
    /// The answer, which may be that to an earlier asker; `ask` asks.
    fn answer(&self, ask: impl FnOnce() -> BoxFuture<'static, T>) -> Shared<BoxFuture<'static, T>> {
        let mut last = self.0.lock();
        match &*last {
            Some((asked, answer)) if asked.elapsed() < FRESH => answer.clone(),
            Some(_) | None => last.insert((Instant::now(), ask().shared())).1.clone(),
        }
    }
}

/// The last record of the log, where the log says.
async fn tip(app: &App) -> Option<Seq> {
    let log = Arc::clone(&app.parts.log);
    app.probes.tip.answer(|| async move { timeout(PATIENCE, log.tip()).await.ok()?.ok() }.boxed()).await
}

/// How one part of the server is.
#[derive(Serialize)]
struct Part {
    name: String,
    ready: bool,
    /// What it is doing, or what is wrong.
    detail: String,
}

impl Part {
    fn ready(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ready: true, detail: detail.into() }
    }

    fn not_ready(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ready: false, detail: detail.into() }
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    parts: Vec<Part>,
}

/// `GET /healthz`: the process answers.
pub fn alive() -> Response {
    response::ok(&serde_json::json!({ "alive": true }))
}

/// `GET /readyz`: 200 where requests can be served, 503 where some part of the server keeps them from it.
pub async fn ready(call: &Call<'_>) -> Response {
    let app = call.app;
    let (tip, storage) = tokio::join!(tip(app), storage(app));
    let mut parts = vec![log(app, tip), tables(app, tip)];
    parts.extend(storage);
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response::json(status, response::encode(&Readiness { ready, parts }))
}

fn log(app: &App, tip: Option<Seq>) -> Part {
    match (&*app.parts.sequencer.status().borrow(), tip) {
        (Status::Writing, Some(_)) => Part::ready("log", "writing"),
        // The sequencer learns of it by the next write.
        (Status::Writing, None) | (Status::Unreachable, _) => Part::not_ready("log", "cannot be reached"),
        (Status::Halted(reason), _) => Part::not_ready("log", format!("halted: {reason}")),
        (Status::Closed, _) => Part::not_ready("log", "closed"),
    }
}

fn tables(app: &App, tip: Option<Seq>) -> Part {
    let lag = tip.map_or(0, |tip| tip.0.saturating_sub(app.parts.tables.position().0));
    match &*app.parts.projector.borrow() {
        ProjectorStatus::Following if lag > MOST_LAG => {
            Part::not_ready("tables", format!("{lag} records behind the log"))
        }
        ProjectorStatus::Following => Part::ready("tables", "following"),
        ProjectorStatus::Stopped { seq, error } => {
            Part::not_ready("tables", format!("stopped at record {seq}: {error}"))
        }
        ProjectorStatus::Ended => Part::not_ready("tables", "following no longer"),
    }
}

async fn storage(app: &App) -> Vec<Part> {
    join_all(app.parts.backends.iter().map(async |backend| {
        let id = backend.description.id;
        let name = format!("storage {}", backend.description.label.clone().unwrap_or_else(|| id.to_string()));
        let probe = Arc::clone(app.probes.storage.lock().entry(id).or_default());
        let media = Arc::clone(&backend.media);
        let ask = || {
            async move {
                match timeout(PATIENCE, media.check()).await {
                    Ok(Ok(())) => StorageState::Reachable,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, storage = %id, "a storage backend does not answer as it should");
                        StorageState::Wrong
                    }
                    Err(_) => StorageState::Silent,
                }
            }
            .boxed()
        };
        match probe.answer(ask).await {
            StorageState::Reachable => Part::ready(name, "reachable"),
            // The cause may hold addresses of the inside.
            StorageState::Wrong => Part::not_ready(name, "does not answer as it should; the server's log says more"),
            StorageState::Silent => {
                Part::not_ready(name, format!("does not answer within {} seconds", PATIENCE.as_secs()))
            }
        }
    }))
    .await
}

#[derive(Serialize)]
struct Projections {
    position: String,
    /// Hash of the last record applied.
    hash: String,
    /// The last record of the log; absent where the log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_tip: Option<Seq>,
    /// How many records the tables are behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    following: bool,
    detail: String,
    /// Where in the log everything happened.
    history: HistoryState,
    /// Verification and rebuild.
    maintenance: Maintenance,
}

#[derive(Serialize)]
struct HistoryState {
    position: String,
    /// How many records it is behind the tables.
    lag: u64,
    following: bool,
    detail: String,
}

fn history(app: &App, tables: Seq) -> HistoryState {
    let seq = app.parts.past.history().head().seq;
    let (following, detail) = match app.parts.past.historian() {
        HistorianStatus::Following => (true, "following".to_owned()),
        HistorianStatus::Stopped { seq, error } => (false, format!("stopped at record {seq}: {error}")),
        HistorianStatus::Ended => (false, "following no longer".to_owned()),
    };
    let position = Position { incarnation: app.parts.incarnation, seq }.to_string();
    HistoryState { position, lag: tables.0.saturating_sub(seq.0), following, detail }
}

/// `GET /admin/projections`: how far the tables are.
pub async fn projections(call: &Call<'_>) -> Response {
    let app = call.app;
    let log_tip = tip(app).await;
    let (seq, hash) = app.parts.tables.read(|tables| (tables.position(), tables.hash()));
    let Part { ready: following, detail, .. } = tables(app, log_tip);
    let body = Projections {
        position: Position { incarnation: app.parts.incarnation, seq }.to_string(),
        hash: hash.to_string(),
        log_tip,
        lag: log_tip.map(|tip| tip.0.saturating_sub(seq.0)),
        following,
        detail,
        history: history(app, seq),
        maintenance: app.parts.maintenance.borrow().clone(),
    };
    call.at(seq, response::ok(&body))
}
