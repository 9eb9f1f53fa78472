//! What the handlers have at hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_events::{Incarnation, Seq, Timestamp};
use tapelog_projections::{Live, ProjectorStatus};
use tapelog_store::guard::Guard;
use tapelog_store::log::{Log, Unreachable};
use tapelog_store::sequencer::Sequencer;
use tokio::sync::{Semaphore, watch};

use super::backend::{Backend, Backends};
use super::delivery::Deliveries;
use super::events::EventStreams;
use super::health::Probes;
use super::limits::{self, Limits};
use super::metrics::Metrics;
use super::past::Past;
use super::response;
use crate::audit::Signer;
use crate::auth::{Authenticator, Vault};
use crate::housekeeping::Retention;
use crate::maintenance::Maintenance;
use crate::settings::AccessLog;

/// The parts that the API is put together from.
pub struct AppParts {
    /// Who finds out who asks.
    pub authenticator: Arc<Authenticator>,
    /// What encrypts secrets that have to be used again.
    pub vault: Arc<Vault>,
    /// Where writes go.
    pub sequencer: Sequencer,
    /// Where reads come from.
    pub tables: Arc<Live>,
    /// How the tables are kept up to date.
    pub projector: watch::Receiver<ProjectorStatus>,
    /// What is being done about them.
    pub maintenance: watch::Receiver<Maintenance>,
    /// The log, to ask how far it is.
    pub log: Arc<dyn Tip>,
    /// What was, and when it came about.
    pub past: Arc<dyn Past>,
    /// What signs exports.
    pub export_signer: Arc<Signer>,
    /// Which life of the log this is.
    pub incarnation: Incarnation,
    /// What streams of events are made from.
    pub events: EventStreams,
    /// How deliveries to webhooks stand.
    pub deliveries: Arc<dyn Deliveries>,
    /// Says which addresses webhooks may name.
    pub guard: Guard,
    /// For how long the signing secret before signs as well.
    pub secret_grace: Duration,
    /// Where media are.
    pub backends: Arc<Backends>,
    /// How long things are kept that nobody uses.
    pub retention: Retention,
    /// What the store says of itself.
    pub service: ServiceFacts,
    /// How much is taken at once, and of each client.
    pub limits: Limits,
    /// Which requests have a line of their own in the log.
    pub access_log: AccessLog,
    /// What is measured.
    pub metrics: Metrics,
    /// The URL of the API's root, where clients reach it by another one than their requests tell.
    pub public_url: Option<String>,
    /// The scheme of the URLs by which this server itself is reached: `http`, or `https` where it speaks TLS.
    pub scheme: &'static str,
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
    /// The feed on NATS, where there is one.
    pub nats_feed: Option<NatsFeed>,
}

/// Where on NATS notifications are published.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NatsFeed {
    /// The name of the stream.
    pub stream: String,
    /// The subject of every notification in it.
    pub subject: String,
    /// What the subjects are made of.
    pub subjects: Vec<String>,
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
    /// Places for requests at work.
    pub(super) places: Semaphore,
    /// What all that this server says depends on besides the log: equal servers have equal ones.
    pub(super) telling: [u8; 32],
    /// How what the server depends on was when it was asked last.
    pub(super) probes: Probes,
}

impl App {
    /// Puts the API together.
    pub fn new(parts: AppParts) -> Self {
        let reserved_labels = parts.backends.labels().map(str::to_owned).collect();
        Self {
            reserved_labels,
            large_bodies: Semaphore::new(limits::LARGE_BODIES),
            places: Semaphore::new(parts.limits.requests),
            telling: telling(&parts),
            probes: Probes::default(),
            parts,
        }
    }

    /// The time on the clock.
    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The URL that a backend would give for a certain object at a certain time tells all that its URLs depend on.
fn telling(parts: &AppParts) -> [u8; 32] {
    let mut told = format!("{}\n{}\n", parts.service.version, parts.incarnation);
    for Backend { description, media, .. } in parts.backends.iter() {
        told.push_str(&String::from_utf8_lossy(&response::encode(description)));
        media.presign_get("object", &media.signing_time(SystemTime::UNIX_EPOCH), &mut told);
        told.push('\n');
    }
    *blake3::hash(told.as_bytes()).as_bytes()
}
