//! What a consumer of the stream delivers: an ephemeral one for each reader, without acknowledgements. It is given up at
//! the first doubt; whoever reads makes a new one.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::pull::{Config, MessagesError};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::message::Message;
use async_nats::jetstream::stream::RawMessageErrorKind;
use futures::StreamExt;
use futures::stream::BoxStream;
use tapelog_events::Seq;
use tokio::time::sleep;

use super::connection::{Cut, SUBSCRIPTION_CAPACITY};
use super::{Inner, JetStreamLog, unreachable};
use crate::log::follow::{OpenError, Source};
use crate::log::genesis::incarnation_of;
use crate::log::{Broken, Entry, Log, Unreachable};

/// How many records one pull asks for. The client asks again at the half, so that more than this may wait in it.
const BATCH: usize = SUBSCRIPTION_CAPACITY / 4;
/// How many bytes one pull asks for at least: enough to keep the connection busy.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// How long a pull stays open.
const EXPIRES: Duration = Duration::from_secs(30);
/// A server that has nothing to deliver says so this often; after twice this without a word the consumer is given up.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// When the server forgets a consumer that nobody pulls from.
const INACTIVE: Duration = Duration::from_secs(60);
/// How often in a row, and how far apart, the server must say that the stream does not exist before it is believed: a
/// cluster that has just started may not know yet.
const DENIALS: u32 = 5;
const DENIAL_PAUSE: Duration = Duration::from_millis(500);

/// One reader's way to the stream.
pub(super) struct Subscription {
    log: JetStreamLog,
}

impl Subscription {
    pub fn new(log: JetStreamLog) -> Self {
        Self { log }
    }

    /// Makes sure that this is still the log that was opened: while there was no connection, it may have been replaced.
    async fn check_incarnation(&self) -> Result<(), OpenError> {
        let Inner { connection, stream, incarnation: expected, .. } = &*self.log.inner;
        let expected = *expected;
        for _ in 0..DENIALS {
            match connection.answer(stream.get_raw_message(1)).await {
                Ok(message) => match incarnation_of(&message.payload) {
                    Some(found) if found == expected => return Ok(()),
                    Some(found) => return Err(Broken::Replaced { expected, found }.into()),
                    None => return Err(Broken::Chain(Seq(1)).into()),
                },
                Err(Cut::Answered(error)) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                    return Err(Broken::Missing(Seq(1)).into());
                }
                Err(Cut::Answered(error)) if is_no_stream(&error.kind()) => sleep(DENIAL_PAUSE).await,
                Err(cut) => return Err(unreachable(cut).into()),
            }
        }
        Err(Broken::Gone { stream: self.log.inner.name.clone() }.into())
    }
}

impl Source for Subscription {
    type Deliveries = BoxStream<'static, Result<Entry, Unreachable>>;

    async fn open(&self, from: Seq) -> Result<Self::Deliveries, OpenError> {
        let Inner { connection, stream, .. } = &*self.log.inner;
        // A server that was started again has forgotten the consumer, but would only show it by missed heartbeats.
        let renewed = connection.renewed();
        self.check_incarnation().await?;
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.0 },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: INACTIVE,
            // A lost consumer is made anew; keeping it on disk, or on several servers, would only cost.
            memory_storage: true,
            num_replicas: 1,
            ..Config::default()
        };
        let consumer = connection.answer(stream.create_consumer(config)).await.map_err(unreachable)?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            // A record larger than this could never be delivered.
            .max_bytes_per_batch(BATCH_BYTES.max(2 * self.log.max_payload()))
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(unreachable)?;
        Ok(messages.map(entry).take_until(renewed).boxed())
    }

    async fn read(&self, seq: Seq) -> Result<Option<Entry>, Unreachable> {
        Ok(self.log.read(seq).await?.map(|payload| Entry { seq, payload }))
    }
}

fn is_no_stream(error: &RawMessageErrorKind) -> bool {
    matches!(error, RawMessageErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn entry(message: Result<Message, MessagesError>) -> Result<Entry, Unreachable> {
    let message = message.map_err(unreachable)?;
    let seq = Seq(message.info().map_err(Unreachable)?.stream_sequence);
    Ok(Entry { seq, payload: message.message.payload })
}
