//! What becomes of a webhook's notifications, and what can be done about it: an extension.

use std::ops::{Bound, RangeBounds};

use futures::future::BoxFuture;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, RedeliverDeadLetters, ReplayWebhook, ResolveDeadLetter};
use tapelog_events::codec::decode;
use tapelog_events::{
    DeadLetter, EventId, EventPosition, Failure, Incarnation, Instant, Notification, Permission, Resolution, Seq,
    WebhookId,
};
use tapelog_projections::history::Moment;
use tapelog_projections::{Direction, InvalidCursor, Page};
use tapelog_webhooks::{
    AttemptCursor, AttemptFilter, AttemptKind, AttemptOrder, AttemptPage, AttemptRow, Attempted, DeliveryState,
    PingError, StateError, TableError,
};

use super::body;
use super::call::{self, Call};
use super::paging::{self, Listing};
use super::point::Point;
use super::problem::Problem;
use super::query::Query;
use super::response::{self, Response};
use super::webhook::{self, permitted};
use super::write::submit;

/// How deliveries stand, whoever makes them.
pub trait Deliveries: Send + Sync {
    /// How the delivery to a webhook stands; `None` before it has begun.
    fn state(&self, id: WebhookId) -> BoxFuture<'_, Result<Option<DeliveryState>, StateError>>;

    /// Tries whether a receiver answers.
    fn ping(&self, id: WebhookId) -> BoxFuture<'_, Result<Attempted, PingError>>;

