//! Media out of a TAMS server: see [`export`].

mod download;
mod join;
mod output;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tapelog_events::time::{TimeRange, Timestamp};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::client::{Credentials, Segment, SegmentPages, TamsClient, TamsError};
use crate::progress;
use download::Download;
use join::Joiner;
use output::Output;

/// Segments in one page of the index.
const INDEX_PAGE: &str = "1000";
/// Segments whose URLs are asked for at a time. Presigned URLs may be valid for as little as half a
/// minute (TAMS `min_presigned_url_timeout`), so they are asked for shortly before they are used.
const DOWNLOAD_PAGE: &str = "30";

/// What to export, where to, and how.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Base URL of the TAMS server.
    pub base: Url,
    /// Who the client is.
    pub credentials: Option<Credentials>,
    /// The flow to export. Of a flow inside a muxed one, the muxed one is exported.
    pub flow_id: Uuid,
    /// Which part of it. Whole segments are exported: all that share time with the range.
    pub timerange: TimeRange,
    /// Where to write.
    pub target: ExportTarget,
    /// Whether missing media is an error or only reported.
    pub gaps: Gaps,
    /// How many objects are downloaded at a time.
    pub concurrency: NonZeroUsize,
}

/// Where an export is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTarget {
    /// A file, which appears when it is complete and not before, in place of any older one.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// What to do about holes in the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaps {
    /// Report them and join what there is.
    Report,
    /// Fail before anything is written.
    Refuse,
}

