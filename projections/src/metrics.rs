//! What is measured of the tables.

use std::fmt::Error;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tapelog_events::Record;

use crate::{Counts, Live};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: &'static str,
}

/// What is measured of records that were applied.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    events: Family<Kind, Counter>,
    seconds: Histogram,
}

impl Default for Applied {
    fn default() -> Self {
        // From ten microseconds to some seconds.
        Self { events: Family::default(), seconds: Histogram::new(exponential_buckets(1e-5, 4.0, 10)) }
    }
}

impl Applied {
    pub fn count(&self, record: &Record, elapsed: Duration) {
        self.seconds.observe(elapsed.as_secs_f64());
        for event in record.commits.iter().flat_map(|commit| &commit.events) {
            self.events.get_or_create(&Kind { kind: event.kind() }).inc();
        }
    }

    pub fn register(&self, registry: &mut Registry) {
        let Self { events, seconds } = self;
        registry.register("tables_events_applied", "Events that were applied to the tables, by kind", events.clone());
        registry.register("tables_apply_seconds", "Time that applying a record to the tables took", seconds.clone());
    }
}

/// How far tables are and how much is in them, for whoever asks.
#[derive(Debug)]
struct Contents(Arc<Live>);

impl Live {
    /// Puts how far the tables are, and how much is in them, among what is told.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Contents(Arc::clone(self))));
    }
}

impl Collector for Contents {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (seq, counts) = self.0.read(|tables| (tables.position(), tables.counts()));
        let position = ConstGauge::new(number(seq.0));
        let help = "The last record that was applied to the tables";
        position.encode(encoder.encode_descriptor("tables_position", help, None, position.metric_type())?)?;

        let Counts { flows, sources, segments, objects } = counts;
        let tables = [("flows", flows), ("sources", sources), ("segments", segments), ("objects", objects)];
        let rows = ConstGauge::new(0_i64);
        let mut family = encoder.encode_descriptor("tables_rows", "Rows by table", None, rows.metric_type())?;
        for (table, rows) in tables {
            ConstGauge::new(number(rows as u64)).encode(family.encode_family(&Table { table })?)?;
        }
        Ok(())
    }
}

/// Gauges are signed.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
