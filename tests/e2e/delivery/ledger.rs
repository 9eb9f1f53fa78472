//! What a receiver has taken, and whether that is what it should have.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tapelog_tests::receiver::{Received, Receiver, Reply};

/// How long before a kill something may have been delivered that is delivered again: positions are stored about once a
/// second, and debug builds on a busy machine are late.
const FORGOTTEN: Duration = Duration::from_secs(8);

/// The place of an event in the log, as its id says: record, commit and event.
type Place = (u64, u32, u32);

#[derive(Debug, Default)]
struct Entries {
    /// Each event with its objects, in the order in which they were first taken, and when.
    taken: Vec<(Place, Instant)>,
    known: HashMap<Place, Instant>,
    objects: HashSet<String>,
    /// Events that were taken again: when first, and when again.
    repeats: Vec<(Instant, Instant)>,
    /// Events that were refused for good, with their objects.
    refused: HashMap<Place, Vec<String>>,
    requests: usize,
}

/// What a receiver has taken.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

/// How a receiver behaves, told how many requests came before and whether this one is for good.
pub type Behaviour = Box<dyn FnMut(usize, &[String]) -> Reply + Send>;

impl Ledger {
    /// Notes all that a receiver takes from now on.
    pub fn keep(receiver: &Receiver, mut behaviour: Behaviour) -> Self {
        let ledger = Self::default();
        let entries = Arc::clone(&ledger.0);
        receiver.keep_nothing();
        receiver.respond(move |received, _| {
            let entries = &mut *entries.lock().unwrap();
            let objects = objects(received);
            let reply = behaviour(entries.requests, &objects);
            entries.requests += 1;
            let place = place(received.id());
            match reply {
                Reply::Status(200..=299) => entries.take(place, received.at, objects),
                Reply::Status(400) => drop(entries.refused.insert(place, objects)),
                Reply::Status(_) | Reply::With(..) | Reply::Hang | Reply::Endless | Reply::Close => {}
            }
            reply
        });
        ledger
    }

    /// Events that it has taken.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().taken.len()
    }

    /// When it has taken one first after this moment.
    pub fn first_after(&self, moment: Instant) -> Option<Instant> {
        self.0.lock().unwrap().taken.iter().map(|(_, at)| *at).find(|at| *at > moment)
    }

    /// The objects of all events that it has taken or refused for good.
    pub fn objects(&self) -> HashSet<String> {
        let entries = self.0.lock().unwrap();
        entries.objects.iter().chain(entries.refused.values().flatten()).cloned().collect()
    }

    /// The events that it refused for good, as dead letters name them.
    pub fn refused(&self) -> HashSet<String> {
        let entries = self.0.lock().unwrap();
        entries.refused.keys().map(|(seq, commit, event)| format!("{seq}.{commit}.{event}")).collect()
    }

    /// What it took came in log order, and again only what was taken right before a kill.
    pub fn check(&self, name: &str, kills: &[Instant]) {
        let entries = self.0.lock().unwrap();
        assert!(entries.taken.is_sorted_by(|(first, _), (second, _)| first < second), "{name}: out of order");
        for (first, again) in &entries.repeats {
            let kill = kills.iter().any(|kill| kill < again && *first + FORGOTTEN > *kill);
            assert!(kill, "{name}: a repetition {:?} later without a kill", again.duration_since(*first));
        }
    }
}

impl Entries {
    fn take(&mut self, place: Place, at: Instant, objects: Vec<String>) {
        match self.known.get(&place) {
            Some(first) => self.repeats.push((*first, at)),
            None => {
                self.known.insert(place, at);
                self.taken.push((place, at));
                self.objects.extend(objects);
            }
        }
    }
}

/// From `<incarnation>.<sequence>.<commit>.<event>…`.
fn place(id: &str) -> Place {
    let mut parts = id.split('.').skip(1);
    let mut number =
        || -> u64 { parts.next().and_then(|part| part.parse().ok()).unwrap_or_else(|| panic!("the id {id}")) };
    (number(), u32::try_from(number()).unwrap(), u32::try_from(number()).unwrap())
}

fn objects(received: &Received) -> Vec<String> {
    let body = received.json();
    let segments = body["event"]["segments"].as_array().cloned().unwrap_or_default();
    segments.iter().map(|segment| segment["object_id"].as_str().unwrap().to_owned()).collect()
}
