//! Media into a TAMS server: see [`ingest`].

mod flows;
mod input;
mod piece;
mod playlist;
mod store;
mod timeline;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::Value;
use tapelog_events::time::TimeRange;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::client::{Credentials, Downloader, TamsClient, TamsError};
use crate::probe::{Essence, ProbeError};
use crate::progress;
use flows::{Ids, PlannedFlow, RenditionFlows};
use input::{Input, Rendition};
use piece::{PieceReader, ReadPiece};
use store::Store;
use timeline::{Layout, Measured, Timeline};

pub use timeline::Origin;

/// What to ingest, where to, and how.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// Base URL of the TAMS server.
    pub base: Url,
    /// Who the client is.
    pub credentials: Option<Credentials>,
    /// One HLS playlist (media or master), one folder of media files, or media files in order of
    /// presentation. Each a path or an http(s) URL.
    pub input: Vec<String>,
    /// Where the timeline begins; [`Origin::At`] `0:0` unless there is a reason.
    pub origin: Origin,
    /// Id of the flow that owns the segments (of the first variant); derived from the input if absent.
    pub flow_id: Option<Uuid>,
    /// Id of that flow's source; derived from the input if absent.
    pub source_id: Option<Uuid>,
    /// Label of the flows; the name of the input if absent.
    pub label: Option<String>,
    /// How many objects are uploaded at a time.
    pub concurrency: NonZeroUsize,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct IngestReport {
    /// The flows that own segments, one for each rendition, the leading one first.
    pub flows: Vec<IngestedFlow>,
    /// Flows of the single tracks of muxed media: id and source id.
    pub essences: Vec<(Uuid, Uuid)>,
    /// Flows that collect variants with their separate sound: id and source id.
    pub collections: Vec<(Uuid, Uuid)>,
    /// What was left out, for people.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What was done on one flow.
#[derive(Debug, Clone)]
pub struct IngestedFlow {
    /// The flow.
    pub id: Uuid,
    /// Its source.
    pub source_id: Uuid,
    /// Segments that were uploaded and registered.
    pub new_segments: u64,
    /// Segments that were there already.
    pub skipped_segments: u64,
    /// From the first segment to the last.
    pub timerange: TimeRange,
    /// Bytes of the objects that were uploaded.
    pub uploaded_bytes: u64,
}

/// Why an ingest did not complete. All but [`IngestError::Cancelled`] and [`IngestError::Server`] need
/// a change of the input or the options before it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Nothing was named.
    #[error("there is nothing to ingest: name a playlist, a folder or media files")]
    NoInput,
    /// A playlist beside other arguments.
    #[error("a playlist is ingested by itself: name one playlist, or one folder, or only media files")]
    MixedInput,
    /// A folder without media.
    #[error("{} holds no MPEG-TS or MP4 files", .0.display())]
    EmptyFolder(PathBuf),
    /// More than one MP4 file could describe the fragments.
    #[error("several MP4 files are initialization segments: name one of them and the fragments it belongs to")]
    SeveralInitializations,
    /// A file cannot be read or written.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A playlist that cannot be ingested.
    #[error("{location} cannot be ingested: {reason}")]
    Playlist {
        /// Where it is.
        location: String,
        /// Why not.
        reason: String,
    },
    /// A media file that cannot be ingested.
    #[error("{name} cannot be ingested")]
    Media {
        /// Where it is.
        name: String,
        /// Why not.
        #[source]
        source: ProbeError,
    },
    /// A media segment does not fit the flow that the first one began.
    #[error("{name} does not continue the media before it: {change}; ingest it as a flow of its own")]
    Changed {
        /// Where it is.
        name: String,
        /// What is different.
        change: String,
    },
    /// Times beyond what a TAMS timestamp can say.
    #[error("the media lies beyond the timeline (48 bits of seconds)")]
    BeyondTimeline,
    /// The flow exists and is another kind of flow.
    #[error("flow {id} exists and does not fit this media: its {property} is {found}, not {expected}")]
    FlowMismatch {
        /// The flow.
        id: Uuid,
        /// What differs.
        property: &'static str,
        /// As it is on the server.
        found: Value,
        /// As this media needs it.
        expected: Value,
    },
    /// Something else is on the timeline where a segment belongs.
    #[error(
        "flow {flow} already has other media at {existing}, where {timerange} belongs; choose another start or flow id"
    )]
    Occupied {
        /// The flow.
        flow: Uuid,
        /// Where the segment belongs.
        timerange: TimeRange,
        /// What is there.
        existing: TimeRange,
    },
    /// The server did not take segments.
    #[error("flow {flow}: the server does not register {} segment(s), the first ({object_id}) because: {reason}", .count)]
    Rejected {
        /// The flow.
        flow: Uuid,
        /// How many were not registered.
        count: usize,
        /// Object of the first of them.
        object_id: String,
        /// Why the first of them was not.
        reason: String,
    },
    /// The server cannot be reached or refuses.
    #[error(transparent)]
    Server(#[from] TamsError),
    /// Stopped on request. What is registered stays; the same ingest goes on from there.
    #[error("stopped; the same command goes on from here")]
    Cancelled,
    /// A task of this process came to an unexpected end.
    #[error("interrupted by an internal failure")]
    Interrupted,
}

