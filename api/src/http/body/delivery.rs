//! Bodies about the delivery to webhooks.

use schemars::JsonSchema;
use serde::Deserialize;
use tapelog_events::{EventId, EventPosition, Incarnation};

use crate::http::limits;
use crate::http::point::Point;
use crate::http::problem::Problem;

/// Which dead letters are to be tried once more.
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "RedeliveryPost")]
pub struct RedeliveryBody {
    /// Their events, as the list of dead letters names them. Absent: all.
    positions: Option<Vec<String>>,
}

/// From where on notifications are to be delivered again.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ReplayPost")]
pub struct ReplayBody {
    /// A time in RFC 3339, a position as in the header `TAMS-Position`, or an event.
    from: String,
}

/// Reads which dead letters are meant; none that is named means all, and so does no body.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read_redelivery(body: &[u8], incarnation: Incarnation) -> Result<Vec<EventPosition>, Problem> {
    let body: RedeliveryBody = if body.is_empty() { RedeliveryBody::default() } else { super::object(body)? };
    let Some(positions) = body.positions else { return Ok(Vec::new()) };
    limits::count("positions", positions.len(), limits::DEAD_LETTERS)?;
    if positions.is_empty() {
        return Err(Problem::invalid("positions: it names none; leave it out to mean all"));
    }
    let position = |(index, text): (usize, &String)| {
        let invalid = |why: &dyn std::fmt::Display| Problem::invalid(format!("positions[{index}]: {why}"));
        let event: EventId = text.parse().map_err(|error| invalid(&error))?;
        if event.incarnation != incarnation {
            return Err(invalid(&"it is not one of this log"));
        }
        Ok(event.position)
    };
    positions.iter().enumerate().map(position).collect()
}

/// Reads from where on is meant.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn read_replay(body: &[u8], incarnation: Incarnation) -> Result<Point, Problem> {
    let body: ReplayBody = super::object(body)?;
    Point::parse("from", &body.from, incarnation).map_err(|problem| match problem {
        Problem::PositionOfOtherLife { .. } => Problem::invalid(format!("from: {problem}")),
        problem => problem,
    })
}
