//! The limit of the log: publishing to JetStream with nothing around it, on a private nats-server with the settings that
//! `tapelog serve` gives its own. One commit a message, as large as that of a single-segment POST.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::jetstream::{self, Context, stream};
use bytes::Bytes;
use tapelog_events::{
    ChainHash, Commit, CommitId, FlowId, Instance, ObjectId, Record, Segment, SegmentsAdded, SourceId, StorageId,
    TimeRange, Timestamp, codec,
};
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use uuid::Uuid;

use crate::histogram::Histogram;
use crate::load::Run;
use crate::machine::CpuSample;

const SUBJECT: &str = "raw.records";

/// A nats-server and a stream on it.
pub struct RawLog {
    server: NatsServer,
    context: Context,
    message: Bytes,
    last_sequence: u64,
}

impl RawLog {
    /// Starts the nats-server, with its data in this folder.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start(folder: &Path) -> Result<Self> {
        let server = NatsServer::start(NatsServerSettings::new(folder)).await?;
        let client = server.connect_options().connect(server.url()).await?;
        let context = jetstream::new(client);
        let config =
            stream::Config { name: "RAW".to_owned(), subjects: vec![SUBJECT.to_owned()], ..Default::default() };
        context.create_stream(config).await?;
        Ok(Self { server, context, message: message(), last_sequence: 0 })
    }

    /// The nats-server, for the report.
    pub fn version(&self) -> String {
        format!("nats-server {}", self.server.version())
    }

    /// What an acknowledgement means, for the report.
    pub fn durability(&self) -> String {
        self.server.durability().to_string()
    }

    /// How large each message is, in bytes.
    pub fn message_bytes(&self) -> usize {
        self.message.len()
    }

    /// Publishes for this long, with so many messages under way, each with the fence that a record has.
    ///
    /// # Errors
    /// When a message is not acknowledged.
    pub async fn publish(&mut self, in_flight: usize, longest: Duration) -> Result<Run> {
        let mut latencies = Histogram::new();
        let mut under_way = VecDeque::with_capacity(in_flight);
        let before = CpuSample::take();
        let begun = Instant::now();
        while begun.elapsed() < longest {
            while under_way.len() < in_flight {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.last_sequence.to_string());
                self.last_sequence += 1;
                let sent = Instant::now();
                let ack = self.context.publish_with_headers(SUBJECT, headers, self.message.clone()).await?;
                under_way.push_back((sent, ack));
            }
            if let Some((sent, ack)) = under_way.pop_front() {
                ack.await?;
                latencies.record(sent.elapsed());
            }
        }
        let elapsed = begun.elapsed();
        let cpu = CpuSample::take().zip(before).map(|(now, before)| now.since(&before, Some(self.server.pid())));
        for (_, ack) in under_way {
            ack.await?;
        }
        Ok(Run { elapsed, latencies, cpu })
    }

    /// Stops the nats-server.
    pub async fn stop(self) {
        self.server.shutdown().await;
    }
}

/// The record of a single-segment POST.
fn message() -> Bytes {
    let second = |seconds| Timestamp::from_parts(seconds, 0).expect("a small number of seconds is a timestamp");
    let segment = Segment {
        object_id: ObjectId::from_uuid(Uuid::new_v4()).expect("a random UUID is an object id"),
        timerange: TimeRange::from_start_end(second(1_000_000), second(1_000_001)),
        ts_offset: Timestamp::ZERO,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        object_timerange: None,
        key_frame_count: None,
        init_object: None,
        instances: [0].into_iter().collect(),
    };
    let added = SegmentsAdded {
        flow_id: FlowId::from_uuid(Uuid::new_v4()),
        source_id: SourceId::from_uuid(Uuid::new_v4()),
        collected_by: Default::default(),
        instances: vec![Instance::Controlled { storage_id: StorageId::from_uuid(Uuid::new_v4()) }],
        init_objects: Vec::new(),
        segments: vec![segment],
    };
    let commit = Commit {
        id: CommitId::from_uuid(Uuid::now_v7()),
        at: tapelog_events::Instant::from_micros(1_700_000_000_000_000),
        actor: "anonymous".to_owned(),
        request_id: Some(Uuid::new_v4().to_string()),
        idempotency: None,
        events: vec![added.into()],
    };
    codec::encode(&Record { format: codec::FORMAT, prev_hash: ChainHash::ZERO, commits: vec![commit] }).into()
}
