//! Reads: windows of segments, which players ask for all the time; a Flow; listings, which consoles poll.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use super::Bench;
use super::large::Large;
use crate::client::Endpoint;
use crate::limit_server::CONSTANT;
use crate::load::{Work, run};
use crate::report::{Row, Section, Series, Target, grouped};
use crate::tams::{Recorder, Timeline};

/// How many segments a window has.
const WINDOW: usize = 30;
/// How many windows at random places there are.
const PLACES: usize = 4096;
/// How many items a listing shows.
const LISTED: usize = 100;
/// The parameter that asks for the index alone.
const WITHOUT_URLS: &str = "&accept_get_urls=";
/// Picks the same places in each run.
const SEED: u64 = 30;

/// One kind of request over so many connections, and a constant of the same size over as many.
struct Case {
    name: String,
    connections: usize,
    requests: Arc<[Bytes]>,
    /// An answer of the server's.
    body: String,
    server: Series,
    limit: Series,
}

impl Case {
    /// Asks for the first of the paths once, to learn what an answer looks like.
    async fn new(store: &Endpoint, name: &str, connections: usize, paths: &[String]) -> Result<Self> {
        let requests: Arc<[Bytes]> = paths.iter().map(|path| store.request("GET", path, None)).collect();
        let mut connection = store.connect().await?;
        let answer = connection.exchange(requests.first().context("there is nothing to ask for")?).await?;
        let body = String::from_utf8(answer.expect(200)?.body.to_vec())?;
        let name = format!("{name}, {}", super::connections(connections));
        let series = || Series::new("requests", 1);
        Ok(Self { name, connections, requests, body, server: series(), limit: series() })
    }

    async fn round(&mut self, store: &Endpoint, limit: &Endpoint, longest: Duration) -> Result<()> {
        let mut connection = limit.connect().await?;
        let () = limit.ask(&mut connection, "PUT", CONSTANT, Some(&self.body), 204).await?;
        let work = Work::Repeated(Arc::clone(&self.requests), self.connections);
        self.limit.add(run(limit, work.clone(), longest, 200).await?);
        self.server.add(run(store, work, longest, 200).await?);
        Ok(())
    }

    /// The line for the server, set against its limit, and the line for that.
    fn rows(&self, target: Option<Target>) -> (Row, Row) {
        let limit = self.limit.row(&format!("    limit: a constant of {} B", grouped(self.body.len() as f64)));
        (self.server.row(&self.name).of("its limit", &limit, target), limit)
    }
}

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let large = Large::take(bench).await?;
    let store = large.store.endpoint.clone();
    let mut recorder = Recorder::connect(&store).await?;
    recorder.create_flows(LISTED).await?;
    let urls = check_window(&mut recorder, &large.large).await?;

    let path = |timeline: &Timeline, first, parameters| vec![timeline.window(first, WINDOW, parameters)];
    let random = |timeline: &Timeline, parameters| {
        let mut random = StdRng::seed_from_u64(SEED);
        let mut place = || random.random_range(0..timeline.segments - WINDOW);
        (0..PLACES).map(|_| timeline.window(place(), WINDOW, parameters)).collect::<Vec<_>>()
    };
    let newest = large.large.segments - WINDOW;
    let window = |timeline: &Timeline, place| format!("{WINDOW} of {}, {place}", grouped(timeline.segments as f64));
    let in_small = window(&large.small, "anywhere");
    let in_large = window(&large.large, "anywhere");
    let without_urls = format!("{in_large}, without URLs");
    let flow = vec![format!("/flows/{}", large.large.flow_id)];
    let case = async |name: &str, connections, paths: &[String]| Case::new(&store, name, connections, paths).await;
    let mut cases = [
        case(&in_small, 1, &random(&large.small, "")).await?,
        case(&in_large, 1, &random(&large.large, "")).await?,
        case(&window(&large.large, "the oldest"), 1, &path(&large.large, 0, "")).await?,
        case(&window(&large.large, "the newest"), 1, &path(&large.large, newest, "")).await?,
        case(&without_urls, 1, &random(&large.large, WITHOUT_URLS)).await?,
        case(&in_small, 64, &random(&large.small, "")).await?,
        case(&in_large, 64, &random(&large.large, "")).await?,
        case(&without_urls, 64, &random(&large.large, WITHOUT_URLS)).await?,
        case("one flow", 1, &flow).await?,
        case("one flow", 64, &flow).await?,
        case(&format!("{LISTED} flows"), 64, &[format!("/flows?limit={LISTED}")]).await?,
        case(&format!("{LISTED} sources"), 64, &[format!("/sources?limit={LISTED}")]).await?,
    ];
    let warm_up = bench.sizes.round / 4;
    for case in &mut cases {
        bench.doing(format_args!("read: warm-up: {}", case.name));
        case.round(&store, &bench.limit, warm_up).await?;
        case.server.clear();
        case.limit.clear();
    }
    for round in 1..=bench.sizes.rounds {
        for case in &mut cases {
            bench.doing(format_args!("read: {}, round {round}", case.name));
            case.round(&store, &bench.limit, bench.sizes.round).await?;
        }
    }
    bench.large = Some(large);

    let goal = Some(Target::AtLeast(0.4));
    let [small, large, oldest, newest, without_urls, small_many, large_many, others @ ..] = &cases;
    let (small, small_limit) = small.rows(None);
    let (large, large_limit) = large.rows(goal);
    let (oldest, oldest_limit) = oldest.rows(None);
    let (newest, newest_limit) = newest.rows(None);
    let (small_many, small_many_limit) = small_many.rows(None);
    let (large_many, large_many_limit) = large_many.rows(goal);
    let large = large.p50_of("the small flow", &small, Some(Target::AtMost(1.2)));
    let newest = newest.p50_of("the oldest", &oldest, Some(Target::AtMost(1.2)));
    let large_many = large_many.p50_of("the small flow", &small_many, Some(Target::AtMost(1.2)));
    let mut rows = vec![small, small_limit, large, large_limit, oldest, oldest_limit, newest, newest_limit];
    rows.extend([small_many, small_many_limit, large_many, large_many_limit]);
    rows.extend([without_urls].into_iter().chain(others).flat_map(|case| <[Row; 2]>::from(case.rows(None))));
    Ok(Section { title: format!("Reads; windows with {urls}"), rows })
}

/// Makes sure that a window is what was asked for, and says which URLs it has.
async fn check_window(recorder: &mut Recorder, timeline: &Timeline) -> Result<&'static str> {
    let segments: Vec<Value> = recorder.ask("GET", &timeline.window(0, WINDOW, ""), None, 200).await?;
    ensure!(segments.len() == WINDOW, "a window of {WINDOW} segments has {}", segments.len());
    let urls = |segment: &Value| segment["get_urls"].as_array().cloned().unwrap_or_default();
    let presigned = |segment| urls(segment).iter().any(|url| url["presigned"] == true);
    Ok(match segments.iter().all(presigned) {
        true => "presigned URLs",
        false => "no presigned URLs, since the server offers none",
    })
}