/// Ingests media into a TAMS server.
///
/// Timing and parameters are taken from the media itself, never from the playlist's rounded
/// durations. A muxed file is timed by its first picture track: sound does not begin and end where
/// pictures do, and the boundaries of segments are those of pictures. By default the first picture is
/// at `0:0`, with `ts_offset` holding the difference to the media's own clock; see [`Origin`].
///
/// Fragments of MP4 are stored with their initialization segment in front, each object a playable
/// fragmented MP4 by itself, which needs nothing of servers before 8.2.
///
/// Ids of flows, sources and objects follow from the input and its content. The same ingest again, at
/// any time, after any interruption, uploads what is missing and leaves exactly one segment for each
/// piece of media.
pub async fn ingest(options: IngestOptions, cancel: &CancellationToken) -> Result<IngestReport, IngestError> {
    let started = Instant::now();
    let client = TamsClient::new(options.base.clone(), options.credentials.clone())?;
    let work = async {
        let downloader = Downloader::new();
        let input = input::resolve(&options.input, &downloader).await?;
        let session = Session { client, downloader, options };
        session.run(input).await
    };
    // Work that is dropped stops at its next wait: uploads are aborted, nothing is half registered.
    let mut report = tokio::select! {
        () = cancel.cancelled() => return Err(IngestError::Cancelled),
        report = work => report?,
    };
    report.elapsed = started.elapsed();
    Ok(report)
}

struct Session {
    client: TamsClient,
    downloader: Downloader,
    options: IngestOptions,
}

/// A rendition whose first piece has been read.
struct Opened<'a> {
    rendition: &'a Rendition,
    reader: PieceReader,
    first: ReadPiece,
}

impl Session {
    async fn run(self, input: Input) -> Result<IngestReport, IngestError> {
        let opened = self.open(&input).await?;
        let hash = opened[0].first.object.hash;
        let ids = Ids::new(&input.identity, &hash, self.options.flow_id, self.options.source_id);
        let label = self.options.label.as_ref().unwrap_or(&input.label).clone();

        let mut planned = Vec::with_capacity(opened.len());
        for (index, opened) in opened.iter().enumerate() {
            let label = match opened.rendition.title() {
                None => label.clone(),
                Some(title) => format!("{label} {title}"),
            };
            let flows = RenditionFlows::plan(&ids, opened.rendition, &opened.first.media, &label, index == 0);
            planned.push(flows.map_err(|missing| IngestError::Media {
                name: opened.rendition.pieces[0].place.location.to_string(),
                source: ProbeError::Missing(missing),
            })?);
        }
        let store = Store::new(&self.client, self.options.concurrency);
        // Members of a collection have to exist before it does.
        for flows in &mut planned {
            for flow in flows.essences.iter_mut().chain([&mut flows.owner]) {
                flow.source_id = store.ensure_flow(flow).await?;
            }
        }
        let leading = &planned[0].owner;
        if let Some(chosen) = self.options.source_id.filter(|chosen| *chosen != leading.source_id) {
            return Err(IngestError::FlowMismatch {
                id: leading.id,
                property: "source_id",
                found: leading.source_id.to_string().into(),
                expected: chosen.to_string().into(),
            });
        }
        let pairs: Vec<(&Rendition, &RenditionFlows)> =
            opened.iter().map(|opened| opened.rendition).zip(&planned).collect();
        let mut collections: Vec<PlannedFlow> =
            pairs.iter().filter_map(|pair| flows::collection(&ids, *pair, &pairs, &label)).collect();
        for flow in &mut collections {
            flow.source_id = store.ensure_flow(flow).await?;
        }

        let total = input.renditions.iter().map(|rendition| rendition.pieces.len() as u64).sum();
        let bar = progress::segments(total, "ingesting");
        let mut timeline = Timeline::new(self.options.origin, opened[0].first.media.reference().start());
        let mut flows = Vec::with_capacity(planned.len());
        for (opened, planned) in opened.into_iter().zip(&planned) {
            flows.push(self.ingest_rendition(opened, planned, &mut timeline, &store, &bar).await?);
        }
        let companions = planned.iter().flat_map(|flows| &flows.essences).chain(&collections);
        for flow in companions {
            store.close_flow(flow.id, None).await?;
        }
        bar.finish_and_clear();

        let ids_of = |flow: &PlannedFlow| (flow.id, flow.source_id);
        Ok(IngestReport {
            flows,
            essences: planned.iter().flat_map(|flows| &flows.essences).map(ids_of).collect(),
            collections: collections.iter().map(ids_of).collect(),
            notes: input.notes,
            elapsed: Duration::ZERO,
        })
    }

