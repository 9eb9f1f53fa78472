//! `tapelog demo`: a server with something in it, and what to look at.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use tapelog_api::node::Node;
use tapelog_api::settings::{AuthMode, SettingsArgs};
use tapelog_media::ingest::{IngestOptions, IngestReport, Origin};
use tapelog_media::{CancellationToken, Timestamp, clip};

use super::serve::stop_signal;

/// Arguments of `tapelog demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Length of the test clip, in seconds
    #[arg(long, default_value = "30")]
    seconds: u32,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Serves without asking for credentials, records a test clip into the server, says what to look at, and keeps serving.
pub async fn run(args: DemoArgs) -> Result<ExitCode> {
    let mut settings = args.settings.settings()?;
    // What it suggests to try should be as short as can be.
    settings.auth.mode = AuthMode::None;
    let clips = settings.data.join("demo");
    let stop = stop_signal()?;
    let node = Node::start(settings).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", node.url())?;
    out.flush()?;
    tokio::pin!(stop);
    tokio::select! {
        report = record(node.url(), &clips, args.seconds) => {
            out.write_all(what_to_try(node.url(), &report?).as_bytes())?;
            out.flush()?;
            stop.await;
        }
        () = &mut stop => {}
    }
    node.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn record(url: &str, clips: &Path, seconds: u32) -> Result<IngestReport> {
    tracing::info!(seconds, "making a test clip with ffmpeg");
    let playlist = clip::make_test_clip(clips, seconds).await?;
    let options = IngestOptions {
        base: url.parse().context("the server's own URL")?,
        credentials: None,
        input: vec![playlist.display().to_string()],
        origin: Origin::At(Timestamp::ZERO),
        flow_id: None,
        source_id: None,
        label: Some("tapelog test clip".to_owned()),
        concurrency: NonZeroUsize::MIN.saturating_add(3),
    };
    Ok(tapelog_media::ingest::ingest(options, &CancellationToken::new()).await?)
}

fn what_to_try(url: &str, report: &IngestReport) -> String {
    let mut text = format!("\n{}\nLook at:\n  {url}/flows\n  {url}/sources\n", super::media::told(report));
    if let Some(flow) = report.flows.first() {
        let id = flow.id;
        let program = std::env::current_exe().map_or_else(|_| "tapelog".to_owned(), |path| path.display().to_string());
        text.push_str(&format!(
            "  {url}/flows/{id}?include_timerange=true\n\
             \nTry:\n\
             \x20 curl -g '{url}/flows/{id}/segments?timerange=[4:0_8:0)'\n\
             \x20 curl -X PUT '{url}/flows/{id}/tags/place' -d '\"studio 1\"'\n\
             \x20 curl '{url}/flows?tag.place=studio%201'\n\
             \x20 {program} export {id} --url {url} --timerange '[4:0_8:0)' -o out.ts\n"
        ));
    }
    text.push_str("\nServing until Ctrl-C.\n");
    text
}
