//! One reader of a stream of events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hyper::http::request::Parts;
use tapelog_events::{EventPosition, Incarnation, Position, Record, Seq};
use tapelog_projections::Live;
use tapelog_webhooks::{Filter, Render, Transforms, body, notices};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Records;
use crate::auth::Authenticator;
use crate::http::route::Rule;

/// After how many milliseconds a browser that lost its stream comes back.
const RETRY: &str = "retry: 1000\n";
/// How much is gathered of one record before it is handed on, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// How long the tables are waited for at a time.
const PATIENCE: Duration = Duration::from_secs(60);

/// One reader.
pub struct Reader {
    pub authenticator: Arc<Authenticator>,
    /// The head of its request, by which its credentials are looked at again.
    pub head: Parts,
    pub request_id: String,
    pub render: Arc<dyn Render>,
    pub tables: Arc<Live>,
    pub incarnation: Incarnation,
    /// What it is told.
    pub filter: Filter,
    pub transforms: Arc<Transforms>,
    /// The first event that it has not been told, or that was looked at for it.
    pub next: EventPosition,
    /// Where what it is told goes.
    pub pieces: mpsc::Sender<Bytes>,
    /// After how long it is shown that the stream stands.
    pub heartbeat: Duration,
    /// For how long it may take nothing.
    pub stall: Duration,
}

/// Why a stream ends. Whichever it is, the reader may go on with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error("its client is gone")]
    Left,
    #[error("its client takes nothing")]
    Stalled,
    #[error("its credentials do not hold any more")]
    Dismissed,
    #[error("the log is broken")]
    Broken,
}

impl Reader {
    /// Tells the reader what happens for as long as it can. Dropping it ends the stream between two events.
    pub async fn run(mut self, records: Records) -> Ended {
        let ended = self.follow(records).await;
        tracing::debug!(request_id = self.request_id, why = %ended, "a stream of events ends");
        ended
    }

    async fn follow(&mut self, records: Records) -> Ended {
        let tables = Arc::clone(&self.tables);
        // What a reader may see is judged by the tables, which must not be behind what it is told.
        let applied = records.then(move |record| {
            let tables = Arc::clone(&tables);
            async move {
                if let Ok((seq, _)) = &record {
                    while tables.wait_for(*seq, PATIENCE).await.is_err() {}
                }
                record
            }
        });
        let mut applied = std::pin::pin!(applied);
        let pieces = self.pieces.clone();
        let mut beat = interval(self.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        // It sees at once that the stream stands, and where it begins.
        if let Err(ended) = self.send(format!("{RETRY}{}", self.mark()).into()).await {
            return ended;
        }
        loop {
            let told = tokio::select! {
                () = pieces.closed() => Err(Ended::Left),
                _ = beat.tick() => self.heartbeat().await,
                record = applied.next() => match record {
                    Some(Ok((seq, record))) => self.tell(seq, &record).await,
                    Some(Err(_)) | None => Err(Ended::Broken),
                },
            };
            if let Err(ended) = told {
                return ended;
            }
        }
    }

    /// Shows that the stream stands, and how far the log was read: whoever comes back need not read that again.
    async fn heartbeat(&mut self) -> Result<(), Ended> {
        match self.authenticator.authenticate(&self.head, &self.request_id).await {
            Ok(principal) if principal.satisfies(Rule::Read) => self.filter.access = Arc::clone(&principal.access),
            // That nobody can tell now is no reason to believe that it is not so any more.
            Err(problem) if problem.is_passing() => {}
            Ok(_) | Err(_) => return Err(Ended::Dismissed),
        }
        self.send(self.mark().into()).await
    }

    /// Says how far the log was read. An event without data is not dispatched, but its id is kept (HTML, 9.2.6).
    fn mark(&self) -> String {
        let EventPosition { seq, commit, event } = self.next;
        match (commit, event) {
            (0, 0) => {
                let read = Position { incarnation: self.incarnation, seq: Seq(seq.0.saturating_sub(1)) };
                format!(":\nid: {read}\n\n")
            }
            // It begins in the middle of a record, which has not been looked at.
            (_, _) => ":\n\n".to_owned(),
        }
    }

    async fn tell(&mut self, seq: Seq, record: &Arc<Record>) -> Result<(), Ended> {
        let mut piece = Vec::new();
        for notice in notices(seq, record) {
            if notice.position < self.next || !self.filter.matches(&notice) {
                continue;
            }
            let (incarnation, position) = (self.incarnation, notice.position);
            let event = notice.notification.as_str();
            piece.extend_from_slice(format!("id: {incarnation}.{position}\nevent: {event}\ndata: ").as_bytes());
            // It is one line: JSON has no other line ends than those of its layout.
            piece.extend(body(&self.render, record, &notice, &self.transforms, &self.filter.access).await);
            piece.extend_from_slice(b"\n\n");
            if piece.len() >= PIECE_BYTES {
                self.send(std::mem::take(&mut piece).into()).await?;
            }
        }
        self.next = EventPosition::start_of(seq.next());
        if piece.is_empty() { Ok(()) } else { self.send(piece.into()).await }
    }

    async fn send(&self, piece: Bytes) -> Result<(), Ended> {
        match timeout(self.stall, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Left),
            Err(_) => Err(Ended::Stalled),
        }
    }
}
