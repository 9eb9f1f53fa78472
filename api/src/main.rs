//! The `tapelog` binary: a server, and the commands around it.

mod command;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
    /// Show the settings in force, and where each comes from
    Config(command::config::ConfigArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("TAPELOG_LOG").unwrap_or_else(|_| EnvFilter::new("info,s3s=off")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match Cli::parse().command {
        Command::Serve(args) => command::serve::run(args).await,
        Command::Demo(args) => command::demo::run(args).await,
        Command::Ingest(args) => command::media::ingest(args).await,
        Command::Export(args) => command::media::export(args).await,
        Command::Rebuild(args) => command::tables::rebuild(args).await,
        Command::Verify(args) => command::tables::verify(args).await,
        Command::Config(args) => command::config::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
