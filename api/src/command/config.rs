//! `tapelog config`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tapelog_api::settings::SettingsArgs;

/// Arguments of `tapelog config`.
#[derive(Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Prints the settings in force, a line each.
pub fn run(args: &ConfigArgs) -> Result<ExitCode> {
    std::io::stdout().write_all(args.settings.explained()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
