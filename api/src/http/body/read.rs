//! Taking the bytes of a body off the connection.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body as HttpBody;
use hyper::header::{CONTENT_ENCODING, EXPECT};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::http::limits;
use crate::http::problem::Problem;

/// How long a client may take to send a body: the largest at little more than two megabits a second.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Of a body that is too long, what is still taken off the connection at most: a client that is cut off while it sends
/// may never see the answer.
const DRAIN_BYTES: usize = 256 << 20;

/// A body in memory, with its place among the large ones where it is one.
#[derive(Default)]
pub struct Body<'a> {
    /// The bytes.
    pub bytes: Bytes,
    _place: Option<SemaphorePermit<'a>>,
}

/// Reads a body of at most `limit` bytes. `places` is how many large bodies there may be.
///
/// # Errors
/// [`Problem::BodyTooLarge`], [`Problem::BodyTooSlow`], [`Problem::Busy`], or [`Problem::Invalid`] where the connection
/// breaks off.
pub async fn read<'a, B>(headers: &HeaderMap, body: B, limit: usize, places: &'a Semaphore) -> Result<Body<'a>, Problem>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Body::default());
    }
    // A body in gzip was made plain before it came here, and its header with it.
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        timeout(READ_TIMEOUT, drain(body)).await.ok();
        return Err(Problem::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
    }
    let waits_for_go_ahead = headers.contains_key(EXPECT);
    if waits_for_go_ahead && body.size_hint().lower() > limit as u64 {
        return Err(Problem::BodyTooLarge { limit });
    }
    let whole = timeout(READ_TIMEOUT, collect(body, limit, places));
    whole.await.unwrap_or(Err(Problem::BodyTooSlow { seconds: READ_TIMEOUT.as_secs() }))
}

async fn collect<B>(mut body: B, limit: usize, places: &Semaphore) -> Result<Body<'_>, Problem>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut place = None;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::invalid("the body ends before its end"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + rest.len() + data.len();
        if length > limit {
            drain(body).await;
            return Err(Problem::BodyTooLarge { limit });
        }
        if length > limits::LARGE_BODY_BYTES && place.is_none() {
            place = Some(places.try_acquire().map_err(|_| Problem::Busy)?);
        }
        // Nearly every body comes in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { [first, rest.freeze()].concat().into() };
    Ok(Body { bytes, _place: place })
}

/// Takes what is left of a body and drops it.
async fn drain<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.data_ref().map_or(0, Bytes::len);
        if taken > DRAIN_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn pieces(pieces: Vec<Bytes>) -> impl HttpBody<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece)))))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_no_longer_than_its_limit() {
        let places = Semaphore::new(1);
        let two = || vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cd")];
        let whole = read(&HeaderMap::new(), pieces(two()), 4, &places).await;
        assert_eq!(whole.expect("it fits").bytes, "abcd");
        let refused = read(&HeaderMap::new(), pieces(two()), 3, &places).await;
        assert!(matches!(refused, Err(Problem::BodyTooLarge { limit: 3 })));
    }

    #[tokio::test]
    async fn large_bodies_are_limited_in_number_for_as_long_as_they_are_held() {
        let places = Semaphore::new(1);
        let large = || pieces(vec![Bytes::from(vec![b' '; limits::LARGE_BODY_BYTES + 1])]);
        let held = read(&HeaderMap::new(), large(), 1 << 20, &places).await;
        assert!(held.is_ok());
        assert!(matches!(read(&HeaderMap::new(), large(), 1 << 20, &places).await, Err(Problem::Busy)));
        drop(held);
        assert!(read(&HeaderMap::new(), large(), 1 << 20, &places).await.is_ok());
    }
}
