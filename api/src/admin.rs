//! Work on the whole log in a running server: `POST /admin/verify` and `POST /admin/rebuild` answer with lines of JSON, how
//! far it is and then what came of it. It goes on when its client has gone away; `GET /admin/projections` tells the rest.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tapelog_events::Seq;
use tapelog_projections::Tables;
use tapelog_projections::rebuild::{Rebuilt, Stage};
use tapelog_projections::verify::{Subject, TableDigest, Verdict, VerifyReport, verify};
use tapelog_store::log::Head;
use tapelog_store::log::jetstream::JetStreamLog;
use tokio::sync::mpsc;

use crate::auth::Authenticator;
use crate::http::problem::Problem;
use crate::http::route::Rule;
use crate::http::{admit, refusal};
use crate::maintenance::{Begun, Maintainer, Running, Work};

/// How many lines may wait for a slow reader; it misses some of those that say how far it is.
const LINES_AHEAD: usize = 16;

/// What the routes need.
pub struct Administration {
    /// Who finds out who asks: only administrators may.
    pub authenticator: Arc<Authenticator>,
    /// Who does the work.
    pub maintainer: Arc<Maintainer>,
}

/// One line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How far it is.
    Progress {
        /// What it is at.
        state: Stage,
        /// The last record that was folded.
        seq: u64,
        /// The record to reach.
        tip: u64,
    },
    /// What a verification found.
    Report(Report),
    /// What a rebuild came to.
    Rebuilt(RebuildReport),
    /// It could not be finished.
    Failed(String),
}

/// How the log, and what was compared with it, are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The last record of the log that was looked at.
    pub seq: u64,
    /// The hash of that record: the head of the chain.
    pub chain_hash: String,
    /// Each table with its number of rows and the hash of them.
    pub tables: Vec<(String, u64, String)>,
    /// What was compared with the log, with what is wrong about it, if anything is.
    pub findings: Vec<(String, Option<String>)>,
}

impl Report {
    fn new(head: Head, digest: Vec<TableDigest>, findings: Vec<(String, Option<String>)>) -> Self {
        let tables = digest.into_iter();
        let tables = tables.map(|table| (table.table.to_owned(), table.rows, table.blake3.to_hex().to_string()));
        Self { seq: head.seq.0, chain_hash: head.hash.to_string(), tables: tables.collect(), findings }
    }

    /// The first thing that is not as it should be.
    pub fn wrong(&self) -> Option<&str> {
        self.findings.iter().find_map(|(_, wrong)| wrong.as_deref())
    }
}

/// A finding for people: what was compared, and what is wrong about it.
fn finding(name: &str, seq: Seq, verdict: Verdict) -> (String, Option<String>) {
    let wrong = match verdict {
        Verdict::Equal => None,
        Verdict::Different(difference) => Some(difference.to_string()),
        Verdict::Ahead => Some("stands for a record that is not in the log".to_owned()),
        Verdict::OtherRecord => Some("stands for another record than the log has there".to_owned()),
    };
    (format!("{name} at record {seq}"), wrong)
}

impl From<VerifyReport> for Report {
    fn from(report: VerifyReport) -> Self {
        let findings = report.findings.into_iter().map(|found| finding(found.name, found.seq, found.verdict));
        Self::new(report.head, report.digest, findings.collect())
    }
}

/// What a rebuild in a running server came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RebuildReport {
    /// How the tables that were in use compared with the log. Whatever is wrong about them is so no longer.
    #[serde(flatten)]
    pub report: Report,
    /// The record at which the new tables took their place.
    pub replaced: u64,
    /// The record of the checkpoint that was stored of the new tables.
    pub stored: u64,
    /// How many records were folded until the tables in use had been caught up with.
    pub folded: u64,
    /// How many seconds that took.
    pub folding_seconds: f64,
    /// How many seconds all of it took.
    pub seconds: f64,
}

impl RebuildReport {
    /// Of a rebuild that took this long in all.
    pub fn new(rebuilt: Rebuilt, stored: Seq, elapsed: Duration) -> Self {
        let Rebuilt { compared, verdict, digest, replaced, folded, folding } = rebuilt;
        Self {
            report: Report::new(compared, digest, vec![finding("tables in use", compared.seq, verdict)]),
            replaced: replaced.0,
            stored: stored.0,
            folded: folded.0,
            folding_seconds: folding.as_secs_f64(),
            seconds: elapsed.as_secs_f64(),
        }
    }
}

/// The routes.
pub fn router(administration: Arc<Administration>) -> Router {
    Router::new()
        .route("/admin/verify", post(begin_verification))
        .route("/admin/rebuild", post(begin_rebuild))
        .with_state(administration)
}

async fn begin_verification(State(administration): State<Arc<Administration>>, request: Request) -> Response {
    begin(&administration, request, Work::Verification).await
}

async fn begin_rebuild(State(administration): State<Arc<Administration>>, request: Request) -> Response {
    begin(&administration, request, Work::Rebuild).await
}

async fn begin(administration: &Administration, request: Request, work: Work) -> Response {
    let (mut head, _) = request.into_parts();
    if let Err(refused) = admit(&administration.authenticator, &mut head, Rule::Admin).await {
        return refused.map(Body::new);
    }
    let begun = match administration.maintainer.begin(work) {
        Ok(begun) => begun,
        Err(busy) => return refusal(&head, &Problem::Conflict(busy.to_string())).map(Body::new),
    };
    let (lines, mut receiver) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(follow(begun, lines));
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

/// Tells how far work is, and how it ends, for as long as somebody listens.
async fn follow(begun: Begun, lines: mpsc::Sender<Line>) {
    let Begun { mut progress, mut end } = begun;
    let last = loop {
        tokio::select! {
            biased;
            end = &mut end => break end.unwrap_or_else(|_| Line::Failed("it ended half-way".to_owned())),
            Ok(()) = progress.changed() => {
                let running = progress.borrow_and_update().running.clone();
                if let Some(Running { state, seq, tip, .. }) = running
                    && lines.send(Line::Progress { state, seq: seq.0, tip: tip.0 }).await.is_err()
                {
                    return;
                }
            }
        }
    };
    // The client may have gone.
    lines.send(last).await.ok();
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
