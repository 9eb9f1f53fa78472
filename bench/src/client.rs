//! A light HTTP/1.1 client: requests are bytes made beforehand, one keep-alive connection carries one at a time.
//!
//! It shares the machine with the server that it measures, so it does nothing that the measurement does not need:
//! no TLS, no redirects, no pool.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

/// How long to wait for a connection, and for the answer to one request outside of a measured round.
const TIMEOUT: Duration = Duration::from_secs(30);
/// More header lines than any server sends.
const MOST_HEADERS: usize = 64;
/// How many bytes of an unexpected answer are quoted.
const QUOTED_BYTES: usize = 400;

/// A server that takes requests.
#[derive(Debug, Clone)]
pub struct Endpoint {
    host: String,
    port: u16,
    /// What stands before every path.
    prefix: String,
    /// Header lines that every request carries.
    headers: String,
    /// The server's process, when it is a child of this one.
    pub pid: Option<u32>,
}

impl Endpoint {
    /// The server at a base URL, with headers (`Name: value`) for each request.
    ///
    /// # Errors
    /// When the URL is not an `http` URL with a host, or a header is not of that form.
    pub fn new(base: &str, headers: &[String], pid: Option<u32>) -> Result<Self> {
        let url = Url::parse(base).with_context(|| format!("{base} is not a URL"))?;
        ensure!(url.scheme() == "http", "{base}: only http is measured; TLS belongs to a proxy");
        let host = url.host_str().with_context(|| format!("{base} has no host"))?.to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let prefix = url.path().trim_end_matches('/').to_owned();
        let endpoint = Self { headers: format!("host: {host}:{port}\r\n"), host, port, prefix, pid };
        headers.iter().try_fold(endpoint, |endpoint, header| endpoint.with_header(header))
    }

    /// The same server with one more header (`Name: value`) for each request.
    ///
    /// # Errors
    /// When the header is not of that form.
    pub fn with_header(mut self, header: &str) -> Result<Self> {
        ensure!(header.contains(':') && !header.contains(['\r', '\n']), "{header:?} is not `Name: value`");
        self.headers.push_str(header);
        self.headers.push_str("\r\n");
        Ok(self)
    }

    /// The bytes of a request. The body, if any, is JSON.
    pub fn request(&self, method: &str, path: &str, body: Option<&str>) -> Bytes {
        let Self { prefix, headers, .. } = self;
        let head = format!("{method} {prefix}{path} HTTP/1.1\r\n{headers}");
        let request = match body {
            None => head + "\r\n",
            Some(body) => {
                let length = body.len();
                format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            }
        };
        request.into()
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect(&self) -> Result<Connection> {
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(TIMEOUT, connect)
            .await
            .context("timed out")
            .and_then(|stream| Ok(stream?))
            .with_context(|| format!("cannot connect to {}:{}", self.host, self.port))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: BytesMut::with_capacity(64 * 1024), head: Vec::new(), decoded: Vec::new() })
    }

    /// Sends one request on a connection and reads the answer's JSON; an answer without a body reads as `null`.
    ///
    /// # Errors
    /// When there is no answer, its status is not the expected one, or its body is something else.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        connection: &mut Connection,
        method: &str,
        path: &str,
        body: Option<&str>,
        expected: u16,
    ) -> Result<T> {
        let request = self.request(method, path, body);
        let answer = tokio::time::timeout(TIMEOUT, connection.exchange(&request))
            .await
            .context("timed out")
            .and_then(|answer| answer?.expect(expected))
            .with_context(|| format!("{method} {path}"))?;
        let body = if answer.body.is_empty() { b"null" } else { answer.body };
        serde_json::from_slice(body).with_context(|| format!("{method} {path}: the answer"))
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// The head of the latest answer.
    head: Vec<u8>,
    /// The body of an answer that came in chunks.
    decoded: Vec<u8>,
}

/// An answer, valid until the next request.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body, empty when there is none.
    pub body: &'a [u8],
    head: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The value of a header, when the answer has it and it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        httparse::Response::new(&mut headers).parse(self.head).ok()?;
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    }

    /// The same answer, if it has this status.
    ///
    /// # Errors
    /// When it has another one; the text quotes the body.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let quoted = &self.body[..self.body.len().min(QUOTED_BYTES)];
        bail!("answered {} instead of {status}: {}", self.status, String::from_utf8_lossy(quoted))
    }
}

