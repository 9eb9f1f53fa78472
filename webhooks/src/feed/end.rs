//! The end of the feed's stream: how far what was published goes.

use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use tapelog_events::Incarnation;
use tapelog_store::log::Unreachable;
use tracing::warn;

use super::message::Place;

/// How many messages that are none of ours may stand at the end: whoever may publish there may have made a mistake.
const FOREIGN: u64 = 1000;

/// The end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The number of the last message that it ever had.
    pub sequence: u64,
    /// What comes next; `None` where it holds no message of this log.
    pub next: Option<Place>,
}

impl End {
    /// Reads it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read(context: &Context, stream: &str, incarnation: Incarnation) -> Result<Self, Unreachable> {
        let stream: Stream<()> = context.get_stream_no_info(stream).await.map_err(unreachable)?;
        let state = stream.get_info().await.map_err(unreachable)?.state;
        let sequence = state.last_sequence;
        let oldest = state.first_sequence.max(sequence.saturating_sub(FOREIGN)).max(1);
        for number in (oldest..=sequence).rev() {
            let message = match stream.get_raw_message(number).await {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(unreachable(error)),
            };
            let next = Place::after(&message.headers, incarnation);
            if next.is_some() {
                return Ok(Self { sequence, next });
            }
            warn!(number, subject = %message.subject, "a message in the feed is none of this log's notifications");
        }
        Ok(Self { sequence, next: None })
    }
}

fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> Unreachable {
    Unreachable(error.into())
}