/// What was exported.
#[derive(Debug, Clone)]
pub struct ExportReport {
    /// The flow whose segments were written.
    pub flow_id: Uuid,
    /// Segments written.
    pub segments: u64,
    /// Bytes written.
    pub bytes: u64,
    /// From the first segment to the last.
    pub timerange: TimeRange,
    /// Holes between the segments, and between the ends of the range asked for and the media.
    pub gaps: Vec<TimeRange>,
    /// What else is worth knowing, for people.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why an export did not complete. No file is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no such flow.
    #[error("there is no flow {0}")]
    NoFlow(Uuid),
    /// The flow has no media of its own and is in no muxed flow.
    #[error("flow {id} has no media of its own (no container), and no flow with a container collects it{members}")]
    NoContainer {
        /// The flow.
        id: Uuid,
        /// Which flows to export instead, if it collects any.
        members: String,
    },
    /// Objects of this type cannot simply be joined.
    #[error("flow {id} holds {container}; only MPEG-TS and MP4 objects can be joined to one file")]
    Container {
        /// The flow.
        id: Uuid,
        /// Its container.
        container: String,
    },
    /// Nothing in the range.
    #[error("flow {id} has no media in {timerange}")]
    NoMedia {
        /// The flow.
        id: Uuid,
        /// The range asked for.
        timerange: TimeRange,
    },
    /// Media is missing and that was not to be.
    #[error("media is missing at {} place(s), the first {first}", .count)]
    Gaps {
        /// How many holes.
        count: usize,
        /// The first of them.
        first: TimeRange,
    },
    /// The server knows no place of an object.
    #[error("object {0} cannot be downloaded: the server gives no URL for it")]
    NoUrl(String),
    /// An object that is not what the flow's container says.
    #[error("object {object_id} is damaged: {reason}")]
    Damaged {
        /// The object.
        object_id: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The output cannot be written.
    #[error("{} cannot be written", path.display())]
    Output {
        /// The file, `-` for standard output.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The server cannot be reached or refuses.
    #[error(transparent)]
    Server(#[from] TamsError),
    /// Stopped on request.
    #[error("stopped")]
    Cancelled,
}

/// Joins the objects of a flow to one file.
///
/// The export is accurate to segments, not to frames: every segment that shares time with the range
/// is written whole. Bytes are not changed, so times in the file are those of the stored media, with
/// jumps where the media came from several recordings. MPEG-TS objects are written one after the
/// other; of MP4 objects the initialization segment is written once and then the fragments.
pub async fn export(options: ExportOptions, cancel: &CancellationToken) -> Result<ExportReport, ExportError> {
    let started = Instant::now();
    let client = TamsClient::new(options.base.clone(), options.credentials.clone())?;
    let work = run(&client, &options);
    // Work that is dropped stops at its next wait and takes its unfinished file with it.
    let mut report = tokio::select! {
        () = cancel.cancelled() => return Err(ExportError::Cancelled),
        report = work => report?,
    };
    report.elapsed = started.elapsed();
    Ok(report)
}

async fn run(client: &TamsClient, options: &ExportOptions) -> Result<ExportReport, ExportError> {
    let mut notes = Vec::new();
    let (flow_id, container) = owner(client, options.flow_id, &mut notes).await?;
    let Some(mut joiner) = Joiner::for_container(&container) else {
        return Err(ExportError::Container { id: flow_id, container });
    };
    let timerange = options.timerange.to_string();
    let index = Index::read(client, flow_id, options.timerange).await?;
    if index.segments == 0 {
        return Err(ExportError::NoMedia { id: flow_id, timerange: options.timerange });
    }
    if let (Gaps::Refuse, Some(first)) = (options.gaps, index.gaps.first()) {
        return Err(ExportError::Gaps { count: index.gaps.len(), first: *first });
    }

    let bar = progress::segments(index.segments, "exporting");
    let mut output = Output::create(&options.target)?;
    let query = [("timerange", timerange.as_str()), ("limit", DOWNLOAD_PAGE)];
    let mut segments = Segments { pages: client.segments(flow_id, &query), page: VecDeque::new() };
    let mut downloads: VecDeque<Download> = VecDeque::new();
    let mut written = 0;
    loop {
        while downloads.len() < options.concurrency.get() {
            let Some(segment) = segments.next().await? else {
                break;
            };
            downloads.push_back(Download::begin(client.clone(), flow_id, segment));
        }
        let Some(mut download) = downloads.pop_front() else {
            break;
        };
        download.write(&mut joiner, &mut output).await?;
        written += 1;
        bar.inc(1);
    }
    notes.extend(joiner.note());
    let bytes = output.finish().await?;
    bar.finish_and_clear();
    Ok(ExportReport {
        flow_id,
        segments: written,
        bytes,
        timerange: index.hull,
        gaps: index.gaps,
        notes,
        elapsed: Duration::ZERO,
    })
}

/// The flow that owns the media of a flow, and its container.
async fn owner(client: &TamsClient, id: Uuid, notes: &mut Vec<String>) -> Result<(Uuid, String), ExportError> {
    let container = |flow: &Value| flow["container"].as_str().map(str::to_owned);
    let ids = |list: &Value| -> Vec<Uuid> {
        let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let id = |item: &Value| item.as_str().or_else(|| item["id"].as_str()).and_then(|id| id.parse().ok());
        items.iter().filter_map(id).collect()
    };
    let flow = client.flow(id).await?.ok_or(ExportError::NoFlow(id))?;
    if let Some(container) = container(&flow) {
        return Ok((id, container));
    }
    for collector in ids(&flow["collected_by"]) {
        let found = client.flow(collector).await?;
        if let Some(container) = found.as_ref().and_then(container) {
            notes.push(format!("flow {id} is muxed with others in flow {collector}, which is exported whole"));
            return Ok((collector, container));
        }
    }
    let members: Vec<String> = ids(&flow["flow_collection"]).iter().map(Uuid::to_string).collect();
    let members = if members.is_empty() { String::new() } else { format!("; it collects {}", members.join(" and ")) };
    Err(ExportError::NoContainer { id, members })
}

/// What is known before the first byte is downloaded.
struct Index {
    segments: u64,
    hull: TimeRange,
    gaps: Vec<TimeRange>,
}

impl Index {
    async fn read(client: &TamsClient, flow_id: Uuid, wanted: TimeRange) -> Result<Self, TamsError> {
        let timerange = wanted.to_string();
        // An empty accept_get_urls spares the server the signing of URLs that nobody needs.
        let query = [("timerange", timerange.as_str()), ("accept_get_urls", ""), ("limit", INDEX_PAGE)];
        let mut pages = client.segments(flow_id, &query);
        let mut index = Self { segments: 0, hull: TimeRange::NEVER, gaps: Vec::new() };
        let mut end = wanted.start().map(|_| wanted.half_open_nanos().0);
        while let Some(page) = pages.next().await? {
            for segment in page {
                let (from, until) = segment.timerange.half_open_nanos();
                index.gaps.extend(end.and_then(|end| gap(end, from)));
                end = Some(until);
                index.segments += 1;
                index.hull = index.hull.hull(&segment.timerange);
            }
        }
        if let (Some(end), Some(_)) = (end, wanted.end()) {
            index.gaps.extend(gap(end, wanted.half_open_nanos().1));
        }
        Ok(index)
    }
}

fn gap(end: i128, next: i128) -> Option<TimeRange> {
    let range = TimeRange::from_start_end(Timestamp::from_nanos(end)?, Timestamp::from_nanos(next)?);
    (!range.is_never()).then_some(range)
}

/// The segments of a listing one by one; a page is asked for when the one before is used up.
struct Segments<'a> {
    pages: SegmentPages<'a>,
    page: VecDeque<Segment>,
}

impl Segments<'_> {
    async fn next(&mut self) -> Result<Option<Segment>, TamsError> {
        while self.page.is_empty() {
            match self.pages.next().await? {
                Some(page) => self.page = page.into(),
                None => return Ok(None),
            }
        }
        Ok(self.page.pop_front())
    }
}
