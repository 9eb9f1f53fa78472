//! Latencies in logarithmic buckets: a few nanoseconds to record one, and a quantile within one percent.

use std::time::Duration;

/// Each power of two is divided into this many buckets, as a power of two.
const DIVISION_BITS: u32 = 7;
/// The longest latency that is told apart: 2^40 ns are 18 minutes.
const LONGEST: u64 = (1 << 40) - 1;

/// Latencies of many requests.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// One without latencies.
    pub fn new() -> Self {
        Self { counts: vec![0; bucket(LONGEST) + 1], total: 0, max: 0 }
    }

    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(LONGEST).min(LONGEST);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds all latencies of another one.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many latencies there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The latency that this share (0 to 1) of all did not exceed. Zero when there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank && *count > 0 {
                return Duration::from_nanos(middle(bucket).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// The longest latency.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (64 - nanos.leading_zeros()).saturating_sub(DIVISION_BITS + 1);
    ((u64::from(shift) << DIVISION_BITS) + (nanos >> shift)) as usize
}

fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> DIVISION_BITS).saturating_sub(1);
    let first = (bucket - (shift << DIVISION_BITS)) << shift;
    first + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_one_percent() {
        let mut histogram = Histogram::new();
        for micros in 1..=100_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.001, 100.0), (0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0), (1.0, 100_000.0)] {
            let micros = histogram.quantile(share).as_nanos() as f64 / 1000.0;
            assert!((micros / exact - 1.0).abs() < 0.01, "{share}: {micros}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(100));
    }

    #[test]
    fn every_latency_falls_into_the_bucket_that_names_it() {
        for nanos in (0..40).flat_map(|power| [(1_u64 << power) - 1, 1 << power, (1 << power) + 1]) {
            let middle = middle(bucket(nanos)) as f64;
            assert!(
                (middle - nanos as f64).abs() <= nanos as f64 / f64::from(1 << DIVISION_BITS) + 0.5,
                "{nanos}: {middle}"
            );
        }
        let mut histogram = Histogram::new();
        histogram.record(Duration::MAX);
        assert_eq!(histogram.total(), 1);
    }
}
