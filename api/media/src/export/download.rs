//! Downloads objects ahead of the writer, within bounded memory.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use uuid::Uuid;

use super::join::Joiner;
use super::output::Output;
use super::{ExportError, Segment};
use crate::client::{GetUrl, TamsClient, TamsError, transport};

/// Chunks that a download may be ahead of the writer: some hundred KiB, enough to ride out a pause
/// of the disk, while a download that is not yet its turn waits.
const AHEAD: usize = 16;
/// How often an object is taken up again where it broke off.
const MOST_ATTEMPTS: usize = 5;
/// No initialization segment is longer.
const LONGEST_INITIALIZATION: usize = 16 << 20;

/// An object on its way.
#[derive(Debug)]
pub struct Download {
    object_id: String,
    pieces: mpsc::Receiver<Result<Piece, ExportError>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Piece {
    /// The initialization segment that the server keeps beside the object (TAMS 8.2).
    Initialization(Bytes),
    Media(Bytes),
}

impl Download {
    /// Begins to download the object of a segment.
    pub fn begin(client: TamsClient, flow_id: Uuid, segment: Segment) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        let object_id = segment.object_id.clone();
        let work = async move {
            let fetch = Fetch { client: &client, flow_id, sender: &sender };
            if let Err(error) = fetch.run(segment).await {
                // The writer is gone only if the export already ends for another reason.
                sender.send(Err(error)).await.ok();
            }
        };
        Self { object_id, pieces, _task: AbortOnDropHandle::new(tokio::spawn(work)) }
    }

    /// Writes the object as it arrives.
    pub async fn write(&mut self, joiner: &mut Joiner, output: &mut Output) -> Result<(), ExportError> {
        while let Some(piece) = self.pieces.recv().await {
            let joined = match piece? {
                Piece::Initialization(bytes) => joiner.initialization(bytes),
                Piece::Media(bytes) => joiner.push(bytes),
            };
            let damaged = |reason| ExportError::Damaged { object_id: self.object_id.clone(), reason };
            for bytes in joined.map_err(damaged)? {
                output.write(&bytes).await?;
            }
        }
        if let Some(bytes) = joiner.end_object() {
            output.write(&bytes).await?;
        }
        Ok(())
    }
}

struct Fetch<'a> {
    client: &'a TamsClient,
    flow_id: Uuid,
    sender: &'a mpsc::Sender<Result<Piece, ExportError>>,
}

impl Fetch<'_> {
    async fn run(&self, mut segment: Segment) -> Result<(), ExportError> {
        if let Some(initialization) = &segment.init_object {
            let place = preferred(&initialization.get_urls, &initialization.object_id)?;
            let mut bytes = Vec::new();
            let mut response = self.client.download(place, 0).await?;
            while let Some(chunk) = response.chunk().await.map_err(|source| broken(place, source))? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > LONGEST_INITIALIZATION {
                    let object_id = initialization.object_id.clone();
                    return Err(ExportError::Damaged {
                        object_id,
                        reason: "its initialization segment is too long to be one",
                    });
                }
            }
            self.send(Piece::Initialization(bytes.into())).await;
        }
        let mut sent: u64 = 0;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let place = preferred(&segment.get_urls, &segment.object_id)?;
            let mut response = match self.client.download(place, sent).await {
                Ok(response) => response,
                // The signature may have run out while this object waited for its turn.
                Err(TamsError::Status { status: 400..=499, .. }) if attempt < MOST_ATTEMPTS => {
                    segment = self.again(segment).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // A server without byte ranges begins again at the first byte.
            let mut repeated = if response.status() == 206 { 0 } else { sent };
            let error = loop {
                match response.chunk().await {
                    Ok(Some(mut chunk)) => {
                        let known = usize::try_from(repeated).unwrap_or(usize::MAX).min(chunk.len());
                        repeated -= known as u64;
                        let new = chunk.split_off(known);
                        sent += new.len() as u64;
                        if !new.is_empty() {
                            self.send(Piece::Media(new)).await;
                        }
                    }
                    Ok(None) => return Ok(()),
                    Err(error) => break error,
                }
            };
            if attempt == MOST_ATTEMPTS {
                return Err(broken(place, error).into());
            }
        }
    }

    /// The same segment with fresh URLs.
    async fn again(&self, segment: Segment) -> Result<Segment, ExportError> {
        let timerange = segment.timerange.to_string();
        let query = [("timerange", timerange.as_str()), ("object_id", segment.object_id.as_str())];
        let mut pages = self.client.segments(self.flow_id, &query);
        let page = pages.next().await?.unwrap_or_default();
        Ok(page.into_iter().find(|found| found.object_id == segment.object_id).unwrap_or(segment))
    }

    async fn send(&self, piece: Piece) {
        // The writer is gone only if the export already ends for another reason.
        self.sender.send(Ok(piece)).await.ok();
    }
}

fn preferred<'a>(places: &'a [GetUrl], object_id: &str) -> Result<&'a GetUrl, ExportError> {
    GetUrl::preferred(places).ok_or_else(|| ExportError::NoUrl(object_id.to_owned()))
}

fn broken(place: &GetUrl, source: reqwest::Error) -> TamsError {
    match Url::parse(&place.url) {
        Ok(url) => transport(&url, source),
        Err(_) => TamsError::Transport { target: "a relative media URL".to_owned(), source: source.without_url() },
    }
}
