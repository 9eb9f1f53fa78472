//! `GET /events`, an extension: what happens, as server-sent events.
//!
//! A stream is a reader of the log of its own: it has no state on the server but its place there, so it can be cut at any
//! moment and be taken up on any node, without gap and without repetition, by the id of the last event that was received.
//! That is also what becomes of a reader that is too slow, of one whose credentials do not hold any more, and of all of
//! them when the server stops.

mod reader;
mod start;

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tapelog_events::{EventPosition, Notification, Record, Seq};
use tapelog_store::log::{Broken, Log, Tail};
use tapelog_webhooks::{Filter, Render, Transforms};
use tokio::sync::{Semaphore, mpsc};

use super::call::Call;
use super::problem::Problem;
use super::query::{self, Query};
use super::response::{self, Body, Response};
use super::urls;
use crate::server::Closing;
use crate::settings::FeedSettings;
use reader::{Ended, Reader};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Tells proxies that hold answers back to make larger packets not to.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");

/// How many pieces may wait for a reader. Each is a few kilobytes, or a single large event.
const PIECES_AHEAD: usize = 4;

/// The records of the log, to be followed from anywhere.
pub trait Follow: Send + Sync {
    /// The records from this number on, and those to come. An error is the last item.
    fn follow(&self, from: Seq) -> Records;
}

/// Records in order, with their numbers.
pub type Records = BoxStream<'static, Result<(Seq, Arc<Record>), Arc<Broken>>>;

impl<L: Log> Follow for Tail<L> {
    fn follow(&self, from: Seq) -> Records {
        let reader = self.from(from);
        stream::try_unfold(reader, async |mut reader| Ok(Some((reader.next().await?, reader)))).boxed()
    }
}

/// What streams of events are made from.
pub struct EventStreams {
    records: Arc<dyn Follow>,
    render: Arc<dyn Render>,
    heartbeat: Duration,
    stall: Duration,
    /// Places for readers.
    places: Arc<Semaphore>,
    most: usize,
    readers: Gauge,
    stalled: Counter,
}

impl EventStreams {
    /// Streams of these records.
    pub fn new(records: Arc<dyn Follow>, render: Arc<dyn Render>, settings: &FeedSettings) -> Self {
        let most = settings.readers.min(Semaphore::MAX_PERMITS);
        Self {
            records,
            render,
            heartbeat: Duration::from_secs(settings.heartbeat_seconds.max(1)),
            stall: Duration::from_secs(settings.stall_seconds.max(1)),
            places: Arc::new(Semaphore::new(most)),
            most,
            readers: Gauge::default(),
            stalled: Counter::default(),
        }
    }

    /// Puts what is measured of them among what is told.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("event_readers", "Readers of /events", self.readers.clone());
        registry.register(
            "event_readers_stalled",
            "Readers of /events whose stream was ended because they took nothing of it",
            self.stalled.clone(),
        );
    }
}

/// `GET /events`.
pub async fn get(call: &Call<'_>) -> Result<Response, Problem> {
    let query = call.query()?;
    let (filter, transforms) = (filter(call, &query)?, urls::transforms(&query)?);
    permit_named(call, &filter)?;
    let next = start::start(call, &query).await?;
    let mut response = response::empty(StatusCode::OK);
    if !call.is_head() {
        *response.body_mut() = Body::Stream(begin(call, filter, transforms, next)?);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(ACCEL_BUFFERING, NO);
    Ok(response)
}

fn begin(
    call: &Call<'_>,
    filter: Filter,
    transforms: Transforms,
    next: EventPosition,
) -> Result<BoxStream<'static, Bytes>, Problem> {
    let parts = &call.app.parts;
    let EventStreams { records, render, heartbeat, stall, places, most, readers, stalled } = &parts.events;
    let place = Arc::clone(places).try_acquire_owned().map_err(|_| {
        Problem::NotReady(format!("{most} readers follow the events already; try another server, or later"))
    })?;
    let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
    let reader = Reader {
        authenticator: Arc::clone(&parts.authenticator),
        head: call.head.clone(),
        request_id: call.id.to_string(),
        render: Arc::clone(render),
        tables: Arc::clone(&parts.tables),
        incarnation: parts.incarnation,
        filter,
        transforms: Arc::new(transforms),
        next,
        pieces,
        heartbeat: *heartbeat,
        stall: *stall,
    };
    let records = records.follow(next.seq);
    let closing = call.head.extensions.get().cloned().unwrap_or_else(Closing::default).begin(call.head.version);
    let (readers, stalled) = (readers.clone(), stalled.clone());
    tokio::spawn(async move {
        readers.inc();
        if let Some(Ended::Stalled) = closing.run_until_cancelled(reader.run(records)).await {
            stalled.inc();
        }
        readers.dec();
        drop(place);
    });
    Ok(stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken))).boxed())
}

/// Who is told what, by the parameters that are named like the members of a webhook (12.3). An empty list means what it
/// means there.
fn filter(call: &Call<'_>, query: &Query<'_>) -> Result<Filter, Problem> {
    let names: Option<Vec<String>> = query.list("events")?;
    let events = match names {
        Some(names) => names.iter().map(|name| notification(name)).collect::<Result<_, _>>()?,
        None => Notification::ALL.into(),
    };
    Ok(Filter {
        events,
        flow_ids: ids(query, "flow_ids")?,
        source_ids: ids(query, "source_ids")?,
        flow_collected_by_ids: ids(query, "flow_collected_by_ids")?,
        source_collected_by_ids: ids(query, "source_collected_by_ids")?,
        access: Arc::clone(call.access()),
    })
}

/// Whoever names Flows and Sources must be able to see them (14.2), as for webhooks: what is told would say what they
/// collect. Ones that do not exist harm nobody.
fn permit_named(call: &Call<'_>, filter: &Filter) -> Result<(), Problem> {
    let access = call.access();
    let mut flows = [&filter.flow_ids, &filter.flow_collected_by_ids].into_iter().flatten().flatten();
    let mut sources = [&filter.source_ids, &filter.source_collected_by_ids].into_iter().flatten().flatten();
    let may_see_all = call.app.parts.tables.read(|tables| {
        flows.all(|id| tables.flow(*id).is_none_or(|flow| access.may_read(&flow.flow().tags)))
            && sources.all(|id| tables.source(*id).is_none_or(|source| access.may_read(&source.source().tags)))
    });
    if may_see_all {
        return Ok(());
    }
    Err(Problem::Forbidden("you may not see every flow and source that the query names".to_owned()))
}

fn ids<Id>(query: &Query<'_>, name: &str) -> Result<Option<HashSet<Id>>, Problem>
where
    Id: FromStr<Err: fmt::Display> + Eq + Hash,
{
    Ok(query.list(name)?.map(|ids| ids.into_iter().collect()))
}

fn notification(name: &str) -> Result<Notification, Problem> {
    Notification::ALL.into_iter().find(|event| event.as_str() == name).ok_or_else(|| {
        let known: Vec<_> = Notification::ALL.iter().map(|event| event.as_str()).collect();
        query::invalid("events", format!("{name:?} is not one of {}", known.join(", ")))
    })
}
