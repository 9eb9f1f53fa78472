//! When and how often a request is made again.

use std::future::Future;
use std::time::Duration;

use rand::Rng;

use super::TamsError;

/// With the pauses below, an outage of about half a minute is bridged.
const MOST_ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that asks for more patience than this gets no more requests.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Makes a request, and makes it again while the server is busy or out of reach.
///
/// A request may thus be carried out twice. All that this client asks for bears that: uploads and
/// `PUT` are the same twice over, an allocation that was lost makes its object id taken (and the
/// caller chooses another), and a registration that was lost shows in the listing.
pub async fn with_retries<T, F, Fut>(request: F) -> Result<T, TamsError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, TamsError>>,
{
    let mut attempt = 1;
    loop {
        let error = match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(pause) = pause(&error, attempt).filter(|_| attempt < MOST_ATTEMPTS) else {
            return Err(error);
        };
        tracing::warn!(attempt, pause_ms = pause.as_millis(), error = %error, "trying again");
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// How long to wait before the next attempt; `None` if another would end the same.
fn pause(error: &TamsError, attempt: u32) -> Option<Duration> {
    match error {
        TamsError::Status { status: 429 | 502 | 503 | 504, retry_after, .. } => match retry_after {
            Some(wait) => (*wait <= LONGEST_RETRY_AFTER).then(|| *wait + backoff(attempt) / 4),
            None => Some(backoff(attempt)),
        },
        TamsError::Transport { source, .. } if !source.is_builder() && !source.is_redirect() => Some(backoff(attempt)),
        _ => None,
    }
}

/// Twice as long each time, with jitter, so that many clients do not come back at once.
fn backoff(attempt: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
    full.mul_f64(rand::rng().random_range(0.5..1.0))
}
