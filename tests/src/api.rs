//! A client of the HTTP interface.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::shape;

/// How long an answer may take. Longer than any time-out of the server's, so that it is the server that answers.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A client of one server. Every body that it gets is held against the shape that the specification gives it.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    http: Client,
    bearer: Option<String>,
}

impl Api {
    /// A client of the server with this base URL.
    pub fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), http: http(), bearer: None }
    }

    /// The same client, which sends this token with every request.
    pub fn as_bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    /// The base URL, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request for a path of the server, or for a whole URL.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let request = self.http.request(method, url);
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET`. A body of success has the shape of its resource.
    pub async fn get(&self, path: &str) -> Answer {
        let answer = Answer::to(self.request(Method::GET, path)).await;
        if answer.status == 200 {
            let path = path.strip_prefix(&self.base).unwrap_or(path);
            if let Err(wrong) = shape::check(path, &answer.body) {
                panic!("{answer}: {wrong}");
            }
        }
        answer
    }

    /// `GET` of what must be there.
    #[track_caller]
    pub fn read(&self, path: &str) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.get(path).await;
            assert_eq!(answer.status, 200, "{caller}: {answer}");
            answer.json()
        }
    }

    /// `HEAD`.
    pub async fn head(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::HEAD, path)).await
    }

    /// `PUT` of a JSON value.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::PUT, path).json(body)).await
    }

    /// `POST` of a JSON value.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// The position that the log has now, by a read.
    pub async fn position(&self) -> String {
        self.get("/service").await.position()
    }
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The answer to a request.
    ///
    /// # Panics
    /// When there is none.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::try_to(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// The answer to a request, or why there is none.
    ///
    /// # Errors
    /// When the connection fails or ends.
    pub async fn try_to(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let (client, request) = request.build_split();
        let request = request?;
        let asked = format!("{} {}", request.method(), request.url());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { asked, status, headers, body: response.bytes().await? })
    }

    /// Itself, when it has this status.
    ///
    /// # Panics
    /// When it has another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Its body.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// The items of its body.
    ///
    /// # Panics
    /// When it is not a list.
    #[track_caller]
    pub fn list(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(items) => items,
            other => panic!("{}: {other} is not a list", self.asked),
        }
    }

    /// A header, where it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of ASCII"))
    }

    /// The position that it names.
    ///
    /// # Panics
    /// When it names none.
    #[track_caller]
    pub fn position(&self) -> String {
        self.header("tams-position").unwrap_or_else(|| panic!("{self}: no TAMS-Position")).to_owned()
    }

    /// What its body says to people.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_else(|| panic!("{self}: no message")).to_owned()
    }

    /// The URL of the next page, where there is one.
    ///
    /// # Panics
    /// When the header `Link` is not as clients read it (1.6).
    #[track_caller]
    pub fn next(&self) -> Option<String> {
        let link = self.header("link")?;
        let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let url = url.unwrap_or_else(|| panic!("{self}: {link} is not one link to the next page"));
        assert!(!url.contains([',', ';']), "{self}: {link} cannot be split by clients");
        Some(url.to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(1000).collect();
        write!(f, "{} -> {} {body}", self.asked, self.status)
    }
}

/// A client without any server in mind.
pub fn http() -> Client {
    // reqwest was built without a default for TLS, and wants one although nothing here uses it.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().no_proxy().timeout(TIMEOUT).build().expect("the settings are right")
}
