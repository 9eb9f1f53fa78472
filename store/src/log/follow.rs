//! From a source that may repeat, skip and break off, to records in order: the one place that checks what a consumer
//! delivers.

use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use tapelog_events::Seq;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{Broken, Entries, Entry, Unreachable};

/// How long to wait before a source is opened again: doubles from the first to the last while nothing arrives. Without
/// jitter, since the few nodes of a deployment cannot overload the log's server by asking it at the same time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// After how long without a delivery the log is asked whether there is one to come: a consumer that lost the last record
/// would not show it before the next.
const IDLE: Duration = Duration::from_secs(5);
/// How often in a row the log must say that a record is not there before it is believed: a leader that has just lost its
/// place may answer once.
const DENIALS: u32 = 5;

/// What deliveries come from.
pub(super) trait Source: Send + Sync + 'static {
    /// Deliveries; they end, or fail, when the source must be opened again.
    type Deliveries: Stream<Item = Result<Entry, Unreachable>> + Send + Unpin;

    /// Starts deliveries from this record on.
    fn open(&self, from: Seq) -> impl Future<Output = Result<Self::Deliveries, OpenError>> + Send;

    /// The record with this number, past the deliveries.
    fn read(&self, seq: Seq) -> impl Future<Output = Result<Option<Entry>, Unreachable>> + Send;
}

/// Deliveries could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// They may be later.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// They never will be.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// The records of a source in order, from this one on.
pub(super) fn in_order<S: Source>(source: S, from: Seq) -> Entries {
    let follower = Follower { source, deliveries: None, next: from, pause: FIRST_PAUSE, denials: 0 };
    stream::try_unfold(follower, async |mut follower| Ok(Some((follower.next().await?, follower)))).boxed()
}

struct Follower<S: Source> {
    source: S,
    deliveries: Option<S::Deliveries>,
    /// The record that must come next.
    next: Seq,
    pause: Duration,
    /// How often in a row the log said that the next record is not there, though a later one was delivered.
    denials: u32,
}

impl<S: Source> Follower<S> {
    async fn next(&mut self) -> Result<Entry, Broken> {
        loop {
            let Some(deliveries) = &mut self.deliveries else {
                self.open().await?;
                continue;
            };
            let Ok(delivery) = timeout(IDLE, deliveries.try_next()).await else {
                if let Ok(Some(entry)) = self.source.read(self.next).await {
                    debug!(missing = %self.next, "a consumer fell silent");
                    self.deliveries = None;
                    return Ok(self.advance(entry));
                }
                continue;
            };
            match delivery {
                Ok(Some(entry)) if entry.seq == self.next => return Ok(self.advance(entry)),
                Ok(Some(repeated)) if repeated.seq < self.next => {}
                Ok(Some(later)) => {
                    if let Some(entry) = self.fill_gap(later.seq).await? {
                        return Ok(self.advance(entry));
                    }
                }
                Ok(None) => self.deliveries = None,
                Err(error) => {
                    debug!(next = %self.next, error = &error as &dyn std::error::Error, "deliveries broke off");
                    self.deliveries = None;
                }
            }
        }
    }

    fn advance(&mut self, entry: Entry) -> Entry {
        self.next = entry.seq.next();
        self.pause = FIRST_PAUSE;
        self.denials = 0;
        entry
    }

    async fn open(&mut self) -> Result<(), Broken> {
        match self.source.open(self.next).await {
            Ok(deliveries) => self.deliveries = Some(deliveries),
            Err(OpenError::Broken(broken)) => return Err(broken),
            Err(OpenError::Unreachable(error)) => {
                debug!(next = %self.next, error = &error as &dyn std::error::Error, "deliveries could not be started");
            }
        }
        // Also after a success: a source that opens and breaks off again and again must not be asked without pause.
        if self.pause > FIRST_PAUSE || self.deliveries.is_none() {
            sleep(self.pause).await;
        }
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        Ok(())
    }

    /// A later record came than the next one: either the consumer skipped it, or the log has lost it.
    async fn fill_gap(&mut self, later: Seq) -> Result<Option<Entry>, Broken> {
        self.deliveries = None;
        match self.source.read(self.next).await {
            Ok(Some(entry)) => {
                debug!(missing = %self.next, %later, "a consumer skipped records");
                Ok(Some(entry))
            }
            Ok(None) => {
                self.denials += 1;
                warn!(missing = %self.next, %later, denials = self.denials, "a record is not in the log, though a later one is");
                if self.denials == DENIALS { Err(Broken::Missing(self.next)) } else { Ok(None) }
            }
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::ready;

    use super::*;

    /// Always delivers two records with nothing between them, and has what `stored` says.
    struct Gappy {
        stored: [u64; 2],
    }

    fn entry(seq: u64) -> Entry {
        Entry { seq: Seq(seq), payload: seq.to_string().into() }
    }

    impl Source for Gappy {
        type Deliveries = stream::BoxStream<'static, Result<Entry, Unreachable>>;

        async fn open(&self, _: Seq) -> Result<Self::Deliveries, OpenError> {
            Ok(stream::iter([Ok(entry(1)), Ok(entry(3))]).chain(stream::pending()).boxed())
        }

        fn read(&self, seq: Seq) -> impl Future<Output = Result<Option<Entry>, Unreachable>> + Send {
            ready(Ok(self.stored.contains(&seq.0).then(|| entry(seq.0))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_a_consumer_skips_is_read_from_the_log() {
        let entries: Vec<_> = in_order(Gappy { stored: [2, 3] }, Seq(1)).take(3).try_collect().await.unwrap();
        assert_eq!(entries, [entry(1), entry(2), entry(3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_is_gone_from_the_log_ends_the_following() {
        let entries: Vec<_> = in_order(Gappy { stored: [1, 3] }, Seq(1)).collect().await;
        assert_eq!(entries[0].as_ref().unwrap(), &entry(1));
        assert!(matches!(entries[1..], [Err(Broken::Missing(Seq(2)))]));
    }
}
