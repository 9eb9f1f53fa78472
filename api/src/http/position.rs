//! Positions in the log, with which a client sees its own writes on whichever node it asks next.
//!
//! Every answer from the tables or about a write carries `TAMS-Position: <incarnation>.<sequence>`. A request may send it
//! back as `TAMS-Min-Position`: the node then answers once its tables are there.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tapelog_events::{Incarnation, Position, Seq};
use tapelog_store::sequencer::SubmitError;
use tokio::time::timeout;

use super::app::App;
use super::problem::Problem;

/// The header of answers.
pub const POSITION: HeaderName = HeaderName::from_static("tams-position");
/// The header of requests.
pub const MIN_POSITION: HeaderName = HeaderName::from_static("tams-min-position");

/// For how long a request waits for its position: a node that is further behind has trouble, and another may serve.
pub const WAIT: Duration = Duration::from_secs(5);
/// After what a client may try again where the log does not answer.
const LATER: Duration = Duration::from_secs(1);

/// Says at which position an answer is true.
pub fn write(incarnation: Incarnation, seq: Seq, headers: &mut HeaderMap) {
    write_text(&Position { incarnation, seq }.to_string(), headers);
}

/// The same of a position that may be one inside of a record.
pub fn write_text(position: &str, headers: &mut HeaderMap) {
    let value = HeaderValue::try_from(position);
    headers.insert(POSITION, value.expect("a UUID, a dot and digits are visible characters"));
}

/// Waits until the tables are where the request wants them.
///
/// # Errors
/// [`Problem::Invalid`] where the header has no position, [`Problem::PositionOfOtherLife`] where it has one of another
/// log, [`Problem::PositionNotReached`] where the tables do not get there in time.
pub async fn wait(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(MIN_POSITION) else { return Ok(()) };
    let wanted = value.to_str().ok().and_then(record_of);
    let wanted = wanted.ok_or_else(|| {
        Problem::invalid("header TAMS-Min-Position: it has not the form of TAMS-Position, <incarnation>.<sequence>")
    })?;
    let incarnation = app.parts.incarnation;
    let tables = &app.parts.tables;
    if wanted.incarnation != incarnation {
        return Err(Problem::PositionOfOtherLife { wanted, present: Position { incarnation, seq: tables.position() } });
    }
    let reached = tables.wait_for(wanted.seq, WAIT).await;
    reached.map_err(|error| Problem::PositionNotReached { wanted, reached: error.applied })
}

/// The position of a record, of which a position may name some commits alone: then of all.
fn record_of(text: &str) -> Option<Position> {
    let commits = text.match_indices('.').nth(1).map(|(at, _)| text.split_at(at));
    let (record, commits) = commits.unwrap_or((text, ".0"));
    commits[1..].parse::<u32>().ok().and_then(|_| record.parse().ok())
}

/// Waits until the tables hold every record that the log has, whichever node wrote it.
///
/// # Errors
/// [`Problem::Submit`] where the log does not say, [`Problem::PositionNotReached`] where the tables do not get there in
/// time.
pub async fn reach_tip(app: &App) -> Result<(), Problem> {
    let Ok(Ok(seq)) = timeout(WAIT, app.parts.log.tip()).await else {
        return Err(SubmitError::Unavailable { retry_after: LATER }.into());
    };
    let wanted = Position { incarnation: app.parts.incarnation, seq };
    let reached = app.parts.tables.wait_for(seq, WAIT).await;
    reached.map_err(|error| Problem::PositionNotReached { wanted, reached: error.applied })
}
