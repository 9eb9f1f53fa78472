//! The past beside the present: the same reads of the store as it is, and as it was when half of it was written.

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;

use super::case::{self, Case};
use super::large::Large;
use super::{Bench, Scenario};
use crate::client::Endpoint;
use crate::report::{Section, grouped};
use crate::tams::{Recorder, Timeline};

/// How many segments a window has.
const WINDOW: usize = 30;
/// How many windows at random places there are.
const PLACES: usize = 4096;
/// How many items a listing shows.
const LISTED: usize = 100;
/// Picks the same places in each run.
const SEED: u64 = 30;

/// A segment, as far as it is of interest.
#[derive(Deserialize)]
struct Segment {
    object_id: String,
}

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let large = Large::take(bench).await?;
    let store = large.store.endpoint.clone();
    let mut recorder = Recorder::connect(&store).await?;
    recorder.create_flows(LISTED).await?;
    let listed = position(&store).await?;
    // What comes after, so that the past is not the present.
    recorder.create_flows(1).await?;
    let (incarnation, record) = listed.split_once('.').context("a position is an incarnation and a record")?;
    let half = format!("{incarnation}.{}", record.parse::<u64>()? / 2);

    let Timeline { flow_id, segments } = large.large;
    let mut random = StdRng::seed_from_u64(SEED);
    // A quarter of the segments were there for certain when half of the records were.
    let places: Vec<_> = (0..PLACES).map(|_| random.random_range(0..segments / 4)).collect();
    let windows: Vec<_> = places.iter().map(|first| large.large.window(*first, WINDOW, "")).collect();
    let first: Vec<Segment> = recorder.ask("GET", &windows[0], None, 200).await?;
    let object = first.first().context("a window has segments")?;
    let of_half = format!("as_of={half}");
    let reads = [
        ("one flow".to_owned(), vec![format!("/flows/{flow_id}")], &of_half),
        ("one flow with its timerange".to_owned(), vec![format!("/flows/{flow_id}?include_timerange=true")], &of_half),
        (format!("{WINDOW} of {} segments, anywhere", grouped(segments as f64)), windows, &of_half),
        ("one object".to_owned(), vec![format!("/objects/{}", object.object_id)], &of_half),
        (format!("{LISTED} flows"), vec![format!("/flows?limit={LISTED}")], &format!("as_of={listed}")),
    ];
    let mut cases = Vec::new();
    for (name, paths, moment) in &reads {
        let then: Vec<_> = paths.iter().map(|path| asking(path, moment)).collect();
        cases.push(Case::new(&store, &format!("{name}, now"), 1, paths).await?);
        cases.push(Case::new(&store, &format!("{name}, then"), 1, &then).await?);
    }
    case::measure(bench, Scenario::AsOf, &mut cases).await?;
    bench.large = Some(large);

    let mut rows = Vec::new();
    for pair in cases.chunks_exact(2) {
        let (now, _) = pair[0].rows(None);
        let (then, _) = pair[1].rows(None);
        let then = then.p50_of("the same now", &now, None);
        rows.extend([now, then]);
    }
    Ok(Section { title: "The past: the same reads of the present and as of half-way".to_owned(), rows })
}

/// Where the log is.
async fn position(store: &Endpoint) -> Result<String> {
    let mut connection = store.connect().await?;
    let answer = connection.exchange(&store.request("GET", "/service", None)).await?.expect(200)?;
    let position = answer.header("TAMS-Position").context("an answer has a position")?;
    Ok(position.to_owned())
}

/// A path with one parameter more.
fn asking(path: &str, parameter: &str) -> String {
    format!("{path}{}{parameter}", if path.contains('?') { "&" } else { "?" })
}
