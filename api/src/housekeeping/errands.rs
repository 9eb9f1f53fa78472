//! Copies of objects between storage backends, and bytes of instances that were removed (section 8).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tapelog_commands::{Command, Errand, FinishCopy, FinishErasure};
use tapelog_events::{Instance, ObjectId, StorageId};
use tapelog_store::media::{FetchError, object_key};
use tokio::time::Instant;

use super::Housekeeper;

/// How often it is looked for new errands.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many errands are run at once: enough to fill a link, and few enough that clients keep most of it.
const AT_ONCE: usize = 4;
/// How often a copy is tried before it is given up.
const ATTEMPTS: u32 = 8;
/// The pause after the first attempt that failed. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Where and on what an errand is.
type Place = (ObjectId, StorageId);

/// How often an errand has failed, and when it is tried again.
#[derive(Clone, Copy)]
struct Trial {
    failures: u32,
    next: Instant,
}

pub async fn run(keeper: Arc<Housekeeper>) {
    let mut trials: HashMap<Place, Trial> = HashMap::new();
    loop {
        let errands: Vec<(Place, Errand)> = keeper.tables.read(|tables| {
            let errands = tables.registry().errands.iter();
            errands.map(|(place, errand)| (place.clone(), *errand)).collect()
        });
        let open: HashSet<&Place> = errands.iter().map(|(place, _)| place).collect();
        trials.retain(|place, _| open.contains(place));
        let now = Instant::now();
        let is_due = |(place, _): &(Place, Errand)| trials.get(place).is_none_or(|trial| trial.next <= now);
        let due: Vec<_> = errands.into_iter().filter(is_due).collect();
        let attempts = due.into_iter().map(|(place, errand)| {
            let failures = trials.get(&place).map_or(0, |trial| trial.failures);
            let keeper = Arc::clone(&keeper);
            async move {
                let result = attempt(&keeper, &place, errand, failures).await;
                (place, result, failures)
            }
        });
        let done: Vec<_> = stream::iter(attempts).buffer_unordered(AT_ONCE).collect().await;
        for (place, result, failures) in done {
            match result {
                Ok(()) => drop(trials.remove(&place)),
                Err(error) => {
                    tracing::warn!(object_id = %place.0, storage_id = %place.1, failures, %error, "an errand is tried again");
                    let next = now + FIRST_PAUSE * 2u32.saturating_pow(failures.min(8));
                    trials.insert(place, Trial { failures: failures + 1, next });
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Why an errand is not done yet, in a sentence.
type Failure = String;

async fn attempt(keeper: &Housekeeper, place: &Place, errand: Errand, failures: u32) -> Result<(), Failure> {
    // Others may have run it since it was listed. Where they have erased bytes, there may be new ones by now.
    if keeper.tables.read(|tables| tables.registry().errands.get(place) != Some(&errand)) {
        return Ok(());
    }
    let (object_id, storage_id) = place.clone();
    let command = match errand {
        Errand::Erase { .. } => {
            if let Some(media) = keeper.backends.media(storage_id) {
                media.delete(&object_key(&object_id.to_string())).await.map_err(|error| error.to_string())?;
            }
            Command::FinishErasure(FinishErasure { object_id, storage_id })
        }
        Errand::Copy { .. } => {
            let result = match copy(keeper, &object_id, storage_id).await {
                Err(NotCopied { reason, may_pass: true }) if failures + 1 < ATTEMPTS => return Err(reason),
                result => result.map_err(|failure| failure.reason),
            };
            Command::FinishCopy(FinishCopy { object_id, storage_id, result })
        }
    };
    keeper.submit(command).await.map(drop).map_err(|error| error.to_string())
}

/// Why a copy was not made.
struct NotCopied {
    reason: Failure,
    /// Whether trying again later may help.
    may_pass: bool,
}

/// Copies an object from the first of its instances that gives it.
async fn copy(keeper: &Housekeeper, object_id: &ObjectId, storage_id: StorageId) -> Result<(), NotCopied> {
    let mut failure =
        NotCopied { reason: "the object has no instance that could be copied".to_owned(), may_pass: false };
    let Some(target) = keeper.backends.media(storage_id) else {
        return Err(NotCopied { reason: "the storage backend is not in the settings any more".to_owned(), ..failure });
    };
    let instances = keeper.tables.read(|tables| tables.object(object_id).map(|object| object.instances));
    let key = object_key(&object_id.to_string());
    for instance in instances.into_iter().flatten() {
        let copied = match &instance {
            Instance::Controlled { storage_id } => match keeper.backends.media(*storage_id) {
                Some(source) => target.copy_from(source, &key).await.map_err(FetchError::from),
                None => continue,
            },
            Instance::Uncontrolled { url, .. } => target.fetch_from_url(&keeper.fetcher, url, &key).await,
        };
        match copied {
            Ok(()) => return Ok(()),
            Err(error) => {
                failure = NotCopied { may_pass: failure.may_pass || error.may_pass(), reason: error.to_string() };
            }
        }
    }
    Err(failure)
}
