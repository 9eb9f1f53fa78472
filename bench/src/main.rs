//! One load generator for any TAMS base URL: the same work against every server, each result beside what limits it.
//!
//! It measures a server that it starts itself, on an empty folder, or the one at a base URL. The limits are measured in
//! the same run and between the rounds of the server: the same HTTP stack with nothing behind it
//! ([`limit_server`]), and a bare publish to JetStream ([`raw_log`]). The client is as light as it can be, since it
//! shares the machine with the server ([`client`], [`load`]).

mod bare_loop;
mod client;
mod histogram;
mod limit_server;
mod load;
mod machine;
mod process;
mod raw_log;
mod report;
mod scenario;
mod sizes;
mod store;
mod tams;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::machine::Machine;
use crate::process::Process;
use crate::raw_log::RawLog;
use crate::report::Report;
use crate::scenario::{Bench, Scenario};
use crate::sizes::Sizes;
use crate::store::Subject;

/// The argument with which this program starts itself as the limit of HTTP.
const LIMIT_SERVER: &str = "limit-server";
/// The argument with which this program starts itself as the limit of deliveries.
const BARE_LOOP: &str = "bare-loop";

/// Measures a TAMS server, and its limits beside it.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Base URL of a running server, which keeps what the measurement leaves in it; otherwise one is started
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    base: Option<String>,
    /// The tapelog program to start [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// A header for each request, such as `Authorization: Bearer ...`
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "base")]
    headers: Vec<String>,
    /// Measure only this; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<Scenario>,
    /// Small sizes and short rounds: for a look, not for quoting
    #[arg(long)]
    quick: bool,
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the limit of HTTP: the same stack without a store
    #[command(name = LIMIT_SERVER)]
    LimitServer,
    /// Post bodies to receivers of webhooks
    #[command(name = BARE_LOOP)]
    BareLoop(bare_loop::BareLoop),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::LimitServer) => limit_server::serve().await,
        Some(Command::BareLoop(bare_loop)) => bare_loop.run().await,
        // An interrupted measurement still stops its servers and removes their folders.
        None => tokio::select! {
            measured = measure(arguments) => measured,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                bail!("interrupted")
            }
        },
    }
}

async fn measure(arguments: Arguments) -> Result<()> {
    let sizes = if arguments.quick { Sizes::quick() } else { Sizes::full() };
    let folder = tempfile::Builder::new().prefix("tapelog-bench-").tempdir()?;
    let subject = match arguments.base {
        Some(base) => Subject::Running { base, headers: arguments.headers },
        None => Subject::Own { program: program(arguments.server)?, folder: folder.path().to_owned() },
    };
    let limit = Process::limit(folder.path()).await?;
    let raw_log = RawLog::start(&folder.path().join("raw-log")).await?;

    let mut report = Report {
        machine: Machine::this(folder.path()),
        version: env!("CARGO_PKG_VERSION"),
        server: subject.describe().await?,
        nats_server: raw_log.version(),
        durability: raw_log.durability(),
        sizes: sizes.name,
        rounds: sizes.rounds,
        sections: Vec::new(),
    };
    let mut output = std::io::stdout();
    writeln!(output, "{}", report.preamble())?;

    let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    progress.enable_steady_tick(std::time::Duration::from_millis(500));
    let mut bench = Bench { subject, limit: limit.endpoint.clone(), raw_log, sizes, progress, large: None };
    let all = Scenario::value_variants();
    for scenario in all.iter().filter(|scenario| arguments.only.is_empty() || arguments.only.contains(scenario)) {
        let section = scenario.measure(&mut bench).await.with_context(|| format!("scenario {scenario}"))?;
        bench.progress.suspend(|| match &section {
            Some(section) => writeln!(output, "{section}"),
            None => writeln!(output, "{scenario}: left out, it needs a server that this program starts itself\n"),
        })?;
        report.sections.extend(section);
    }
    bench.finish().await?;

    write!(output, "{}", report.verdict())?;
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The tapelog program to measure, as an absolute path.
fn program(given: Option<PathBuf>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("tapelog"),
    };
    path.canonicalize().with_context(|| {
        format!("there is no {}: build it with `cargo build --release -p tapelog-api`, or name one", path.display())
    })
}
