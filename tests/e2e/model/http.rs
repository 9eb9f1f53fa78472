//! Requests as data, and how they are asked: page by page, by `HEAD` as well, and again for what a client has already.

use std::collections::HashMap;
use std::fmt;

use reqwest::Method;
use serde_json::Value;
use tapelog_tests::api::{Answer, Api};

/// A request. Path and query are kept decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: Method,
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl Request {
    pub fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Self { method, path, query: Vec::new(), body: None }
    }

    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn put(path: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    pub fn post(path: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    pub fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With one more parameter.
    pub fn and(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is `true`.
    pub fn is_set(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }

    /// The parts of its path.
    pub fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// Path and query as they are sent. Brackets go raw, as real clients send them.
    pub fn target(&self) -> String {
        let path: String = self.path.iter().map(|part| format!("/{}", escaped(part, b"-_.~"))).collect();
        let query: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", escaped(name, b"-_.~"), escaped(value, b"-_.~:()[],")))
            .collect();
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }
}

fn escaped(text: &str, raw: &[u8]) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || raw.contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target())?;
        self.body.as_ref().map_or(Ok(()), |body| write!(f, " {body}"))
    }
}

/// What was answered: of a listing, all its pages in one.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Null where there is no JSON.
    pub body: Value,
    /// Of the first page.
    pub first: Answer,
    /// How many pages there were.
    pub pages: usize,
}

impl Reply {
    /// The items of a listing.
    pub fn items(&self) -> &[Value] {
        self.body.as_array().map_or_else(|| panic!("{} is not a list", self.first), Vec::as_slice)
    }
}

/// Asks for the whole of it.
pub async fn ask(api: &Api, request: &Request) -> Reply {
    let target = request.target();
    let first = match request.method {
        Method::GET => api.get(&target).await,
        _ => {
            let asked = api.request(request.method.clone(), &target);
            Answer::to(if let Some(body) = &request.body { asked.json(body) } else { asked }).await
        }
    };
    assert!(first.status < 500, "{first}");
    let json = |answer: &Answer| if answer.body.is_empty() { Value::Null } else { answer.json() };
    let mut reply = Reply { status: first.status, body: json(&first), first, pages: 1 };
    check_page(request, &reply.first);
    let mut next = if request.method == Method::GET { reply.first.next() } else { None };
    while let Some(url) = next {
        let page = api.get(&url).await.expect(200);
        check_page(request, &page);
        next = page.next();
        let more = page.json();
        let (all, more) = match more {
            Value::Object(mut more) => {
                (reply.body["referenced_by_flows"].as_array_mut(), more["referenced_by_flows"].take())
            }
            more => (reply.body.as_array_mut(), more),
        };
        let Value::Array(more) = more else { panic!("{page} has no items") };
        assert!(!more.is_empty(), "an empty page: {page}");
        all.expect("the first page has items").extend(more);
        reply.pages += 1;
    }
    reply
}

/// What holds for each page of a listing (1.6).
fn check_page(request: &Request, page: &Answer) {
    let is_listing = request.method == Method::GET && page.status == 200 && page.header("x-paging-count").is_some();
    if is_listing {
        let items = page.list().len();
        assert_eq!(page.header("x-paging-count"), Some(items.to_string().as_str()), "{page}");
        let limit: usize = page.header("x-paging-limit").expect("a listing says its limit").parse().unwrap();
        assert!(items <= limit, "{page} has more than {limit}");
        // Where there is no status for a wrong limit it is passed over.
        let asked = request.parameter("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
        assert!(asked.is_none_or(|asked| limit <= asked), "{page} has more than it was asked for");
        assert!(items > 0 || page.next().is_none(), "an empty page with a next one: {page}");
    }
}

/// `HEAD` answers with the status and the headers of `GET`, and without a body (1.10).
pub async fn check_head(api: &Api, request: &Request, get: &Answer) {
    let head = api.head(&request.target()).await;
    assert_eq!(head.status, get.status, "{head}");
    assert!(head.body.is_empty(), "{head}");
    for name in ["link", "x-paging-limit", "x-paging-count", "x-paging-nextkey", "x-paging-timerange"] {
        assert_eq!(head.header(name), get.header(name), "{name} of {head}");
    }
    // Only the body of a GET can have one, where it comes of the body.
    assert!(head.header("etag").is_none() || head.header("etag") == get.header("etag"), "{:?}", head.headers);
}

/// What a client remembers of answers, to ask only for news.
#[derive(Debug, Default)]
pub struct Cache {
    seen: HashMap<String, Vec<(String, Value)>>,
    /// How often nothing was new.
    pub unchanged: usize,
}

/// Remembered answers of one path at the most.
const REMEMBERED: usize = 8;

impl Cache {
    /// Remembers an answer.
    pub fn remember(&mut self, request: &Request, answer: &Answer) {
        if let (200, Some(etag)) = (answer.status, answer.header("etag")) {
            let seen = self.seen.entry(request.target()).or_default();
            let body = unsigned(answer.json());
            if let Some((_, before)) = seen.iter().find(|(known, _)| known == etag) {
                assert_eq!(before, &body, "{answer}: two bodies have the ETag {etag}");
                return;
            }
            if seen.len() == REMEMBERED {
                seen.remove(0);
            }
            seen.push((etag.to_owned(), body));
        }
    }

    /// Asks with an ETag seen earlier, where there is one. "Not modified" is true only of a body that is the same.
    pub async fn check_conditional(&mut self, api: &Api, request: &Request, now: &Answer, choice: usize) {
        let Some(seen) = self.seen.get(&request.target()) else { return };
        let (etag, before) = &seen[choice % seen.len()];
        let asked = api.request(Method::GET, &request.target()).header("if-none-match", etag);
        let answer = Answer::to(asked).await;
        if answer.status == 304 {
            assert!(answer.body.is_empty(), "{answer}");
            self.unchanged += 1;
            assert_eq!(before, &unsigned(now.json()), "{answer} for a body that has changed, by the ETag {etag}");
        } else {
            assert_eq!(answer.status, now.status, "{answer}");
            assert!(now.status != 200 || unsigned(answer.json()) == unsigned(now.json()), "{answer}");
        }
    }
}

/// A body without the signatures of its URLs, which are always new.
fn unsigned(body: Value) -> Value {
    match body {
        Value::String(text) if text.contains("X-Amz-Signature") => {
            Value::String(text.split('?').next().unwrap_or_default().to_owned())
        }
        Value::Array(items) => items.into_iter().map(unsigned).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, unsigned(value))).collect(),
        other => other,
    }
}
