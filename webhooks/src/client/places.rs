//! How much may be asked of receivers at the same time, of one and of all.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ClientSettings;

/// How many requests may be under way to one origin that failed, beside those to the same origin that did not.
const PROBES_PER_ORIGIN: usize = 2;
/// How many origins there are at least before those that nobody asks are forgotten.
const ROOM: usize = 256;

/// From which places one is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Those of receivers that answer.
    Usual,
    /// Those of receivers that failed, which are apart: however many hang, they hold up only each other.
    Probe,
}

/// The places that requests take for as long as they are under way. Clones share them.
#[derive(Debug, Clone)]
pub struct Places {
    usual: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    per_origin: usize,
    origins: Arc<Mutex<Origins>>,
}

#[derive(Debug)]
struct Origins {
    places: HashMap<(Arc<str>, Lane), Arc<Semaphore>>,
    /// How many there may be until those that nobody asks are forgotten.
    room: usize,
}

/// A place. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    _at_origin: OwnedSemaphorePermit,
    _in_all: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(settings: &ClientSettings) -> Self {
        Self {
            usual: Arc::new(Semaphore::new(settings.in_all)),
            probes: Arc::new(Semaphore::new(settings.probes)),
            per_origin: settings.per_origin,
            origins: Arc::new(Mutex::new(Origins { places: HashMap::new(), room: ROOM })),
        }
    }

    /// Waits for a place. Whoever waits for one at an origin takes none that others could have.
    pub async fn take(&self, origin: &Arc<str>, lane: Lane) -> Place {
        let in_all = match lane {
            Lane::Usual => &self.usual,
            Lane::Probe => &self.probes,
        };
        let at_origin = free(self.at(origin, lane)).await;
        Place { _at_origin: at_origin, _in_all: free(Arc::clone(in_all)).await }
    }

    /// The places at an origin. They are there for as long as somebody has or awaits one.
    fn at(&self, origin: &Arc<str>, lane: Lane) -> Arc<Semaphore> {
        let mut origins = self.origins.lock();
        if origins.places.len() >= origins.room {
            origins.places.retain(|_, places| Arc::strong_count(places) > 1);
            origins.room = ROOM.max(2 * origins.places.len());
        }
        let count = match lane {
            Lane::Usual => self.per_origin,
            Lane::Probe => PROBES_PER_ORIGIN,
        };
        let places = origins.places.entry((Arc::clone(origin), lane));
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(count))))
    }
}

async fn free(places: Arc<Semaphore>) -> OwnedSemaphorePermit {
    places.acquire_owned().await.expect("places are never closed")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn places(per_origin: usize, in_all: usize, probes: usize) -> Places {
        Places::new(&ClientSettings { per_origin, in_all, probes, ..ClientSettings::default() })
    }

    fn origin(number: usize) -> Arc<str> {
        format!("https://{number}.example").into()
    }

    #[test]
    fn one_origin_cannot_take_the_places_of_others() {
        let places = places(2, 3, 1);
        let take = |number| places.take(&origin(number), Lane::Usual).now_or_never();
        let (first, second) = (take(1).unwrap(), take(1).unwrap());
        assert!(take(1).is_none(), "the third of one origin waits");
        let other = take(2).unwrap();
        assert!(take(3).is_none(), "the fourth of all waits");
        drop(first);
        assert!(take(3).is_some());
        drop((second, other));
    }

    #[test]
    fn receivers_that_failed_take_no_place_of_those_that_answer() {
        let places = places(1, 1, 4);
        let take = |number, lane| places.take(&origin(number), lane).now_or_never();
        let hanging = [take(1, Lane::Probe).unwrap(), take(1, Lane::Probe).unwrap()];
        assert!(take(1, Lane::Probe).is_none(), "nor those of other origins");
        let probes = [take(2, Lane::Probe).unwrap(), take(3, Lane::Probe).unwrap()];
        assert!(take(4, Lane::Probe).is_none());
        assert!(take(1, Lane::Usual).is_some());
        drop((hanging, probes));
    }

    #[test]
    fn origins_that_nobody_asks_are_forgotten() {
        let places = places(1, 2, 1);
        let asked = places.take(&origin(0), Lane::Usual).now_or_never().unwrap();
        for number in 1..10 * ROOM {
            places.take(&origin(number), Lane::Usual).now_or_never().unwrap();
        }
        assert!(places.origins.lock().places.len() <= ROOM);
        assert!(places.take(&origin(0), Lane::Usual).now_or_never().is_none(), "but not those that somebody asks");
        drop(asked);
    }
}
