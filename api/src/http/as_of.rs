//! Answers that were true at a moment of the past: an extension of `GET` and `HEAD`.
//!
//! `as_of` is a time, or a position as in `TAMS-Position`. The handlers are those of the present; they are given the tables
//! of that moment instead. URLs are signed for the present, and who may see what is decided by the tags of then and of now.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use tapelog_events::{Access, Incarnation, Seq, TimeRange};
use tapelog_projections::Tables;
use tapelog_projections::history::Moment;
use tapelog_projections::history::as_of::{AsOfError, Wanted};

use super::call::{self, Call};
use super::point::Point;
use super::position;
use super::problem::Problem;
use super::query::{Query, decode_percent};
use super::route::{Resource, Verb};
use super::{flow, segment};

/// The name of the parameter.
pub const AS_OF: &str = "as_of";

/// The paths of the resources whose past is told.
pub const TEMPLATES: &[&str] = &[
    "/sources",
    "/sources/{sourceId}",
    "/sources/{sourceId}/tags",
    "/sources/{sourceId}/tags/{name}",
    "/sources/{sourceId}/label",
    "/sources/{sourceId}/description",
    "/flows",
    "/flows/{flowId}",
    "/flows/{flowId}/tags",
    "/flows/{flowId}/tags/{name}",
    "/flows/{flowId}/label",
    "/flows/{flowId}/description",
    "/flows/{flowId}/read_only",
    "/flows/{flowId}/flow_collection",
    "/flows/{flowId}/max_bit_rate",
    "/flows/{flowId}/avg_bit_rate",
    "/flows/{flowId}/segments",
    "/flows/{flowId}/segments/{segment}/tags",
    "/flows/{flowId}/segments/{segment}/tags/{name}",
    "/objects/{objectId}",
    "/collections",
    "/collections/{flowId}",
    "/source-collections",
    "/source-collections/{sourceId}",
];

/// The tables of a moment of the past.
pub struct PastTables {
    /// The moment as a position.
    pub position: String,
    /// What answers from these tables depend on besides the question.
    pub version: (Moment, Option<Seq>),
    /// The tables, as far as the question needs them.
    pub tables: Arc<Tables>,
}

/// What the query says of the moment, if anything.
///
/// # Errors
/// [`Problem::Invalid`] where the request cannot be about the past.
pub fn asked<'q>(query: &'q str, resource: &Resource<'_>, verb: Verb) -> Result<Option<Cow<'q, str>>, Problem> {
    // A query that cannot be read is refused by those who read it.
    let named = query.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, ""))));
    let Some((_, value)) = named.into_iter().find(|(name, _)| is_as_of(name)) else { return Ok(None) };
    if verb != Verb::Get {
        return Err(Problem::invalid("query parameter as_of: what was cannot be changed"));
    }
    let template = resource.route().template;
    if !TEMPLATES.contains(&template) {
        return Err(Problem::invalid(format!("query parameter as_of: the past of {template} is not told")));
    }
    let value = decode_percent(value);
    value.map(Some).ok_or_else(|| Problem::invalid("query parameter as_of: it is not percent-encoded UTF-8"))
}

fn is_as_of(name: &str) -> bool {
    name == AS_OF || name.contains('%') && decode_percent(name).as_deref() == Some(AS_OF)
}

/// A query with the moment as this position, so that what follows is of the same moment.
pub fn pinned(query: &str, position: &str) -> String {
    let others = query.split('&').filter(|pair| !is_as_of(pair.split('=').next().unwrap_or_default()));
    let mut pinned: String = others.filter(|pair| !pair.is_empty()).flat_map(|pair| [pair, "&"]).collect();
    pinned.extend([AS_OF, "=", position]);
    pinned
}

/// The tables as they were at the moment that a request asks for, as far as its answer needs them.
///
/// # Errors
/// [`Problem::Invalid`] where that is no moment of this log; [`Problem::NotReady`] where the history cannot be read.
pub async fn look_back(call: &Call<'_>, resource: &Resource<'_>, text: &str) -> Result<PastTables, Problem> {
    let moment = moment(call, text).await?;
    let parts = &call.app.parts;
    let reached = parts.past.history().wait_for(moment.seq, position::WAIT).await;
    reached.map_err(|error| {
        let (wanted, applied) = (moment.seq, error.applied);
        Problem::NotReady(format!("the history is at record {applied} and has not reached record {wanted} yet"))
    })?;
    let query = call.query()?;
    let tables = tables(call, resource, &query, moment).await?;
    let present = (**call.access() != Access::Unrestricted).then(|| parts.tables.position());
    Ok(PastTables { position: written(parts.incarnation, moment), version: (moment, present), tables })
}

