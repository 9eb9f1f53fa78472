//! The `tapelog` binary: a server, and the commands around it.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tapelog_api::settings::SettingsArgs;
use tapelog_api::telemetry::Telemetry;

/// A Time-addressable Media Store on an event log.
#[derive(Parser)]
#[command(name = "tapelog", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the TAMS API
    Serve(command::serve::ServeArgs),
    /// Serve, with a test clip that is recorded first
    Demo(command::demo::DemoArgs),
    /// Record media into a TAMS server
    Ingest(command::media::IngestArgs),
    /// Write the media of a flow to a file
    Export(command::media::ExportArgs),
    /// Fold the tables anew from the log's first record
    Rebuild(command::tables::RebuildArgs),
    /// Prove that log, tables and checkpoint agree
    Verify(command::tables::VerifyArgs),
    /// Keep the log as files elsewhere, and restore it from them
    Log(command::log::LogArgs),
    /// Check all that a server with these settings needs, and say what to do about what is wrong
    Doctor(command::doctor::DoctorArgs),
    /// Make and change accounts and tokens of a server
    Account(command::account::AccountArgs),
    /// Show who changed what, and when, or export it
    Audit(command::audit::AuditArgs),
    /// Show the settings in force, and where each comes from
    Config(command::config::ConfigArgs),
}

impl Command {
    /// The settings that it was given, where it has any.
    fn settings(&self) -> Option<&SettingsArgs> {
        match self {
            Self::Serve(args) => Some(&args.settings),
            Self::Demo(args) => Some(&args.settings),
            Self::Ingest(_) | Self::Export(_) | Self::Account(_) | Self::Audit(_) => None,
            Self::Rebuild(args) => Some(&args.settings),
            Self::Verify(args) => Some(&args.settings),
            Self::Log(args) => Some(args.settings()),
            Self::Doctor(args) => Some(&args.settings),
            Self::Config(args) => Some(&args.settings),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Cli::parse().command;
    // Settings that are not valid are told of by the command itself.
    let settings = command.settings().and_then(|args| args.settings().ok()).unwrap_or_default();
    let telemetry = match Telemetry::start(&settings.log, &settings.traces) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).init();
            tracing::error!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match command {
        Command::Serve(args) => command::serve::run(args).await,
        Command::Demo(args) => command::demo::run(args).await,
        Command::Ingest(args) => command::media::ingest(args).await,
        Command::Export(args) => command::media::export(args).await,
        Command::Rebuild(args) => command::tables::rebuild(args).await,
        Command::Verify(args) => command::tables::verify(args).await,
        Command::Log(args) => command::log::run(args).await,
        Command::Doctor(args) => command::doctor::run(args).await,
        Command::Account(args) => command::account::run(args).await,
        Command::Audit(args) => command::audit::run(args).await,
        Command::Config(args) => command::config::run(&args),
    };
    let code = outcome.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    });
    telemetry.stop();
    code
}
