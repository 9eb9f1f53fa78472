//! What is measured of the history.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::History;
use crate::metrics::number;

#[derive(Debug)]
struct Measured(History);

impl History {
    /// Puts how far the history is, and how large, among what is told.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Measured(self.clone())));
    }
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(history) = self;
        let position = ConstGauge::new(number(history.head().seq.0));
        let help = "The last record that was entered in the history";
        position.encode(encoder.encode_descriptor("history_position", help, None, position.metric_type())?)?;
        let bytes = ConstGauge::new(number(history.disk_space().map_err(|_| fmt::Error)?));
        let help = "What the history takes on disk";
        bytes.encode(encoder.encode_descriptor("history_bytes", help, None, bytes.metric_type())?)
    }
}
