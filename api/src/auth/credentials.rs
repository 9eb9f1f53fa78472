//! How a request says who sends it (1.1): a bearer token, account and password, or a token in the URL.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use crate::http::decode_percent;

/// The query parameter that may hold a token.
const ACCESS_TOKEN: &str = "access_token";

/// What a request says of who sends it.
pub enum Credentials<'a> {
    /// A token in the header.
    Bearer(&'a str),
    /// A token in the URL.
    Url(&'a str),
    /// The name of an account, and its password or one of its tokens.
    Basic(Basic),
}

/// HTTP Basic.
pub struct Basic {
    /// The name of an account.
    pub name: String,
    /// Its password, or one of its tokens.
    pub password: String,
}

/// A header `Authorization` that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header Authorization is neither Bearer with a token nor Basic with a name and a password")]
pub struct Unreadable;

/// The token that stood in a request's URL.
#[derive(Clone)]
struct UrlToken(String);

/// Moves the token out of a request's URL to where only `of` finds it, so that it gets into no log and no answer.
pub fn take_url_token(head: &mut Parts) {
    let Some(query) = head.uri.query().filter(|query| query.contains(ACCESS_TOKEN)) else { return };
    let name_of = |pair: &str| decode_percent(pair.split('=').next().unwrap_or_default()).map(|name| name.into_owned());
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| name_of(pair).as_deref() == Some(ACCESS_TOKEN));
    let value = tokens.first().and_then(|pair| decode_percent(pair.split_once('=')?.1)).map(|value| value.into_owned());
    let Some(value) = value else { return };
    let mut path = head.uri.path().to_owned();
    if !others.is_empty() {
        path.push('?');
        path.push_str(&others.join("&"));
    }
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        head.uri = uri;
        head.extensions.insert(UrlToken(value));
    }
}

/// What a request says of who sends it. The header goes before the URL.
///
/// # Errors
/// When there is a header that says nothing.
pub fn of(head: &Parts) -> Result<Option<Credentials<'_>>, Unreadable> {
    let Some(header) = head.headers.get(AUTHORIZATION) else {
        return Ok(head.extensions.get().map(|UrlToken(token)| Credentials::Url(token)));
    };
    let (scheme, value) = header.to_str().map_err(|_| Unreadable)?.split_once(' ').ok_or(Unreadable)?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() {
        return Ok(Some(Credentials::Bearer(value)));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return basic(value).map(|basic| Some(Credentials::Basic(basic))).ok_or(Unreadable);
    }
    Err(Unreadable)
}

fn basic(value: &str) -> Option<Basic> {
    let text = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Basic { name: name.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn head(uri: &str, authorization: Option<&str>) -> Parts {
        let mut request = Request::builder().uri(uri);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        take_url_token(&mut head);
        head
    }

    #[test]
    fn a_token_in_the_url_is_found_and_leaves_it() {
        let head = head("/flows?limit=3&access%5Ftoken=a%2Eb&tag.a=access_token", None);
        assert_eq!(head.uri, "/flows?limit=3&tag.a=access_token");
        assert!(matches!(of(&head), Ok(Some(Credentials::Url("a.b")))));
        let alone = super::tests::head("http://h/flows?access_token=x", None);
        assert_eq!(alone.uri, "http://h/flows");
    }

    #[test]
    fn a_header_is_read_and_goes_before_the_url() {
        let bearer = head("/?access_token=x", Some("bearer abc"));
        assert!(matches!(of(&bearer), Ok(Some(Credentials::Bearer("abc")))));
        let basic = head("/", Some("Basic YW5uOmE6Yg=="));
        assert!(
            matches!(of(&basic), Ok(Some(Credentials::Basic(Basic { name, password }))) if name == "ann" && password == "a:b")
        );
        for unreadable in ["", "Bearer", "Bearer ", "Basic ???", "Basic YW5u", "Digest a=b"] {
            assert!(matches!(of(&head("/", Some(unreadable))), Err(Unreadable)), "{unreadable}");
        }
        assert!(matches!(of(&head("/", None)), Ok(None)));
    }
}
