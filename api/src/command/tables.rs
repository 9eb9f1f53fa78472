//! `tapelog rebuild` and `tapelog verify`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tapelog_api::admin::{Line, RebuildReport, Report, verify_tables};
use tapelog_api::auth::local_token;
use tapelog_api::claim::{Asked, Claim, Owner};
use tapelog_api::open_log::OpenLog;
use tapelog_api::settings::{DataFolder, Settings, SettingsArgs};
use tapelog_projections::checkpoint::{Checkpoints, open_tables};
use tapelog_projections::rebuild;

/// Arguments of `tapelog rebuild`.
#[derive(Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Arguments of `tapelog verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// Check this signed export instead, offline
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// The public key of the store that the export comes from [default: the one that the export names]
    #[arg(long, value_name = "HEX", requires = "export")]
    key: Option<String>,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Folds the tables anew from the log's first record: in the running server, which puts them in the place of those in use,
/// or here. Stores them as the checkpoint from which the next start goes on.
pub async fn rebuild(args: RebuildArgs) -> Result<ExitCode> {
    let settings = args.settings.settings()?;
    let data = DataFolder::open(&settings.data)?;
    match Claim::ask(&data.lock())? {
        Asked::Ours(claim) => rebuild_stopped(&settings, &data, claim).await?,
        Asked::Taken(owner) => rebuild_running(&Running::of(owner, &data)?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn rebuild_stopped(settings: &Settings, data: &DataFolder, claim: Claim) -> Result<()> {
    let log = OpenLog::open(&settings.nats, data).await?;
    let bar = Bar::new("rebuild");
    let tables = rebuild::rebuild(&log.log, |seq, tip| bar.show(seq.0, tip.0)).await?;
    bar.finish();
    let checkpoints = Checkpoints::open(&data.checkpoints())?;
    let mut out = std::io::stdout();
    for table in tables.digest() {
        show_table(&mut out, table.table, table.rows, &table.blake3.to_hex())?;
    }
    let written = tokio::task::spawn_blocking(move || checkpoints.write(&tables)).await??;
    writeln!(out, "rebuilt to record {} and stored, {} bytes", written.seq, written.total_bytes)?;
    log.close().await;
    drop(claim);
    Ok(())
}

async fn rebuild_running(server: &Running) -> Result<()> {
    let rebuilt = match server.work("rebuild").await? {
        Line::Rebuilt(rebuilt) => rebuilt,
        Line::Report(_) | Line::Progress { .. } => bail!("the server did something else"),
        Line::Failed(reason) => bail!("the server could not rebuild its tables: {reason}"),
    };
    show_report(&rebuilt.report)?;
    let RebuildReport { replaced, stored, folded, folding_seconds, seconds, .. } = rebuilt;
    let rate = folded as f64 / folding_seconds;
    let mut out = std::io::stdout();
    writeln!(out, "rebuilt in {seconds:.1} seconds, {rate:.0} records a second")?;
    writeln!(out, "in use since record {replaced}, and stored at record {stored}")?;
    Ok(())
}

/// Folds the log from its first record, and compares with it the tables and the checkpoint: those of the running server,
/// or those that a start would load.
pub async fn verify(args: VerifyArgs) -> Result<ExitCode> {
    if let Some(export) = &args.export {
        return super::audit::verify_export(export, args.key.as_deref());
    }
    let settings = args.settings.settings()?;
    let data = DataFolder::open(&settings.data)?;
    let report = match Claim::ask(&data.lock())? {
        Asked::Ours(claim) => verify_stopped(&settings, &data, claim).await?,
        Asked::Taken(owner) => match Running::of(owner, &data)?.work("verify").await? {
            Line::Report(report) => report,
            Line::Rebuilt(_) | Line::Progress { .. } => bail!("the server did something else"),
            Line::Failed(reason) => bail!("the server could not verify its tables: {reason}"),
        },
    };
    show_report(&report)?;
    Ok(if report.wrong().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify_stopped(settings: &Settings, data: &DataFolder, claim: Claim) -> Result<Report> {
    let log = OpenLog::open(&settings.nats, data).await?;
    let checkpoints = Arc::new(Checkpoints::open(&data.checkpoints())?);
    let tables = open_tables(&log.log, &checkpoints, |_, _| {}).await?;
    let stored = tokio::task::spawn_blocking(move || checkpoints.load_newest()).await??;
    let bar = Bar::new("verify");
    let report = verify_tables(&log.log, tables, stored, |seq, tip| bar.show(seq.0, tip.0)).await?;
    bar.finish();
    log.close().await;
    drop(claim);
    Ok(report)
}

fn show_report(report: &Report) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    for (table, rows, hash) in &report.tables {
        show_table(&mut out, table, *rows, hash)?;
    }
    writeln!(out, "chain of hashes holds up to record {}: {}", report.seq, report.chain_hash)?;
    for (subject, wrong) in &report.findings {
        match wrong {
            None => writeln!(out, "{subject}: equal to the log")?,
            Some(wrong) => writeln!(out, "{subject}: NOT equal to the log; {wrong}")?,
        }
    }
    Ok(())
}

fn show_table(out: &mut impl Write, table: &str, rows: u64, hash: &str) -> std::io::Result<()> {
    writeln!(out, "{table:<20} {rows:>10} rows  {hash}")
}

/// The server that uses the data folder.
struct Running {
    url: String,
    token: String,
}

impl Running {
    fn of(owner: Owner, data: &DataFolder) -> Result<Self> {
        let url = owner.url.with_context(|| format!("process {} is starting up; try again", owner.pid))?;
        Ok(Self { url, token: local_token(&data.local_token())? })
    }

    /// Has the server do work on the whole log, shows how far it is, and gives the last line of its answer.
    async fn work(&self, name: &'static str) -> Result<Line> {
        let bar = Bar::new(name);
        let request = tapelog_media::client::http_client().post(format!("{}/admin/{name}", self.url));
        let response = request.bearer_auth(&self.token).send().await?;
        if !response.status().is_success() {
            let problem: serde_json::Value = response.json().await.unwrap_or_default();
            bail!("the server refuses: {}", problem["message"].as_str().unwrap_or("it does not say why"));
        }
        let mut chunks = response.bytes_stream();
        let mut pending = Vec::new();
        while let Some(chunk) = chunks.next().await {
            pending.extend_from_slice(&chunk.context("the server's answer ended early")?);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                match serde_json::from_slice(&line).context("the server's answer cannot be read")? {
                    Line::Progress { seq, tip, .. } => bar.show(seq, tip),
                    last @ (Line::Report(_) | Line::Rebuilt(_) | Line::Failed(_)) => {
                        bar.finish();
                        return Ok(last);
                    }
                }
            }
        }
        bail!("the server's answer ended early")
    }
}

/// Shows how far a fold of the log is, on a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub fn new(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} record {pos} of {len}, {eta} to go");
        let bar = ProgressBar::new(0).with_message(what);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn show(&self, seq: u64, tip: u64) {
        self.0.set_length(tip);
        self.0.set_position(seq);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
