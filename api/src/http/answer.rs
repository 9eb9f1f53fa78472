//! From a request to its answer: everything that is the same for all of them, in one place and in this order.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use bytes::Bytes;
use futures::{FutureExt, stream};
use hyper::body::Body as HttpBody;
use hyper::http::request::Parts;
use hyper::{Method, Request};
use tracing::Instrument;

use super::app::App;
use super::call::{Call, REQUEST_ID, RequestId};
use super::problem::Problem;
use super::response::Response;
use super::route::Resource;
use super::{body, cors, flow, health, object, position, segment, service, source, storage};

/// Who asks, until requests say so.
const ANONYMOUS: &str = "anonymous";

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
    B: HttpBody<Data = Bytes> + Unpin,
{
    let (head, body) = request.into_parts();
    let id = RequestId::of(&head.headers);
    let span = tracing::debug_span!("request", method = %head.method, path = head.uri.path(), request_id = %id);
    let handled = AssertUnwindSafe(handle(app, &head, body, &id)).catch_unwind().instrument(span);
    let handled = handled.await.unwrap_or_else(|panic| {
        tracing::error!(request_id = %id, panic = text_of(&*panic), "answering a request panicked");
        Err(Problem::Internal)
    });
    let mut response = handled.unwrap_or_else(|problem| tell(app, &problem, &id));
    let headers = response.headers_mut();
    cors::expose(headers);
    headers.insert(REQUEST_ID, id.to_header());
    response
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

async fn handle<B>(app: &App, head: &Parts, body: B, id: &RequestId) -> Result<Response, Problem>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if head.method == Method::OPTIONS {
        return Ok(cors::preflight());
    }
    let resource = Resource::parse(&app.parts.base_path, head.uri.path())?;
    let limits = &app.parts.limits;
    let body = match (&head.method, &resource) {
        (&Method::POST, Resource::Segments(_)) => {
            body::read(&head.headers, body, limits.segments_body_bytes, &app.large_bodies).await?
        }
        (&Method::POST | &Method::PUT, _) => {
            body::read(&head.headers, body, limits.body_bytes, &app.large_bodies).await?
        }
        _ => body::Body::default(),
    };
    position::wait(app, &head.headers).await?;
    let call = Call { app, head, body: body.bytes.clone(), id, actor: ANONYMOUS };
    dispatch(&call, resource).await
}

async fn dispatch(call: &Call<'_>, resource: Resource<'_>) -> Result<Response, Problem> {
    use Resource as R;
    let method = &call.head.method;
    match resource {
        R::Root => match *method {
            Method::GET | Method::HEAD => Ok(service::root()),
            _ => other_methods("GET, HEAD"),
        },
        R::Service => match *method {
            Method::GET | Method::HEAD => service::get(call),
            Method::POST => service::post(call).await,
            _ => other_methods("GET, HEAD, POST"),
        },
        R::StorageBackends => match *method {
            Method::GET | Method::HEAD => Ok(service::storage_backends(call)),
            _ => other_methods("GET, HEAD"),
        },
        R::Sources => match *method {
            Method::GET | Method::HEAD => source::list(call),
            _ => other_methods("GET, HEAD"),
        },
        R::Source(id) => match *method {
            Method::GET | Method::HEAD => source::get(call, id),
            _ => other_methods("GET, HEAD"),
        },
        R::SourceTags(id) => match *method {
            Method::GET | Method::HEAD => source::get_tags(call, id),
            _ => other_methods("GET, HEAD"),
        },
        R::SourceTag(id, name) => match *method {
            Method::GET | Method::HEAD => source::get_tag(call, id, &name),
            Method::PUT => source::put_tag(call, id, &name).await,
            Method::DELETE => source::delete_tag(call, id, &name).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::SourceText(id, text) => match *method {
            Method::GET | Method::HEAD => source::get_text(call, id, text),
            Method::PUT => source::put_text(call, id, text).await,
            Method::DELETE => source::delete_text(call, id, text).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::Flows => match *method {
            Method::GET | Method::HEAD => flow::list(call),
            _ => other_methods("GET, HEAD"),
        },
        R::Flow(id) => match *method {
            Method::GET | Method::HEAD => flow::get(call, id),
            Method::PUT => flow::put(call, id).await,
            Method::DELETE => flow::delete(call, id).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::FlowTags(id) => match *method {
            Method::GET | Method::HEAD => flow::get_tags(call, id),
            _ => other_methods("GET, HEAD"),
        },
        R::FlowTag(id, name) => match *method {
            Method::GET | Method::HEAD => flow::get_tag(call, id, &name),
            Method::PUT => flow::put_tag(call, id, &name).await,
            Method::DELETE => flow::delete_tag(call, id, &name).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::FlowText(id, text) => match *method {
            Method::GET | Method::HEAD => flow::get_text(call, id, text),
            Method::PUT => flow::put_text(call, id, text).await,
            Method::DELETE => flow::delete_text(call, id, text).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::ReadOnly(id) => match *method {
            Method::GET | Method::HEAD => flow::get_read_only(call, id),
            Method::PUT => flow::put_read_only(call, id).await,
            _ => other_methods("GET, HEAD, PUT"),
        },
        R::FlowCollection(id) => match *method {
            Method::GET | Method::HEAD => flow::get_collection(call, id),
            Method::PUT => flow::put_collection(call, id).await,
            Method::DELETE => flow::delete_collection(call, id).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::BitRate(id, rate) => match *method {
            Method::GET | Method::HEAD => flow::get_bit_rate(call, id, rate),
            Method::PUT => flow::put_bit_rate(call, id, rate).await,
            Method::DELETE => flow::delete_bit_rate(call, id, rate).await,
            _ => other_methods("GET, HEAD, PUT, DELETE"),
        },
        R::Segments(id) => match *method {
            Method::GET | Method::HEAD => segment::list(call, id).await,
            Method::POST => segment::post(call, id).await,
            Method::DELETE => segment::delete(call, id).await,
            _ => other_methods("GET, HEAD, POST, DELETE"),
        },
        R::Storage(id) => match *method {
            Method::POST => storage::allocate(call, id).await,
            _ => other_methods("POST"),
        },
        R::Object(id) => match *method {
            Method::GET | Method::HEAD => object::get(call, &id),
            _ => other_methods("GET, HEAD"),
        },
        R::Alive => match *method {
            Method::GET | Method::HEAD => Ok(health::alive()),
            _ => other_methods("GET, HEAD"),
        },
        R::Ready => match *method {
            Method::GET | Method::HEAD => Ok(health::ready(call).await),
            _ => other_methods("GET, HEAD"),
        },
        R::Projections => match *method {
            Method::GET | Method::HEAD => Ok(health::projections(call).await),
            _ => other_methods("GET, HEAD"),
        },
    }
}

fn other_methods(allow: &'static str) -> Result<Response, Problem> {
    Err(Problem::MethodNotAllowed { allow })
}