    /// A page of the attempts for one webhook.
    fn attempts(
        &self,
        id: WebhookId,
        filter: AttemptFilter,
        order: AttemptOrder,
        cursor: Option<AttemptCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<AttemptPage, TableError>>;
}

/// How the delivery to a webhook stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryState")]
pub struct StateDocument {
    /// The status of the webhook.
    status: &'static str,
    /// The next event to be considered; absent before delivery has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// How many records of the log have not been considered yet.
    lag_records: u64,
    /// How long ago the first of them was written, in seconds.
    lag_seconds: f64,
    /// How many attempts in a row have failed.
    consecutive_failures: u32,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Instant>,
    /// When it was tried last. Told only by the node that delivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt: Option<Instant>,
    /// When it is tried again. Told only by the node that delivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<Instant>,
    /// Why nothing is delivered until somebody does something.
    #[serde(skip_serializing_if = "Option::is_none")]
    stuck: Option<String>,
    /// How many dead letters there are.
    dead_letters: usize,
    /// The node that delivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// `GET /service/webhooks/{webhookId}/delivery`.
pub async fn state(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    let (seq, seen) = call.app.parts.tables.read(|tables| {
        let seen = permitted(call, tables, id, Permission::Read)
            .map(|webhook| (webhook::name_of(&webhook.status), tables.registry().dead_letters_of(id).count()));
        (tables.position(), seen)
    });
    let (status, dead_letters) = seen.map_err(|problem| problem.seen_at(seq))?;
    let state = call.app.parts.deliveries.state(id).await.map_err(|error| match error {
        StateError::Unreachable(_) => Problem::NotReady("the positions of webhooks cannot be read now".to_owned()),
        StateError::Unreadable(_) => {
            tracing::error!(%id, error = &error as &dyn std::error::Error, "the position of a webhook cannot be read");
            Problem::Internal
        }
    })?;
    let lag_seconds = match &state {
        Some(state) if state.lag_records > 0 => waited(call, state.next).await,
        Some(_) | None => 0.0,
    };
    let incarnation = call.app.parts.incarnation;
    let mut document = StateDocument {
        status,
        next: None,
        lag_records: 0,
        lag_seconds,
        consecutive_failures: 0,
        failing_since: None,
        last_attempt: None,
        next_attempt: None,
        stuck: None,
        dead_letters,
        node: None,
    };
    if let Some(state) = state {
        let DeliveryState {
            next,
            lag_records,
            failing_since,
            consecutive_failures,
            last_attempt,
            next_attempt,
            stuck,
            owner,
        } = state;
        document = StateDocument {
            next: Some(EventId { incarnation, position: next }.to_string()),
            lag_records,
            consecutive_failures,
            failing_since,
            last_attempt,
            next_attempt,
            stuck: stuck.map(|why| why.to_string()),
            node: owner,
            ..document
        };
    }
    Ok(call.at(seq, response::ok(&document)))
}

/// For how many seconds an event has waited; 0 where its record cannot be read.
async fn waited(call: &Call<'_>, next: EventPosition) -> f64 {
    let record = call.app.parts.past.record(next.seq).await.ok().flatten();
    let record = record.and_then(|bytes| decode(&bytes).ok());
    let commit = record.as_ref().and_then(|record| record.commits.get(next.commit as usize));
    let now: Instant = call.app.now().into();
    commit.map_or(0.0, |commit| now.as_micros().saturating_sub(commit.at.as_micros()).max(0) as f64 / 1e6)
}

/// `POST /service/webhooks/{webhookId}/ping`, for who may change the webhook: it is sent to whatever its status.
pub async fn ping(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    let seq = look(call, id, Permission::Write)?;
    let attempted = call.app.parts.deliveries.ping(id).await.map_err(|error| match error {
        PingError::Unknown(_) => Problem::NotFound(error.to_string()),
        PingError::Unusable(why) => Problem::Conflict(format!("nothing can be posted to webhook {id}: {why}")),
    })?;
    Ok(call.at(seq, response::ok(&ResultDocument::from(attempted))))
}

/// What an attempt to deliver came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryResult")]
pub struct ResultDocument {
    /// `delivered`, `failed` where the receiver could take nothing at that moment, `refused` where it did not take this.
    result: &'static str,
    /// The same in a sentence.
    summary: String,
    /// The status that the receiver answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// When it began.
    started: Instant,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// The beginning of what the receiver said.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
}

impl From<Attempted> for ResultDocument {
    fn from(attempted: Attempted) -> Self {
        let Attempted { started, took, result, excerpt } = attempted;
        Self {
            result: AttemptKind::of(&result).as_str(),
            summary: result.to_string(),
            status: result.status(),
            started,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            excerpt,
        }
    }
}

/// An attempt to deliver a notification.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub struct AttemptDocument {
    /// The event: `<incarnation>.<sequence>.<commit>.<event>`.
    event: String,
    /// What it notifies of.
    event_type: Notification,
    /// Which attempt at this notification it was, counted from 1.
    attempt: u32,
    /// Which node made it.
    node: String,
    #[serde(flatten)]
    result: ResultDocument,
}

impl AttemptDocument {
    fn of(row: AttemptRow, incarnation: Incarnation) -> Self {
        let AttemptRow { webhook_id: _, position, notification, attempt, attempted, node } = row;
        let event = EventId { incarnation, position }.to_string();
        Self { event, event_type: notification, attempt, node, result: attempted.into() }
    }
}

/// `GET /service/webhooks/{webhookId}/deliveries`: attempts, newest first.
pub async fn list(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    let query = call.query()?;
    let filter = filter(call, &query)?;
    let paging = call::paging(call, &query)?;
    let cursor = paging.cursor.map(str::parse::<AttemptCursor>).transpose();
    let cursor = cursor.map_err(|error| Problem::invalid(format!("query parameter page: {error}")))?;
    // The usual order is the newest first.
    let order = match paging.direction {
        Direction::Usual => AttemptOrder::NewestFirst,
        Direction::Reversed => AttemptOrder::OldestFirst,
    };
    let seq = look(call, id, Permission::Read)?;
    let page = call.app.parts.deliveries.attempts(id, filter, order, cursor, paging.limit).await;
    let page = page.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the delivery log cannot be read");
        Problem::Internal
    })?;
    let incarnation = call.app.parts.incarnation;
    let attempts: Vec<_> = page.rows.into_iter().map(|row| AttemptDocument::of(row, incarnation)).collect();
    let next = page.next.map(|cursor| cursor.to_string());
    let mut response = response::ok(&attempts);
    let reverse = paging.direction == Direction::Reversed;
    let listing = Listing { count: attempts.len(), reverse, timerange: None };
    let page = paging::Page { limit: paging.limit, next: next.as_deref(), listing: Some(listing) };
    page.write(call, response.headers_mut());
    Ok(call.at(seq, response))
}