/// The moment that a text names: all that was acknowledged until then had happened.
async fn moment(call: &Call<'_>, text: &str) -> Result<Moment, Problem> {
    let parts = &call.app.parts;
    let point = Point::parse("query parameter as_of", text, parts.incarnation).map_err(|problem| match problem {
        Problem::PositionOfOtherLife { .. } => Problem::invalid(format!("query parameter as_of: {problem}")),
        problem => problem,
    })?;
    match point {
        Point::Time(time) => {
            if time > call.app.now().into() {
                return Err(Problem::invalid(format!("query parameter as_of: {text} is in the future")));
            }
            position::reach_tip(call.app).await?;
            point.moment(call).await
        }
        Point::Record(_) | Point::Commits(_) | Point::Event(_) => {
            let moment = point.moment(call).await?;
            if moment.seq > parts.tables.position() {
                position::reach_tip(call.app).await?;
            }
            let last = parts.tables.position();
            if moment.seq > last {
                return Err(Problem::invalid(format!(
                    "query parameter as_of: {text} is beyond record {last}, the last"
                )));
            }
            Ok(moment)
        }
    }
}

fn written(incarnation: Incarnation, Moment { seq, commits }: Moment) -> String {
    match commits {
        u32::MAX => format!("{incarnation}.{seq}"),
        commits => format!("{incarnation}.{seq}.{commits}"),
    }
}

async fn tables(
    call: &Call<'_>,
    resource: &Resource<'_>,
    query: &Query<'_>,
    moment: Moment,
) -> Result<Arc<Tables>, Problem> {
    use Resource as R;
    let told = |wanted| async move {
        let told = call.app.parts.past.as_of().tables(moment, call.access(), wanted).await;
        told.map_err(unreadable)
    };
    match resource {
        R::Flows if query.text("timerange")?.is_some() => {
            let filter = flow::readable(call, flow::filter(query)?);
            let (sort, paging) = (flow::sort(query)?, call::paging(call, query)?);
            told(Wanted::Flows { filter: &filter, sort, paging: &paging }).await
        }
        R::Flow(id) => {
            let clip: Option<TimeRange> = query.parsed("timerange")?;
            let with_timerange = query.boolean("include_timerange")? == Some(true);
            told(Wanted::Flow { id: *id, range: with_timerange.then_some(clip) }).await
        }
        R::FlowTags(id)
        | R::FlowTag(id, _)
        | R::FlowLabel(id)
        | R::FlowDescription(id)
        | R::ReadOnly(id)
        | R::FlowCollection(id)
        | R::MaxBitRate(id)
        | R::AvgBitRate(id) => told(Wanted::Flow { id: *id, range: None }).await,
        R::Source(id) | R::SourceTags(id) | R::SourceTag(id, _) | R::SourceLabel(id) | R::SourceDescription(id) => {
            told(Wanted::Source(*id)).await
        }
        R::Segments(id) => {
            let (filter, paging) = (segment::filter(query)?, call::paging(call, query)?);
            told(Wanted::Segments { flow_id: *id, filter: &filter, paging: &paging }).await
        }
        R::SegmentTags(id, name) | R::SegmentTag(id, name, _) => told(Wanted::Segment { flow_id: *id, name }).await,
        R::Object(id) => told(Wanted::Object(id)).await,
        // Listings; nothing else is let through.
        _ => told(Wanted::Listing).await,
    }
}

fn unreadable(error: AsOfError) -> Problem {
    tracing::error!(error = &error as &dyn Error, "the past cannot be told");
    match error {
        AsOfError::History(_) | AsOfError::Read(_) => {
            Problem::NotReady("the history or the log cannot be read".to_owned())
        }
        AsOfError::Corrupt(_) | AsOfError::NoSuchEvent(_) => Problem::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::ROUTES;

    #[test]
    fn what_follows_is_of_the_same_moment() {
        assert_eq!(pinned("limit=1&as_of=2026-01-01T00:00:00Z&label=x", "i.5"), "limit=1&label=x&as_of=i.5");
        assert_eq!(pinned("%61s_of=x&as_of", "i.5.2"), "as_of=i.5.2");
    }

    #[test]
    fn only_what_can_be_read_has_a_past() {
        for template in TEMPLATES {
            let route = ROUTES.iter().find(|route| route.template == *template);
            assert!(route.is_some_and(|route| route.operation(Verb::Get).is_some()), "{template}");
        }
        let refused = |verb, resource| asked("a=b&as_of=x", &resource, verb).unwrap_err().to_string();
        assert!(refused(Verb::Put, Resource::Flows).contains("as_of"));
        assert!(refused(Verb::Get, Resource::Service).contains("as_of"));
        assert_eq!(asked("a=b&as_of=x%20y", &Resource::Flows, Verb::Get).unwrap().as_deref(), Some("x y"));
        assert_eq!(asked("a=b&has_of=x", &Resource::Service, Verb::Get).unwrap(), None);
    }
}
