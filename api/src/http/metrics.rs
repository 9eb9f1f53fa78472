//! `GET /metrics`: what is measured of the server, for Prometheus. Labels have few values each, and never ids.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use super::app::App;
use super::response::{self, Response};

/// What every name begins with.
const PREFIX: &str = "tapelog";
/// How long the log is asked how far it is.
const PATIENCE: Duration = Duration::from_secs(2);
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Seconds: from an answer that is at hand to one that is given up.
const BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// What is measured of the server: of requests here, of its other parts by themselves.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Whether they are told without credentials.
    pub(super) public: bool,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    at_work: Gauge,
    received_bytes: Counter,
    sent_bytes: Counter,
    refusals: Family<RefusalLabels, Counter>,
    log_tip: Gauge,
    lag: Gauge,
}

impl Metrics {
    /// Those of requests; other parts put theirs into [`Self::registry`].
    pub fn new(public: bool) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            public,
            requests: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            at_work: Gauge::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            refusals: Family::default(),
            log_tip: Gauge::default(),
            lag: Gauge::default(),
        };
        let Self { registry, requests, at_work, received_bytes, sent_bytes, refusals, log_tip, lag, .. } = &mut metrics;
        registry.register("http_request_seconds", "Time until requests were answered", requests.clone());
        registry.register("http_requests_at_work", "Requests that are not answered yet", at_work.clone());
        registry.register("http_received_bytes", "Bodies of requests", received_bytes.clone());
        registry.register("http_sent_bytes", "Bodies of answers, before they are compressed", sent_bytes.clone());
        registry.register("http_refusals", "Requests without the right credentials or scopes", refusals.clone());
        registry.register("log_tip", "The last record of the log", log_tip.clone());
        registry.register("tables_lag", "Records of the log that are not applied to the tables yet", lag.clone());
        metrics
    }

    /// Where other parts of the server put what is measured of them.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Counts a request until it is answered, or its client is gone.
    pub(super) fn at_work(&self) -> AtWork<'_> {
        self.at_work.inc();
        AtWork(&self.at_work)
    }

    /// Counts a request that was answered.
    pub(super) fn answered(&self, route: &'static str, method: &Method, status: StatusCode, elapsed: Duration) {
        let labels = RequestLabels { route, method: name(method), status: class(status) };
        self.requests.get_or_create(&labels).observe(elapsed.as_secs_f64());
        let reason = match status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "forbidden",
            _ => return,
        };
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Counts the bytes of bodies.
    pub(super) fn moved(&self, received: usize, sent: u64) {
        self.received_bytes.inc_by(received as u64);
        self.sent_bytes.inc_by(sent);
    }
}

/// A request at work, for as long as it lives.
pub(super) struct AtWork<'a>(&'a Gauge);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `GET /metrics`.
pub async fn get(app: &App) -> Response {
    let parts = &app.parts;
    let metrics = &parts.metrics;
    if let Ok(Ok(tip)) = timeout(PATIENCE, parts.log.tip()).await {
        let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.log_tip.set(gauge(tip.0));
        metrics.lag.set(gauge(tip.0.saturating_sub(parts.tables.position().0)));
    }
    let mut body = String::new();
    text::encode(&mut body, &metrics.registry).expect("writing to a string cannot fail");
    let mut response = response::json(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    response
}

/// Methods are what clients make them; those that we know are few.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}
