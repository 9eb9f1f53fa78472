//! A client of server-sent events, as browsers have one.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

use crate::api::Api;
use crate::shape;

/// How long something that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its data, which is the body of a notification.
    pub body: Value,
}

/// A stream of events.
pub struct EventStream {
    response: Response,
    received: Vec<u8>,
    /// The id that a browser would come back with.
    pub last_id: Option<String>,
}

impl EventStream {
    /// Opens `/events` with this query, as somebody who received the event with this id last.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(api: &Api, query: &str, last_id: Option<&str>) -> Self {
        let mut request = api.request(Method::GET, &format!("/events?{query}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.header("accept-encoding", "gzip").send().await.expect("the server answers");
        assert_eq!(response.status(), 200);
        for (name, value) in
            [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
        {
            assert_eq!(response.headers()[name], value);
        }
        assert!(response.headers().get("content-encoding").is_none(), "it would be held back");
        Self { response, received: Vec::new(), last_id: last_id.map(str::to_owned) }
    }

    /// The next event, whose body has the shape that the specification gives it; `None` at the end of the stream.
    ///
    /// # Panics
    /// When neither comes in time, and when what comes is no event.
    pub async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.receive()).await.expect("an event comes in time")
    }

    /// The next so many events.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        for number in 0..count {
            events.push(self.next().await.unwrap_or_else(|| panic!("the stream ended after {number} events")));
        }
        events
    }

    /// All events until the stream ends.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Waits until a sign of life says how far the log was read, with no event before it.
    ///
    /// # Panics
    /// When an event comes, or the stream ends.
    pub async fn mark(&mut self) -> String {
        loop {
            let block = timeout(PATIENCE, self.block()).await.expect("a sign of life comes in time");
            let block = block.expect("the stream does not end");
            assert!(field(&block, "data").is_none(), "{block}");
            if let Some(id) = field(&block, "id") {
                self.last_id = Some(id.to_owned());
                return id.to_owned();
            }
        }
    }

    async fn receive(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            if let Some(id) = field(&block, "id") {
                self.last_id = Some(id.to_owned());
            }
            let Some(data) = field(&block, "data") else { continue };
            let body: Value = serde_json::from_str(data).unwrap();
            shape::check_notification(&body).unwrap_or_else(|wrong| panic!("{wrong}: {body}"));
            let id = field(&block, "id").expect("every event has an id").to_owned();
            let kind = field(&block, "event").expect("every event has a kind").to_owned();
            assert_eq!(body["event_type"], kind.as_str());
            return Some(Event { id, kind, body });
        }
    }

    /// The lines up to the next empty one.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<_> = self.received.drain(..end + 2).collect();
                return Some(String::from_utf8(block).unwrap());
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.received.extend_from_slice(&chunk),
                // It may be cut at any moment, but what the client takes for an event is always whole.
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
