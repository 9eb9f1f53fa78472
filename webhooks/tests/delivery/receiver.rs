//! A receiver of notifications on a port of its own, which behaves as it is told.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use tapelog_events::EventPosition;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::node::soon;

/// Answers with a status, or never.
type Behaviour = Box<dyn FnMut(EventPosition) -> Option<u16> + Send>;

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    behaviour: Arc<Mutex<Behaviour>>,
    /// What came, and how it was answered.
    came: watch::Sender<Vec<(EventPosition, Option<u16>)>>,
}

impl Receiver {
    pub async fn start(behaviour: impl FnMut(EventPosition) -> Option<u16> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver =
            Self { url, behaviour: Arc::new(Mutex::new(Box::new(behaviour))), came: watch::Sender::new(Vec::new()) };
        let router = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn behave(&self, behaviour: impl FnMut(EventPosition) -> Option<u16> + Send + 'static) {
        *self.behaviour.lock() = Box::new(behaviour);
    }

    /// Waits until what came is like this.
    pub async fn wait(&self, wanted: impl Fn(&[(EventPosition, Option<u16>)]) -> bool) {
        soon(self.came.subscribe().wait_for(|came| wanted(came))).await.unwrap();
    }

    /// What it took, in order.
    pub fn taken(&self) -> Vec<EventPosition> {
        taken(&self.came.borrow())
    }

    /// Waits until it has taken so much.
    pub async fn takes(&self, count: usize) -> Vec<EventPosition> {
        self.wait(|came| taken(came).len() >= count).await;
        self.taken()
    }

    pub fn came(&self) -> Vec<(EventPosition, Option<u16>)> {
        self.came.borrow().clone()
    }
}

fn taken(came: &[(EventPosition, Option<u16>)]) -> Vec<EventPosition> {
    came.iter().filter(|(_, status)| *status == Some(200)).map(|(position, _)| *position).collect()
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    if body.contains("\"event_type\":\"tapelog/ping\"") {
        return StatusCode::NO_CONTENT;
    }
    // <incarnation>.<position>.<webhook>
    let id = headers["webhook-id"].to_str().unwrap();
    let position: EventPosition = id.split_once('.').unwrap().1.rsplit_once('.').unwrap().0.parse().unwrap();
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert!(body.contains(&format!("\"event\":{{\"position\":\"{position}\"}}")), "{body}");
    let status = (receiver.behaviour.lock())(position);
    receiver.came.send_modify(|came| came.push((position, status)));
    match status {
        Some(status) => StatusCode::from_u16(status).unwrap(),
        None => std::future::pending().await,
    }
}
