//! Follows the stream of attempts into the table.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use tapelog_events::Instant;
use tapelog_store::log::Unreachable;
use tapelog_store::log::jetstream::Connection;
use tapelog_store::stream::{Stream, StreamMessage, StreamSettings};
use tokio::select;
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};
use tracing::{debug, warn};

use super::batch;
use super::table::{Table, TableError};

/// How long to wait until the stream is followed anew after it could not be.
const PAUSE: Duration = Duration::from_secs(2);
/// How often old attempts are forgotten, and the stream is asked whether it is still the same.
const CHECK: Duration = Duration::from_secs(60);
/// How many messages are entered at once, when so many are there already.
const AT_ONCE: usize = 64;
/// How much earlier than its message an attempt may have begun, unless the log's server was away.
const DELAY: Duration = Duration::from_secs(300);

/// Why the stream is not followed any more.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the stream of attempts was made anew")]
    Replaced,
}

/// Follows the stream into the table, for ever.
pub async fn follow(connection: Connection, settings: StreamSettings, table: Arc<Table>) {
    loop {
        match follow_once(&connection, &settings, &table).await {
            Ok(never) => match never {},
            Err(Ended::Table(error)) => {
                warn!(error = &error as &dyn Error, "the delivery log's table cannot be used");
            }
            Err(ended @ (Ended::Unreachable(_) | Ended::Replaced)) => {
                debug!(error = &ended as &dyn Error, "the stream of attempts is followed anew");
            }
        }
        sleep(PAUSE).await;
    }
}

async fn follow_once(
    connection: &Connection,
    settings: &StreamSettings,
    table: &Arc<Table>,
) -> Result<Infallible, Ended> {
    let stream = Stream::open(connection, settings).await?;
    let began = stream.state().await?;
    let from = on(table, move |table| table.begin(&began)).await?;
    let mut arrivals = stream.follow(from).await?.ready_chunks(AT_ONCE);
    let mut check = interval(CHECK);
    loop {
        select! {
            arrived = arrivals.next() => {
                let ended = || Ended::Unreachable(Unreachable("the stream of attempts ended".into()));
                let messages = arrived.ok_or_else(ended)?.into_iter().collect::<Result<Vec<_>, _>>()?;
                on(table, move |table| enter(table, began.created, &messages)).await?;
            }
            _ = check.tick() => {
                let state = stream.state().await?;
                if state.created != began.created {
                    return Err(Ended::Replaced);
                }
                // What the stream has forgotten to make room goes from the table as well.
                let kept = Instant::from(SystemTime::now()).saturating_sub(settings.max_age);
                let before = state.first_at.map_or(kept, |first| kept.max(first.saturating_sub(DELAY)));
                on(table, move |table| table.forget(before)).await?;
            }
        }
    }
}

fn enter(table: &Table, created: Instant, messages: &[StreamMessage]) -> Result<(), TableError> {
    let Some(last) = messages.last() else { return Ok(()) };
    let rows = messages.iter().flat_map(|message| {
        let rows = batch::decode(&message.payload);
        if rows.is_none() {
            warn!(sequence = message.sequence, "a message with attempts cannot be read and is left out");
        }
        rows.unwrap_or_default()
    });
    table.enter(created, last.sequence, rows)
}

/// Uses the table on a thread that may block.
async fn on<T: Send + 'static>(
    table: &Arc<Table>,
    work: impl FnOnce(&Table) -> Result<T, TableError> + Send + 'static,
) -> Result<T, TableError> {
    let table = Arc::clone(table);
    spawn_blocking(move || work(&table)).await.expect("work on the table does not panic")
}
