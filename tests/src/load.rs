//! Writers that remember what they were told, so that what is stored afterwards can be held against it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::store::{create_flow, new_id, pluck, second, segment, segments};

/// When a writer that was put off comes again: sooner than it was told, to be there at the first moment.
const PAUSE: Duration = Duration::from_millis(20);

/// What a writer knows about one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was acknowledged: it has happened.
    Acknowledged,
    /// It was answered by 503: it has not happened, and never will.
    Refused,
    /// It was not answered: it has happened as a whole, or not at all.
    Unknown,
}

/// What a request asked for.
#[derive(Debug, Clone)]
enum Request {
    /// Segments at these seconds, alone or as a list.
    Segments(Range<usize>),
    /// A label of the Flow.
    Label(String),
}

/// One request that was sent.
#[derive(Debug)]
struct Sent {
    request: Request,
    key: String,
    outcome: Outcome,
}

/// A client that writes to a Flow of its own, one request after the other.
#[derive(Debug)]
pub struct Writer {
    flow: String,
    random: StdRng,
    next: usize,
    sent: Vec<Sent>,
}

impl Writer {
    /// A writer with a new Flow.
    pub async fn new(api: &Api, seed: u64) -> Self {
        Self { flow: create_flow(api).await, random: StdRng::seed_from_u64(seed), next: 0, sent: Vec::new() }
    }

    /// Writes until it is told to stop, or gets no answer.
    pub async fn write(mut self, api: Api, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let request = self.choose();
            let key = new_id();
            let outcome = self.send(&api, &request, &key).await;
            self.sent.push(Sent { request, key, outcome });
            match outcome {
                Outcome::Acknowledged => {}
                Outcome::Refused => tokio::time::sleep(PAUSE).await,
                Outcome::Unknown => break,
            }
        }
        self
    }

    fn choose(&mut self) -> Request {
        let length = match self.random.random_range(0..10) {
            0 => return Request::Label(new_id()),
            1 | 2 => self.random.random_range(2..=20),
            _ => 1,
        };
        let start = self.next;
        self.next += length;
        Request::Segments(start..self.next)
    }

    async fn send(&self, api: &Api, request: &Request, key: &str) -> Outcome {
        let request = match request {
            Request::Segments(seconds) => {
                let mut items: Vec<_> =
                    seconds.clone().map(|number| segment(&self.object(number), &second(number))).collect();
                let body = if items.len() == 1 { items.remove(0) } else { Value::Array(items) };
                api.request(Method::POST, &format!("/flows/{}/segments", self.flow)).json(&body)
            }
            Request::Label(label) => api.request(Method::PUT, &format!("/flows/{}/label", self.flow)).json(label),
        };
        match Answer::try_to(request.header("idempotency-key", key)).await {
            Ok(answer) if matches!(answer.status, 201 | 204) => Outcome::Acknowledged,
            Ok(answer) if answer.status == 503 => {
                assert!(answer.header("retry-after").is_some(), "{answer} does not say when to try again");
                Outcome::Refused
            }
            Ok(answer) => panic!("a write is neither taken nor put off: {answer}"),
            Err(_) => Outcome::Unknown,
        }
    }

    /// The object that this writer registers at a second.
    fn object(&self, number: usize) -> String {
        format!("{}/{number}", self.flow)
    }

    /// If the last request was not answered, sends it once more, under the same key. (An older one would be done after
    /// those that came later, or was done before them: nobody could say which label is right.)
    ///
    /// # Panics
    /// When it is not acknowledged now.
    pub async fn repeat_unanswered(&mut self, api: &Api) {
        let Some(Sent { request, key, outcome: Outcome::Unknown }) = self.sent.last() else { return };
        let outcome = self.send(api, request, key).await;
        assert_eq!(outcome, Outcome::Acknowledged, "{request:?} under {key}");
        if let Some(last) = self.sent.last_mut() {
            last.outcome = outcome;
        }
    }

    /// How many requests were acknowledged, refused and not answered.
    pub fn counts(&self) -> [usize; 3] {
        [Outcome::Acknowledged, Outcome::Refused, Outcome::Unknown]
            .map(|outcome| self.sent.iter().filter(|sent| sent.outcome == outcome).count())
    }

    /// Holds what is stored against what this writer knows.
    ///
    /// # Panics
    /// When something acknowledged is not there, something refused is, something is there twice, or a request is there
    /// in part.
    pub async fn check(&self, api: &Api) {
        let stored = segments(api, &self.flow).await;
        let mut times: HashMap<String, String> = HashMap::with_capacity(stored.len());
        let ids = pluck(&stored, "object_id");
        for (object, timerange) in ids.into_iter().zip(pluck(&stored, "timerange")) {
            let twice = times.insert(object, timerange);
            assert_eq!(twice, None, "a segment is there twice");
        }
        let mut labels = vec![json!("a camera")];
        for Sent { request, outcome, .. } in &self.sent {
            match (request, outcome) {
                (Request::Segments(seconds), outcome) => {
                    let there = seconds.clone().filter_map(|number| {
                        let range = times.remove(&self.object(number))?;
                        assert_eq!(range, second(number), "{} has moved", self.object(number));
                        Some(number)
                    });
                    let there = there.count();
                    let right = match outcome {
                        Outcome::Acknowledged => there == seconds.len(),
                        Outcome::Refused => there == 0,
                        Outcome::Unknown => there == 0 || there == seconds.len(),
                    };
                    assert!(right, "{outcome:?}, but {there} of {seconds:?} of flow {} are there", self.flow);
                }
                (Request::Label(label), Outcome::Acknowledged) => labels = vec![json!(label)],
                (Request::Label(label), Outcome::Unknown) => labels.push(json!(label)),
                (Request::Label(_), Outcome::Refused) => {}
            }
        }
        assert!(times.is_empty(), "nobody has written {times:?}");
        let label = api.read(&format!("/flows/{}/label", self.flow)).await;
        assert!(labels.contains(&label), "flow {} has label {label}, which is none of {labels:?}", self.flow);
    }
}

/// Several writers at once, until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    running: Vec<tokio::task::JoinHandle<Writer>>,
}

impl Load {
    /// Lets these writers write to a server.
    pub fn start(writers: Vec<Writer>, api: &Api) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |writer: Writer| tokio::spawn(writer.write(api.clone(), Arc::clone(&stop)));
        let running = writers.into_iter().map(start).collect();
        Self { stop, running }
    }

    /// Stops them, and waits for the answers that are under way.
    ///
    /// # Panics
    /// When one of them has got an answer that no writer may get.
    pub async fn stop(self) -> Vec<Writer> {
        self.stop.store(true, Ordering::Relaxed);
        let mut writers = Vec::with_capacity(self.running.len());
        for writer in self.running {
            writers.push(writer.await.expect("a writer fails by panicking"));
        }
        writers
    }
}
