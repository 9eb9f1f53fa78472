//! Listings of Flows in a store of few and in one of many: filtered and sorted, which must not become slower with the
//! store; and unchanged since the last time, as most are that consoles poll.

use anyhow::{Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use uuid::Uuid;

use super::case::{self, Case};
use super::{Bench, Scenario};
use crate::report::{Row, Section, Target, grouped};
use crate::store::Store;
use crate::tams::{self, Recorder, Timeline, WITHOUT_URLS};

/// How many Flows a programme has, however many there are in all. A page of a listing holds them.
const OF_PROGRAMME: usize = 100;
/// How many kinds there are: each has a share of all Flows.
const KINDS: usize = 10;
/// How many Flows are made with one request: as many as the server takes.
const MADE_AT_ONCE: usize = 1000;
/// How many labels are asked for in turn: those of the small store, which the large one has too.
const LABELS_ASKED: usize = 1000;
/// What a console polls, and its name.
const POLLED: &str = "/flows?limit=300";
const POLLED_NAME: &str = "300 flows";
/// How many segments there are, and how many of them, the newest, a player polls.
const SEGMENTS: usize = 300;
const WINDOW: usize = 30;
/// A filtered page from many Flows takes no more than so many times as long as one from few.
const MOST_TIMES: f64 = 2.0;
/// Deals out the same labels in each run.
const SEED: u64 = 100;

/// A page of a listing.
struct Page {
    name: &'static str,
    /// Whether the time it takes must not follow the size of the store.
    judged: bool,
    /// How many Flows are found.
    found: usize,
    /// The paths of all such pages in a store of this many Flows.
    paths: fn(flows: usize) -> Vec<String>,
}

const PAGES: [Page; 5] = [
    Page {
        name: "a programme's flows, by label",
        judged: true,
        found: OF_PROGRAMME,
        paths: |flows| of_programmes(flows, "sort_by=label&limit=100"),
    },
    Page {
        name: "a programme's audio, newest first",
        judged: true,
        found: OF_PROGRAMME / 2,
        paths: |flows| of_programmes(flows, "format=urn:x-nmos:format:audio&limit=100"),
    },
    Page {
        name: "the flow with a label",
        judged: true,
        found: 1,
        paths: |_| (0..LABELS_ASKED).map(|number| format!("/flows?label={}", label(number))).collect(),
    },
    Page {
        name: "100 of a tenth of all flows, by label",
        judged: true,
        found: 100,
        paths: |_| {
            let path = |number| format!("/flows?tag.kind={}&sort_by=label&limit=100", kind(number));
            (0..KINDS).map(path).collect()
        },
    },
    Page {
        name: "100 of all flows, newest first",
        judged: false,
        found: 100,
        paths: |_| vec!["/flows?limit=100".to_owned()],
    },
];

/// The same request to the store of few Flows and to the one of many.
type Pair = [Case; 2];

/// Measures it.
pub async fn measure(bench: &mut Bench) -> Result<Section> {
    let few = Catalogue::load(bench, bench.sizes.few_flows).await?;
    let many = Catalogue::load(bench, bench.sizes.many_flows).await?;
    let mut pages = Vec::with_capacity(PAGES.len());
    for page in &PAGES {
        pages.push([few.page(page).await?, many.page(page).await?]);
    }
    let mut polls = Vec::new();
    for connections in [1, 64] {
        polls.push([
            [few.whole(connections).await?, many.whole(connections).await?],
            [few.unchanged(connections).await?, many.unchanged(connections).await?],
            [few.unchanged_window(connections).await?, many.unchanged_window(connections).await?],
        ]);
    }
    case::measure(bench, Scenario::Listing, pages.as_flattened_mut()).await?;
    case::measure(bench, Scenario::Listing, polls.as_flattened_mut().as_flattened_mut()).await?;
    for mut catalogue in [few, many] {
        catalogue.store.stop().await?;
    }

    let mut rows = Vec::new();
    for (page, cases) in PAGES.iter().zip(&pages) {
        let target = page.judged.then_some(Target::AtMost(MOST_TIMES));
        rows.extend(compared(cases, target).into_iter().flatten());
    }
    for [whole, unchanged, window] in &polls {
        let whole = compared(whole, None);
        let unchanged = compared(unchanged, None);
        for ([unchanged, limit], [whole, _]) in unchanged.into_iter().zip(&whole) {
            rows.extend([unchanged.of("the whole answer", whole, None), limit]);
        }
        rows.extend(whole.into_iter().chain(compared(window, None)).flatten());
    }
    Ok(Section { title: "Listings from a store of few flows and from one of many".to_owned(), rows })
}

/// The lines for both stores, each with its limit; the target is for the median of the large store in terms of that of
/// the small.
fn compared([few, many]: &Pair, target: Option<Target>) -> [[Row; 2]; 2] {
    let (few, few_limit) = few.rows(None);
    let (many, many_limit) = many.rows(None);
    let many = many.p50_of("few flows", &few, target);
    [[few, few_limit], [many, many_limit]]
}

/// A store of Flows.
struct Catalogue {
    store: Store,
    flows: usize,
    /// A Flow with segments, beside the ones that are listed.
    timeline: Timeline,
}

impl Catalogue {
    async fn load(bench: &Bench, flows: usize) -> Result<Self> {
        let store = bench.subject.store(&format!("flows-{flows}")).await?;
        let mut recorder = Recorder::connect(&store.endpoint).await?;
        let mut timeline = recorder.create_flow().await?;
        let segments = recorder.prepare(&mut timeline, 1, SEGMENTS).await?;
        recorder.post(&segments).await?;

        // The order of labels is another one than that in which the Flows are made.
        let mut labels: Vec<usize> = (0..flows).collect();
        labels.shuffle(&mut StdRng::seed_from_u64(SEED));
        let mut bodies = labels.into_iter().enumerate().map(|(index, number)| flow(index, flows, &label(number)));
        for made in (0..flows).step_by(MADE_AT_ONCE) {
            bench.doing(format_args!("listing: making {flows} flows: {made}"));
            let body = Value::Array(bodies.by_ref().take(MADE_AT_ONCE).collect());
            // The answer has another status when not all of them are taken.
            let IgnoredAny = recorder.ask("POST", "/flows", Some(&body), 201).await?;
        }
        Ok(Self { store, flows, timeline })
    }

    fn name(&self, what: &str) -> String {
        format!("{what}, store of {}", grouped(self.flows as f64))
    }

    /// A client that turns to one such page after the other.
    async fn page(&self, page: &Page) -> Result<Case> {
        let case = Case::new(&self.store.endpoint, &self.name(page.name), 1, &(page.paths)(self.flows)).await?;
        let found: Vec<IgnoredAny> = serde_json::from_str(case.body())?;
        ensure!(found.len() == page.found, "{}: {} flows are found, not {}", page.name, found.len(), page.found);
        Ok(case)
    }

    /// Consoles that poll and are sent the whole listing each time.
    async fn whole(&self, connections: usize) -> Result<Case> {
        Case::new(&self.store.endpoint, &self.name(POLLED_NAME), connections, &[POLLED.to_owned()]).await
    }

    /// Consoles that poll and say which listing they have.
    async fn unchanged(&self, connections: usize) -> Result<Case> {
        let name = self.name(&format!("{POLLED_NAME}, unchanged (304)"));
        Case::unchanged(&self.store.endpoint, &name, connections, POLLED.to_owned()).await
    }

    /// Players that poll the newest segments and say which they have. Without URLs, which are signed anew from time to
    /// time: the tag changes with them, and would in the middle of a round.
    async fn unchanged_window(&self, connections: usize) -> Result<Case> {
        let path = self.timeline.window(SEGMENTS - WINDOW, WINDOW, WITHOUT_URLS);
        let name = self.name(&format!("{WINDOW} segments without URLs, unchanged (304)"));
        Case::unchanged(&self.store.endpoint, &name, connections, path).await
    }
}

/// The Flow that is made as the one with this index, of so many.
fn flow(index: usize, flows: usize, label: &str) -> Value {
    let programmes = flows / OF_PROGRAMME;
    let tags = json!({ "programme": programme(index % programmes), "kind": kind(index % KINDS) });
    let flow = if (index / programmes).is_multiple_of(2) { tams::video } else { tams::audio };
    flow(Uuid::new_v4(), label, &tags)
}

// All names are of one length, so that pages of both stores are.

fn label(number: usize) -> String {
    format!("take-{number:06}")
}

fn programme(number: usize) -> String {
    format!("programme-{number:04}")
}

fn kind(number: usize) -> String {
    format!("kind-{number}")
}

/// A page of each programme in a store of this many Flows.
fn of_programmes(flows: usize, parameters: &str) -> Vec<String> {
    let path = |number| format!("/flows?tag.programme={}&{parameters}", programme(number));
    (0..flows / OF_PROGRAMME).map(path).collect()
}
