//! What is noted of every request once it is answered: metrics, the access log, the span.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::http::request::Parts;
use tracing::Span;

use super::app::App;
use super::call::RequestId;
use super::query::decode_percent;
use super::response::Response;
use crate::server::Remote;
use crate::settings::AccessLog;
use crate::telemetry::ACCESS;

/// How long a request may take before it is told of among those that failed.
const SLOW: Duration = Duration::from_secs(1);
/// The route of a path that has none.
const NO_ROUTE: &str = "(none)";

/// What becomes known of a request on its way to its answer.
pub struct Seen {
    began: Instant,
    /// The route that its path names.
    pub route: Option<&'static str>,
    /// Who asks.
    pub principal: Option<Arc<str>>,
    /// Bytes of its body.
    pub received: usize,
}

impl Seen {
    /// Nothing yet but that it is there.
    pub fn begin() -> Self {
        Self { began: Instant::now(), route: None, principal: None, received: 0 }
    }

    /// Notes the answer.
    pub fn note(&self, app: &App, head: &Parts, id: &RequestId, span: &Span, response: &Response) {
        let elapsed = self.began.elapsed();
        let status = response.status();
        let bytes = response.body().size_hint().exact().unwrap_or_default();
        let route = self.route.unwrap_or(NO_ROUTE);
        let metrics = &app.parts.metrics;
        metrics.answered(route, &head.method, status, elapsed);
        metrics.moved(self.received, bytes);
        span.record("http.route", route).record("http.response.status_code", status.as_u16());
        let is_told = match app.parts.access_log {
            AccessLog::None => false,
            // That something is not there is what clients ask to know.
            AccessLog::Failures => status.as_u16() >= 400 && status != StatusCode::NOT_FOUND || elapsed >= SLOW,
            AccessLog::All => true,
        };
        if !is_told {
            return;
        }
        tracing::info!(
            target: ACCESS,
            method = head.method.as_str(),
            route,
            path = &*shown(head),
            status = status.as_u16(),
            bytes,
            elapsed_ms = elapsed.as_micros() as f64 / 1e3,
            request_id = %id,
            principal = self.principal.as_deref(),
            remote = head.extensions.get::<Remote>().map(|remote| tracing::field::display(remote.0)),
        );
    }
}

/// Path and query, without what is secret. A token was taken out of the URL before (`auth`); what is left is one that was
/// spelt so oddly that it counts for nothing, and may be somebody's secret all the same.
fn shown(head: &Parts) -> Cow<'_, str> {
    let path = head.uri.path();
    let Some(query) = head.uri.query() else { return path.into() };
    let is_secret = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        decode_percent(name).is_none_or(|name| name.eq_ignore_ascii_case("access_token"))
    };
    let pairs: Vec<_> = query.split('&').map(|pair| if is_secret(pair) { "(secret)" } else { pair }).collect();
    format!("{path}?{}", pairs.join("&")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_url_is_not_logged_however_it_is_spelt() {
        let shown = |uri: &str| shown(&hyper::Request::get(uri).body(()).unwrap().into_parts().0).into_owned();
        assert_eq!(shown("/flows"), "/flows");
        assert_eq!(shown("/flows?limit=1&page=x"), "/flows?limit=1&page=x");
        assert_eq!(shown("/flows?access_token=abc&limit=1"), "/flows?(secret)&limit=1");
        assert_eq!(shown("/flows?a=b&%61ccess%5Ftoken=abc"), "/flows?a=b&(secret)");
        assert_eq!(shown("/flows?Access_Token"), "/flows?(secret)");
    }
}
