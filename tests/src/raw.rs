//! Requests that no HTTP library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::Api;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back: the status, and the whole text with head and body.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The status; none when the connection was closed without an answer.
    pub status: Option<u16>,
    /// All that was received, lossily as text.
    pub text: String,
}

/// Opens a connection to a server.
pub async fn connect(api: &Api) -> TcpStream {
    let address = api.base().strip_prefix("http://").expect("the server speaks plain HTTP");
    TcpStream::connect(address).await.expect("the server listens")
}

/// Sends these bytes, whether or not the server takes them all, and reads what comes back until the connection ends.
///
/// # Panics
/// When the server neither answers nor closes the connection.
pub async fn send(api: &Api, bytes: &[u8]) -> RawAnswer {
    let (mut reader, mut writer) = connect(api).await.into_split();
    let mut received = Vec::new();
    let exchange = async {
        // A server that refuses by the head alone closes the connection while the body is still being sent.
        let sending = async { writer.write_all(bytes).await.is_ok() };
        let receiving = async { reader.read_to_end(&mut received).await.is_ok() };
        tokio::join!(sending, receiving)
    };
    let ended = tokio::time::timeout(PATIENCE, exchange).await;
    assert!(ended.is_ok(), "the server neither answers nor closes the connection");
    let text = String::from_utf8_lossy(&received).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    RawAnswer { status, text }
}

/// The head of a request that ends its connection, without the line that ends the head.
pub fn head(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
}
