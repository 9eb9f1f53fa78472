//! What the process tells of itself while it runs: its log, and traces of what it does.

mod traces;

use std::io::{BufWriter, IsTerminal as _, stderr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::settings::{AccessLog, LogFormat, LogSettings, TraceSettings};
pub use traces::follow;

/// The target of the lines of the access log.
pub const ACCESS: &str = "tapelog::access";
/// The environment variable that goes before the setting `log.level`.
const LEVEL: &str = "TAPELOG_LOG";
/// Lines of the access log that may wait to be written: a second of a busy server, in a few megabytes.
const LINES_AHEAD: usize = 16 * 1024;
/// How long the last traces may take to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What must be ended at the end of the process, so that its last words are heard.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    _access: WorkerGuard,
}

impl Telemetry {
    /// Starts log and traces of this process. There can be only one.
    ///
    /// # Errors
    /// When the level is none, or traces cannot be sent to where the settings say.
    pub fn start(log: &LogSettings, traces: &TraceSettings) -> Result<Self> {
        // A line of the log is written at once, so that it is there whatever happens next; one of the access log when
        // there is time, so that no request waits for whoever reads the log.
        let (access, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_AHEAD)
            .thread_name("access log")
            .finish(BufWriter::new(stderr()));
        let provider = traces::provider(traces)?;
        let wants_access = log.access != AccessLog::None;
        tracing_subscriber::registry()
            .with(lines(log.format, stderr).with_filter(level(log)?.and(filter_fn(|it| it.target() != ACCESS))))
            .with(
                lines(log.format, access)
                    .with_filter(level(log)?.and(filter_fn(move |it| wants_access && it.target() == ACCESS))),
            )
            .with(provider.as_ref().map(traces::layer))
            .try_init()
            .context("the log cannot be started")?;
        Ok(Self { traces: provider, _access: guard })
    }

    /// Sends the last traces.
    pub fn stop(self) {
        if let Some(provider) = self.traces
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT)
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn level(log: &LogSettings) -> Result<EnvFilter> {
    match std::env::var(LEVEL) {
        Ok(level) => EnvFilter::try_new(&level).with_context(|| format!("{LEVEL}={level:?} is no level of a log")),
        Err(_) => EnvFilter::try_new(&log.level).with_context(|| format!("log.level {:?} is none", log.level)),
    }
}

/// What writes lines in this format.
fn lines<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}
