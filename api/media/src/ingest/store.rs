//! Gets objects and segments into the server, each exactly once however often it is tried.
//!
//! The id of an object follows from its flow, its place in the input and its content. A segment that
//! is registered with that id at its time is skipped. An id that the server calls taken although no
//! such segment exists was allocated by a run that was interrupted before it registered it; the bytes
//! behind it may be incomplete and its upload URL is lost, so the next id of the same segment is used,
//! and the server collects the lost one.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures::StreamExt;
use indicatif::ProgressBar;
use serde_json::Value;
use tapelog_events::time::TimeRange;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::IngestError;
use super::flows::PlannedFlow;
use super::piece::Object;
use super::timeline::Position;
use crate::client::{Allocation, SegmentPost, TamsClient, TamsError};

/// Segments in one request.
const LARGEST_BATCH: usize = 500;
/// Interrupted runs that one segment survives before the server has collected their objects.
const MOST_OBJECT_IDS: u32 = 64;
/// A server that refuses this many ids without calling them taken refuses for another reason.
const MOST_UNEXPLAINED_REFUSALS: u32 = 2;
/// Segments asked for in one page of a listing.
const PAGE: &str = "1000";

/// A segment whose place on the timeline is not known yet.
#[derive(Debug)]
pub struct Pending {
    /// Its place in the input.
    pub index: usize,
    /// How many pictures of it a decoder can start at.
    pub key_frames: Option<u32>,
    /// Its bytes.
    pub object: Object,
}

/// A segment that can be stored.
#[derive(Debug)]
pub struct Placed {
    /// What it is.
    pub pending: Pending,
    /// Where it belongs.
    pub position: Position,
}

/// What storing the segments of one flow came to.
#[derive(Debug)]
pub struct Stored {
    /// Segments that were uploaded and registered.
    pub new_segments: u64,
    /// Segments that were there already.
    pub skipped_segments: u64,
    /// From the first segment to the last.
    pub timerange: TimeRange,
    /// Bytes of the objects that were uploaded.
    pub uploaded_bytes: u64,
    bit_rates: BitRates,
}

/// Bit rates over all segments, whether they were stored now or before.
#[derive(Debug, Default)]
struct BitRates {
    bytes: u64,
    nanoseconds: i128,
    highest: u64,
}

impl BitRates {
    fn add(&mut self, bytes: u64, timerange: &TimeRange) {
        let (start, end) = timerange.half_open_nanos();
        self.bytes += bytes;
        self.nanoseconds += end - start;
        self.highest = self.highest.max(kilobits_per_second(bytes, end - start));
    }

    fn average(&self) -> u64 {
        kilobits_per_second(self.bytes, self.nanoseconds)
    }
}

