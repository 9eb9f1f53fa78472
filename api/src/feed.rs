//! The feed on NATS, as the settings have it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use tapelog_events::Instant;
use tapelog_projections::history::moment_at;
use tapelog_store::log::jetstream::JetStreamLog;
use tapelog_store::log::{Log, Tail};
use tapelog_webhooks::Render;
use tapelog_webhooks::feed::{self, FeedMetrics, FeedParts, FeedSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::NatsFeed;
use crate::node::now;
use crate::settings::Settings;

/// How the feed is kept, where there is to be one.
///
/// # Errors
/// When it cannot be kept like this.
pub fn settings(Settings { feed, nats, .. }: &Settings) -> Result<Option<FeedSettings>> {
    let stream = nats.stream_settings();
    let settings = FeedSettings {
        stream: format!("{}_FEED", nats.stream),
        prefix: feed.prefix.clone(),
        max_age: Duration::from_secs(feed.max_age_seconds),
        max_bytes: feed.max_bytes,
        replicas: stream.replicas,
        request_timeout: stream.request_timeout,
    };
    settings.check()?;
    Ok(feed.nats.then_some(settings))
}

/// What clients are told of it.
pub fn told(settings: &FeedSettings) -> NatsFeed {
    NatsFeed { stream: settings.stream.clone(), subject: settings.all_subjects(), subjects: settings.subjects() }
}

/// Begins to publish.
pub fn start(
    settings: FeedSettings,
    log: &JetStreamLog,
    tail: &Tail<JetStreamLog>,
    render: &Arc<dyn Render>,
    metrics: FeedMetrics,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let read = log.clone();
    let since = move |time: Instant| {
        let log = read.clone();
        async move {
            let before = time.saturating_sub(Duration::from_micros(1));
            Ok(moment_at(&log, log.tip().await?, before).await?.next_event())
        }
        .boxed()
    };
    let parts = FeedParts {
        connection: log.connection().clone(),
        tail: tail.clone(),
        incarnation: log.incarnation(),
        since: Box::new(since),
        render: Arc::clone(render),
        settings,
        clock: now,
        stop: stop.clone(),
    };
    feed::start(parts, metrics)
}
