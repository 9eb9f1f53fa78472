//! `tapelog doctor`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tapelog_api::doctor::{Verdict, examine};
use tapelog_api::settings::SettingsArgs;

/// Arguments of `tapelog doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print a list in JSON
    #[arg(long)]
    json: bool,
}

/// Prints what was found out about each thing, a line each. Fails if a server could not work.
pub async fn run(args: DoctorArgs) -> Result<ExitCode> {
    let settings = args.settings.settings()?;
    settings.limits.check()?;
    let findings = examine(&settings).await;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
    } else {
        for finding in &findings {
            writeln!(out, "{finding}")?;
        }
    }
    let fails = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
