//! Settings of how a server is run and watched.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Encryption of connections. Both files or neither.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file with the certificate of the server, and after it those that lead to its root. Absent: plain HTTP. It is
    /// read at the start only.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    pub key: Option<PathBuf>,
}

/// What is logged. The log goes to standard error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How a line looks: for people, or as a JSON object.
    pub format: LogFormat,
    /// What is logged: a level, or levels by target such as `info,tapelog_store=debug`. The environment variable
    /// `TAPELOG_LOG` goes before it.
    pub level: String,
    /// Which requests have a line of their own, with target `tapelog::access` and level `info`: `all`, `failures`, which
    /// are those that were refused (but for 404), failed or took more than a second, or `none`. A line costs a microsecond or two,
    /// which a server with tens of thousands of requests a second notices. Lines that the reader of the log takes too
    /// slowly are left out: no request waits for them.
    pub access: AccessLog,
}

/// Which requests have a line of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// No request.
    None,
    /// Those that were refused, failed or took long.
    Failures,
    /// Every request.
    All,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info,s3s=off,fjall=warn,lsm_tree=warn".to_owned(),
            access: AccessLog::Failures,
        }
    }
}

/// Metrics for Prometheus, at `/metrics`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Whether they can be read without credentials. If not, reading them needs the scope `admin`, unless the server
    /// asks nobody for credentials.
    pub public: bool,
}

/// Traces for OpenTelemetry.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// Where traces are sent by OTLP over HTTP, such as `http://localhost:4318`. Absent: `OTEL_EXPORTER_OTLP_ENDPOINT` of
    /// the environment; without that there are no traces, and they cost nothing.
    pub endpoint: Option<Url>,
    /// Of how many requests a trace is made: of all with 1, of one in ten with 0.1. What the client says in
    /// `traceparent` goes before it.
    pub share: Share,
}

/// A number between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
pub struct Share(f64);

impl Share {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(1.0)
    }
}

/// A number that is no share of something.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not between 0 and 1")]
pub struct NoShare(f64);

impl TryFrom<f64> for Share {
    type Error = NoShare;

    fn try_from(number: f64) -> Result<Self, NoShare> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err(NoShare(number)) }
    }
}
