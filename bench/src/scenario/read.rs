//! Reads: windows of segments, which players ask for all the time; a Flow; listings, which consoles poll.

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use super::case::{self, Case};
use super::large::Large;
use super::{Bench, Scenario};
use crate::report::{Row, Section, Target, grouped};
use crate::tams::{Recorder, Timeline, WITHOUT_URLS};

/// How many segments a window has.
const WINDOW: usize = 30;
/// How many windows at random places there are.
const PLACES: usize = 4096;
/// How many items a listing shows.
const LISTED: usize = 100;
/// Picks the same places in each run.
const SEED: u64 = 30;

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
    case::measure(bench, Scenario::Read, &mut cases).await?;
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
