//! What is measured of calls to object storage.

use std::time::Instant;

use aws_sdk_s3::config::interceptors::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds: from an object store on the same machine to one that is tried three times.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    bucket: String,
    operation: String,
    outcome: &'static str,
}

/// The duration of calls to object storage, by bucket, operation and outcome. Clones share it.
#[derive(Debug, Clone)]
pub struct MediaMetrics {
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for MediaMetrics {
    fn default() -> Self {
        Self { seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)) }
    }
}

impl MediaMetrics {
    /// Puts them among those that are told.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Calls to object storage with all their attempts, by operation of S3 and class of the last status; \
                    unreachable where there was no answer";
        registry.register("storage_request_seconds", help, self.seconds.clone());
    }

    /// What measures the calls of the client of one bucket.
    pub(super) fn of(&self, bucket: &str) -> impl Intercept + use<> {
        Measure { metrics: self.clone(), bucket: bucket.to_owned() }
    }
}

/// When a call began.
#[derive(Debug)]
struct Began(Instant);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

#[derive(Debug)]
struct Measure {
    metrics: MediaMetrics,
    bucket: String,
}

impl Intercept for Measure {
    fn name(&self) -> &'static str {
        "measure"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Began(Instant::now()));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(Began(began)), Some(metadata)) = (bag.load::<Began>(), bag.load::<Metadata>()) {
            let outcome = match context.response().map(|response| response.status().as_u16()) {
                Some(..400) => "ok",
                Some(400..500) => "4xx",
                Some(500..) => "5xx",
                None => "unreachable",
            };
            let labels = Labels { bucket: self.bucket.clone(), operation: metadata.name().to_owned(), outcome };
            self.metrics.seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
        }
        Ok(())
    }
}
