//! Replay: from the log on JetStream into tables, in this process, beside a plain consumer that only counts.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures::StreamExt as _;
use tapelog_events::{Event, Record};
use tapelog_projections::Tables;
use tapelog_store::log::jetstream::{Connection, JetStreamLog, JetStreamSettings};
use tapelog_store::log::{Head, Log as _, replay};
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};

use super::Bench;
use super::large::Large;
use crate::load::{Work, run};
use crate::report::{Row, Section, Target, Unit, grouped};
use crate::store::Store;
use crate::tams::Recorder;

/// How many connections post single segments: what waits together goes into one record.
const CONNECTIONS: usize = 64;
/// As many messages and bytes as the follower of the log asks for at once.
const BATCH: usize = 16 * 1024;
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// Posting ends by then, and no message takes longer to come.
const LONGEST: Duration = Duration::from_secs(120);

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let packed = posted(bench, CONNECTIONS, bench.sizes.packed_posts).await?;
    let lone = posted(bench, 1, bench.sizes.lone_posts).await?;
    let mut large = Large::take(bench).await?;
    large.store.stop().await?;

    let mut rows = Vec::new();
    let packed_name = format!("single segments, {CONNECTIONS} connections");
    let logs = [("bulk of 100", &large.store), (&packed_name, &packed), ("single segments, 1 connection", &lone)];
    for (name, store) in logs {
        rows.extend(measure_log(bench, name, store.data()?).await?);
    }
    bench.large = Some(large);
    Ok(Section { title: "Replay of the log into tables".to_owned(), rows })
}

/// A stopped store, into which single segments were posted over so many connections.
async fn posted(bench: &Bench, connections: usize, segments: usize) -> Result<Store> {
    bench.doing(format_args!("replay: posting {segments} single segments over {connections} connections"));
    let mut store = bench.subject.store(&format!("posted-{connections}")).await?;
    post_singles(&store, connections, segments).await?;
    store.stop().await?;
    Ok(store)
}

/// Posts single segments over so many connections.
pub async fn post_singles(store: &Store, connections: usize, segments: usize) -> Result<()> {
    let mut recorder = Recorder::connect(&store.endpoint).await?;
    let mut flows = recorder.create_flows(connections).await?;
    let prepared = recorder.prepare_all(&mut flows, segments / connections, 1).await?;
    run(&store.endpoint, Work::Once(prepared), LONGEST, 201).await?;
    Ok(())
}

/// What is in a log.
#[derive(Debug, Default, Clone, Copy)]
struct Contents {
    records: u64,
    segments: u64,
    objects: u64,
}

impl Contents {
    fn count(&mut self, record: &Record) {
        self.records += 1;
        for event in record.commits.iter().flat_map(|commit| &commit.events) {
            match event {
                Event::SegmentsAdded(added) => self.segments += added.segments.len() as u64,
                Event::ObjectsAllocated(allocated) => self.objects += allocated.object_ids.len() as u64,
                _ => {}
            }
        }
    }
}

async fn measure_log(bench: &Bench, name: &str, data: &Path) -> Result<[Row; 3]> {
    let server = NatsServer::start(NatsServerSettings::new(data.join("nats"))).await?;
    let connection = Connection::open(server.url(), server.connect_options()).await?;
    let settings = JetStreamSettings::default();
    let now = tapelog_events::Instant::from_micros(0);
    let log = JetStreamLog::open(&connection, &settings, &data.join("log.json"), now).await?;
    let tip = log.tip().await?;

    let (mut raw, mut replayed) = (Vec::new(), Vec::new());
    let mut contents = Contents::default();
    for round in 1..=bench.sizes.rounds {
        bench.doing(format_args!("replay of {name}, round {round}"));
        raw.push(consume(&connection, &settings.stream, tip.0).await?.as_secs_f64());

        let mut tables = Tables::new();
        contents = Contents::default();
        let begun = Instant::now();
        let count = |head, record: Record| {
            contents.count(&record);
            tables.apply(head, &record)
        };
        replay(&log, Head::START, tip, count).await?;
        replayed.push(begun.elapsed().as_secs_f64());
    }
    server.shutdown().await;

    let Contents { records, segments, objects } = contents;
    ensure!(records == tip.0, "the log has {} records, and {records} were replayed", tip.0);
    let rates = |things: u64, seconds: &[f64]| seconds.iter().map(|taken| things as f64 / taken).collect::<Vec<_>>();
    let of_records = Unit::PerSecond("records");
    let raw = Row::best_of(&format!("{name}: plain consumer"), &rates(records, &raw), of_records);
    let per_record = segments as f64 / records as f64;
    let title = format!("{name}: replay of {} records, {per_record:.1} segments each", grouped(records as f64));
    let in_records = Row::best_of(&title, &rates(records, &replayed), of_records);
    let in_records = in_records.of("a plain consumer", &raw, Some(Target::AtLeast(0.5)));
    let title = format!(
        "{name}: replay of {} segments, {} allocated objects",
        grouped(segments as f64),
        grouped(objects as f64)
    );
    let in_segments = Row::best_of(&title, &rates(segments, &replayed), Unit::PerSecond("segments"));
    // Where each record has one segment, not even the plain consumer comes near the target for segments.
    let packed = segments > 2 * records;
    let in_segments = if packed { in_segments.must(Target::AtLeast(500_000.0)) } else { in_segments };
    Ok([in_records, in_segments, raw])
}

/// Takes all messages of the stream, and does nothing with them.
pub async fn consume(connection: &Connection, stream: &str, messages: u64) -> Result<Duration> {
    let context = async_nats::jetstream::new(connection.client().clone());
    let stream = context.get_stream(stream).await?;
    let config = Config {
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::None,
        memory_storage: true,
        ..Config::default()
    };
    let begun = Instant::now();
    let consumer = stream.create_consumer(config).await?;
    let batches = consumer.stream().max_messages_per_batch(BATCH).max_bytes_per_batch(BATCH_BYTES);
    let mut stream = batches.messages().await?;
    for _ in 0..messages {
        let message = tokio::time::timeout(LONGEST, stream.next()).await?;
        message.context("the consumer ended early")??;
    }
    Ok(begun.elapsed())
}
