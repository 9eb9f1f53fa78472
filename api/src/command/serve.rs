//! `tapelog serve`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use tapelog_api::node::Node;
use tapelog_api::settings::{AuthMode, SettingsArgs};
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `tapelog serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Whether requests need credentials; none is for development, on this machine only
    #[arg(long, value_name = "MODE")]
    auth: Option<AuthMode>,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Serves until told to stop.
pub async fn run(args: ServeArgs) -> Result<ExitCode> {
    let mut settings = args.settings.settings()?;
    settings.auth.mode = args.auth.unwrap_or(settings.auth.mode);
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
