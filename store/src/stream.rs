//! Streams of JetStream beside the log: what is told to others, or kept for a while, and may be forgotten.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::context::{Context, ContextBuilder, PublishError};
use async_nats::jetstream::message::Message;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream as Handle};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tapelog_events::Instant;
use tokio::time::timeout;

use crate::log::Unreachable;
use crate::log::jetstream::Connection;

/// What a stream keeps, and for how long. The oldest goes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it is for, to be read by people who list the streams.
    pub description: String,
    /// The subjects of which it keeps messages; with wildcards.
    pub subjects: Vec<String>,
    /// How long it keeps them.
    pub max_age: Duration,
    /// How many bytes it keeps at most.
    pub max_bytes: u64,
    /// For how long a message with a header `Nats-Msg-Id` that was seen is not taken again.
    pub duplicate_window: Duration,
    /// On how many servers it is kept: 1, 3 or 5.
    pub replicas: usize,
    /// How long the server may take to answer.
    pub request_timeout: Duration,
}

/// One message of a stream.
#[derive(Debug, Clone)]
pub struct StreamMessage {
    /// Its number in the stream. Numbers ascend, with gaps where messages were forgotten.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Bytes,
}

/// What a stream holds right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// When it was made: another moment tells another stream of the same name.
    pub created: Instant,
    /// When the oldest message that it holds came, if it holds any.
    pub first_at: Option<Instant>,
    /// The number of the last message that it ever held; zero before the first.
    pub last_sequence: u64,
}

/// A stream beside the log.
#[derive(Debug, Clone)]
pub struct Stream {
    connection: Connection,
    context: Context,
    handle: Handle<()>,
    request_timeout: Duration,
}

impl Stream {
    /// Makes the stream, or gives the one that is there these limits.
    ///
    /// # Errors
    /// When the server cannot be asked, or does not make such a stream.
    pub async fn open(connection: &Connection, settings: &StreamSettings) -> Result<Self, Unreachable> {
        let context = ContextBuilder::new().timeout(settings.request_timeout).build(connection.client().clone());
        context.create_or_update_stream(configuration(settings)).await.map_err(unreachable)?;
        let handle = context.get_stream_no_info(&settings.name).await.map_err(unreachable)?;
        let request_timeout = settings.request_timeout;
        Ok(Self { connection: connection.clone(), context, handle, request_timeout })
    }

    /// Publishes a message. Gives back its number when the server has it; or that of the message before, where `headers`
    /// name one that it has already (`Nats-Msg-Id`).
    ///
    /// # Errors
    /// When the server does not say that it has the message. It may have it.
    pub async fn publish(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<u64, Unreachable> {
        // Without a connection the client may not even take the message.
        let published = timeout(self.request_timeout, async {
            let sent = self.context.publish_with_headers(subject, headers, payload).await?;
            Ok::<_, PublishError>(sent.await?.sequence)
        });
        published.await.map_err(unreachable)?.map_err(unreachable)
    }

    /// What it holds.
    ///
    /// # Errors
    /// When the server cannot be asked, or the stream is gone.
    pub async fn state(&self) -> Result<StreamState, Unreachable> {
        let info = self.handle.get_info().await.map_err(unreachable)?;
        let instant = |nanos: i128| Instant::from_micros(i64::try_from(nanos / 1000).unwrap_or(i64::MAX));
        Ok(StreamState {
            created: instant(info.created.unix_timestamp_nanos()),
            first_at: (info.state.messages > 0).then(|| instant(info.state.first_timestamp.unix_timestamp_nanos())),
            last_sequence: info.state.last_sequence,
        })
    }

    /// The messages from this number on, and those to come, in order. They end with an error, or when the connection has
    /// come about anew: then the caller opens the stream again, which may be another one now.
    ///
    /// # Errors
    /// When the server cannot be asked, or the stream is gone.
    pub async fn follow(
        &self,
        from: u64,
    ) -> Result<BoxStream<'static, Result<StreamMessage, Unreachable>>, Unreachable> {
        // A server that was started again has forgotten the consumer, but would only show it by missed heartbeats.
        let renewed = self.connection.renewed();
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.max(1) },
            ..OrderedConfig::default()
        };
        let consumer = self.handle.create_consumer(config).await.map_err(unreachable)?;
        let messages = consumer.messages().await.map_err(unreachable)?;
        Ok(messages.map(|message| told(message.map_err(unreachable)?)).take_until(renewed).boxed())
    }

    /// For what this offers no method, such as many messages at once.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

fn told(message: Message) -> Result<StreamMessage, Unreachable> {
    let sequence = message.info().map_err(Unreachable)?.stream_sequence;
    Ok(StreamMessage { sequence, payload: message.message.payload })
}

fn configuration(settings: &StreamSettings) -> Config {
    Config {
        name: settings.name.clone(),
        description: Some(settings.description.clone()),
        subjects: settings.subjects.clone(),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: settings.max_age,
        max_bytes: i64::try_from(settings.max_bytes).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: -1,
        duplicate_window: settings.duplicate_window,
        num_replicas: settings.replicas,
        ..Config::default()
    }
}

fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> Unreachable {
    Unreachable(error.into())
}
