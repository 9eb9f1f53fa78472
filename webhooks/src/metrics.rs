//! What is measured of deliveries. Nothing is told by webhook: there may be thousands.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tapelog_events::{Instant, WebhookStatus};
use tapelog_store::log::Log;

use crate::dispatcher::Dispatcher;
use crate::office::now;
use crate::{AttemptResult, Attempted, Notice};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

/// What is measured of attempts.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    attempts: Family<Came, Counter>,
    seconds: Histogram,
    delay: Histogram,
    pub dead_letters: Counter,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            // From half a millisecond to sixteen seconds, which is longer than an attempt may take.
            seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            // From a millisecond to three days.
            delay: Histogram::new(exponential_buckets(0.001, 4.0, 15)),
            dead_letters: Counter::default(),
        }
    }
}

impl Measured {
    pub fn attempted(&self, attempted: &Attempted, notice: &Notice<'_>) {
        let result = match &attempted.result {
            AttemptResult::Delivered { .. } => {
                self.delay.observe(seconds_since(notice.at, attempted.started) + attempted.took.as_secs_f64());
                "delivered"
            }
            AttemptResult::Unreachable { reason, .. } => reason.as_str(),
            AttemptResult::Refused { .. } => "refused",
            AttemptResult::Gone => "gone",
        };
        self.attempts.get_or_create(&Came { result }).inc();
        self.seconds.observe(attempted.took.as_secs_f64());
    }
}

impl<L: Log> Dispatcher<L> {
    /// Puts what is measured of deliveries among what is told.
    pub fn register(&self, registry: &mut Registry) {
        let Measured { attempts, seconds, delay, dead_letters } = &self.office.measured;
        registry.register("webhook_attempts", "Attempts at delivery, by what they came to", attempts.clone());
        registry.register("webhook_attempt_seconds", "Time that an attempt at delivery took", seconds.clone());
        let help = "Time from when something happened until a receiver had taken it";
        registry.register("webhook_delivery_delay_seconds", help, delay.clone());
        registry.register("webhook_dead_letters", "Notifications that were given up", dead_letters.clone());
        registry.register_collector(Box::new(Lines(self.clone())));
    }
}

struct Lines<L>(Dispatcher<L>);

impl<L> std::fmt::Debug for Lines<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// The greatest and the sum of something.
#[derive(Default)]
struct Total {
    most: f64,
    sum: f64,
}

impl Total {
    fn add(&mut self, value: f64) {
        self.most = self.most.max(value);
        self.sum += value;
    }
}

impl<L: Log> Collector for Lines<L> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let last = self.0.office.parts.tail.last().unwrap_or_default();
        let (mut records, mut seconds) = (Total::default(), Total::default());
        let (mut failing, mut stuck) = (0, 0);
        let lines: Vec<_> = self.0.lines.lock().values().map(Arc::clone).collect();
        for line in lines {
            let progress = line.borrow();
            let behind = last.next().0.saturating_sub(progress.next.seq.0);
            records.add(behind as f64);
            let since = progress.at.filter(|_| behind > 0);
            seconds.add(since.map_or(0.0, |at| seconds_since(at, now())));
            failing += i64::from(progress.failing.is_some());
            stuck += i64::from(progress.stuck.is_some());
        }
        for (name, help, value) in [
            ("webhook_lag_records_max", "Records of the log that the webhook furthest behind is behind", records.most),
            ("webhook_lag_records_sum", "Records of the log that webhooks are behind, in all", records.sum),
            ("webhook_lag_seconds_max", "Age of the event that the webhook furthest behind is at", seconds.most),
            ("webhook_lag_seconds_sum", "Age of the events that webhooks which are behind are at, in all", seconds.sum),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let owner = i64::from(self.0.ownership.tenure.borrow().is_some());
        for (name, help, value) in [
            ("webhook_dispatcher_owner", "1 while this node is the one that delivers, otherwise 0", owner),
            ("webhooks_failing", "Webhooks whose receivers failed at the last attempt", failing),
            ("webhooks_stuck", "Webhooks that wait for a person to do something", stuck),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let mut counts = [("created", 0_i64), ("started", 0), ("disabled", 0), ("error", 0)];
        for webhook in self.0.office.parts.directory.webhooks() {
            let index = match webhook.status {
                WebhookStatus::Created => 0,
                WebhookStatus::Started => 1,
                WebhookStatus::Disabled => 2,
                WebhookStatus::Error(_) => 3,
            };
            counts[index].1 += 1;
        }
        let metric_type = ConstGauge::new(0_i64).metric_type();
        let mut family = encoder.encode_descriptor("webhooks", "Webhooks by status", None, metric_type)?;
        for (status, count) in counts {
            ConstGauge::new(count).encode(family.encode_family(&Status { status })?)?;
        }
        Ok(())
    }
}

/// Seconds from one moment to another; zero where clocks disagree.
fn seconds_since(earlier: Instant, later: Instant) -> f64 {
    later.as_micros().saturating_sub(earlier.as_micros()).max(0) as f64 / 1e6
}
