//! What can be told of a log and its server without opening it: nothing is made or changed.

use async_nats::jetstream::context::ContextBuilder;

use super::open::{differences, find};
use super::{Connection, JetStreamSettings, unreachable};
use crate::log::Unreachable;

/// What a NATS server says of itself and of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The version of the server.
    pub version: String,
    /// How large a message may be, in bytes.
    pub max_payload: usize,
    /// The log, where there is one.
    pub stream: Option<StreamFacts>,
}

/// What a NATS server says of the stream that is the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    /// How many records it has.
    pub records: u64,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// On how many servers it is kept.
    pub replicas: usize,
    /// What is not as it must be for a log, one sentence each.
    pub differences: Vec<String>,
}

/// Asks a NATS server for JetStream and for the log.
///
/// # Errors
/// When it cannot be reached, or has no JetStream for this user.
pub async fn inspect(connection: &Connection, settings: &JetStreamSettings) -> Result<Inspection, Unreachable> {
    let context = ContextBuilder::new().timeout(settings.request_timeout).build(connection.client().clone());
    context.query_account().await.map_err(unreachable)?;
    let stream = find(&context, &settings.stream).await?.map(|info| StreamFacts {
        records: info.state.messages,
        bytes: info.state.bytes,
        replicas: info.config.num_replicas,
        differences: differences(&info.config, settings),
    });
    let server = connection.client().server_info();
    Ok(Inspection { version: server.version, max_payload: server.max_payload, stream })
}
