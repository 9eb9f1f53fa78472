//! The audit of all changes: an extension.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use hyper::StatusCode;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_events::{Event, Seq};
use tapelog_projections::Direction;
use tapelog_projections::history::Moment;
use tapelog_projections::history::audit::{AuditError, AuditFilter, AuditPage};
use tokio::sync::mpsc;

use super::app::App;
use super::call::{self, Call};
use super::paging::{Listing, Page};
use super::past::Past;
use super::point::Point;
use super::problem::Problem;
use super::query::Query;
use super::response::{self, Body, Response};
use crate::audit::{CommitDocument, Exporter, write_csv};

/// How an audit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    /// A commit a line.
    Lines,
    /// A change a row.
    Csv,
}

const FORMS: [(&str, Form); 3] = [("json", Form::Json), ("jsonl", Form::Lines), ("csv", Form::Csv)];

/// `GET /audit`: the newest first.
pub async fn list(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = filter(call, &query).await?;
    let form = form(call, &query)?;
    let paging = call::paging(call, &query)?;
    let after = paging.cursor.map(cursor).transpose()?;
    // The usual order of an audit is the newest first.
    let order = match paging.direction {
        Direction::Usual => Direction::Reversed,
        Direction::Reversed => Direction::Usual,
    };
    let seq = call.app.parts.tables.position();
    caught_up(call.app, seq).await?;
    let page = call.app.parts.past.audit(&filter, order, after, paging.limit).await.map_err(unreadable)?;
    let AuditPage { commits, next } = page;
    let incarnation = call.app.parts.incarnation;
    let documents = commits.iter().map(|audited| CommitDocument::of(audited, incarnation));
    let mut response = match form {
        Form::Json => response::ok(&documents.collect::<Vec<_>>()),
        Form::Lines => {
            let lines = documents.flat_map(|document| [response::encode(&document), b"\n".to_vec()]);
            response::json(StatusCode::OK, lines.flatten().collect::<Vec<u8>>())
        }
        Form::Csv => response::json(StatusCode::OK, write_csv(&commits, incarnation)),
    };
    response.headers_mut().insert(CONTENT_TYPE, form.media_type());
    let next = next.map(|(seq, index)| format!("{seq}.{index}"));
    let reverse = paging.direction == Direction::Reversed;
    let listing = Listing { count: commits.len(), reverse, timerange: None };
    let page = Page { limit: paging.limit, next: next.as_deref(), listing: Some(listing) };
    page.write(call, response.headers_mut());
    Ok(call.at(seq, response))
}

impl Form {
    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        })
    }
}

/// The form that `format` names, or else the first of ours that `Accept` does.
fn form(call: &Call<'_>, query: &Query<'_>) -> Result<Form, Problem> {
    if let Some(form) = query.choice("format", &FORMS)? {
        return Ok(form);
    }
    let accepted = call.head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let named = accepted.flat_map(|value| value.split(',')).filter_map(|kind| {
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some(Form::Json),
            "application/x-ndjson" => Some(Form::Lines),
            "text/csv" => Some(Form::Csv),
            _ => None,
        }
    });
    Ok(named.into_iter().next().unwrap_or(Form::Json))
}

/// What the query asks for.
async fn filter(call: &Call<'_>, query: &Query<'_>) -> Result<AuditFilter, Problem> {
    let kind = query.text("type")?;
    if let Some(kind) = kind
        && !Event::KINDS.contains(&kind)
    {
        let known = Event::KINDS.join(", ");
        return Err(Problem::invalid(format!("query parameter type: {kind:?} is not one of {known}")));
    }
    let point = |name: &str| {
        let text = query.text(name)?;
        text.map(|text| Point::parse(&format!("query parameter {name}"), text, call.app.parts.incarnation)).transpose()
    };
    let from = match point("from")? {
        Some(point) => Some(point.moment_before(call).await?),
        None => None,
    };
    let to = match point("to")? {
        Some(point) => Some(point.moment(call).await?),
        None => None,
    };
    Ok(AuditFilter {
        flow_id: query.parsed("flow_id")?,
        source_id: query.parsed("source_id")?,
        object_id: query.parsed("object_id")?,
        webhook_id: query.parsed("webhook_id")?,
        actor: query.text("actor")?.map(str::to_owned),
        kind: kind.map(str::to_owned),
        from,
        to,
    })
}

