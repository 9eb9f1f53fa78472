//! Posts one notification to one receiver, once.

mod answer;
mod places;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use tapelog_events::Instant;
use tapelog_store::guard::Guard;
use tokio::time::{Instant as Clock, timeout_at};
use tracing::debug;

use crate::{AttemptResult, Attempted, Reason, Target};
use answer::{excerpt, retry_after, told};
pub use places::Lane;
use places::Places;

/// How this server names itself to receivers.
const USER_AGENT: &str = concat!("tapelog/", env!("CARGO_PKG_VERSION"));
/// How long what a receiver says after its status is waited for. Nothing depends on it.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// An HTTP/2 connection that carries requests but answers none of these is given up, so that it does not take all that
/// come after them along.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

/// How notifications are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// How long it may take until a connection stands.
    pub connect_timeout: Duration,
    /// How long an attempt may take in all.
    pub timeout: Duration,
    /// How many requests may be under way to one scheme, host and port at the same time.
    pub per_origin: usize,
    /// How many requests may be under way at the same time.
    pub in_all: usize,
    /// How many requests may be under way at the same time to receivers that failed, beside the others.
    pub probes: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            per_origin: 4,
            in_all: 256,
            probes: 64,
        }
    }
}

/// Posts notifications to receivers. Clones share their connections and their limits.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    guard: Guard,
    places: Places,
    timeout: Duration,
}

impl Client {
    /// One that asks only what `guard` lets it ask.
    pub fn new(settings: &ClientSettings, guard: Guard) -> Self {
        let http = guard
            .client()
            .user_agent(USER_AGENT)
            .connect_timeout(settings.connect_timeout)
            .pool_max_idle_per_host(settings.per_origin)
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_INTERVAL)
            .build()
            .expect("a client with these settings can always be made");
        Self { http, guard, places: Places::new(settings), timeout: settings.timeout }
    }

    /// Posts `body`, which is JSON, to a receiver, under an `id` of visible ASCII that is the same for each repetition.
    /// Waits for a place where too many requests are under way. Whatever happens is what the attempt came to.
    pub async fn post(&self, target: &Target, id: &str, body: Bytes, lane: Lane) -> Attempted {
        let _place = self.places.take(target.origin(), lane).await;
        let started = Instant::from(SystemTime::now());
        let clock = Clock::now();
        let (result, excerpt) = self.ask(target, id, body, started, clock + self.timeout).await;
        Attempted { started, took: clock.elapsed(), result, excerpt }
    }

    async fn ask(
        &self,
        target: &Target,
        id: &str,
        body: Bytes,
        started: Instant,
        deadline: Clock,
    ) -> (AttemptResult, Option<String>) {
        let unreachable = |reason| (AttemptResult::Unreachable { reason, status: None, retry_after: None }, None);
        if self.guard.check_url(target.url()).is_err() {
            return unreachable(Reason::Forbidden);
        }
        let headers = target.headers(id, &body, started);
        let request = self.http.request(Method::POST, target.url().clone()).headers(headers).body(body);
        let answer = match timeout_at(deadline, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let error = error.without_url();
                debug!(error = &error as &dyn std::error::Error, "a webhook's receiver did not answer");
                return unreachable(told(&error));
            }
            Err(_) => return unreachable(Reason::Timeout),
        };
        let status = answer.status().as_u16();
        let result = match status {
            200..300 => AttemptResult::Delivered { status },
            410 => AttemptResult::Gone,
            300..400 | 408 | 425 | 429 | 500..600 => {
                let retry_after = retry_after(answer.headers(), started);
                AttemptResult::Unreachable { reason: Reason::Status, status: Some(status), retry_after }
            }
            _ => AttemptResult::Refused { status },
        };
        let patience = deadline.min(Clock::now() + BODY_PATIENCE);
        (result, excerpt(answer, patience).await)
    }
}

#[cfg(test)]
mod tests;
