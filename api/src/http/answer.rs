//! From a request to its answer: everything that is the same for all of them, in one place and in this order.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body as AxumBody;
use bytes::Bytes;
use futures::{FutureExt, stream};
use hyper::body::Body as HttpBody;
use hyper::http::request::Parts;
use hyper::{Method, Request};
use tapelog_store::sequencer::SubmitError;
use tokio::time::timeout;
use tracing::Instrument;
use tracing::field::Empty;

use super::access::Seen;
use super::app::App;
use super::call::{Call, REQUEST_ID, RequestId};
use super::dispatch::dispatch;
use super::problem::Problem;
use super::response::Response;
use super::route::{Resource, Rule, Verb};
use super::{as_of, body, content, cors, etag, metrics, position};
use crate::auth::{self, Authenticator, Principal};
use crate::telemetry;

/// The API as a router, for what stands beside it: it answers every path that no other route has.
pub fn router(app: Arc<App>) -> Router {
    Router::new().fallback(move |request: Request<AxumBody>| {
        let app = Arc::clone(&app);
        async move {
            let is_head = request.method() == Method::HEAD;
            answer(&app, request).await.map(|body| {
                // The length of a body that was not made is not known; the router would say that it is zero.
                let not_made = is_head && body.is_end_stream();
                if not_made {
                    AxumBody::from_stream(stream::empty::<Result<Bytes, Infallible>>())
                } else {
                    AxumBody::new(body)
                }
            })
        }
    })
}

/// Answers a request. Whatever happens, there is an answer, and a browser may read it.
pub async fn answer<B>(app: &App, request: Request<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut head, body) = request.into_parts();
    auth::take_url_token(&mut head);
    let id = RequestId::of(&head.headers);
    let mut seen = Seen::begin();
    let span = tracing::debug_span!(
        "request",
        otel.kind = "server",
        http.request.method = %head.method,
        url.path = head.uri.path(),
        request_id = %id,
        http.route = Empty,
        http.response.status_code = Empty,
    );
    telemetry::follow(&span, &head.headers);
    let at_work = app.parts.metrics.at_work();
    let handled = AssertUnwindSafe(handle(app, &head, body, &id, &mut seen)).catch_unwind().instrument(span.clone());
    let handled = handled.await.unwrap_or_else(|panic| {
        tracing::error!(request_id = %id, panic = text_of(&*panic), "answering a request panicked");
        Err(Problem::Internal)
    });
    drop(at_work);
    let response = handled.unwrap_or_else(|problem| tell(app, &problem, &id));
    let mut response = etag::tagged(&head.method, &head.headers, response);
    let headers = response.headers_mut();
    cors::expose(headers);
    headers.insert(REQUEST_ID, id.to_header());
    seen.note(app, &head, &id, &span, &response);
    response
}

/// Lets a request pass that is answered beside the API, if its sender may do what a rule is for.
///
/// # Errors
/// The answer where they may not.
pub async fn admit(authenticator: &Authenticator, head: &mut Parts, rule: Rule) -> Result<(), Response> {
    auth::take_url_token(head);
    let id = RequestId::of(&head.headers);
    let admitted = authenticator.authenticate(head, &id).await.and_then(|principal| allow(&principal, rule));
    admitted.map_err(|problem| refused(&id, &problem))
}

/// The answer to a request that is not served, beside the API.
pub(crate) fn refusal(head: &Parts, problem: &Problem) -> Response {
    refused(&RequestId::of(&head.headers), problem)
}

fn refused(id: &RequestId, problem: &Problem) -> Response {
    let mut response = problem.response(&id.to_string(), SystemTime::now().into());
    cors::expose(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, id.to_header());
    response
}

fn allow(principal: &Principal, rule: Rule) -> Result<(), Problem> {
    if principal.satisfies(rule) {
        return Ok(());
    }
    Err(Problem::Forbidden(format!("your credentials lack the scope for this: {rule}")))
}

fn tell(app: &App, problem: &Problem, id: &RequestId) -> Response {
    let mut response = problem.response(&id.to_string(), app.now().into());
    if let Some(seq) = problem.seq() {
        position::write(app.parts.incarnation, seq, response.headers_mut());
    }
    tracing::debug!(request_id = %id, status = response.status().as_u16(), %problem, "a request was not served");
    response
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something that is no text")
}

async fn handle<B>(app: &App, head: &Parts, body: B, id: &RequestId, seen: &mut Seen) -> Result<Response, Problem>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if head.method == Method::OPTIONS {
        return Ok(cors::preflight());
    }
    let resource = Resource::parse(&app.parts.base_path, head.uri.path());
    let verb = Verb::of(&head.method);
    seen.route = resource.as_ref().ok().map(|resource| resource.route().template);
    let _place = match &resource {
        // How a server is must be known above all when it has too much to do.
        Ok(Resource::Alive | Resource::Ready | Resource::Metrics) => None,
        Ok(_) | Err(_) => Some(app.places.try_acquire().map_err(|_| Problem::Overloaded)?),
    };
    let operation = resource.as_ref().ok().zip(verb).and_then(|(resource, verb)| resource.route().operation(verb));
    let principal = match operation {
        Some(operation) if operation.rule == Rule::Public => Arc::new(Principal::nobody()),
        Some(_) if app.parts.metrics.public && matches!(resource, Ok(Resource::Metrics)) => {
            return Ok(metrics::get(app).await);
        }
        // Whoever is not known learns nothing, not even what there is not (1.1).
        _ => app.parts.authenticator.authenticate(head, id).await?,
    };
    seen.principal = Some(Arc::clone(&principal.name));
    let resource = resource?;
    let not_allowed = || Problem::MethodNotAllowed { allow: resource.route().allow(|_| true) };
    let (verb, operation) = verb.zip(operation).ok_or_else(not_allowed)?;
    allow(&principal, operation.rule)?;
    let as_of = as_of::asked(head.uri.query().unwrap_or_default(), &resource, verb)?;
    position::wait(app, &head.headers).await?;
    if let (Verb::Put, Resource::Content(object_id)) = (verb, &resource) {
        let call = Call { app, head, body: Bytes::new(), id, principal: &principal, past: None };
        return content::put(&call, object_id, body).await;
    }
    let limits = &app.parts.limits;
    let body = match (verb, &resource) {
        (Verb::Post, Resource::Segments(_)) => {
            body::read(&head.headers, body, limits.segments_body_bytes, &app.large_bodies).await?
        }
        (Verb::Post | Verb::Put, _) => body::read(&head.headers, body, limits.body_bytes, &app.large_bodies).await?,
        (Verb::Get | Verb::Delete, _) => body::Body::default(),
    };
    seen.received = body.bytes.len();
    let call = Call { app, head, body: body.bytes.clone(), id, principal: &principal, past: None };
    let answered = async {
        let past = match as_of {
            Some(moment) => Some(as_of::look_back(&call, &resource, &moment).await?),
            None => None,
        };
        dispatch(&Call { past, ..call }, resource, verb).await
    };
    let time = Duration::from_secs(limits.request_seconds);
    timeout(time, answered).await.unwrap_or_else(|_| {
        Err(match verb {
            Verb::Get => Problem::TooSlow { seconds: limits.request_seconds },
            // The log may have it, and whoever asked must not believe that nothing happened.
            Verb::Put | Verb::Post | Verb::Delete => SubmitError::OutcomeUnknown.into(),
        })
    })
}
