//! What keeps the live tables up to date.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::registry::Registry;
use tapelog_events::{Event, Record, Seq};
use tapelog_store::log::Head;
use tapelog_store::sequencer::Delivery;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{Instrument as _, debug_span, error, info};

use crate::metrics::Applied;
use crate::{ApplyError, Live};

/// How the projector is.
#[derive(Debug, Clone, PartialEq)]
pub enum ProjectorStatus {
    /// It applies what comes.
    Following,
    /// It met a record that it cannot apply, and stopped before it: the tables stay as they are, and a person must look.
    Stopped {
        /// The record.
        seq: Seq,
        /// Why.
        error: ApplyError,
    },
    /// Nothing more comes: the sequencer has ended.
    Ended,
}

/// The task that applies every record to the live tables, once and in order, and then lets go of the answers that waited
/// for it. On a record that it cannot apply it stops for good, and with it the sequencer, to which it no longer listens;
/// nothing is ever skipped.
#[derive(Debug, Clone)]
pub struct Projector {
    status: watch::Receiver<ProjectorStatus>,
    applied: Applied,
}

/// Segments in a record from which on applying it takes so long, about a millisecond, that it must not hold up a thread
/// of the runtime.
const LARGE_RECORD: usize = 1000;

impl Projector {
    /// Starts the task. It ends when the sequencer does, or at a record that it cannot apply.
    pub fn start(live: Arc<Live>, deliveries: mpsc::Receiver<Delivery>) -> (Self, JoinHandle<()>) {
        let (changes, status) = watch::channel(ProjectorStatus::Following);
        let applied = Applied::default();
        let measured = applied.clone();
        let task = tokio::spawn(async move {
            let end = follow(&live, deliveries, &measured).await;
            changes.send_replace(end);
        });
        (Self { status, applied }, task)
    }

    /// Puts what is measured of the projector among what is told.
    pub fn register(&self, registry: &mut Registry) {
        self.applied.register(registry);
    }

    /// How the projector is, and how that changes.
    pub fn status(&self) -> watch::Receiver<ProjectorStatus> {
        self.status.clone()
    }
}

async fn follow(live: &Arc<Live>, mut deliveries: mpsc::Receiver<Delivery>, applied: &Applied) -> ProjectorStatus {
    while let Some(delivery) = deliveries.recv().await {
        match delivery {
            Delivery::Record(committed) => {
                let (seq, record) = (committed.head.seq, &committed.record);
                let started = Instant::now();
                let span = debug_span!("apply", %seq, commits = record.commits.len());
                if let Err(error) = apply(live, committed.head, record).instrument(span).await {
                    error!(%seq, event = first_event(record), error = &error as &dyn Error, "the tables cannot take a record and stay as they are");
                    return ProjectorStatus::Stopped { seq, error };
                }
                committed.receipts.release();
                applied.count(record, started.elapsed());
            }
            Delivery::Confirmed(confirmed) => confirmed.receipts.release(),
        }
    }
    info!(seq = %live.position(), "the tables follow no longer");
    ProjectorStatus::Ended
}

async fn apply(live: &Arc<Live>, head: Head, record: &Arc<Record>) -> Result<(), ApplyError> {
    if segments(record) < LARGE_RECORD {
        return live.apply(head, record);
    }
    let (live, record) = (Arc::clone(live), Arc::clone(record));
    spawn_blocking(move || live.apply(head, &record)).await.expect("applying does not panic, and nothing aborts it")
}

fn segments(record: &Record) -> usize {
    let events = record.commits.iter().flat_map(|commit| &commit.events);
    events
        .map(|event| match event {
            Event::SegmentsAdded(event) => event.segments.len(),
            Event::SegmentsDeleted(event) => usize::try_from(event.count).unwrap_or(usize::MAX),
            Event::LogStarted(_)
            | Event::ServiceUpdated(_)
            | Event::SourceCreated(_)
            | Event::SourceUpdated(_)
            | Event::SourceDeleted(_)
            | Event::FlowCreated(_)
            | Event::FlowUpdated(_)
            | Event::FlowDeleted(_)
            | Event::FlowTrashed(_)
            | Event::FlowRestored(_)
            | Event::FlowPurged(_)
            | Event::SegmentTagged(_)
            | Event::ObjectsAllocated(_)
            | Event::ObjectsCondemned(_)
            | Event::ObjectsDeleted(_)
            | Event::ProfileCreated(_)
            | Event::InstanceAdded(_)
            | Event::InstanceRemoved(_)
            | Event::InstanceErased(_)
            | Event::CopyRequested(_)
            | Event::CopyFailed(_)
            | Event::DeletionRequested(_)
            | Event::DeletionAdvanced(_)
            | Event::DeletionForgotten(_)
            | Event::WebhookCreated(_)
            | Event::WebhookUpdated(_)
            | Event::WebhookDeleted(_)
            | Event::DeadLettered(_)
            | Event::RedeliveryRequested(_)
            | Event::DeadLetterResolved(_)
            | Event::ReplayRequested(_)
            | Event::AccountSet(_)
            | Event::AccountDeleted(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_) => 0,
        })
        .fold(0, usize::saturating_add)
}

/// What kind of record it is, for the log.
fn first_event(record: &Record) -> Option<&'static str> {
    record.commits.first().and_then(|commit| commit.events.first()).map(Event::kind)
}
