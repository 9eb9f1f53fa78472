//! `tapelog ingest` and `tapelog export`: plain TAMS clients, of this server or any other.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use tapelog_media::client::Credentials;
use tapelog_media::export::{ExportOptions, ExportTarget, Gaps};
use tapelog_media::ingest::{IngestOptions, IngestReport, Origin};
use tapelog_media::{CancellationToken, TimeRange, Timestamp, Url, Uuid};

/// Which server, and who asks.
#[derive(Args)]
struct ServerArgs {
    /// Base URL of the TAMS server
    #[arg(long, env = "TAMS_URL", default_value = "http://127.0.0.1:4010")]
    url: Url,
    /// Bearer token
    #[arg(long, env = "TAMS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Objects on their way at a time
    #[arg(long, default_value = "4")]
    concurrency: NonZeroUsize,
}

/// Arguments of `tapelog ingest`.
#[derive(Args)]
pub struct IngestArgs {
    /// An HLS playlist, a folder, or MPEG-TS or fragmented MP4 files in order; paths or URLs
    #[arg(required = true)]
    input: Vec<String>,
    /// Where the timeline begins
    #[arg(long, default_value = "0:0", allow_hyphen_values = true)]
    start: Timestamp,
    /// Keep the media's own time stamps
    #[arg(long, conflicts_with = "start")]
    keep_timestamps: bool,
    /// Id of the flow that owns the segments [default: derived from the input, so that a second run resumes]
    #[arg(long)]
    flow: Option<Uuid>,
    /// Id of that flow's source [default: derived from the input]
    #[arg(long)]
    source: Option<Uuid>,
    /// Label of the flows [default: name of the input]
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Arguments of `tapelog export`.
#[derive(Args)]
pub struct ExportArgs {
    /// The flow
    flow: Uuid,
    /// Which part of it; whole segments are written
    #[arg(long, default_value = "_", allow_hyphen_values = true)]
    timerange: TimeRange,
    /// File to write; - is standard output
    #[arg(short, long)]
    output: PathBuf,
    /// Fail when media is missing within the range
    #[arg(long)]
    no_gaps: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs `tapelog ingest`.
pub async fn ingest(args: IngestArgs) -> Result<ExitCode> {
    let options = IngestOptions {
        base: args.server.url,
        credentials: args.server.token.map(Credentials::Bearer),
        input: args.input,
        origin: if args.keep_timestamps { Origin::Media } else { Origin::At(args.start) },
        flow_id: args.flow,
        source_id: args.source,
        label: args.label,
        concurrency: args.server.concurrency,
    };
    let report = tapelog_media::ingest::ingest(options, &cancelled_by_interrupt()).await?;
    std::io::stdout().write_all(told(&report).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `tapelog export`.
pub async fn export(args: ExportArgs) -> Result<ExitCode> {
    let target = if args.output == Path::new("-") { ExportTarget::Stdout } else { ExportTarget::File(args.output) };
    let options = ExportOptions {
        base: args.server.url,
        credentials: args.server.token.map(Credentials::Bearer),
        flow_id: args.flow,
        timerange: args.timerange,
        target,
        gaps: if args.no_gaps { Gaps::Refuse } else { Gaps::Report },
        concurrency: args.server.concurrency,
    };
    let report = tapelog_media::export::export(options, &cancelled_by_interrupt()).await?;
    for note in &report.notes {
        tracing::info!("{note}");
    }
    for gap in &report.gaps {
        tracing::warn!(%gap, "media is missing");
    }
    tracing::info!(
        segments = report.segments,
        bytes = report.bytes,
        timerange = %report.timerange,
        "exported"
    );
    Ok(ExitCode::SUCCESS)
}

/// What an ingest did, a line for each flow.
pub fn told(report: &IngestReport) -> String {
    let mut text = String::new();
    for flow in &report.flows {
        text.push_str(&format!(
            "flow {} source {} segments {} new {} already there timerange {} uploaded {} bytes\n",
            flow.id, flow.source_id, flow.new_segments, flow.skipped_segments, flow.timerange, flow.uploaded_bytes
        ));
    }
    for (flow, source) in &report.essences {
        text.push_str(&format!("essence flow {flow} source {source}\n"));
    }
    for (flow, source) in &report.collections {
        text.push_str(&format!("collection flow {flow} source {source}\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str(&format!("took {:.1} s\n", report.elapsed.as_secs_f64()));
    text
}

/// A token that Ctrl-C cancels.
fn cancelled_by_interrupt() -> CancellationToken {
    let cancel = CancellationToken::new();
    let cancelled = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.context("signals cannot be received").is_ok() {
            cancelled.cancel();
        }
    });
    cancel
}
