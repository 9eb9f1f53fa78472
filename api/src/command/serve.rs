//! `tapelog serve`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use tapelog_api::node::Node;
use tapelog_api::settings::SettingsArgs;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `tapelog serve`.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Serves until told to stop.
pub async fn run(args: ServeArgs) -> Result<ExitCode> {
    let settings = args.settings.settings()?;
    let stop = stop_signal()?;
    let node = Node::start(settings).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", node.url())?;
    out.flush()?;
    stop.await;
    tracing::info!("stopping");
    node.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the process is asked to end.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
