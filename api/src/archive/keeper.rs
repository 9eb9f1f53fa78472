//! What a server keeps of its log outside of it: a mark of how far it went, and the archive.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use prometheus_client::registry::Registry;
use tapelog_events::Seq;
use tapelog_projections::Live;
use tapelog_projections::archive::{Archiver, ArchiverStatus};
use tapelog_store::log::jetstream::JetStreamLog;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::of_server;
use crate::settings::Settings;
use crate::storage::Storage;

/// How often the marker is brought up to date: what was acknowledged in that time before a loss of the log and the
/// machine together is all that a restore cannot know of.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// The tasks that keep mark and archive up to date.
pub struct Keeper {
    stop: CancellationToken,
    marking: JoinHandle<()>,
    archiving: Option<JoinHandle<()>>,
    status: Option<ArchiverStatus>,
}

impl Keeper {
    /// Starts the tasks. The archiver is measured in `registry`.
    ///
    /// # Errors
    /// When the archive of the settings cannot be one.
    pub fn start(
        settings: &Settings,
        storage: &Storage,
        log: &JetStreamLog,
        live: &Arc<Live>,
        registry: &mut Registry,
    ) -> Result<Self> {
        let stop = CancellationToken::new();
        let (mut archiving, mut status) = (None, None);
        if let Some(archive) = of_server(settings, storage)? {
            let told = ArchiverStatus::new(&archive, Arc::clone(live));
            told.register(registry);
            let archiver = Archiver {
                archive,
                log: log.clone(),
                incarnation: log.incarnation(),
                live: Arc::clone(live),
                every: Duration::from_secs(settings.archive.every_seconds.max(1)),
                status: told.clone(),
            };
            archiving = Some(tokio::spawn(archiver.run(stop.clone())));
            status = Some(told);
        }
        let marking = tokio::spawn(mark(Arc::clone(live), log.clone(), stop.clone()));
        Ok(Self { stop, marking, archiving, status })
    }

    /// What the archiver tells of itself, where there is one.
    pub fn status(&self) -> Option<ArchiverStatus> {
        self.status.clone()
    }

    /// Archives what is new, and ends the tasks.
    ///
    /// # Errors
    /// When one of them has panicked.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.marking.await?;
        match self.archiving {
            Some(archiving) => Ok(archiving.await?),
            None => Ok(()),
        }
    }
}

/// Notes how far the log went, while it goes on.
async fn mark(live: Arc<Live>, log: JetStreamLog, stop: CancellationToken) {
    let mut marked = Seq::ZERO;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(MARK_EVERY) => {}
        }
        let position = live.position();
        if position == marked {
            continue;
        }
        match log.remember(position).await {
            Ok(()) => marked = position,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "how far the log went cannot be noted: a loss of its end might go unnoticed");
            }
        }
    }
}
