//! What the handlers have at hand.

use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use tapelog_events::{Incarnation, Seq, Timestamp};
use tapelog_projections::{Live, ProjectorStatus};
use tapelog_store::log::{Log, Unreachable};
use tapelog_store::sequencer::Sequencer;
use tokio::sync::{Semaphore, watch};

use super::backend::Backends;
use super::limits::{self, Limits};

/// The parts that the API is put together from.
pub struct AppParts {
    /// Where writes go.
    pub sequencer: Sequencer,
    /// Where reads come from.
    pub tables: Arc<Live>,
    /// How the tables are kept up to date.
    pub projector: watch::Receiver<ProjectorStatus>,
    /// The log, to ask how far it is.
    pub log: Arc<dyn Tip>,
    /// Which life of the log this is.
    pub incarnation: Incarnation,
    /// Where media are.
    pub backends: Backends,
    /// What the store says of itself.
    pub service: ServiceFacts,
    /// How large requests and pages may be.
    pub limits: Limits,
    /// The URL of the API's root, where clients reach it by another one than their requests tell.
    pub public_url: Option<String>,
    /// What every path begins with: empty, or such as `/tams/v8.2`.
    pub base_path: String,
}

/// What the store says of itself beside name and description (section 13).
#[derive(Debug, Clone)]
pub struct ServiceFacts {
    /// The version of this software, as free text.
    pub version: String,
    /// For how long an allocated object that no segment uses is kept: at least five minutes.
    pub min_object_timeout: Timestamp,
    /// For how long a presigned URL is valid at least: at least half a minute, at most `min_object_timeout`.
    pub min_presigned_url_timeout: Timestamp,
}

/// A log that can be asked for its last record.
pub trait Tip: Send + Sync {
    /// The number of the last record.
    fn tip(&self) -> BoxFuture<'_, Result<Seq, Unreachable>>;
}

impl<L: Log> Tip for L {
    fn tip(&self) -> BoxFuture<'_, Result<Seq, Unreachable>> {
        Box::pin(Log::tip(self))
    }
}

/// The API. Requests share it.
pub struct App {
    pub(super) parts: AppParts,
    /// Labels that no uncontrolled instance may have (section 6, rule 5).
    pub(super) reserved_labels: Arc<[String]>,
    /// Places for large bodies.
    pub(super) large_bodies: Semaphore,
}

impl App {
    /// Puts the API together.
    pub fn new(parts: AppParts) -> Self {
        let reserved_labels = parts.backends.labels().map(str::to_owned).collect();
        Self { parts, reserved_labels, large_bodies: Semaphore::new(limits::LARGE_BODIES) }
    }

    /// The time on the clock.
    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
