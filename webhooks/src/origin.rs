//! Where a webhook begins: right after the event that made it.

use tapelog_events::codec::{self, DecodeError};
use tapelog_events::{Event, EventPosition, Record, Seq, Webhook, WebhookId};
use tapelog_store::log::{Log, Unreachable};

/// Where a webhook begins could not be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("record {0} is not in the log")]
    Missing(Seq),
    #[error("record {seq} cannot be read")]
    Undecodable { seq: Seq, source: DecodeError },
    #[error("the log does not say when webhook {0} was registered")]
    Unknown(WebhookId),
}

/// The position right after the event that registered this webhook. Time never runs backwards along the log, so that few
/// records have to be read.
pub(crate) async fn origin<L: Log>(log: &L, webhook: &Webhook) -> Result<EventPosition, OriginError> {
    let created = webhook.created;
    let tip = log.tip().await?;
    // The first record that ends at that moment or later.
    let (mut from, mut to) = (Seq(1), tip.next());
    while from < to {
        let middle = Seq(from.0.midpoint(to.0));
        let record = read(log, middle).await?;
        match record.commits.last() {
            Some(last) if last.at >= created => to = middle,
            _ => from = middle.next(),
        }
    }
    // Others may have happened at the same moment.
    while from <= tip {
        let record = read(log, from).await?;
        for (commit, index) in record.commits.iter().zip(0..) {
            if commit.at > created {
                return Err(OriginError::Unknown(webhook.id));
            }
            for (event, number) in commit.events.iter().zip(0..) {
                if matches!(event, Event::WebhookCreated(event) if event.webhook.id == webhook.id) {
                    return Ok(after(EventPosition { seq: from, commit: index, event: number }));
                }
            }
        }
        from = from.next();
    }
    Err(OriginError::Unknown(webhook.id))
}

/// What comes next after an event.
pub(crate) const fn after(position: EventPosition) -> EventPosition {
    EventPosition { event: position.event + 1, ..position }
}

pub(crate) async fn read<L: Log>(log: &L, seq: Seq) -> Result<Record, OriginError> {
    let payload = log.read(seq).await?.ok_or(OriginError::Missing(seq))?;
    codec::decode(&payload).map_err(|source| OriginError::Undecodable { seq, source })
}
