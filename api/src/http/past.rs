//! What the handlers ask of the past: the history, and the records that it names.

use bytes::Bytes;
use futures::future::BoxFuture;
use tapelog_events::{Instant, Seq};
use tapelog_projections::Direction;
use tapelog_projections::history::as_of::AsOf;
use tapelog_projections::history::audit::{AuditError, AuditFilter, AuditPage, audit};
use tapelog_projections::history::{Historian, HistorianStatus, History, Moment, ReadError, moment_at};
use tapelog_store::log::{Log, Unreachable};

/// The past of a store, whatever its log is kept on.
pub trait Past: Send + Sync {
    /// Where in the log everything happened.
    fn history(&self) -> &History;

    /// How that is kept up to date.
    fn historian(&self) -> HistorianStatus;

    /// The tables of the past.
    fn as_of(&self) -> &AsOf;

    /// A record as it stands in the log.
    fn record(&self, seq: Seq) -> BoxFuture<'_, Result<Option<Bytes>, Unreachable>>;

    /// See [`moment_at`].
    fn moment_at(&self, tip: Seq, time: Instant) -> BoxFuture<'_, Result<Moment, ReadError>>;

    /// See [`audit`].
    fn audit<'a>(
        &'a self,
        filter: &'a AuditFilter,
        direction: Direction,
        after: Option<(Seq, u32)>,
        limit: usize,
    ) -> BoxFuture<'a, Result<AuditPage, AuditError>>;
}

/// A log with its history.
pub struct LogPast<L> {
    /// The log.
    pub log: L,
    /// Its history.
    pub history: History,
    /// What keeps that up to date.
    pub historian: Historian,
    /// The tables of its past.
    pub as_of: AsOf,
}

impl<L: Log> Past for LogPast<L> {
    fn history(&self) -> &History {
        &self.history
    }

    fn historian(&self) -> HistorianStatus {
        self.historian.status().borrow().clone()
    }

    fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    fn record(&self, seq: Seq) -> BoxFuture<'_, Result<Option<Bytes>, Unreachable>> {
        Box::pin(self.log.read(seq))
    }

    fn moment_at(&self, tip: Seq, time: Instant) -> BoxFuture<'_, Result<Moment, ReadError>> {
        Box::pin(moment_at(&self.log, tip, time))
    }

    fn audit<'a>(
        &'a self,
        filter: &'a AuditFilter,
        direction: Direction,
        after: Option<(Seq, u32)>,
        limit: usize,
    ) -> BoxFuture<'a, Result<AuditPage, AuditError>> {
        Box::pin(audit(&self.history, &self.log, filter, direction, after, limit))
    }
}
