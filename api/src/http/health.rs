//! Whether the server lives, can be used, and how far its tables are: for probes, load balancers and operators.

use std::time::Duration;

use futures::future::join_all;
use hyper::StatusCode;
use serde::Serialize;
use tapelog_events::{Position, Seq};
use tapelog_projections::ProjectorStatus;
use tapelog_store::sequencer::Status;
use tokio::time::timeout;

use super::app::App;
use super::call::Call;
use super::response::{self, Response};

/// How long a probe waits for what it asks.
const PATIENCE: Duration = Duration::from_secs(2);

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
    let mut parts = vec![log(call.app), tables(call.app)];
    parts.extend(storage(call.app).await);
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response::json(status, response::encode(&Readiness { ready, parts }))
}

fn log(app: &App) -> Part {
    match &*app.parts.sequencer.status().borrow() {
        Status::Writing => Part::ready("log", "writing"),
        Status::Unreachable => Part::not_ready("log", "cannot be reached"),
        Status::Halted(reason) => Part::not_ready("log", format!("halted: {reason}")),
        Status::Closed => Part::not_ready("log", "closed"),
    }
}

fn tables(app: &App) -> Part {
    match &*app.parts.projector.borrow() {
        ProjectorStatus::Following => Part::ready("tables", "following"),
        ProjectorStatus::Stopped { seq, error } => {
            Part::not_ready("tables", format!("stopped at record {seq}: {error}"))
        }
        ProjectorStatus::Ended => Part::not_ready("tables", "following no longer"),
    }
}

async fn storage(app: &App) -> Vec<Part> {
    join_all(app.parts.backends.iter().map(async |backend| {
        let description = &backend.description;
        let name = format!("storage {}", description.label.clone().unwrap_or_else(|| description.id.to_string()));
        match timeout(PATIENCE, backend.media.check()).await {
            Ok(Ok(())) => Part::ready(name, "reachable"),
            // The cause may hold addresses of the inside.
            Ok(Err(error)) => {
                tracing::warn!(%error, storage = %description.id, "a storage backend does not answer as it should");
                Part::not_ready(name, "does not answer as it should; the server's log says more")
            }
            Err(_) => Part::not_ready(name, format!("does not answer within {} seconds", PATIENCE.as_secs())),
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
}

/// `GET /admin/projections`: how far the tables are.
pub async fn projections(call: &Call<'_>) -> Response {
    let app = call.app;
    let log_tip = timeout(PATIENCE, app.parts.log.tip()).await.ok().and_then(Result::ok);
    let (seq, hash) = app.parts.tables.read(|tables| (tables.position(), tables.hash()));
    let Part { ready: following, detail, .. } = tables(app);
    let body = Projections {
        position: Position { incarnation: app.parts.incarnation, seq }.to_string(),
        hash: hash.to_string(),
        log_tip,
        lag: log_tip.map(|tip| tip.0.saturating_sub(seq.0)),
        following,
        detail,
    };
    call.at(seq, response::ok(&body))
}
