//! Where a stream of events begins.

use std::time::Duration;

use tapelog_events::{EventPosition, Seq};
use tapelog_projections::history::Moment;
use tokio::time::timeout;

use super::super::call::Call;
use super::super::point::Point;
use super::super::problem::Problem;
use super::super::query::Query;

/// The header by which browsers say which event they received last.
const LAST_EVENT_ID: &str = "last-event-id";
/// How long the log is asked how far it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first event that is told, if it passes the filters: the one after the header `Last-Event-ID` or the parameter
/// `last_event_id`, or the one at `from`, or the next that happens. The header goes first, since a browser that comes
/// back sends it with the URL that it began with.
///
/// # Errors
/// [`Problem::Invalid`], naming what is wrong, also where it lies beyond the end of the log;
/// [`Problem::PositionOfOtherLife`] where it is in another log.
pub async fn start(call: &Call<'_>, query: &Query<'_>) -> Result<EventPosition, Problem> {
    let header = call.head.headers.get(LAST_EVENT_ID).map(|value| value.to_str());
    let header = header.transpose().map_err(|_| Problem::invalid("header Last-Event-ID: it is no id of an event"))?;
    let after = match header {
        Some(id) => Some(("header Last-Event-ID", id)),
        None => query.text("last_event_id")?.map(|id| ("query parameter last_event_id", id)),
    };
    let incarnation = call.app.parts.incarnation;
    let (field, next) = match (after, query.text("from")?) {
        (Some((field, id)), _) => (field, after_id(field, Point::parse(field, id, incarnation)?)?),
        (None, Some(text)) => {
            let field = "query parameter from";
            (field, at(call, Point::parse(field, text, incarnation)?).await?)
        }
        (None, None) => return Ok(EventPosition::start_of(call.app.parts.tables.position().next())),
    };
    ensure_reached(call, field, next).await?;
    // There is no record before the first.
    Ok(next.max(EventPosition::start_of(Seq(1))))
}

fn after_id(field: &str, point: Point) -> Result<EventPosition, Problem> {
    match point {
        Point::Event(last) => Ok(EventPosition { event: last.event.saturating_add(1), ..last }),
        Point::Record(seq) => Ok(Moment::after(seq).next_event()),
        Point::Commits(moment) => Ok(moment.next_event()),
        Point::Time(_) => Err(Problem::invalid(format!("{field}: it is a time, which the parameter from takes"))),
    }
}

async fn at(call: &Call<'_>, point: Point) -> Result<EventPosition, Problem> {
    match point {
        Point::Event(position) => Ok(position),
        Point::Record(_) | Point::Commits(_) | Point::Time(_) => Ok(point.moment_before(call).await?.next_event()),
    }
}

/// Refuses what lies further than the next record: it is no place that the log ever told.
async fn ensure_reached(call: &Call<'_>, field: &str, next: EventPosition) -> Result<(), Problem> {
    let parts = &call.app.parts;
    if next.seq <= parts.tables.position().next() {
        return Ok(());
    }
    let Ok(Ok(tip)) = timeout(PATIENCE, parts.log.tip()).await else {
        return Err(Problem::NotReady("the log cannot be asked whether it is that far".to_owned()));
    };
    if next.seq <= tip.next() {
        return Ok(());
    }
    Err(Problem::invalid(format!("{field}: it lies beyond the end of the log, which is record {tip}")))
}
