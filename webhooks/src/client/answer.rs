//! What a receiver's answer says, or that there was none.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use reqwest::Response;
use tapelog_events::Instant;
use tapelog_store::guard::Guard;
use tokio::time::{Instant as Clock, timeout_at};

use crate::Reason;
use crate::schedule::LONGEST_RETRY_AFTER;

/// How many bytes of what a receiver says are read, so that its connection can be used again. One that says more loses it.
const READ: usize = 16 * 1024;
/// How many of them are kept.
const KEPT: usize = 1024;

/// What kind of failure an error is.
pub fn told(error: &reqwest::Error) -> Reason {
    if Guard::has_refused(error) {
        Reason::Forbidden
    } else if error.is_dns() {
        Reason::Name
    } else if error.is_timeout() {
        Reason::Timeout
    } else if is_tls(error) {
        Reason::Tls
    } else if error.is_connect() {
        Reason::Connect
    } else {
        Reason::Broken
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |&error| cause(error)).any(|error| error.is::<rustls::Error>())
}

/// What caused an error. One of input and output that was made of another gives only the source of that.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
}

/// How long the receiver asks to be left alone, in seconds or up to a moment; at most an hour.
pub fn retry_after(headers: &HeaderMap, now: Instant) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            let seconds = Instant::from(until).seconds_since(now);
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// Reads what the receiver says, up to a limit and until `patience` ends, and gives the beginning of it as text.
pub async fn excerpt(mut answer: Response, patience: Clock) -> Option<String> {
    let mut kept = Vec::new();
    let mut read = 0;
    // What is left is dropped with its connection.
    while let Ok(Ok(Some(chunk))) = timeout_at(patience, answer.chunk()).await {
        let room = KEPT.saturating_sub(kept.len()).min(chunk.len());
        kept.extend_from_slice(&chunk[..room]);
        read += chunk.len();
        if read >= READ {
            break;
        }
    }
    (!kept.is_empty()).then(|| text(&kept))
}

/// Text in which nothing moves a terminal's cursor.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