/// What a query asks for.
fn filter(call: &Call<'_>, query: &Query<'_>) -> Result<AttemptFilter, Problem> {
    let event: Option<EventId> = query.parsed("event")?;
    if event.is_some_and(|event| event.incarnation != call.app.parts.incarnation) {
        return Err(Problem::invalid("query parameter event: it is not one of this log"));
    }
    Ok(AttemptFilter {
        kind: query.choice("result", &AttemptKind::ALL.map(|kind| (kind.as_str(), kind)))?,
        notification: query.choice("event_type", &Notification::ALL.map(|kind| (kind.as_str(), kind)))?,
        from: query.parsed("from")?,
        to: query.parsed("to")?,
        position: event.map(|event| event.position),
    })
}

/// The record up to which the tables are that show a webhook to whoever asks.
fn look(call: &Call<'_>, id: WebhookId, permission: Permission) -> Result<Seq, Problem> {
    call.app.parts.tables.read(|tables| {
        let seq = tables.position();
        permitted(call, tables, id, permission).map(|_| seq).map_err(|problem| problem.seen_at(seq))
    })
}

/// A notification that the receiver of a webhook refused for good.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub struct DeadLetterDocument<'a> {
    /// The event: `<incarnation>.<sequence>.<commit>.<event>`.
    event: String,
    /// What it notifies of.
    event_type: Notification,
    /// How often it was tried.
    attempts: u32,
    /// Why the last attempt failed, and when.
    error: &'a Failure,
    /// Since when it is to be tried once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    redelivery: Option<Instant>,
}

impl<'a> DeadLetterDocument<'a> {
    fn of(letter: &'a DeadLetter, incarnation: Incarnation) -> Self {
        let DeadLetter { webhook_id: _, position, notification, attempts, failure, redelivery } = letter;
        let event = EventId { incarnation, position: *position }.to_string();
        Self { event, event_type: *notification, attempts: *attempts, error: failure, redelivery: *redelivery }
    }
}

/// `GET /service/webhooks/{webhookId}/dead-letters`, in log order.
pub fn list_dead_letters(call: &Call<'_>, id: WebhookId) -> Result<Response, Problem> {
    let query = call.query()?;
    let paging = call::paging(call, &query)?;
    let cursor = paging.cursor.map(str::parse::<EventPosition>).transpose();
    let beyond = cursor.map_err(|_| InvalidCursor)?.map_or(Bound::Unbounded, Bound::Excluded);
    call.read(|tables| {
        permitted(call, tables, id, Permission::Read)?;
        let letters = tables.registry().dead_letters_of(id);
        let mut items: Vec<_> = match paging.direction {
            Direction::Usual => {
                let rest = (beyond, Bound::Unbounded);
                letters.filter(|letter| rest.contains(&letter.position)).take(paging.limit + 1).collect()
            }
            Direction::Reversed => {
                let rest = (Bound::Unbounded, beyond);
                letters.rev().filter(|letter| rest.contains(&letter.position)).take(paging.limit + 1).collect()
            }
        };
        let is_last = items.len() <= paging.limit;
        items.truncate(paging.limit);
        let next = items.last().filter(|_| !is_last).map(|letter| letter.position.to_string());
        Ok(paging::listing(call, &paging, Page { items, next }, |letter, out| {
            out.extend(response::encode(&DeadLetterDocument::of(letter, call.app.parts.incarnation)));
        }))
    })
}

