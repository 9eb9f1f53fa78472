//! `tapelog rebuild` and `tapelog verify`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tapelog_api::admin::{Line, Report, verify_tables};
use tapelog_api::auth::local_token;
use tapelog_api::claim::{Asked, Claim};
use tapelog_api::node::OpenLog;
use tapelog_api::settings::{DataFolder, Settings, SettingsArgs};
use tapelog_events::Seq;
use tapelog_projections::checkpoint::{Checkpoints, open_tables};
use tapelog_projections::verify;

/// Arguments of `tapelog rebuild`.
#[derive(Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Arguments of `tapelog verify`.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Folds the tables anew from the log's first record, and stores them as the checkpoint from which the next start goes on.
pub async fn rebuild(args: RebuildArgs) -> Result<ExitCode> {
    let settings = args.settings.settings()?;
    let data = DataFolder::open(&settings.data)?;
    let _claim = Claim::take(&data.lock()).context("stop the server first, then rebuild")?;
    let log = OpenLog::open(&settings.nats, &data).await?;
    let bar = Bar::new("rebuild");
    let tables = verify::rebuild(&log.log, |seq, tip| bar.show(seq, tip)).await?;
    bar.finish();
    let checkpoints = Checkpoints::open(&data.checkpoints())?;
    let mut out = std::io::stdout();
    for table in tables.digest() {
        writeln!(out, "{:<20} {:>10} rows  {}", table.table, table.rows, table.blake3)?;
    }
    let written = tokio::task::spawn_blocking(move || checkpoints.write(&tables)).await??;
    writeln!(out, "rebuilt to record {} and stored, {} bytes", written.seq, written.total_bytes)?;
    log.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Folds the log from its first record, and compares with it the tables and the checkpoint: those of the running server,
/// or those that a start would load.
pub async fn verify(args: VerifyArgs) -> Result<ExitCode> {
    let settings = args.settings.settings()?;
    let data = DataFolder::open(&settings.data)?;
    let report = match Claim::ask(&data.lock())? {
        Asked::Ours(claim) => verify_stopped(&settings, &data, claim).await?,
        Asked::Taken(owner) => {
            let url = owner.url.with_context(|| format!("process {} is starting up; try again", owner.pid))?;
            verify_running(&url, &local_token(&data.local_token())?).await?
        }
    };
    let mut out = std::io::stdout();
    for (table, rows, hash) in &report.tables {
        writeln!(out, "{table:<20} {rows:>10} rows  {hash}")?;
    }
    writeln!(out, "chain of hashes holds up to record {}: {}", report.seq, report.chain_hash)?;
    for (subject, wrong) in &report.findings {
        match wrong {
            None => writeln!(out, "{subject}: equal to the log")?,
            Some(wrong) => writeln!(out, "{subject}: NOT equal to the log; {wrong}")?,
        }
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify_stopped(settings: &Settings, data: &DataFolder, claim: Claim) -> Result<Report> {
    let log = OpenLog::open(&settings.nats, data).await?;
    let checkpoints = Arc::new(Checkpoints::open(&data.checkpoints())?);
    let tables = open_tables(&log.log, &checkpoints, |_, _| {}).await?;
    let stored = tokio::task::spawn_blocking(move || checkpoints.load_newest()).await??;
    let bar = Bar::new("verify");
    let report = verify_tables(&log.log, tables, stored, |seq, tip| bar.show(seq, tip)).await?;
    bar.finish();
    log.close().await;
    drop(claim);
    Ok(report)
}

async fn verify_running(url: &str, token: &str) -> Result<Report> {
    let bar = Bar::new("verify");
    let request = tapelog_media::client::http_client().post(format!("{url}/admin/verify")).bearer_auth(token);
    let response = request.send().await?.error_for_status()?;
    let mut chunks = response.bytes_stream();
    let mut pending = Vec::new();
    while let Some(chunk) = chunks.next().await {
        pending.extend_from_slice(&chunk.context("the server's answer ended early")?);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            match serde_json::from_slice(&line).context("the server's answer cannot be read")? {
                Line::Progress { seq, tip } => bar.show(Seq(seq), Seq(tip)),
                Line::Report(report) => {
                    bar.finish();
                    return Ok(report);
                }
                Line::Failed(reason) => bail!("the server could not verify its tables: {reason}"),
            }
        }
    }
    bail!("the server's answer ended early")
}

/// Shows how far a fold of the log is, on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} record {pos} of {len}, {eta} to go");
        let bar = ProgressBar::new(0).with_message(what);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn show(&self, seq: Seq, tip: Seq) {
        self.0.set_length(tip.0);
        self.0.set_position(seq.0);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
