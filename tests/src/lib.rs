//! What the end-to-end suites in `e2e/` share: the server as a process, a nats-server of the test's own, and clients.
//!
//! Everything here is a real process on real files behind a real socket; nothing knows the insides of the server. A
//! program that is missing fails the test with the command that installs it: no test is ever skipped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod api;
pub mod cluster;
pub mod events;
pub mod issuer;
pub mod load;
pub mod media;
pub mod nats;
pub mod program;
pub mod raw;
pub mod receiver;
pub mod server;
pub mod shape;
pub mod shared;
pub mod store;

use std::time::{Duration, Instant};

/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Waits until the attempt gives something.
///
/// # Panics
/// When it gives nothing within `patience`.
pub async fn eventually<T>(what: &str, patience: Duration, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        tokio::time::sleep(POLL).await;
    }
}
