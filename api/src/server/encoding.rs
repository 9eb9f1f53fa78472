//! Compression of what is sent and received: the API sees plain bodies only.

use axum::Router;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;

/// From this size on, in bytes, an answer is compressed: below, it fits into a packet either way.
const WORTH_IT: u16 = 1024;
/// Lines that are to be seen as they come would be held back until there are enough to compress.
const LINES: NotForContentType = NotForContentType::const_new("application/x-ndjson");
/// So would events.
const EVENTS: NotForContentType = NotForContentType::const_new("text/event-stream");

/// The same routes, with gzip for clients that take it, and for bodies that come with it.
///
/// A body in another coding is handed on as it is, with its `Content-Encoding`: whoever reads it says why not. Tags of
/// answers stay as they are, because they are weak ones: they name what a body says, not the bytes that say it.
pub fn compressed(router: Router) -> Router {
    let worth_it = SizeAbove::new(WORTH_IT).and(LINES).and(EVENTS);
    router
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it))
}
