//! What is measured of the parts that the node itself keeps going: checkpoints and the process.

mod process;

use std::fmt::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Puts what the operating system says of the process among what is told.
pub fn register_process(registry: &mut Registry) {
    process::register(registry);
}

/// What is measured of checkpoints. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CheckpointMetrics {
    newest: Arc<Mutex<Option<Newest>>>,
    written: Counter,
    failed: Counter,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    at: Instant,
    took: Duration,
}

impl CheckpointMetrics {
    /// Notes a checkpoint that was written, in this time.
    pub fn written(&self, took: Duration) {
        *self.newest.lock() = Some(Newest { at: Instant::now(), took });
        self.written.inc();
    }

    /// Notes one that could not be written.
    pub fn failed(&self) {
        self.failed.inc();
    }

    /// Puts them among those that are told.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("checkpoints_written", "Checkpoints that this process wrote", self.written.clone());
        registry.register("checkpoints_failed", "Checkpoints that could not be written", self.failed.clone());
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for CheckpointMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(Newest { at, took }) = *self.newest.lock() else { return Ok(()) };
        for (name, help, value) in [
            ("checkpoint_age_seconds", "Time since this process wrote a checkpoint", at.elapsed()),
            ("checkpoint_seconds", "Time that writing the newest checkpoint took", took),
        ] {
            let gauge = ConstGauge::new(value.as_secs_f64());
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
