//! `tapelog log`: the log as files, for backups, for moves, and to restore it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tapelog_api::archive::{OpenArchive, RemoteLog, status_of};
use tapelog_api::auth::local_token;
use tapelog_api::claim::{Asked, Claim};
use tapelog_api::open_log::{OpenLog, OpenNats};
use tapelog_api::settings::{DataFolder, Settings, SettingsArgs};
use tapelog_events::{Position, Seq};
use tapelog_projections::archive::{Appended, Archive, Extent, restore};
use tapelog_projections::checkpoint::Checkpoints;
use tapelog_store::log::Log;
use tapelog_store::log::jetstream::Restoration;

use super::tables::Bar;

/// Arguments of `tapelog log`.
#[derive(Args)]
pub struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Write the log into an archive, or what is new into one that exists; the server may run
    Export(ExportArgs),
    /// Put the log back from an archive, with the same positions and hashes
    Import(PlaceArgs),
    /// Show what is in an archive
    ArchiveStatus(StatusArgs),
}

#[derive(Args)]
struct PlaceArgs {
    /// A folder, or s3://BUCKET/PREFIX at the S3 endpoint of the settings [default: the setting archive.place]
    place: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Args)]
struct ExportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The first record, for an archive of a part of the log
    #[arg(long, value_name = "RECORD", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// The last record [default: the last there is]
    #[arg(long, value_name = "RECORD", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
}

#[derive(Args)]
struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Read every file, and check contents and chain
    #[arg(long)]
    check: bool,
}

impl LogArgs {
    /// The settings that it was given.
    pub fn settings(&self) -> &SettingsArgs {
        match &self.command {
            LogCommand::Export(args) => &args.place.settings,
            LogCommand::Import(args) => &args.settings,
            LogCommand::ArchiveStatus(args) => &args.place.settings,
        }
    }
}

/// Runs the subcommand.
pub async fn run(args: LogArgs) -> Result<ExitCode> {
    match args.command {
        LogCommand::Export(args) => export(args).await,
        LogCommand::Import(args) => import(args).await,
        LogCommand::ArchiveStatus(args) => archive_status(args).await,
    }
}

impl PlaceArgs {
    fn open(&self) -> Result<(String, Settings, DataFolder)> {
        let settings = self.settings.settings()?;
        let place = self.place.clone().or_else(|| settings.archive.place.clone());
        let place =
            place.context("say where the archive is: a folder or s3://<bucket>/<prefix>, or set archive.place")?;
        let data = DataFolder::open(&settings.data)?;
        Ok((place, settings, data))
    }
}

