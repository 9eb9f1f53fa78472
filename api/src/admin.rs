//! Verification of a running server: `POST /admin/verify` answers with lines of JSON, how far it is and then what it found.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tapelog_events::Seq;
use tapelog_projections::checkpoint::Checkpoints;
use tapelog_projections::verify::{Subject, Verdict, VerifyReport, verify};
use tapelog_projections::{Live, Tables};
use tapelog_store::log::jetstream::JetStreamLog;
use tokio::sync::mpsc;

use crate::auth::Authenticator;
use crate::http::admit;
use crate::http::route::Rule;

/// How many lines may wait for a slow reader; lines that say how far it is are left out rather than waited for.
const LINES_AHEAD: usize = 16;
/// Every how many records a line says how far it is.
const RECORDS_A_LINE: u64 = 512;

/// What a verification looks at.
pub struct Verifiable {
    /// Who finds out who asks: only administrators may.
    pub authenticator: Arc<Authenticator>,
    /// The log.
    pub log: JetStreamLog,
    /// The tables in use.
    pub live: Arc<Live>,
    /// Their checkpoints.
    pub checkpoints: Arc<Checkpoints>,
}

/// One line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How far it is.
    Progress {
        /// The last record that was folded.
        seq: u64,
        /// The last record of the log.
        tip: u64,
    },
    /// What was found.
    Report(Report),
    /// It could not be finished.
    Failed(String),
}

/// What a verification found, for people and programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The last record of the log.
    pub seq: u64,
    /// The hash of the last record: the head of the chain.
    pub chain_hash: String,
    /// Each table with its number of rows and the hash of them.
    pub tables: Vec<(String, u64, String)>,
    /// What was compared with the log, with what is wrong about it, if anything is.
    pub findings: Vec<(String, Option<String>)>,
}

impl Report {
    /// Whether all is as it should be.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|(_, wrong)| wrong.is_none())
    }
}

impl From<VerifyReport> for Report {
    fn from(report: VerifyReport) -> Self {
        let findings = report.findings.into_iter().map(|finding| {
            let wrong = match finding.verdict {
                Verdict::Equal => None,
                Verdict::Different(difference) => Some(difference.to_string()),
                Verdict::Ahead => Some("stands for a record that is not in the log".to_owned()),
                Verdict::OtherRecord => Some("stands for another record than the log has there".to_owned()),
            };
            (format!("{} at record {}", finding.name, finding.seq), wrong)
        });
        Self {
            seq: report.head.seq.0,
            chain_hash: report.head.hash.to_string(),
            findings: findings.collect(),
            tables: report
                .digest
                .into_iter()
                .map(|table| (table.table.to_owned(), table.rows, table.blake3.to_hex().to_string()))
                .collect(),
        }
    }
}

/// The route.
pub fn router(verifiable: Arc<Verifiable>) -> Router {
    Router::new().route("/admin/verify", post(answer)).with_state(verifiable)
}

async fn answer(State(verifiable): State<Arc<Verifiable>>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    if let Err(refusal) = admit(&verifiable.authenticator, &mut head, Rule::Admin).await {
        return refusal.map(Body::new);
    }
    let (lines, mut receiver) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(async move {
        let progress = lines.clone();
        let last = match check(&verifiable, |seq, tip| {
            if seq.0.is_multiple_of(RECORDS_A_LINE) {
                // A reader that is slow, or gone, misses a line of progress and nothing else.
                progress.try_send(Line::Progress { seq: seq.0, tip: tip.0 }).ok();
            }
        })
        .await
        {
            Ok(report) => Line::Report(report),
            Err(error) => Line::Failed(format!("{error:#}")),
        };
        lines.send(last).await.ok();
    });
    let lines = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let bytes = futures::StreamExt::map(lines, |line| {
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(text))
    });
    let mut response = Response::new(Body::from_stream(bytes));
    response.headers_mut().insert(CONTENT_TYPE, NDJSON);
    response
}

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

async fn check(verifiable: &Verifiable, progress: impl FnMut(Seq, Seq)) -> anyhow::Result<Report> {
    let live = verifiable.live.read(Tables::clone);
    let checkpoints = Arc::clone(&verifiable.checkpoints);
    let stored = tokio::task::spawn_blocking(move || checkpoints.load_newest()).await??;
    verify_tables(&verifiable.log, live, stored, progress).await
}

/// Compares tables, and those of a checkpoint, with the log.
///
/// # Errors
/// When the log cannot be read or applied.
pub async fn verify_tables(
    log: &JetStreamLog,
    live: Tables,
    checkpoint: Option<Tables>,
    progress: impl FnMut(Seq, Seq),
) -> anyhow::Result<Report> {
    let mut subjects = vec![Subject { name: "tables", tables: live }];
    subjects.extend(checkpoint.map(|tables| Subject { name: "checkpoint", tables }));
    Ok(verify(log, subjects, progress).await?.into())
}
