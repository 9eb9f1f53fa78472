//! Rebuild in a running server, at rest and under writers, beside a plain consumer of the same log under the same
//! circumstances.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::ConnectOptions;
use futures::future::try_join;
use serde_json::Value;
use tapelog_api::admin::{Line, RebuildReport};
use tapelog_store::log::jetstream::{Connection, JetStreamSettings};

use super::replay::{consume, post_singles};
use super::{Bench, deal};
use crate::client::Endpoint;
use crate::load::{Work, run};
use crate::report::{Row, Section, Series, Target, Unit, grouped};
use crate::store::Store;
use crate::tams::Recorder;

/// How many connections write meanwhile.
const WRITERS: usize = 16;
/// Nothing that is measured takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// Figures of one log under the same circumstances, round by round.
#[derive(Debug, Default)]
struct Rates {
    /// Records a second of the plain consumer.
    plain: Vec<f64>,
    /// Records a second of the rebuild, until it has caught up.
    rebuild: Vec<f64>,
    /// How long all of it takes, with comparison and checkpoint.
    whole: Vec<f64>,
    records: u64,
}

impl Rates {
    fn add(&mut self, report: &RebuildReport) {
        self.rebuild.push(report.folded as f64 / report.folding_seconds);
        self.whole.push(report.seconds);
        self.records = report.folded;
    }

    fn rows(&self, circumstances: &str) -> [Row; 3] {
        let unit = Unit::PerSecond("records");
        let plain = Row::best_of(&format!("    plain consumer, {circumstances}"), &self.plain, unit);
        let name = format!("rebuild of {} records, {circumstances}", grouped(self.records as f64));
        let rebuild =
            Row::best_of(&name, &self.rebuild, unit).of("a plain consumer", &plain, Some(Target::AtLeast(0.5)));
        let name = format!("    with comparison and checkpoint, {circumstances}");
        [rebuild, Row::best_of(&name, &self.whole, Unit::Seconds), plain]
    }
}

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut rows = Vec::new();
    for (connections, segments) in [(1, bench.sizes.lone_posts), (WRITERS, bench.sizes.packed_posts)] {
        rows.extend(measure_log(bench, connections, segments).await?);
    }
    Ok(Section { title: "Rebuild in a running server".to_owned(), rows })
}

/// Measures the log that so many connections leave.
async fn measure_log(bench: &Bench, connections: usize, segments: usize) -> Result<Vec<Row>> {
    let mut store = bench.subject.store(&format!("rebuild-{connections}")).await?;
    bench.doing(format_args!("rebuild: posting {segments} single segments over {connections} connections"));
    post_singles(&store, connections, segments).await?;
    let log = connect(store.data()?).await?;
    let (mut at_rest, mut written) = (Rates::default(), Rates::default());
    let (mut alone, mut beside) = (Series::new("segments", 1), Series::new("segments", 1));
    let mut recorder = Recorder::connect(&store.endpoint).await?;
    for round in 1..=bench.sizes.rounds {
        bench.doing(format_args!("rebuild: {connections} connections, round {round}"));
        at_rest.plain.push(plain_rate(&store, &log).await?);
        at_rest.add(&rebuild(&store.endpoint).await?);

        let work = prepared(bench, &mut recorder).await?;
        alone.add(run(&store.endpoint, work, LONGEST, 201).await?);
        let work = prepared(bench, &mut recorder).await?;
        let over = AtomicBool::new(false);
        let load = async {
            beside.add(run(&store.endpoint, work, LONGEST, 201).await?);
            over.store(true, Ordering::Relaxed);
            anyhow::Ok(())
        };
        let rebuilds = async {
            let plain = plain_rate(&store, &log).await?;
            let mut reports = Vec::new();
            while !over.load(Ordering::Relaxed) {
                reports.push(rebuild(&store.endpoint).await?);
            }
            // Writers have left before the last one ended.
            reports.pop();
            anyhow::Ok((plain, reports))
        };
        let ((), (plain, reports)) = try_join(load, rebuilds).await?;
        ensure!(!reports.is_empty(), "the writers were gone before one rebuild had ended");
        written.plain.push(plain);
        reports.iter().for_each(|report| written.add(report));
    }
    store.stop().await?;

    let circumstances = format!("log of single segments by {}", super::connections(connections));
    let alone = alone.row(&format!("{WRITERS} writers, {circumstances}"));
    let beside = beside.row(&format!("{WRITERS} writers while it is rebuilt over and over, {circumstances}"));
    let beside = beside.of("without", &alone, None);
    let mut rows = Vec::new();
    rows.extend(at_rest.rows(&format!("at rest, {circumstances}")));
    rows.extend(written.rows(&format!("{WRITERS} writers, {circumstances}")));
    rows.extend([beside, alone]);
    Ok(rows)
}

/// Single segments for the writers of one round.
async fn prepared(bench: &Bench, recorder: &mut Recorder) -> Result<Work> {
    let mut flow = recorder.create_flow().await?;
    Ok(Work::Once(deal(recorder.prepare(&mut flow, bench.sizes.packed_posts, 1).await?, WRITERS)))
}

/// A rebuild from its beginning to its end.
async fn rebuild(endpoint: &Endpoint) -> Result<RebuildReport> {
    let mut connection = endpoint.connect().await?;
    let request = endpoint.request("POST", "/admin/rebuild", None);
    let answer = tokio::time::timeout(LONGEST, connection.exchange(&request)).await??.expect(200)?;
    let last = answer.body.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    match serde_json::from_slice(last.context("the answer is empty")?)? {
        Line::Rebuilt(rebuilt) => {
            ensure!(rebuilt.report.wrong().is_none(), "the tables in use were not what the log comes to");
            Ok(rebuilt)
        }
        Line::Failed(reason) => bail!("the rebuild failed: {reason}"),
        Line::Report(_) | Line::Progress { .. } => bail!("the answer ended early"),
    }
}

/// Records a second that a consumer takes that does nothing with them.
async fn plain_rate(store: &Store, log: &Connection) -> Result<f64> {
    let mut connection = store.endpoint.connect().await?;
    let told: Value = store.endpoint.ask(&mut connection, "GET", "/admin/projections", None, 200).await?;
    let tip = told["log_tip"].as_u64().context("the log does not say how long it is")?;
    let taken = consume(log, &JetStreamSettings::default().stream, tip).await?;
    Ok(tip as f64 / taken.as_secs_f64())
}

/// A connection to the private nats-server of a running server, as whoever may read its folder can have one.
async fn connect(data: &Path) -> Result<Connection> {
    let folder = data.join("nats");
    let config = fs::read_to_string(folder.join("server.conf"))?;
    let line = config.lines().find(|line| line.starts_with("authorization")).context("it asks for no password")?;
    let word_after = |name: &str| {
        let rest = line.split(name).nth(1)?;
        rest.split([',', ' ', '"', '}']).find(|word| !word.is_empty()).map(str::to_owned)
    };
    let (user, password) = word_after("user:").zip(word_after("password:")).context("it names no user")?;
    let ports = fs::read_dir(folder.join("ports"))?.next().context("it listens nowhere")??.path();
    let ports: Value = serde_json::from_slice(&fs::read(ports)?)?;
    let url = ports["nats"][0].as_str().context("it names no port")?;
    Ok(Connection::open(url, ConnectOptions::with_user_and_password(user, password)).await?)
}
