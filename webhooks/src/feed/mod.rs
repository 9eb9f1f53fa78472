//! The feed on NATS: the same notifications for whoever subscribes there, in a JetStream stream of their own.
//!
//! Guarantees: the stream has every notification once and in log order, from as long ago as it keeps them; a subject says
//! what happened to which Flow or Source. The publisher has no position of its own: the last message in the stream says
//! how far it is. Each message is put right after the one before it or not at all, so that any number of nodes may
//! publish: what they publish is the same, since it is made of the log alone, and whoever comes second notices and
//! stands by. URLs that are signed are left out, for they would expire before they are read.

mod end;
mod message;
mod publisher;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tapelog_events::{EventPosition, Incarnation, Instant};
use tapelog_store::log::jetstream::Connection;
use tapelog_store::log::{Cause, Log, Tail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Render;
use publisher::Publisher;

/// How the feed is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSettings {
    /// The name of the stream.
    pub stream: String,
    /// What every subject begins with.
    pub prefix: String,
    /// How long a notification is kept; zero: for ever.
    pub max_age: Duration,
    /// How many bytes are kept; zero: any number.
    pub max_bytes: u64,
    /// On how many servers the stream is kept.
    pub replicas: usize,
    /// How long the server may take to answer.
    pub request_timeout: Duration,
}

/// A text that subjects cannot begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("feed.prefix is {0:?}, but must be words with dots between them, without spaces and wildcards")]
pub struct InvalidPrefix(String);

impl FeedSettings {
    /// Checks that subjects can be made of the prefix.
    ///
    /// # Errors
    /// When they cannot.
    pub fn check(&self) -> Result<(), InvalidPrefix> {
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>' | '$'))
        };
        if self.prefix.split('.').all(is_word) { Ok(()) } else { Err(InvalidPrefix(self.prefix.clone())) }
    }

    /// The subject of all notifications, with a wildcard.
    pub fn all_subjects(&self) -> String {
        format!("{}.>", self.prefix)
    }

    /// The subject of each kind of notification, with a wildcard for what it is about.
    pub fn subjects(&self) -> Vec<String> {
        tapelog_events::Notification::ALL.iter().map(|kind| message::subject(&self.prefix, *kind, "*")).collect()
    }
}

/// Finds the first event of the log that happened at a time or later.
pub type Since = Box<dyn Fn(Instant) -> BoxFuture<'static, Result<EventPosition, Cause>> + Send + Sync>;

/// What the feed is put together from.
pub struct FeedParts<L> {
    /// Where NATS is.
    pub connection: Connection,
    /// The log.
    pub tail: Tail<L>,
    /// Which life of the log this is.
    pub incarnation: Incarnation,
    /// Where to begin in a stream that has nothing.
    pub since: Since,
    /// How notifications look.
    pub render: Arc<dyn Render>,
    /// How the feed is kept.
    pub settings: FeedSettings,
    /// What the time is.
    pub clock: fn() -> Instant,
    /// Told when the server ends.
    pub stop: CancellationToken,
}

/// What is measured of the feed.
#[derive(Debug, Clone, Default)]
pub struct FeedMetrics {
    published: Counter,
    failures: Counter,
    too_large: Counter,
    lag: Gauge,
}

impl FeedMetrics {
    /// Puts them among those that are told.
    pub fn register(&self, registry: &mut Registry) {
        let Self { published, failures, too_large, lag } = self;
        registry.register("feed_published", "Messages that this server put into the feed on NATS", published.clone());
        registry.register("feed_failures", "Times that the feed on NATS could not be written", failures.clone());
        registry.register("feed_too_large", "Notifications that no message of NATS can hold", too_large.clone());
        registry.register(
            "feed_lag",
            "Records that the feed on NATS was behind the log when it last knew",
            lag.clone(),
        );
    }
}

/// Publishes until it is told to stop, whatever becomes of NATS meanwhile.
pub fn start<L: Log>(parts: FeedParts<L>, metrics: FeedMetrics) -> JoinHandle<()> {
    let stop = parts.stop.clone();
    tokio::spawn(async move {
        stop.run_until_cancelled(Publisher::new(parts, metrics).run()).await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_prefix(prefix: &str) -> FeedSettings {
        FeedSettings {
            stream: "S_FEED".to_owned(),
            prefix: prefix.to_owned(),
            max_age: Duration::ZERO,
            max_bytes: 0,
            replicas: 1,
            request_timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn subjects_begin_with_words() {
        let settings = with_prefix("tams.feed");
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.all_subjects(), "tams.feed.>");
        assert!(settings.subjects().contains(&"tams.feed.flows.segments_added.*".to_owned()));
        for wrong in ["", ".", "a..b", "a.*", "a.>", "a b", "$JS.API"] {
            assert_eq!(with_prefix(wrong).check(), Err(InvalidPrefix(wrong.to_owned())));
        }
    }
}
