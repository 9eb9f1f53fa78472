//! Tags of answers (`ETag`), so that whoever has an answer already is told so instead of being sent it again (304).
//!
//! Every answer to `GET` has a tag. It is the hash of the body, unless the handler knows better: a listing is tagged by
//! the record that changed it last, so that one which has not changed is not even made. Tags are weak ones, for they name
//! what an answer says and not its bytes: it may be sent compressed or not. There is nothing here that would need strong
//! ones, neither ranges nor `If-Match`.

use std::hash::{Hash, Hasher};

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, StatusCode};

use super::call::Call;
use super::response::{self, Body, Response};

/// How much of a hash is told, in bytes: no two answers of a path will ever share so much.
const TAG_BYTES: usize = 16;

/// The tag of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(HeaderValue);

impl Tag {
    fn of_hash(hash: &blake3::Hash) -> Self {
        let text = format!("W/\"{}\"", hex::encode(&hash.as_bytes()[..TAG_BYTES]));
        Self(HeaderValue::try_from(text).expect("hexadecimal digits are visible characters"))
    }

    /// The tag of an answer to `call` that depends on nothing but this, the path, the query, what the asker may see, and
    /// how this server tells it.
    pub fn of(call: &Call<'_>, version: impl Hash) -> Self {
        let mut hasher = Blake(blake3::Hasher::new());
        (call.app.telling, call.head.uri.path(), call.raw_query()).hash(&mut hasher);
        call.access().hash(&mut hasher);
        call.past.as_ref().map(|past| past.version).hash(&mut hasher);
        version.hash(&mut hasher);
        Self::of_hash(&hasher.0.finalize())
    }

    /// Marks an answer with it.
    pub fn mark(self, mut response: Response) -> Response {
        response.headers_mut().insert(ETAG, self.0);
        response
    }

    /// Whether the client has the answer with this tag: then [`Self::unchanged`] is all it needs.
    pub fn is_known(&self, call: &Call<'_>) -> bool {
        has(&call.head.headers, &self.0)
    }

    /// The answer for a client that has the one with this tag.
    pub fn unchanged(self) -> Response {
        self.mark(response::empty(StatusCode::NOT_MODIFIED))
    }
}

/// Hashes what can be hashed with a hash that is the same in every process.
struct Blake(blake3::Hasher);

impl Hasher for Blake {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The same answer with a tag, or that the client has it already.
pub fn tagged(method: &Method, headers: &HeaderMap, response: Response) -> Response {
    if response.status() != StatusCode::OK || !matches!(*method, Method::GET | Method::HEAD) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let bytes = match body {
        Body::Whole(body) => body.into_inner().unwrap_or_default(),
        Body::Stream(_) => return Response::from_parts(head, body),
    };
    if !head.headers.contains_key(ETAG) {
        if bytes.is_empty() {
            return Response::from_parts(head, bytes.into());
        }
        head.headers.insert(ETAG, Tag::of_hash(&blake3::hash(&bytes)).0);
    }
    if !head.headers.get(ETAG).is_some_and(|tag| has(headers, tag)) {
        return Response::from_parts(head, bytes.into());
    }
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(CONTENT_TYPE);
    head.headers.remove(CONTENT_LENGTH);
    let mut response = response::empty(StatusCode::NOT_MODIFIED);
    *response.headers_mut() = head.headers;
    response
}

/// Whether `If-None-Match` names this tag. Tags are compared weakly (RFC 9110, 13.1.2).
fn has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_owned();
    let wanted = opaque(tag.as_bytes());
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        // Ours have no comma, so that one inside of another's does no harm.
        let tags = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.into_iter().any(|tag| tag == b"*" || opaque(tag) == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(body: &'static str, if_none_match: &[&str]) -> (StatusCode, HeaderValue) {
        let mut headers = HeaderMap::new();
        for value in if_none_match {
            headers.append(IF_NONE_MATCH, HeaderValue::try_from(*value).unwrap());
        }
        let response = tagged(&Method::GET, &headers, response::json(StatusCode::OK, body));
        (response.status(), response.headers()[ETAG].clone())
    }

    #[test]
    fn whoever_has_an_answer_is_not_sent_it_again() {
        let (_, tag) = status("[1]", &[]);
        let tag = tag.to_str().unwrap();
        let strong = tag.strip_prefix("W/").unwrap();
        for known in [&[tag][..], &[strong], &["*"], &["\"other\"", tag], &[&format!("\"a,b\" ,W/\"x\" , {tag}")]] {
            assert_eq!(status("[1]", known).0, StatusCode::NOT_MODIFIED, "{known:?}");
        }
        for unknown in [&[][..], &["\"other\""], &[""], &[&tag[..8]], &["\"*\""]] {
            assert_eq!(status("[1]", unknown).0, StatusCode::OK, "{unknown:?}");
        }
        assert_eq!(status("[2]", &[tag]).0, StatusCode::OK);
    }

    #[test]
    fn only_what_was_read_has_a_tag() {
        let of = |method, status| tagged(&method, &HeaderMap::new(), response::json(status, "{}"));
        assert!(of(Method::HEAD, StatusCode::OK).headers().contains_key(ETAG));
        assert!(!of(Method::POST, StatusCode::OK).headers().contains_key(ETAG));
        assert!(!of(Method::GET, StatusCode::NOT_FOUND).headers().contains_key(ETAG));
    }
}
