//! The server over real connections, with routes of its own.

use std::path::Path;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::settings::TlsSettings;

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(router: Router, tls: Option<TlsAcceptor>, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new(router, tls, limits, ConnectionMetrics::default(), stop.clone());
        Self { address, stop, task: tokio::spawn(server.serve(listener)) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

fn version() -> Router {
    Router::new().route("/", get(async |request: Request| format!("{:?}", request.version())))
}

/// Sends a request and reads to the end of the connection.
async fn exchange(stream: &mut TcpStream, connection: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: here\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn certificate(folder: &Path) -> TlsSettings {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    TlsSettings { certificate: Some(certificate), key: Some(key) }
}

#[tokio::test]
async fn both_versions_are_spoken_over_tls_as_the_client_likes() {
    let folder = tempfile::tempdir().unwrap();
    let tls = acceptor(&certificate(folder.path())).unwrap();
    let running = Running::start(version(), tls, Limits::default()).await;
    rustls::crypto::ring::default_provider().install_default().ok();
    let url = format!("https://localhost:{}/", running.address.port());
    let client = || reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    for (client, spoken) in [(client(), "HTTP/2.0"), (client().http1_only(), "HTTP/1.1")] {
        let answer = client.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), spoken);
    }
}

#[test]
fn half_of_what_tls_needs_is_a_mistake_that_names_the_other_half() {
    let folder = tempfile::tempdir().unwrap();
    let whole = certificate(folder.path());
    let half = TlsSettings { key: None, ..whole.clone() };
    assert!(acceptor(&half).err().unwrap().to_string().contains("tls.key"));
    let swapped = TlsSettings { certificate: whole.key, key: whole.certificate };
    assert!(acceptor(&swapped).err().unwrap().to_string().contains("tls.certificate"));
    assert!(acceptor(&TlsSettings::default()).unwrap().is_none());
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let limits = Limits { head_seconds: 1, ..Limits::default() };
    let running = Running::start(version(), None, limits).await;
    // The beginnings of neither version, of the second, and of the first.
    for beginning in ["", "PRI * HT", "GET / HTTP/1.1\r\n"] {
        let mut stream = running.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_connection_too_many_waits_until_another_ends() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let running = Running::start(version(), None, limits).await;
    let mut first = running.connect().await;
    let mut chunk = [0; 1024];
    first.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    assert!(first.read(&mut chunk).await.unwrap() > 0);
    let mut second = running.connect().await;
    let answer = tokio::spawn(async move { exchange(&mut second, "close").await });
    for _ in 0..20 {
        first.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        assert!(first.read(&mut chunk).await.unwrap() > 0);
    }
    assert!(!answer.is_finished());
    drop(first);
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_takes_no_further_request_at_its_age() {
    let limits = Limits { connection_seconds: 1, ..Limits::default() };
    let running = Running::start(version(), None, limits).await;
    let mut stream = running.connect().await;
    // It asks to keep the connection, and reads to its end all the same.
    let answer = timeout(Duration::from_secs(20), exchange(&mut stream, "keep-alive")).await;
    assert!(answer.unwrap().ends_with("HTTP/1.1"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let endless = || {
        let body = futures::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 16]));
        axum::body::Body::from_stream(body)
    };
    let (gone, is_gone) = oneshot::channel::<()>();
    let guard = Arc::new(parking_lot::Mutex::new(Some(gone)));
    let router = Router::new().route(
        "/",
        get(move || {
            let held = guard.lock().take();
            // Dropped with the body, when the connection is.
            let body = futures::StreamExt::map(endless().into_data_stream(), move |chunk| (chunk, &held).0);
            async { axum::body::Body::from_stream(body) }
        }),
    );
    let limits = Limits { stall_seconds: 1, ..Limits::default() };
    let running = Running::start(router, None, limits).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    assert!(timeout(Duration::from_secs(20), is_gone).await.unwrap().is_err());
}

#[tokio::test]
async fn a_stop_finishes_the_answer_that_is_under_way() {
    let (release, released) = oneshot::channel::<()>();
    let (arrived, has_arrived) = oneshot::channel::<()>();
    let gates = Arc::new(parking_lot::Mutex::new(Some((arrived, released))));
    let router = Router::new().route(
        "/",
        get(move || {
            let gates = gates.lock().take();
            async move {
                let (arrived, released) = gates.unwrap();
                arrived.send(()).unwrap();
                released.await.unwrap();
                "done"
            }
        }),
    );
    let running = Running::start(router, None, Limits::default()).await;
    let mut stream = running.connect().await;
    let answer = tokio::spawn(async move { exchange(&mut stream, "keep-alive").await });
    has_arrived.await.unwrap();
    running.stop.cancel();
    release.send(()).unwrap();
    running.task.await.unwrap();
    assert!(answer.await.unwrap().ends_with("done"));
}