async fn export(args: ExportArgs) -> Result<ExitCode> {
    let (place, settings, data) = args.place.open()?;
    let claim = Claim::ask(&data.lock())?;
    let target = OpenArchive::open(&place, &settings, &data).await?;
    target.archive.place().ensure().await?;
    let appended = match claim {
        Asked::Ours(_claim) => {
            let log = OpenLog::open(&settings.nats, &data).await?;
            let position = Position { incarnation: log.log.incarnation(), seq: log.log.tip().await? };
            let extent = extent(&args, &target.archive, position).await?;
            let bar = Bar::new("export");
            let follow = |from| log.log.follow(from);
            let appended = target.archive.append(extent, follow, |seq| bar.show(seq.0, extent.last.0)).await;
            bar.finish();
            log.close().await;
            appended?
        }
        Asked::Taken(owner) => {
            let url = owner.url.with_context(|| format!("process {} is starting up; try again", owner.pid))?;
            let log = RemoteLog::open(&url, &local_token(&data.local_token())?).await?;
            let extent = extent(&args, &target.archive, log.position).await?;
            let bar = Bar::new("export");
            let follow = |from| log.follow(from);
            let appended = target.archive.append(extent, follow, |seq| bar.show(seq.0, extent.last.0)).await;
            bar.finish();
            appended?
        }
    };
    target.close().await;
    let Appended { records, head, files } = appended;
    writeln!(
        std::io::stdout(),
        "exported {records} records to {place}, which ends at record {} with hash {} in {files} files",
        head.seq,
        head.hash
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Which records are to be in the archive. One that has more than was asked for keeps it.
async fn extent(args: &ExportArgs, archive: &Archive, position: Position) -> Result<Extent> {
    let Position { incarnation, seq: tip } = position;
    let archived = archive.manifest().await?.map_or(Seq::ZERO, |manifest| manifest.head().seq);
    let last = args.to.map_or(tip, |to| Seq(to).max(archived).min(tip));
    let first = args.from.map(Seq);
    if let Some(first) = first {
        anyhow::ensure!(first <= last, "record {first}, from which the export is to start, is after record {last}");
    }
    Ok(Extent { incarnation, first, last })
}

async fn import(args: PlaceArgs) -> Result<ExitCode> {
    let (place, settings, data) = args.open()?;
    let _claim = Claim::take(&data.lock()).context("stop the server first, then import")?;
    let source = OpenArchive::open(&place, &settings, &data).await?;
    let manifest = source.archive.manifest().await?.with_context(|| format!("{place} holds no archive of a log"))?;
    let checkpoint = Checkpoints::open(&data.checkpoints())?.newest_position()?.unwrap_or_default();
    let nats = OpenNats::open(&settings.nats, &data).await?;
    let (incarnation, head) = (manifest.incarnation, manifest.head());
    let stream = settings.nats.stream_settings();
    let restoration =
        Restoration::begin(&nats.connection, &stream, &data.log_marker(), incarnation, head.seq, checkpoint).await?;
    let known = restoration.known();
    let bar = Bar::new("import");
    let restored = restore(&source.archive, &manifest, restoration, |seq| bar.show(seq.0, head.seq.0)).await;
    bar.finish();
    nats.close().await;
    source.close().await;
    let restored = restored?;
    let mut out = std::io::stdout();
    let last = Position { incarnation, seq: head.seq };
    writeln!(out, "imported {restored} records; stream {} holds the archived log", settings.nats.stream)?;
    writeln!(out, "it ends at position {last} with hash {}, as archived at {}", head.hash, manifest.written_at)?;
    match known {
        Seq::ZERO => {
            writeln!(out, "this data folder knew nothing of the log, so nothing here tells whether it went on")?
        }
        known => writeln!(out, "this data folder had noted record {known} as acknowledged, and the archive has it")?,
    }
    writeln!(
        out,
        "records after position {last} are not in the archive: if any were acknowledged before the log was lost, they are \
         lost; clients that hold a later position can tell"
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn archive_status(args: StatusArgs) -> Result<ExitCode> {
    let (place, settings, data) = args.place.open()?;
    let mut out = std::io::stdout();
    let is_configured = settings.archive.place.as_deref() == Some(place.as_str());
    if let Asked::Taken(owner) = Claim::ask(&data.lock())?
        && let Some(url) = owner.url.filter(|_| is_configured)
        && let Some(status) = status_of(&url, &local_token(&data.local_token())?).await?
    {
        writeln!(out, "the server archives to {}: record {} of {}", status.place, status.archived, status.log)?;
        if let Some(error) = &status.error {
            writeln!(out, "the last attempt failed: {error}")?;
        }
        if !args.check {
            return Ok(if status.error.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    let opened = OpenArchive::open(&place, &settings, &data).await?;
    let manifest = opened.archive.manifest().await?.with_context(|| format!("{place} holds no archive of a log"))?;
    let head = manifest.head();
    let bytes: u64 = manifest.files().iter().map(|file| file.bytes).sum();
    writeln!(
        out,
        "{place}: log {}, records {} to {}, hash {}, {} files, {bytes} bytes, archived at {}",
        manifest.incarnation,
        manifest.first().unwrap_or_default(),
        head.seq,
        head.hash,
        manifest.files().len(),
        manifest.written_at
    )?;
    if args.check {
        let bar = Bar::new("check");
        let checked = opened.archive.check(&manifest, |seq| bar.show(seq.0, head.seq.0)).await;
        bar.finish();
        checked?;
        writeln!(out, "every file is as it was archived, and the chain of hashes holds")?;
    }
    opened.close().await;
    Ok(ExitCode::SUCCESS)
}