/// How the body of an answer ends.
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// When the connection fails, or the answer is not HTTP/1.1 with a length.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let (status, head_length, framing) = loop {
            self.receive().await?;
            if let Some(parsed) = parse_head(&self.buffer)? {
                break parsed;
            }
        };
        self.head.clear();
        self.head.extend_from_slice(&self.buffer[..head_length]);
        self.buffer.advance(head_length);
        match framing {
            Framing::Length(length) => {
                while self.buffer.len() < length {
                    self.receive().await?;
                }
                Ok(Answer { status, body: &self.buffer[..length], head: &self.head })
            }
            Framing::Chunked => {
                self.receive_chunks().await?;
                Ok(Answer { status, body: &self.decoded, head: &self.head })
            }
        }
    }

    async fn receive(&mut self) -> Result<()> {
        let received = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(received > 0, "the server closed the connection");
        Ok(())
    }

    async fn receive_chunks(&mut self) -> Result<()> {
        const LINE_END: usize = 2;
        self.decoded.clear();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Err(_) => bail!("the answer has a chunk without a size"),
                Ok(httparse::Status::Partial) => self.receive().await?,
                Ok(httparse::Status::Complete((line, size))) => {
                    let size = usize::try_from(size)?;
                    while self.buffer.len() < line + size + LINE_END {
                        self.receive().await?;
                    }
                    self.decoded.extend_from_slice(&self.buffer[line..line + size]);
                    self.buffer.advance(line + size + LINE_END);
                    if size == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The status, the length of the head and how the body ends, once the head is there as a whole.
fn parse_head(bytes: &[u8]) -> Result<Option<(u16, usize, Framing)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).context("the answer is not HTTP/1.1")? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut framing = (status == 204 || status == 304).then_some(Framing::Length(0));
    for header in response.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value)?.trim().parse().context("the answer's length")?;
            framing = Some(Framing::Length(length));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Some(Framing::Chunked);
        }
    }
    let framing = framing.context("the answer has neither a length nor chunks")?;
    Ok(Some((status, head, framing)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends the pieces one after the other as its answer to each request.
    async fn answering(pieces: &'static [&'static str]) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/base/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 1024];
            while stream.read(&mut request).await.unwrap() > 0 {
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        Endpoint::new(&base, &["X-Key: 1".to_owned()], None).unwrap()
    }

    #[tokio::test]
    async fn answers_are_read_whole_however_they_arrive() {
        let whole: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]"];
        let pieces: &[&str] = &["HTTP/1.1 200 OK\r\ncont", "ent-length: 5\r\n", "\r\n[1", ",2]"];
        let chunks: &[&str] =
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r", "\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"];
        for answer in [whole, pieces, chunks] {
            let endpoint = answering(answer).await;
            let mut connection = endpoint.connect().await.unwrap();
            for _ in 0..2 {
                let json: Vec<u32> = endpoint.ask(&mut connection, "GET", "/", None, 200).await.unwrap();
                assert_eq!(json, [1, 2]);
            }
        }
    }

    #[tokio::test]
    async fn an_unexpected_status_is_an_error_that_quotes_the_answer() {
        let endpoint = answering(&["HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno"]).await;
        let mut connection = endpoint.connect().await.unwrap();
        let error = endpoint.ask::<()>(&mut connection, "GET", "/", None, 200).await.unwrap_err();
        assert!(format!("{error:#}").contains("400 instead of 200: no"), "{error:#}");
    }

    #[tokio::test]
    async fn an_answer_gives_its_headers_by_name() {
        let pieces: &[&str] = &["HTTP/1.1 304 Not Modified\r\nETag: W/", "\"1\"\r\n\r\n"];
        let endpoint = answering(pieces).await;
        let mut connection = endpoint.connect().await.unwrap();
        let answer = connection.exchange(&endpoint.request("GET", "/", None)).await.unwrap().expect(304).unwrap();
        assert_eq!((answer.header("etag"), answer.header("link"), answer.body), (Some("W/\"1\""), None, &[][..]));
    }

    #[test]
    fn a_request_carries_prefix_headers_and_length() {
        let endpoint = Endpoint::new("http://example.com/base/", &["X-Key: 1".to_owned()], None).unwrap();
        let request =
            endpoint.clone().with_header("If-None-Match: \"1\"").unwrap().request("POST", "/flows", Some("{}"));
        assert_eq!(
            request,
            "POST /base/flows HTTP/1.1\r\nhost: example.com:80\r\nX-Key: 1\r\nIf-None-Match: \"1\"\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        );
        assert!(endpoint.with_header("a: b\r\nc: d").is_err());
    }
}
