//! What is measured of the sequencer.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::{Sequencer, Stats, Status};

/// Seconds: from a log on the same machine to one whose network has trouble.
const APPEND_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What is measured of records that were written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// How long it took until each was acknowledged, in seconds.
    pub seconds: Histogram,
    /// How large each is.
    pub bytes: Histogram,
}

impl Default for Written {
    fn default() -> Self {
        // Up to 4 MiB, above which a record is refused by servers as they come.
        Self { seconds: Histogram::new(APPEND_BUCKETS), bytes: Histogram::new(exponential_buckets(256.0, 4.0, 8)) }
    }
}

impl Sequencer {
    /// Puts what is measured of the sequencer among what is told.
    pub fn register(&self, registry: &mut Registry) {
        let Written { seconds, bytes } = &self.shared.written;
        registry.register("log_append_seconds", "Time until a record was acknowledged by the log", seconds.clone());
        registry.register("log_record_bytes", "Size of records that were appended", bytes.clone());
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for Sequencer {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Stats { records, commits, foreign_records, conflicts, unknown_outcomes, queued } = self.stats();
        for (name, help, value) in [
            ("log_records_appended", "Records that this node wrote", records),
            ("log_commits_appended", "Commits in the records that this node wrote", commits),
            ("log_records_of_others", "Records that other nodes wrote", foreign_records),
            ("log_conflicts", "Records that were decided again because another node wrote first", conflicts),
            ("log_unknown_outcomes", "Acknowledgements of records that did not come", unknown_outcomes),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let writing = matches!(*self.shared.status.borrow(), Status::Writing);
        for (name, help, value) in [
            ("log_requests_waiting", "Requests that wait to be decided", queued as i64),
            ("log_writing", "1 while the log takes records, otherwise 0", i64::from(writing)),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
