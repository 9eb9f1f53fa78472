//! Media in and out of a TAMS server, as a plain client over HTTP.
//!
//! [`ingest::ingest`] reads HLS playlists and MPEG-TS or fragmented MP4 files, makes flows of them and
//! stores them; [`export::export`] joins the objects of a flow to a file; [`clip::make_test_clip`] makes
//! something to try both with. They work against any TAMS 8.x server and know nothing of tapelog but
//! how it writes times.
//!
//! Guaranteed: timing comes from the media; segments that adjoin in the media adjoin on the timeline to
//! the nanosecond; the same ingest again goes on where the last one stopped and leaves nothing twice;
//! files of any size are streamed; damaged input is an error that names the file, never a panic.
//!
//! Assumed: one ingest of the same input at a time; transport stream segments that each carry their
//! program tables, as HLS demands; H.264 or H.265 picture and AAC sound.
//!
//! Not done: transcoding, encrypted or live input, cutting inside a segment, subtitles.

pub mod client;
pub mod clip;
pub mod export;
pub mod ingest;
pub mod probe;
mod progress;

pub use tapelog_events::time::{TimeRange, Timestamp};
pub use tokio_util::sync::CancellationToken;
pub use url::Url;
pub use uuid::Uuid;
