//! The limit of HTTP: the very stack of `tapelog serve` (its loop of connections, axum, serde_json, its types of time and
//! ids) without anything behind it. It runs as a process of its own, as the measured server does.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::{get, put};
use serde::Deserialize;
use tapelog_api::http::Limits;
use tapelog_api::server::{ConnectionMetrics, Server};
use tapelog_events::{ObjectId, TimeRange, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Where the answer of every GET is set, with a PUT.
pub const CONSTANT: &str = "/constant";
/// The largest body that is taken: that of the largest bulk request, with room to spare.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// What every GET is answered with.
type Constant = Arc<RwLock<Bytes>>;

/// A segment as a client posts it.
#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing them is the work that is measured")]
struct Segment {
    object_id: ObjectId,
    timerange: TimeRange,
    ts_offset: Option<Timestamp>,
    last_duration: Option<Timestamp>,
    object_timerange: Option<TimeRange>,
    sample_offset: Option<i64>,
    sample_count: Option<i64>,
    key_frame_count: Option<u64>,
}

/// Serves on a free port, whose URL it prints, until it is killed.
///
/// # Errors
/// When no port can be opened.
pub async fn serve() -> Result<()> {
    let constant = Constant::default();
    let router = Router::new()
        .route("/flows/{flow_id}/segments", get(answer).post(register))
        .route(CONSTANT, put(set))
        .fallback(answer)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(constant);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let server = Server::new(router, None, Limits::default(), ConnectionMetrics::default(), CancellationToken::new());
    server.serve(listener).await;
    Ok(())
}

async fn register(body: Bytes) -> StatusCode {
    let parsed = match body.first() {
        Some(b'[') => serde_json::from_slice::<Vec<Segment>>(&body).map(drop),
        _ => serde_json::from_slice::<Segment>(&body).map(drop),
    };
    match parsed {
        Ok(()) => StatusCode::CREATED,
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

async fn answer(State(constant): State<Constant>) -> ([(HeaderName, &'static str); 1], Bytes) {
    let body = constant.read().unwrap_or_else(PoisonError::into_inner).clone();
    ([(header::CONTENT_TYPE, "application/json")], body)
}

async fn set(State(constant): State<Constant>, body: Bytes) -> StatusCode {
    *constant.write().unwrap_or_else(PoisonError::into_inner) = body;
    StatusCode::NO_CONTENT
}