/// `GET /service/webhooks/{webhookId}/dead-letters/{eventId}`.
pub fn get_dead_letter(call: &Call<'_>, id: WebhookId, event: EventId) -> Result<Response, Problem> {
    call.read(|tables| {
        permitted(call, tables, id, Permission::Read)?;
        let letter = tables.registry().dead_letters.get(&(id, event.position));
        let letter = letter.filter(|_| event.incarnation == call.app.parts.incarnation);
        let letter = letter.ok_or_else(|| no_dead_letter(id, event))?;
        Ok(response::ok(&DeadLetterDocument::of(letter, call.app.parts.incarnation)))
    })
}

fn no_dead_letter(id: WebhookId, event: EventId) -> Problem {
    Problem::NotFound(format!("webhook {id} has no dead letter {event}"))
}

/// `DELETE /service/webhooks/{webhookId}/dead-letters/{eventId}`: it is given up.
pub async fn discard(call: &Call<'_>, webhook_id: WebhookId, event: EventId) -> Result<Response, Problem> {
    if event.incarnation != call.app.parts.incarnation {
        return Err(no_dead_letter(webhook_id, event));
    }
    let discarded = ResolveDeadLetter { webhook_id, position: event.position, resolution: Resolution::Discarded };
    let submitted = submit(call, Command::ResolveDeadLetter(discarded)).await?;
    Ok(call.empty_at(submitted.seq, StatusCode::NO_CONTENT))
}

/// How many dead letters are being tried once more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Redelivery")]
pub struct RedeliveryDocument {
    /// All of the webhook's, also those that somebody asked for before.
    waiting: usize,
}

/// `POST /service/webhooks/{webhookId}/dead-letters/redeliver`.
pub async fn redeliver(call: &Call<'_>, webhook_id: WebhookId) -> Result<Response, Problem> {
    let positions = body::delivery::read_redelivery(&call.body, call.app.parts.incarnation)?;
    submit(call, Command::RedeliverDeadLetters(RedeliverDeadLetters { webhook_id, positions })).await?;
    call.read(|tables| {
        let letters = tables.registry().dead_letters_of(webhook_id);
        let waiting = letters.filter(|letter| letter.redelivery.is_some()).count();
        Ok(response::json(StatusCode::ACCEPTED, response::encode(&RedeliveryDocument { waiting })))
    })
}

/// What is delivered again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Replay")]
pub struct ReplayDocument {
    /// The first event: `<incarnation>.<sequence>.<commit>.<event>`. Whether the webhook is told of it is for its filters
    /// to say.
    from: String,
}

/// `POST /service/webhooks/{webhookId}/replay`.
pub async fn replay(call: &Call<'_>, webhook_id: WebhookId) -> Result<Response, Problem> {
    let incarnation = call.app.parts.incarnation;
    let point = body::delivery::read_replay(&call.body, incarnation)?;
    let from = first_event(call, point).await?;
    if from.seq > call.app.parts.tables.position() {
        return Err(Problem::invalid(format!(
            "from: nothing has happened at {} or later",
            EventId { incarnation, position: from }
        )));
    }
    let submitted = submit(call, Command::ReplayWebhook(ReplayWebhook { webhook_id, from })).await?;
    let document = ReplayDocument { from: EventId { incarnation, position: from }.to_string() };
    Ok(call.at(submitted.seq, response::json(StatusCode::ACCEPTED, response::encode(&document))))
}

/// Where the first event stands at or after a point.
async fn first_event(call: &Call<'_>, point: Point) -> Result<EventPosition, Problem> {
    Ok(match point {
        Point::Event(position) => position,
        Point::Time(_) | Point::Record(_) | Point::Commits(_) => match point.moment_before(call).await? {
            Moment { seq, commits: u32::MAX } => EventPosition::start_of(seq.next()),
            Moment { seq, commits } => EventPosition { commit: commits, ..EventPosition::start_of(seq) },
        },
    })
}
