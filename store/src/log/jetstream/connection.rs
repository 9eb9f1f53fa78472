//! The connection to NATS, which comes back by itself.

use std::future::pending;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::select;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::log::Unreachable;

/// How the server lists this client.
const NAME: &str = "tapelog";
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection without answer to two of these is given up: about six seconds after the network went away.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long to wait between attempts to connect again: doubles from the first to the last.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(2);
/// How many messages may wait to be taken from one subscription. More are never asked for at once.
pub(super) const SUBSCRIPTION_CAPACITY: usize = 64 * 1024;

/// A connection to NATS, which comes back by itself, for ever. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
    /// How often it came about.
    connects: watch::Receiver<u64>,
    /// How often it was lost.
    losses: watch::Receiver<u64>,
}

impl Connection {
    /// Connects to the server at `url`, or to one of several whose URLs stand there with commas between; `options` say
    /// with which credentials.
    ///
    /// # Errors
    /// When no connection comes about at the first attempt.
    pub async fn open(url: &str, options: ConnectOptions) -> Result<Self, Unreachable> {
        let servers = url.split(',').map(|url| url.trim().parse()).collect::<Result<Vec<ServerAddr>, _>>();
        let servers = servers.map_err(|error| Unreachable(error.into()))?;
        let (connected, connects) = watch::channel(0);
        let (lost, losses) = watch::channel(0);
        let client = options
            .name(NAME)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .max_reconnects(None)
            .reconnect_delay_callback(delay)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .event_callback(move |event| {
                match event {
                    Event::Connected => {
                        info!("connected to the log's server");
                        connected.send_modify(|count| *count += 1);
                    }
                    Event::Disconnected => {
                        warn!("the connection to the log's server is lost");
                        lost.send_modify(|count| *count += 1);
                    }
                    event => warn!(%event, "something happened to the connection to the log's server"),
                }
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(|error| Unreachable(error.into()))?;
        Ok(Self { client, connects, losses })
    }

    /// The client, for other uses of the same connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection stands right now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Completes when the connection has come about anew.
    pub(crate) fn renewed(&self) -> impl Future<Output = ()> + Send + use<> {
        next_change(&self.connects)
    }

    /// Waits for an answer, unless the connection is lost: then none will come.
    pub(super) async fn answer<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, Cut<E>> {
        select! {
            biased;
            answer = answer => answer.map_err(Cut::Answered),
            () = next_change(&self.losses) => Err(Cut::Lost),
        }
    }
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut<E> {
    /// It is an error.
    #[error(transparent)]
    Answered(E),
    /// The connection was lost.
    #[error("the connection was lost")]
    Lost,
}

/// Completes when the value changes after this call; never, when there is nobody left to change it.
fn next_change(value: &watch::Receiver<u64>) -> impl Future<Output = ()> + Send + use<> {
    let mut value = value.clone();
    value.mark_unchanged();
    async move {
        if value.changed().await.is_err() {
            pending().await
        }
    }
}

fn delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    (FIRST_DELAY * 2_u32.pow(doublings)).min(LAST_DELAY)
}