fn kilobits_per_second(bytes: u64, nanoseconds: i128) -> u64 {
    let rate = (u128::from(bytes) * 8_000_000).div_ceil(nanoseconds.unsigned_abs().max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Existing segments of a flow: start to end and object id.
type Index = BTreeMap<i128, (TimeRange, String)>;

/// Storing through one client.
#[derive(Debug)]
pub struct Store<'a> {
    client: &'a TamsClient,
    concurrency: NonZeroUsize,
}

impl<'a> Store<'a> {
    /// A store that uploads this many objects at a time.
    pub fn new(client: &'a TamsClient, concurrency: NonZeroUsize) -> Self {
        Self { client, concurrency }
    }

    /// Creates a flow, or makes sure that the one of this id can take the media. What people have
    /// changed about an existing flow stays, its source too. Returns the source that it has.
    pub async fn ensure_flow(&self, flow: &PlannedFlow) -> Result<Uuid, IngestError> {
        let Some(existing) = self.client.flow(flow.id).await? else {
            self.client.put_flow(flow.id, &flow.document).await?;
            return Ok(flow.source_id);
        };
        for property in ["format", "codec", "container"] {
            let (found, expected) = (&existing[property], &flow.document[property]);
            if found != expected {
                let (found, expected) = (found.clone(), expected.clone());
                return Err(IngestError::FlowMismatch { id: flow.id, property, found, expected });
            }
        }
        Ok(existing["source_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(flow.source_id))
    }

    /// Marks a flow as complete and notes the bit rates, if it is not so already.
    pub async fn close_flow(&self, id: Uuid, stored: Option<&Stored>) -> Result<(), IngestError> {
        self.update_flow(id, |flow| {
            flow["status"] = "closed_complete".into();
            if let Some(stored) = stored {
                flow["avg_bit_rate"] = stored.bit_rates.average().into();
                flow["max_bit_rate"] = stored.bit_rates.highest.into();
            }
        })
        .await
    }

    async fn update_flow(&self, id: Uuid, change: impl FnOnce(&mut Value)) -> Result<(), IngestError> {
        let Some(flow) = self.client.flow(id).await? else {
            return Err(TamsError::Protocol {
                target: format!("flow {id}"),
                reason: "it was deleted while it was ingested".to_owned(),
            }
            .into());
        };
        let mut changed = flow.clone();
        change(&mut changed);
        if changed != flow {
            self.client.put_flow(id, &changed).await?;
        }
        Ok(())
    }

    /// Stores segments as they arrive, in order.
    pub async fn segments(
        &self,
        flow: Uuid,
        receiver: mpsc::Receiver<Placed>,
        bar: &ProgressBar,
    ) -> Result<Stored, IngestError> {
        let existing = self.existing(flow).await?;
        let arriving = futures::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|placed| (placed, receiver))
        });
        // Uploads are tasks of their own, so that they go on while a batch is registered.
        let mut batches = std::pin::pin!(
            arriving
                .map(|placed| self.begin(flow, &existing, placed))
                .buffered(self.concurrency.get())
                .ready_chunks(LARGEST_BATCH)
        );
        let mut stored = Stored {
            new_segments: 0,
            skipped_segments: 0,
            timerange: TimeRange::NEVER,
            uploaded_bytes: 0,
            bit_rates: BitRates::default(),
        };
        let mut marked = false;
        while let Some(batch) = batches.next().await {
            let mut posts = Vec::with_capacity(batch.len());
            let mut failure = None;
            let mut count = 0;
            for outcome in batch {
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                };
                count += 1;
                stored.timerange = stored.timerange.hull(&outcome.timerange);
                stored.bit_rates.add(outcome.bytes, &outcome.timerange);
                match outcome.post {
                    Some(post) => {
                        stored.new_segments += 1;
                        stored.uploaded_bytes += outcome.bytes;
                        posts.push(post);
                    }
                    None => stored.skipped_segments += 1,
                }
            }
            if !posts.is_empty() {
                if !std::mem::replace(&mut marked, true) {
                    self.update_flow(flow, |flow| flow["status"] = "ingesting".into()).await?;
                }
                self.register(flow, &posts).await?;
            }
            bar.inc(count);
            // What was uploaded before it is registered all the same: it need not be uploaded again.
            if let Some(error) = failure {
                return Err(error);
            }
        }
        Ok(stored)
    }

    async fn existing(&self, flow: Uuid) -> Result<Index, IngestError> {
        let mut index = Index::new();
        // An empty accept_get_urls spares the server the signing of URLs that nobody needs.
        let mut pages = self.client.segments(flow, &[("accept_get_urls", ""), ("limit", PAGE)]);
        while let Some(page) = pages.next().await? {
            for segment in page {
                let (start, _) = segment.timerange.half_open_nanos();
                index.insert(start, (segment.timerange, segment.object_id));
            }
        }
        Ok(index)
    }

    /// Begins to store one segment; the upload runs at once, the future only waits for it.
    fn begin(
        &self,
        flow: Uuid,
        existing: &Index,
        placed: Placed,
    ) -> impl Future<Output = Result<Outcome, IngestError>> + use<> {
        let Placed { pending, position } = placed;
        let timerange = position.timerange;
        let bytes = pending.object.size();
        let key_frame_count = pending.key_frames;
        let names = ObjectNames { flow, index: pending.index, hash: pending.object.hash };
        let decision = match occupant(existing, &timerange) {
            None => {
                let client = self.client.clone();
                let upload = async move { upload(&client, &names, &pending.object).await };
                let task = AbortOnDropHandle::new(tokio::spawn(upload));
                Ok(Some(task))
            }
            Some((found, object_id)) if *found == timerange && names.contain(object_id) => Ok(None),
            Some((found, _)) => Err(IngestError::Occupied { flow, timerange, existing: *found }),
        };
        async move {
            let post = match decision? {
                None => None,
                Some(task) => Some(SegmentPost {
                    object_id: task.await.map_err(|_| IngestError::Interrupted)??,
                    timerange,
                    ts_offset: position.ts_offset,
                    key_frame_count,
                }),
            };
            Ok(Outcome { timerange, bytes, post })
        }
    }

    /// Registers a batch. What the server does not accept may have been registered by a request whose
    /// answer was lost; the listing tells.
    async fn register(&self, flow: Uuid, posts: &[SegmentPost]) -> Result<(), IngestError> {
        let refused: Vec<(String, String)> = match self.client.register(flow, posts).await {
            Ok(failed) if failed.is_empty() => return Ok(()),
            Ok(failed) => {
                failed.iter().map(|segment| (segment.object_id.clone(), segment.reason().to_owned())).collect()
            }
            Err(TamsError::Status { status: 400, message, .. }) => {
                posts.iter().map(|post| (post.object_id.clone(), message.clone())).collect()
            }
            Err(error) => return Err(error.into()),
        };
        let hull = posts.iter().fold(TimeRange::NEVER, |hull, post| hull.hull(&post.timerange)).to_string();
        let mut pages = self.client.segments(flow, &[("timerange", &hull), ("accept_get_urls", ""), ("limit", PAGE)]);
        let mut registered = Vec::new();
        while let Some(page) = pages.next().await? {
            registered.extend(page.into_iter().map(|segment| (segment.object_id, segment.timerange)));
        }
        let is_registered = |object_id: &str| {
            posts
                .iter()
                .filter(|post| post.object_id == object_id)
                .all(|post| registered.iter().any(|(id, timerange)| id == object_id && *timerange == post.timerange))
        };
        let mut missing = refused.into_iter().filter(|(object_id, _)| !is_registered(object_id));
        match missing.next() {
            None => Ok(()),
            Some((object_id, reason)) => {
                Err(IngestError::Rejected { flow, count: 1 + missing.count(), object_id, reason })
            }
        }
    }
}

