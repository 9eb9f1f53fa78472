//! Keeping an archive up to date while a server runs.

use std::fmt::Error as Unwritable;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tapelog_events::{Incarnation, Seq};
use tapelog_store::log::Log;
use tokio::select;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{AppendError, Archive, Extent};
use crate::Live;

/// How long the pause between attempts may grow while they fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a stop may take to archive what is new.
const LAST_ROUND: Duration = Duration::from_secs(30);

/// What keeps an archive up to date. It reads the log on its own; nothing waits for it.
pub struct Archiver<L> {
    /// The archive.
    pub archive: Archive,
    /// The log.
    pub log: L,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The tables, which know how far the log is.
    pub live: Arc<Live>,
    /// How often it looks for new records.
    pub every: Duration,
    /// What it tells of itself.
    pub status: ArchiverStatus,
}

/// What an archiver tells of itself. Clones share it.
#[derive(Debug, Clone)]
pub struct ArchiverStatus {
    live: Arc<Live>,
    place: Arc<str>,
    known: Arc<Mutex<Known>>,
    failed: Counter,
}

#[derive(Debug, Default)]
struct Known {
    archived: Seq,
    /// When the archive was seen to be up to date.
    at: Option<Instant>,
    error: Option<String>,
}

/// How an archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveStatus {
    /// Where it is.
    pub place: String,
    /// The last record that is in it, as far as this server knows; 0 before it has looked.
    pub archived: u64,
    /// The last record of the log.
    pub log: u64,
    /// Seconds since all of the log was in it; absent before that was so.
    pub seconds_since_complete: Option<u64>,
    /// Why it could not be brought up to date the last time; absent if it could.
    pub error: Option<String>,
}

impl ArchiverStatus {
    /// Of an archive in this place.
    pub fn new(archive: &Archive, live: Arc<Live>) -> Self {
        let place = archive.place().to_string().into();
        Self { live, place, known: Arc::default(), failed: Counter::default() }
    }

    /// How the archive is.
    pub fn get(&self) -> ArchiveStatus {
        let known = self.known.lock();
        ArchiveStatus {
            place: self.place.to_string(),
            archived: known.archived.0,
            log: self.live.position().0,
            seconds_since_complete: known.at.map(|at| at.elapsed().as_secs()),
            error: known.error.clone(),
        }
    }

    /// Puts it among what is told.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "archive_failed",
            "Attempts to bring the archive up to date that failed",
            self.failed.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
    }

    fn archived(&self, seq: Seq) {
        *self.known.lock() = Known { archived: seq, at: Some(Instant::now()), error: None };
    }

    fn failed(&self, reason: String) {
        self.failed.inc();
        self.known.lock().error = Some(reason);
    }
}

impl Collector for ArchiverStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Unwritable> {
        let status = self.get();
        let behind = status.log.saturating_sub(status.archived);
        for (name, help, value) in [
            ("archive_position", "The last record that is in the archive", Some(status.archived)),
            ("archive_behind_records", "Records that are not in the archive yet", Some(behind)),
            (
                "archive_complete_age_seconds",
                "Time since the archive was seen to hold the whole log",
                status.seconds_since_complete,
            ),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// Whether folder or bucket are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usable {
    /// Nobody has looked yet.
    Unknown,
    /// They were there, or were made.
    Yes,
}

impl<L: Log> Archiver<L> {
    /// Archives until told to stop, and then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        let mut place = Usable::Unknown;
        loop {
            select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
            let done = select! {
                () = stop.cancelled() => break,
                done = self.round(&mut place) => done,
            };
            pause = if done { self.every } else { (pause * 2).clamp(self.every, LONGEST_PAUSE.max(self.every)) };
        }
        if timeout(LAST_ROUND, self.round(&mut place)).await.is_err() {
            warn!(archive = %self.archive.place(), "the archive was not brought up to date before the stop");
        }
    }

    /// Archives what is new, if anything is, and says whether the archive is up to date.
    async fn round(&self, place: &mut Usable) -> bool {
        let last = self.live.position();
        let known = {
            let known = self.status.known.lock();
            known.at.is_some().then_some(known.archived)
        };
        if known == Some(last) || last == Seq::ZERO {
            self.status.archived(last);
            return true;
        }
        match self.append(last, place).await {
            Ok(archived) => {
                self.status.archived(archived);
                true
            }
            Err(AppendError::Contended) => {
                debug!("another node was archiving at the same moment");
                true
            }
            Err(cause) => {
                let text = chain(&cause);
                error!(archive = %self.archive.place(), error = text, "the log could not be archived");
                self.status.failed(text);
                false
            }
        }
    }

    async fn append(&self, last: Seq, place: &mut Usable) -> Result<Seq, AppendError> {
        if *place == Usable::Unknown {
            self.archive.place().ensure().await?;
            *place = Usable::Yes;
        }
        // Another node may have archived records that this one has not read yet.
        let archived = self.archive.manifest().await?;
        let head =
            archived.as_ref().filter(|found| found.incarnation == self.incarnation).map(|found| found.head().seq);
        if let Some(head) = head.filter(|head| *head > last)
            && self.live.wait_for(head, self.every).await.is_err()
        {
            let tip = self.log.tip().await.map_err(|error| AppendError::Source(error.into()))?;
            return if head <= tip { Ok(head) } else { Err(AppendError::Ahead { archived: head, log: tip }) };
        }
        let extent = Extent { incarnation: self.incarnation, first: None, last: last.max(head.unwrap_or_default()) };
        let appended = self.archive.append(extent, |from| self.log.follow(from), |_| {}).await?;
        if appended.records > 0 {
            debug!(records = appended.records, seq = appended.head.seq.0, files = appended.files, "archived");
        }
        if archived.is_none() {
            info!(archive = %self.archive.place(), seq = appended.head.seq.0, "an archive of the log was begun");
        }
        Ok(appended.head.seq)
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
