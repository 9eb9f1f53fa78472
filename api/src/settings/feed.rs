//! Settings of the feeds: what happens, for whoever follows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Feeds: what happens, for whoever follows it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedSettings {
    /// Readers of `/events` at once. One more is told to come later (503).
    pub readers: usize,
    /// Seconds between signs of life on `/events`. Each tells the reader how far the log was read, and makes sure that
    /// its credentials still hold.
    pub heartbeat_seconds: u64,
    /// Seconds for which a reader of `/events` may take nothing that is there for it. After that its stream ends, and it
    /// can go on where it stopped with another one.
    pub stall_seconds: u64,
    /// Whether notifications are also published on NATS, where the log is, in a stream `<nats.stream>_FEED`.
    pub nats: bool,
    /// What the subjects of that stream begin with, as in `tams.feed.flows.created.<flow id>`.
    pub prefix: String,
    /// Seconds that the stream keeps a notification. When it is switched on, it is filled with those of as long ago.
    /// 0: for ever.
    pub max_age_seconds: u64,
    /// Bytes that the stream may have; the oldest notifications go first. 0: any number.
    pub max_bytes: u64,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            readers: 1000,
            heartbeat_seconds: 15,
            stall_seconds: 30,
            nats: false,
            prefix: "tams.feed".to_owned(),
            max_age_seconds: 7 * 24 * 3600,
            max_bytes: 4 << 30,
        }
    }
}