    /// Reads the first piece of every rendition. The leading rendition, which the timeline is laid
    /// out by, comes first: the first with a picture.
    async fn open<'a>(&self, input: &'a Input) -> Result<Vec<Opened<'a>>, IngestError> {
        let mut opened: Vec<Opened<'a>> = Vec::with_capacity(input.renditions.len());
        for rendition in &input.renditions {
            let mut reader = PieceReader::default();
            let near = opened.first().map(|opened| opened.first.media.reference().start());
            let first = reader.read(&rendition.pieces[0], near, &self.downloader).await?;
            opened.push(Opened { rendition, reader, first });
        }
        let leading =
            opened.iter().position(|opened| matches!(opened.first.media.reference().essence, Essence::Video { .. }));
        opened.swap(0, leading.unwrap_or(0));
        Ok(opened)
    }

    async fn ingest_rendition(
        &self,
        opened: Opened<'_>,
        flows: &RenditionFlows,
        timeline: &mut Timeline,
        store: &Store<'_>,
        bar: &ProgressBar,
    ) -> Result<IngestedFlow, IngestError> {
        /// Segments that are read ahead of the uploads: enough that an upload slot never waits for
        /// the disk, few enough that downloaded input does not pile up.
        const AHEAD: usize = 2;
        let (sender, receiver) = tokio::sync::mpsc::channel(AHEAD);
        let owner = flows.owner.id;
        let reading = self.lay_out(opened, flows, timeline.rendition(), sender);
        let storing = store.segments(owner, receiver, bar);
        let ((), stored) = tokio::try_join!(reading, storing)?;
        store.close_flow(owner, Some(&stored)).await?;
        Ok(IngestedFlow {
            id: owner,
            source_id: flows.owner.source_id,
            new_segments: stored.new_segments,
            skipped_segments: stored.skipped_segments,
            timerange: stored.timerange,
            uploaded_bytes: stored.uploaded_bytes,
        })
    }

    /// Reads the pieces of a rendition, lays them on the timeline and hands them on.
    async fn lay_out(
        &self,
        opened: Opened<'_>,
        flows: &RenditionFlows,
        mut layout: Layout<'_, store::Pending>,
        sender: tokio::sync::mpsc::Sender<store::Placed>,
    ) -> Result<(), IngestError> {
        let Opened { rendition, mut reader, first } = opened;
        let model = first.media.clone();
        let mut first = Some(first);
        for (index, piece) in rendition.pieces.iter().enumerate() {
            let read = match first.take() {
                Some(first) => first,
                None => reader.read(piece, layout.expected(piece.discontinuity), &self.downloader).await?,
            };
            let name = || piece.place.location.to_string();
            if let Some(change) = change(&model, &read.media) {
                return Err(IngestError::Changed { name: name(), change });
            }
            let track = read.media.reference();
            let declared = || piece.declared_seconds.map(|seconds| (f64::from(seconds) * 1e9) as i128);
            let sample =
                track.tail(flows.frame_rate).or_else(declared).filter(|sample| *sample > 0).ok_or_else(|| {
                    let source = ProbeError::Missing("how long its only picture is shown");
                    IngestError::Media { name: name(), source }
                })?;
            let measured = Measured {
                start: track.start(),
                end: track.last() + sample,
                sample,
                discontinuity: piece.discontinuity,
            };
            let pending = store::Pending { index, key_frames: track.key_frames, object: read.object };
            if let Some((pending, position)) = layout.push(pending, measured)?
                && sender.send(store::Placed { pending, position }).await.is_err()
            {
                return Ok(());
            }
        }
        if let Some((pending, position)) = layout.finish()? {
            // The receiver is gone only if storing failed, and then that error is reported.
            sender.send(store::Placed { pending, position }).await.ok();
        }
        Ok(())
    }
}

/// What makes later media unfit for the flow that earlier media began.
fn change(model: &crate::probe::MediaFile, media: &crate::probe::MediaFile) -> Option<String> {
    for track in &media.tracks {
        let number = track.number;
        let Some(before) = model.tracks.iter().find(|before| before.number == number) else {
            return Some(format!("track {number} is new"));
        };
        let same = match (&before.essence, &track.essence) {
            (Essence::Video { codec: was, parameters: Some(before) }, Essence::Video { codec, parameters }) => {
                let size = |parameters: &crate::probe::VideoParameters| (parameters.width, parameters.height);
                was == codec && parameters.as_ref().is_none_or(|parameters| size(parameters) == size(before))
            }
            (was, is) => was == is,
        };
        if !same {
            return Some(format!("track {number} was {:?} and is {:?}", before.essence, track.essence));
        }
    }
    None
}
