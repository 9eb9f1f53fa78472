//! What clients do, by chance: small worlds, so that everything meets everything, and now and then a request that is
//! wrong.

mod flows;
mod media;
mod reads;
mod resources;

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use serde_json::{Value, json};

use super::http::Request;
use super::store::Model;

/// One thing that a client does.
#[derive(Debug, Clone)]
pub enum Step {
    Ask(Request),
    /// Bytes for an object, to where its allocation says.
    Upload {
        object: String,
        bytes: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(request) => request.fmt(f),
            Self::Upload { object, bytes } => write!(f, "upload {bytes:?} as {object}"),
        }
    }
}

/// Steps by a seed, in a world of few names.
pub struct Steps {
    random: StdRng,
    flows: Vec<(String, &'static str)>,
    sources: Vec<(String, &'static str)>,
    profiles: Vec<String>,
    objects: Vec<String>,
}

const VIDEO: &str = "urn:x-nmos:format:video";
const AUDIO: &str = "urn:x-nmos:format:audio";
const DATA: &str = "urn:x-nmos:format:data";
const MULTI: &str = "urn:x-nmos:format:multi";

const LABELS: [&str; 3] = ["a", "b b", "ü"];
const TAGS: [&str; 3] = ["k", "a/b c", "z.z"];
const VALUES: [&str; 3] = ["1", "2 2", "x"];

/// A way to choose a step.
type Choose = fn(&mut Steps, &Model) -> Step;

/// What is done, and how often.
const STEPS: [(u32, &str, Choose); 24] = [
    (14, "put_flow", Steps::put_flow),
    (10, "set_flow_property", Steps::set_flow_property),
    (4, "unset_flow_property", Steps::unset_flow_property),
    (5, "unlock", Steps::unlock),
    (5, "flow_tag", Steps::flow_tag),
    (5, "collect", Steps::collect),
    (2, "delete_flow", Steps::delete_flow),
    (5, "source_property", Steps::source_property),
    (4, "source_tag", Steps::source_tag),
    (7, "allocate", Steps::allocate),
    (7, "upload", Steps::upload),
    (18, "post_segment", Steps::post_segment),
    (10, "post_segments", Steps::post_segments),
    (7, "delete_segments", Steps::delete_segments),
    (5, "add_instance", Steps::add_instance),
    (4, "delete_instance", Steps::delete_instance),
    (3, "create_profile", Steps::create_profile),
    (2, "rename_service", Steps::rename_service),
    (2, "create_webhook", Steps::create_webhook),
    (2, "change_webhook", Steps::change_webhook),
    (8, "list_flows", Steps::list_flows),
    (4, "list_sources", Steps::list_sources),
    (12, "list_segments", Steps::list_segments),
    (12, "read_one", Steps::read_one),
];

impl Steps {
    /// The steps of this seed.
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut ids =
            |formats: &[&'static str]| formats.iter().map(|format| (new_id(&mut random), *format)).collect::<Vec<_>>();
        let flows = ids(&[VIDEO, VIDEO, VIDEO, AUDIO, DATA, MULTI, MULTI]);
        let sources = ids(&[VIDEO, VIDEO, AUDIO, DATA, MULTI]);
        let profiles = ids(&[VIDEO, VIDEO, AUDIO]).into_iter().map(|(id, _)| id).collect();
        let objects = (0..20).map(|number| match number % 5 {
            0 => format!("object/{number}"),
            1 => format!("objet n° {number}?"),
            _ => format!("object-{number}"),
        });
        let objects = objects.collect();
        Self { random, flows, sources, profiles, objects }
    }

    /// The next step in a store that is like this, with the name of its kind.
    pub fn next(&mut self, model: &Model) -> (&'static str, Step) {
        let (_, kind, choose) =
            STEPS.choose_weighted(&mut self.random, |(weight, ..)| *weight).expect("there are steps");
        (kind, choose(self, model))
    }

    /// The kinds of steps that there are.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        STEPS.iter().map(|(_, kind, _)| *kind)
    }

    /// Names of all that may be there.
    pub fn names(&self) -> Names<'_> {
        let ids = |named: &'_ [(String, &'static str)]| named.iter().map(|(id, _)| id.clone()).collect();
        Names { flows: ids(&self.flows), sources: ids(&self.sources), profiles: &self.profiles, objects: &self.objects }
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    pub fn number(&mut self, below: usize) -> usize {
        self.random.random_range(0..below)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(&mut self.random).expect("something to pick from").clone()
    }

    fn pick_if_any<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        from.choose(&mut self.random).cloned()
    }

    /// A Flow, mostly one that is there; seldom none at all.
    fn flow_id(&mut self, model: &Model) -> String {
        match self.number(100) {
            0 => "not-an-id".to_owned(),
            1 => self.new_id(),
            2..10 => self.pick(&self.flows.clone()).0,
            _ => {
                let there: Vec<_> = model.flows.keys().cloned().collect();
                self.pick_if_any(&there).unwrap_or_else(|| self.flows[0].0.clone())
            }
        }
    }

    /// A Source, seldom none at all.
    fn source_id(&mut self) -> String {
        match self.number(50) {
            0 => "not-an-id".to_owned(),
            1 => new_id(&mut self.random),
            _ => self.pick(&self.sources.clone()).0,
        }
    }

    /// A value of a tag, wrong now and then.
    fn tag(&mut self) -> Value {
        match self.number(20) {
            0 => json!({ "a": 1 }),
            1 => json!([1]),
            2..8 => json!([self.pick(&VALUES), self.pick(&VALUES)]),
            _ => json!(self.pick(&VALUES)),
        }
    }

    /// A new id, by the seed.
    fn new_id(&mut self) -> String {
        new_id(&mut self.random)
    }
}

/// Names of all that may be there.
pub struct Names<'a> {
    pub flows: Vec<String>,
    pub sources: Vec<String>,
    pub profiles: &'a [String],
    pub objects: &'a [String],
}

fn new_id(random: &mut StdRng) -> String {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
