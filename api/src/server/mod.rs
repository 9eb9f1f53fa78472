//! The HTTP server: takes connections, serves HTTP/1.1 and HTTP/2 on them, and ends without cutting off an answer.
//!
//! Whatever a client does, it holds no more than one connection of a limited number, for a limited time: it must say
//! within a time which version it speaks and send its first request, it must take of its answers what is there for it,
//! and at its age a connection takes no further request.

mod encoding;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::Version;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::http::Limits;
pub use tls::acceptor;

/// How long answers that are under way may take once the server stops, or their connection has come of age.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long whoever reads an answer without end may take for what is on its way: it goes on elsewhere.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait after an accept that failed, which means that sockets or memory have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection: as many as browsers and proxies expect.
const STREAMS: u32 = 128;
/// How much of bodies an HTTP/2 client may send ahead of being read, in bytes: on one stream, and in all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Where a request comes from; in the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub struct Remote(pub SocketAddr);

/// The end of a connection, for answers that have none of their own. In the extensions of every request.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    token: CancellationToken,
    /// Whether nothing but such an answer can be under way.
    endless: Arc<AtomicBool>,
}

impl Closing {
    /// Begins an answer without end to a request of this version. It is to end when the token is cancelled.
    pub fn begin(&self, version: Version) -> CancellationToken {
        // Over HTTP/2 other answers may be under way on the same connection.
        self.endless.store(version < Version::HTTP_2, Ordering::Relaxed);
        self.token.clone()
    }

    /// Tells such answers to end, and says how long to wait for that and for all others.
    fn close(&self) -> Duration {
        self.token.cancel();
        if self.endless.load(Ordering::Relaxed) { CUT_TIMEOUT } else { DRAIN_TIMEOUT }
    }
}

/// What is counted of connections.
#[derive(Debug, Clone, Default)]
pub struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    failed: Counter,
}

impl ConnectionMetrics {
    /// Puts them among those that are told.
    pub fn register(&self, registry: &mut Registry) {
        let Self { open, accepted, failed } = self;
        registry.register("http_connections", "Open connections", open.clone());
        registry.register("http_connections_accepted", "Connections that were taken", accepted.clone());
        registry.register(
            "http_connections_failed",
            "Connections that ended by a fault: of TLS, of the protocol, of the network, or of a limit of time",
            failed.clone(),
        );
    }
}

/// How connections are served.
pub struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    http: Builder<TokioExecutor>,
    metrics: ConnectionMetrics,
    stop: CancellationToken,
}

impl Server {
    /// A server of these routes that ends at `stop`.
    pub fn new(
        router: Router,
        tls: Option<TlsAcceptor>,
        limits: Limits,
        metrics: ConnectionMetrics,
        stop: CancellationToken,
    ) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(limits.head_seconds))
            .max_buf_size(limits.head_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { router: encoding::compressed(router), tls, limits, http, metrics, stop }
    }

    /// Serves until told to stop, then finishes what is under way.
    pub async fn serve(self, listener: TcpListener) {
        let server = Arc::new(self);
        let places = Arc::new(Semaphore::new(server.limits.connections));
        let connections = TaskTracker::new();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the semaphore");
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = server.stop.cancelled() => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    let server = Arc::clone(&server);
                    connections.spawn(async move {
                        let _place = place;
                        server.metrics.accepted.inc();
                        server.metrics.open.inc();
                        server.attend(stream, Remote(remote)).await;
                        server.metrics.open.dec();
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
        drop(listener);
        connections.close();
        if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "some requests did not end in time and are cut off");
        }
    }

    /// Serves one connection to its end.
    async fn attend(&self, stream: TcpStream, remote: Remote) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(Duration::from_secs(self.limits.stall_seconds)));
        let stream = Box::pin(stream);
        let ended = match &self.tls {
            None => self.talk(stream, remote).await,
            Some(tls) => match timeout(Duration::from_secs(self.limits.head_seconds), tls.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream, remote).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err("TLS did not come about in time".into()),
            },
        };
        if let Err(error) = ended {
            self.metrics.failed.inc();
            tracing::debug!(error, remote = %remote.0, "a connection ended early");
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        remote: Remote,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let asked = Arc::new(AtomicBool::new(false));
        let closing = Closing::default();
        let service = {
            let (router, asked, closing) = (self.router.clone(), Arc::clone(&asked), closing.clone());
            service_fn(move |mut request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(remote);
                request.extensions_mut().insert(closing.clone());
                name_host(&mut request);
                router.clone().call(request)
            })
        };
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // As long as the first request has not come, it is not even known whose times apply, those of 1.1 or of 2.
        let never_asked = async {
            sleep(Duration::from_secs(self.limits.head_seconds)).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = never_asked => return Err("no request came in time".into()),
            () = sleep(Duration::from_secs(self.limits.connection_seconds)) => {}
            () = self.stop.cancelled() => {}
        }
        let patience = closing.close();
        connection.as_mut().graceful_shutdown();
        match timeout(patience, connection).await {
            Ok(ended) => ended,
            Err(_) => Err("the answers under way did not end in time".into()),
        }
    }
}

/// Over HTTP/2 the host that a client means stands in the URI: it is put where HTTP/1.1 has it.
fn name_host(request: &mut Request<Incoming>) {
    let named = request.uri().authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    if let Some(host) = named {
        request.headers_mut().entry(HOST).or_insert(host);
    }
}
