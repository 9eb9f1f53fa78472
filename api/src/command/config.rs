//! `tapelog config`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tapelog_api::settings::{SettingsArgs, reference};

/// Arguments of `tapelog config`.
#[derive(Args)]
pub struct ConfigArgs {
    /// Print a Markdown table of all settings there are, with their defaults
    #[arg(long)]
    reference: bool,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Prints the settings in force, a line each, or all that there are.
pub fn run(args: &ConfigArgs) -> Result<ExitCode> {
    let text = if args.reference { reference()? } else { args.settings.explained()? };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
