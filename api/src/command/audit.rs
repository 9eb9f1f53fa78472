//! `tapelog audit`: who changed what, and when, as a server tells it.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use serde_json::Value;
use tapelog_api::audit::{Checked, check};

use super::server::{Server, ServerArgs, answered, next_page};

/// Arguments of `tapelog audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// Only commits that touched this flow
    #[arg(long, value_name = "ID")]
    flow_id: Option<String>,
    /// Only commits that touched this source, or a flow of it
    #[arg(long, value_name = "ID")]
    source_id: Option<String>,
    /// Only commits that touched this object
    #[arg(long, value_name = "ID")]
    object_id: Option<String>,
    /// Only commits that touched this webhook
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// Only commits that this actor asked for
    #[arg(long)]
    actor: Option<String>,
    /// Only commits with an event of this type, such as flow_updated
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only commits from this time (RFC 3339) or position on
    #[arg(long)]
    from: Option<String>,
    /// Only commits up to this time (RFC 3339) or position
    #[arg(long)]
    to: Option<String>,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How many commits at the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// How they are printed
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    format: Form,
    /// Write the records themselves to this file, signed, for `tapelog verify --export`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "limit", "oldest_first"])]
    export: Option<PathBuf>,
    /// Print the public key that exports are signed with, and nothing else
    #[arg(long, conflicts_with = "export")]
    key: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// A commit a line
    Jsonl,
    /// A list
    Json,
    /// A change a row
    Csv,
}

impl AuditArgs {
    /// The parameters that say which commits.
    fn query(&self) -> Vec<(&'static str, &str)> {
        let Self { flow_id, source_id, object_id, webhook_id, actor, kind, from, to, .. } = self;
        let given = [
            ("flow_id", flow_id),
            ("source_id", source_id),
            ("object_id", object_id),
            ("webhook_id", webhook_id),
            ("actor", actor),
            ("type", kind),
            ("from", from),
            ("to", to),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

/// Prints the audit, or writes an export.
pub async fn run(args: AuditArgs) -> Result<ExitCode> {
    let server = Server::find(&args.server)?;
    let mut out = std::io::stdout();
    if args.key {
        let key: Value = answered(server.get("/audit/key", &[])).await?.json().await?;
        writeln!(out, "{}", key["public_key"].as_str().context("the server gave no key")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &args.export {
        let answer = answered(server.get("/audit/export", &args.query())).await?;
        let mut file = File::create_new(path).with_context(|| format!("{} cannot be made", path.display()))?;
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece.context("the export broke off")?)?;
        }
        file.sync_all()?;
        // One that the server could not finish ends without a signature.
        return verify_export(path, None).with_context(|| format!("{} is worth nothing", path.display()));
    }
    print(&args, &server, &mut out).await?;
    Ok(ExitCode::SUCCESS)
}

async fn print(args: &AuditArgs, server: &Server, out: &mut impl Write) -> Result<()> {
    let (mut left, mut page, mut printed) = (args.limit, None::<String>, false);
    if matches!(args.format, Form::Json) {
        write!(out, "[")?;
    }
    while left > 0 {
        let mut query = args.query();
        let limit = left.to_string();
        query.push(("limit", &limit));
        query.push(("format", if matches!(args.format, Form::Csv) { "csv" } else { "json" }));
        if args.oldest_first {
            query.push(("reverse_order", "true"));
        }
        query.extend(page.as_deref().map(|page| ("page", page)));
        let answer = answered(server.get("/audit", &query)).await?;
        let count = answer.headers().get("x-paging-count").and_then(|count| count.to_str().ok()?.parse().ok());
        page = next_page(&answer);
        left = left.saturating_sub(count.unwrap_or(left));
        if matches!(args.format, Form::Csv) {
            let rows = answer.text().await?;
            // The header is printed once.
            let rows = if printed { rows.split_once("\r\n").map_or("", |(_, rest)| rest) } else { &rows };
            write!(out, "{rows}")?;
            printed = true;
        } else {
            for commit in answer.json::<Vec<Value>>().await? {
                match args.format {
                    Form::Json => write!(out, "{}\n{commit}", if printed { "," } else { "" })?,
                    Form::Jsonl | Form::Csv => writeln!(out, "{commit}")?,
                }
                printed = true;
            }
        }
        if page.is_none() {
            break;
        }
    }
    if matches!(args.format, Form::Json) {
        writeln!(out, "\n]")?;
    }
    Ok(())
}

/// Checks an export without any server.
pub fn verify_export(path: &Path, key: Option<&str>) -> Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let Checked { header, span, records, linked, commits } = check(BufReader::new(file), key)?;
    let mut out = std::io::stdout();
    writeln!(out, "log {}, made {}", header.incarnation, header.created)?;
    match span {
        Some((first, last)) => writeln!(
            out,
            "{records} records from {first} to {last} with {commits} commits, {linked} of them right after one another"
        )?,
        None => writeln!(out, "no record")?,
    }
    writeln!(out, "head of the log: record {}, {}", header.head_seq, header.head_hash)?;
    match key {
        Some(key) => writeln!(out, "signed by {key}")?,
        None => writeln!(out, "signed by {}: compare it with the key that the store made known", header.public_key)?,
    }
    Ok(ExitCode::SUCCESS)
}