/// Where a page begins: after a commit.
fn cursor(text: &str) -> Result<(Seq, u32), Problem> {
    let place = text.split_once('.').and_then(|(seq, index)| Some((Seq(seq.parse().ok()?), index.parse().ok()?)));
    place.ok_or_else(|| Problem::invalid("query parameter page: it is not one that an answer named"))
}

/// Waits until the history has a record that the tables show.
///
/// # Errors
/// [`Problem::NotReady`] where it does not get there in time.
async fn caught_up(app: &App, seq: Seq) -> Result<(), Problem> {
    let reached = app.parts.past.history().wait_for(seq, super::position::WAIT).await;
    reached.map_err(|error| {
        Problem::NotReady(format!("the history is at record {} and has not reached record {seq} yet", error.applied))
    })
}

fn unreadable(error: AuditError) -> Problem {
    tracing::error!(error = &error as &dyn Error, "the audit cannot be answered");
    Problem::NotReady("the history or the log cannot be read".to_owned())
}

/// The public key of exports.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportKey")]
pub struct ExportKey {
    /// Ed25519, in hexadecimal digits.
    public_key: String,
}

/// `GET /audit/key`.
pub fn key(call: &Call<'_>) -> Response {
    response::ok(&ExportKey { public_key: call.app.parts.export_signer.public_key() })
}

/// How many commits an export asks for at once.
const EXPORT_PAGE: usize = 256;
/// How many lines of an export wait for a slow reader.
const LINES_AHEAD: usize = 16;

/// `GET /audit/export`: the records of what an audit lists, oldest first, signed.
pub async fn export(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let mut filter = filter(call, &query).await?;
    let head = call.app.parts.tables.read(|tables| tables.head());
    caught_up(call.app, head.seq).await?;
    // What comes while the export is written is not part of it.
    let end = Moment::after(head.seq);
    filter.to = Some(filter.to.map_or(end, |to| to.min(end)));
    let mut response = Response::new(Body::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"tapelog-export.jsonl\""));
    if !call.is_head() {
        let signer = Arc::clone(&call.app.parts.export_signer);
        let (exporter, first) = Exporter::begin(
            &signer,
            call.app.parts.incarnation,
            (head.seq, head.hash),
            call.raw_query().to_owned(),
            call.app.now().into(),
        );
        let past = Arc::clone(&call.app.parts.past);
        let (lines, mut receiver) = mpsc::channel(LINES_AHEAD);
        tokio::spawn(async move {
            if lines.send(Bytes::from(first)).await.is_err() {
                return;
            }
            match write_records(&*past, &filter, exporter, &lines).await {
                Ok(Some(exporter)) => drop(lines.send(exporter.end(&signer).into()).await),
                Ok(None) => tracing::debug!("whoever asked for an export is gone"),
                // Without its last line an export is worth nothing, which is what it is.
                Err(problem) => tracing::error!(%problem, "an export broke off"),
            }
        });
        *response.body_mut() = Body::Stream(stream::poll_fn(move |context| receiver.poll_recv(context)).boxed());
    }
    Ok(call.at(head.seq, response))
}

/// Writes the record of each commit once; `None` where nobody takes them any more.
async fn write_records(
    past: &dyn Past,
    filter: &AuditFilter,
    mut exporter: Exporter,
    lines: &mpsc::Sender<Bytes>,
) -> Result<Option<Exporter>, Problem> {
    let (mut after, mut written) = (None, Seq::ZERO);
    loop {
        let page = past.audit(filter, Direction::Usual, after, EXPORT_PAGE).await.map_err(unreadable)?;
        for seq in page.commits.iter().map(|audited| audited.seq) {
            if seq == written {
                continue;
            }
            let record =
                past.record(seq).await.map_err(|_| Problem::NotReady("the log cannot be reached".to_owned()))?;
            let payload = record.ok_or(Problem::Internal)?;
            if lines.send(exporter.record(seq, &payload).into()).await.is_err() {
                return Ok(None);
            }
            written = seq;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(Some(exporter)),
        }
    }
}
