//! What a recorder says to a TAMS server, as bytes: Flows, storage, segments.

use anyhow::Result;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Connection, Endpoint};

/// How many objects are allocated with one request, unless the server gives out fewer.
const ALLOCATED_AT_ONCE: usize = 1000;
/// The parameter of a window that asks for the index alone.
pub const WITHOUT_URLS: &str = "&accept_get_urls=";
/// The second at which every Flow starts. Every later one has as many digits, and every answer the same size.
const FIRST_SECOND: usize = 1_000_000;

/// A connection for what is not measured.
#[derive(Debug)]
pub struct Recorder {
    endpoint: Endpoint,
    connection: Connection,
}

/// A Flow and how many segments have been made for it. Each lasts a second and follows the one before.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The Flow's id.
    pub flow_id: Uuid,
    /// How many segments have been made.
    pub segments: usize,
}

impl Timeline {
    /// The path of the Flow's segments.
    pub fn path(&self) -> String {
        format!("/flows/{}/segments", self.flow_id)
    }

    /// The path and query for a window of this many segments from the one with this index on.
    pub fn window(&self, first: usize, segments: usize, parameters: &str) -> String {
        let start = FIRST_SECOND + first;
        let end = start + segments;
        format!("{}?timerange=%5B{start}:0_{end}:0)&limit={segments}{parameters}", self.path())
    }

    /// The next segment, as JSON.
    fn segment(&mut self, object_id: &str) -> String {
        let start = FIRST_SECOND + self.segments;
        self.segments += 1;
        format!(r#"{{"object_id":"{object_id}","timerange":"[{start}:0_{}:0)"}}"#, start + 1)
    }
}

/// A video Flow of a Source of its own.
pub fn video(flow_id: Uuid, label: &str, tags: &Value) -> Value {
    json!({
        "id": flow_id,
        "source_id": Uuid::new_v4(),
        "label": label,
        "description": "made by a load generator, and left behind by it",
        "format": "urn:x-nmos:format:video",
        "codec": "video/h264",
        "container": "video/mp2t",
        "avg_bit_rate": 6000,
        "tags": tags,
        "essence_parameters": { "frame_width": 1920, "frame_height": 1080, "frame_rate": { "numerator": 25 } },
    })
}

/// An audio Flow of a Source of its own.
pub fn audio(flow_id: Uuid, label: &str, tags: &Value) -> Value {
    let mut flow = video(flow_id, label, tags);
    flow["format"] = json!("urn:x-nmos:format:audio");
    flow["codec"] = json!("audio/aac");
    flow["avg_bit_rate"] = json!(128);
    flow["essence_parameters"] = json!({ "sample_rate": 48_000, "channels": 2 });
    flow
}

impl Recorder {
    /// Connects.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self> {
        Ok(Self { endpoint: endpoint.clone(), connection: endpoint.connect().await? })
    }

    /// Sends a request and reads the answer's JSON.
    ///
    /// # Errors
    /// When the answer is not the expected one.
    pub async fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        expected: u16,
    ) -> Result<T> {
        let body = body.map(Value::to_string);
        self.endpoint.ask(&mut self.connection, method, path, body.as_deref(), expected).await
    }

    /// Creates a video Flow of a Source of its own.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn create_flow(&mut self) -> Result<Timeline> {
        let flow_id = Uuid::new_v4();
        let flow = video(flow_id, "tapelog-bench", &json!({ "purpose": "measurement" }));
        let IgnoredAny = self.ask("PUT", &format!("/flows/{flow_id}"), Some(&flow), 201).await?;
        Ok(Timeline { flow_id, segments: 0 })
    }

    /// Creates several Flows.
    ///
    /// # Errors
    /// When the server refuses one.
    pub async fn create_flows(&mut self, flows: usize) -> Result<Vec<Timeline>> {
        let mut timelines = Vec::with_capacity(flows);
        for _ in 0..flows {
            timelines.push(self.create_flow().await?);
        }
        Ok(timelines)
    }

    /// Allocates this many objects for the Flow.
    async fn allocate(&mut self, flow_id: Uuid, objects: usize) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Storage {
            media_objects: Vec<MediaObject>,
        }
        #[derive(Deserialize)]
        struct MediaObject {
            object_id: String,
        }
        let path = format!("/flows/{flow_id}/storage");
        let mut ids = Vec::with_capacity(objects);
        while ids.len() < objects {
            let limit = (objects - ids.len()).min(ALLOCATED_AT_ONCE);
            let storage: Storage = self.ask("POST", &path, Some(&json!({ "limit": limit })), 201).await?;
            ids.extend(storage.media_objects.into_iter().map(|object| object.object_id));
        }
        ids.truncate(objects);
        Ok(ids)
    }

    /// Allocates objects and prepares requests that post them, with this many segments each: alone as one segment,
    /// otherwise in bulk.
    ///
    /// # Errors
    /// When the server does not allocate them.
    pub async fn prepare(&mut self, timeline: &mut Timeline, requests: usize, each: usize) -> Result<Vec<Bytes>> {
        let objects = self.allocate(timeline.flow_id, requests * each).await?;
        let path = timeline.path();
        let prepared = objects.chunks(each).map(|objects| {
            let body = match objects {
                [object_id] => timeline.segment(object_id),
                objects => {
                    let segments: Vec<_> = objects.iter().map(|object_id| timeline.segment(object_id)).collect();
                    format!("[{}]", segments.join(","))
                }
            };
            self.endpoint.request("POST", &path, Some(&body))
        });
        Ok(prepared.collect())
    }

    /// As [`Self::prepare`], for several Flows.
    ///
    /// # Errors
    /// When the server does not allocate the objects.
    pub async fn prepare_all(
        &mut self,
        timelines: &mut [Timeline],
        requests: usize,
        each: usize,
    ) -> Result<Vec<Vec<Bytes>>> {
        let mut prepared = Vec::with_capacity(timelines.len());
        for timeline in timelines {
            prepared.push(self.prepare(timeline, requests, each).await?);
        }
        Ok(prepared)
    }

    /// Sends prepared requests one after the other.
    ///
    /// # Errors
    /// When one is not answered with 201.
    pub async fn post(&mut self, requests: &[Bytes]) -> Result<()> {
        for request in requests {
            self.connection.exchange(request).await?.expect(201)?;
        }
        Ok(())
    }
}
