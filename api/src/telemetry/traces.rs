//! Traces for OpenTelemetry: of requests, of appends to the log and of their application to the tables.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::TraceSettings;

/// Names this software in traces.
const NAME: &str = "tapelog";
/// Environment variables of OpenTelemetry that say where traces are sent.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// How long sending a batch of spans may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What sends spans, where somebody wants them.
pub(super) fn provider(settings: &TraceSettings) -> Result<Option<SdkTracerProvider>> {
    let in_environment = ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if settings.endpoint.is_none() && !in_environment {
        return Ok(None);
    }
    // Whoever was first has installed the same one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut exporter = SpanExporter::builder().with_http().with_timeout(SEND_TIMEOUT);
    if let Some(endpoint) = &settings.endpoint {
        exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')));
    }
    let exporter = exporter.build().context("traces cannot be sent to traces.endpoint")?;
    let resource = Resource::builder()
        .with_service_name(NAME)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.share.get())));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    Ok(Some(provider))
}

/// Hands our spans to the provider, whatever is logged of them.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let ours = filter_fn(|it| it.is_span() && it.target().starts_with(NAME));
    tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME)).with_filter(ours.and(LevelFilter::DEBUG))
}

/// Makes the span of a request a part of the trace that its client names in `traceparent` (W3C Trace Context).
pub fn follow(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    // It fails where there are no traces, and the span is there for the log only.
    span.set_parent(context).ok();
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