struct Outcome {
    timerange: TimeRange,
    bytes: u64,
    /// What is left to register; `None` if it was there already.
    post: Option<SegmentPost>,
}

/// The segment that shares time with a range.
fn occupant<'a>(existing: &'a Index, timerange: &TimeRange) -> Option<&'a (TimeRange, String)> {
    let (_, end) = timerange.half_open_nanos();
    // Segments of a flow do not overlap, so only the last one that begins before the end can.
    let (_, candidate) = existing.range(..end).next_back()?;
    candidate.0.overlaps(timerange).then_some(candidate)
}

/// The object ids that one segment may have.
#[derive(Debug)]
struct ObjectNames {
    flow: Uuid,
    index: usize,
    hash: blake3::Hash,
}

impl ObjectNames {
    fn name(&self, attempt: u32) -> String {
        let text = format!("{}/{}/{attempt}", self.index, self.hash.to_hex());
        Uuid::new_v5(&self.flow, text.as_bytes()).to_string()
    }

    fn contain(&self, object_id: &str) -> bool {
        (0..MOST_OBJECT_IDS).any(|attempt| self.name(attempt) == object_id)
    }
}

/// Allocates and uploads an object and returns its id.
async fn upload(client: &TamsClient, names: &ObjectNames, object: &Object) -> Result<String, IngestError> {
    let place = allocate(client, names).await?;
    client.upload(&place, &object.upload).await?;
    Ok(place.object_id)
}

async fn allocate(client: &TamsClient, names: &ObjectNames) -> Result<Allocation, IngestError> {
    let mut attempt = 0;
    loop {
        let error = match client.allocate(names.flow, &names.name(attempt)).await {
            Ok(place) => return Ok(place),
            Err(error) => error,
        };
        // The specification has status 400 for a taken id but no words for it.
        let TamsError::Status { status: 400, message, .. } = &error else {
            return Err(error.into());
        };
        attempt += 1;
        let taken = message.contains("already exist");
        if attempt == MOST_OBJECT_IDS || (!taken && attempt > MOST_UNEXPLAINED_REFUSALS) {
            return Err(error.into());
        }
    }
}
