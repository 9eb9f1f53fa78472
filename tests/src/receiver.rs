//! A receiver of webhooks, which answers as a test tells it to and keeps all that it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::eventually;
use crate::server::Options;

/// The settings that have a server deliver to receivers on this machine, and lose little time over those that fail.
pub const SETTINGS: [(&str, &str); 5] = [
    ("TAPELOG_WEBHOOKS__ALLOW_NETWORKS", r#"["127.0.0.0/8","::1/128"]"#),
    ("TAPELOG_WEBHOOKS__RETRY_SECONDS", "[0.05,0.1,0.2]"),
    ("TAPELOG_WEBHOOKS__REFUSED_RETRY_SECONDS", "[0.05,0.1]"),
    ("TAPELOG_WEBHOOKS__CONNECT_SECONDS", "1"),
    ("TAPELOG_WEBHOOKS__REQUEST_SECONDS", "2"),
];

/// Options of a server with these settings.
pub fn options() -> Options {
    delivering(Options::default())
}

/// These options with these settings.
pub fn delivering(options: Options) -> Options {
    SETTINGS.iter().fold(options, |options, (name, value)| options.and(name, value))
}

/// What a receiver does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status, a header and a body.
    With(u16, Option<(&'static str, String)>, String),
    /// Never answers.
    Hang,
    /// Answers 200 with a body that never ends.
    Endless,
    /// Closes the connection without an answer.
    Close,
}

/// What a receiver was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// When it had come in.
    pub at: Instant,
    /// The path and query that it was sent to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What the receiver did with it.
    pub reply: Reply,
}

impl Received {
    /// The body.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a notification is JSON")
    }

    /// A header that every notification has.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("a notification without {name}"));
        value.to_str().expect("a header of ASCII")
    }

    /// The id that all attempts to deliver a notification share.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The type of the event.
    pub fn event_type(&self) -> String {
        self.json()["event_type"].as_str().expect("a notification has a type").to_owned()
    }

    /// Whether the receiver took it.
    pub fn is_taken(&self) -> bool {
        matches!(self.reply, Reply::Status(200..=299) | Reply::With(200..=299, ..) | Reply::Endless)
    }
}

/// What decides what a receiver does: told what was received, and how much was before it.
type Decide = Box<dyn FnMut(&Received, usize) -> Reply + Send>;

struct Shared {
    decide: Decide,
    /// Whether what was received is kept.
    keeps: bool,
    received: Vec<Received>,
}

/// A receiver on this machine. Dropping it ends it.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        let decide: Decide = Box::new(|_, _| Reply::Status(200));
        let shared = Arc::new(Mutex::new(Shared { decide, keeps: true, received: Vec::new() }));
        let mut receiver = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), shared, serving: None };
        receiver.start_again().await;
        receiver
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/receive", self.address)
    }

    /// Does the same with every request from now on.
    pub fn respond_with(&self, reply: Reply) {
        self.respond(move |_, _| reply.clone());
    }

    /// Does with each request from now on what `decide` says, which is told the request and how many came before it.
    pub fn respond(&self, decide: impl FnMut(&Received, usize) -> Reply + Send + 'static) {
        self.shared.lock().unwrap().decide = Box::new(decide);
    }

    /// Keeps nothing of what it is sent from now on: for tests that send very much, and note what they need themselves.
    pub fn keep_nothing(&self) {
        self.shared.lock().unwrap().keeps = false;
    }

    /// All that it was sent, in the order in which it came.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.lock().unwrap().received.clone()
    }

    /// What it has taken, without the rest.
    pub fn taken(&self) -> Vec<Received> {
        self.shared.lock().unwrap().received.iter().filter(|received| received.is_taken()).cloned().collect()
    }

    /// How many requests it was sent.
    pub fn count(&self) -> usize {
        self.shared.lock().unwrap().received.len()
    }

    /// Forgets all that it was sent.
    pub fn forget(&self) {
        self.shared.lock().unwrap().received.clear();
    }

    /// Waits until it has taken so many notifications, and gives them.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn takes(&self, count: usize, patience: Duration) -> Vec<Received> {
        eventually(&format!("{count} notifications are delivered"), patience, async || {
            let taken = self.taken();
            (taken.len() >= count).then_some(taken)
        })
        .await
    }

    /// Listens no more, and ends every connection.
    pub async fn die(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            drop(serving.await);
        }
    }

    /// Listens again, where it did before.
    ///
    /// # Panics
    /// When something else listens there.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is free");
        self.address = listener.local_addr().expect("a socket has an address");
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// Connections end with this.
async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("the listener stays open");
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(Arc::clone(&shared), request));
            // A client that goes away is none of the receiver's business.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The receiver ends the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
struct Closed;

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(shared: Arc<Mutex<Shared>>, request: Request<Incoming>) -> Result<Answer, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let reply = {
        let shared = &mut *shared.lock().unwrap();
        let path = head.uri.to_string();
        let mut received = Received { at: Instant::now(), path, headers: head.headers, body, reply: Reply::Hang };
        received.reply = (shared.decide)(&received, shared.received.len());
        let reply = received.reply.clone();
        if shared.keeps {
            shared.received.push(received);
        }
        reply
    };
    let whole = |status: u16, body: String| {
        let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
        *response.status_mut() = status.try_into().expect("a status");
        response
    };
    Ok(match reply {
        Reply::Status(status) => whole(status, String::new()),
        Reply::With(status, header, body) => {
            let mut response = whole(status, body);
            if let Some((name, value)) = header {
                let value = HeaderValue::try_from(value).expect("the value of a header");
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        }
        Reply::Hang => std::future::pending().await,
        Reply::Endless => {
            let piece = || Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])));
            let pieces = stream::repeat_with(piece).then(|piece| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                piece
            });
            Response::new(BodyExt::boxed(StreamBody::new(pieces)))
        }
        Reply::Close => return Err(Closed),
    })
}
