//! Headers of a page of a list (1.6).

use std::borrow::Cow;
use std::fmt::Write as _;

use hyper::header::{HeaderName, HeaderValue, LINK};
use hyper::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use tapelog_events::TimeRange;
use tapelog_projections::{Direction, Paging};

use super::as_of;
use super::call::Call;
use super::query::decode_percent;
use super::response::{self, Response};

/// What a page is, for its headers.
pub struct Page<'a> {
    /// How many items it could have.
    pub limit: usize,
    /// The value of `page` that gives the next one, if there is one.
    pub next: Option<&'a str>,
    /// What else is said of it. Pages of references and of profiles have none.
    pub listing: Option<Listing>,
}

/// What is said of a page of resources.
pub struct Listing {
    /// How many items it has.
    pub count: usize,
    /// Whether it is in reverse order.
    pub reverse: bool,
    /// The stretch of time that its items cover, where they are segments.
    pub timerange: Option<TimeRange>,
}

impl Page<'_> {
    /// Adds the headers of this page of what `call` asked for.
    pub fn write(&self, call: &Call<'_>, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("x-paging-limit"), HeaderValue::from(self.limit));
        if let Some(listing) = &self.listing {
            headers.insert(HeaderName::from_static("x-paging-count"), HeaderValue::from(listing.count));
            let reverse = HeaderValue::from_static(if listing.reverse { "true" } else { "false" });
            headers.insert(HeaderName::from_static("x-paging-reverse-order"), reverse);
            if let Some(timerange) = &listing.timerange {
                headers.insert(HeaderName::from_static("x-paging-timerange"), ascii(&timerange.to_string()));
            }
        }
        if let Some(next) = self.next {
            let path = call.head.uri.path();
            let path = path.strip_prefix(call.app.parts.base_path.as_str()).unwrap_or(path);
            let query = match &call.past {
                Some(past) => as_of::pinned(call.raw_query(), &past.position).into(),
                None => Cow::Borrowed(call.raw_query()),
            };
            headers.insert(LINK, ascii(&link(&call.url(path), &query, next)));
            headers.insert(HeaderName::from_static("x-paging-nextkey"), ascii(next));
        }
    }
}

/// A page of resources as an answer: `write` makes the document of one. It is made for `HEAD` too, whose tag is that of
/// the body.
pub fn listing<T>(
    call: &Call<'_>,
    paging: &Paging<'_>,
    page: tapelog_projections::Page<T>,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Response {
    let mut response = response::json(StatusCode::OK, response::documents(&page.items, write));
    let reverse = paging.direction == Direction::Reversed;
    let listing = Listing { count: page.items.len(), reverse, timerange: None };
    let page = Page { limit: paging.limit, next: page.next.as_deref(), listing: Some(listing) };
    page.write(call, response.headers_mut());
    response
}

/// What a URL in a `Link` may not have: some clients split the header at commas and semicolons, wherever they are.
const IN_LINK: &AsciiSet = &CONTROLS.add(b',').add(b';').add(b'<').add(b'>').add(b'"').add(b' ');

/// What the value of a parameter may not have.
pub const IN_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The value of `Link`: the same URL with the same parameters, but for `page`.
pub fn link(url: &str, query: &str, next: &str) -> String {
    let mut link = format!("<{}?", utf8_percent_encode(url, IN_LINK));
    let is_page = |pair: &str| decode_percent(pair.split('=').next().unwrap_or_default()).as_deref() == Some("page");
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !is_page(pair)) {
        write!(link, "{}&", utf8_percent_encode(pair, IN_LINK)).expect("writing to a string cannot fail");
    }
    write!(link, "page={}>; rel=\"next\"", utf8_percent_encode(next, IN_VALUE))
        .expect("writing to a string cannot fail");
    link
}

/// A header's value from text of ours; what is not ASCII would be encoded.
pub fn ascii(text: &str) -> HeaderValue {
    let text = utf8_percent_encode(text, CONTROLS).to_string();
    HeaderValue::try_from(text).expect("percent-encoding leaves visible characters only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_every_parameter_and_replaces_the_page() {
        assert_eq!(
            link("http://h/flows", "limit=3&page=old&tag.a=x,y;z&timerange=[0:0_1:0)&page&p%61ge=old", "k1_=="),
            "<http://h/flows?limit=3&tag.a=x%2Cy%3Bz&timerange=[0:0_1:0)&page=k1_%3D%3D>; rel=\"next\""
        );
        assert_eq!(link("http://h/flows", "", "k"), "<http://h/flows?page=k>; rel=\"next\"");
    }

    #[test]
    fn a_link_has_one_comma_free_url_and_one_parameter() {
        let link = link("http://h/objects/a,b;c", "x=é\"<>", "1");
        assert_eq!(link.matches(';').count(), 1, "{link}");
        assert!(!link.contains(',') && link.is_ascii(), "{link}");
    }
}
