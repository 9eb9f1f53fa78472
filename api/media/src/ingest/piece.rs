//! Brings a media segment to this machine and reads it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::IngestError;
use super::input::{Location, Piece, Place};
use crate::client::{Downloader, TamsError, Upload, transport};
use crate::probe::{Initialization, MediaFile, ProbeError, TRANSPORT_STREAM_CLOCK, probe};

/// No initialization segment is longer.
const LONGEST_INITIALIZATION: u64 = 16 << 20;

/// A media segment that has been read.
#[derive(Debug)]
pub struct ReadPiece {
    /// What it holds and when.
    pub media: MediaFile,
    /// The bytes of its object.
    pub object: Object,
}

/// The bytes of one object: for MP4, the initialization segment and the fragments, so that every
/// object can be played by itself.
#[derive(Debug)]
pub struct Object {
    /// Where the bytes are.
    pub upload: Upload,
    /// Hash of the bytes.
    pub hash: blake3::Hash,
    /// Kept as long as the bytes are needed, if they were downloaded.
    _downloaded: Option<TempPath>,
}

impl Object {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.upload.head.len() as u64 + self.upload.length
    }
}

/// Reads pieces one after the other and remembers the initialization segment they share.
#[derive(Debug, Default)]
pub struct PieceReader {
    initialization: Option<(Place, Bytes, Arc<Initialization>)>,
}

impl PieceReader {
    /// Reads a piece. `near` is when its media is expected to begin, in nanoseconds of the media's
    /// own timeline.
    pub async fn read(
        &mut self,
        piece: &Piece,
        near: Option<i128>,
        downloader: &Downloader,
    ) -> Result<ReadPiece, IngestError> {
        let (head, initialization) = match &piece.initialization {
            Some(place) => {
                let (head, initialization) = self.initialization(place, downloader).await?;
                (head, Some(initialization))
            }
            None => (Bytes::new(), None),
        };
        let local = Local::fetch(&piece.place, downloader).await?;
        let near = near.and_then(|near| i64::try_from(near * i128::from(TRANSPORT_STREAM_CLOCK) / 1_000_000_000).ok());
        let name = piece.place.location.to_string();
        tokio::task::spawn_blocking(move || local.read(head, initialization.as_deref(), near))
            .await
            .map_err(|_| IngestError::Interrupted)?
            .map_err(|source| IngestError::Media { name, source })
    }

    async fn initialization(
        &mut self,
        place: &Place,
        downloader: &Downloader,
    ) -> Result<(Bytes, Arc<Initialization>), IngestError> {
        if let Some((known, bytes, initialization)) = &self.initialization
            && known == place
        {
            return Ok((bytes.clone(), Arc::clone(initialization)));
        }
        let bytes = Bytes::from(match &place.location {
            Location::Url(url) => download_to_memory(url, place.range, LONGEST_INITIALIZATION, downloader).await?,
            Location::File(path) => {
                let failed = |source| IngestError::File { path: path.clone(), source };
                let (offset, length) = extent(path, place.range).map_err(failed)?;
                if length > LONGEST_INITIALIZATION {
                    return Err(IngestError::Media {
                        name: place.location.to_string(),
                        source: ProbeError::NoInitialization,
                    });
                }
                let mut bytes = Vec::new();
                part(path, offset, length).and_then(|mut part| part.read_to_end(&mut bytes)).map_err(failed)?;
                bytes
            }
        });
        let initialization = Initialization::read(bytes.as_ref())
            .map_err(|source| IngestError::Media { name: place.location.to_string(), source })?;
        let initialization = Arc::new(initialization);
        self.initialization = Some((place.clone(), bytes.clone(), Arc::clone(&initialization)));
        Ok((bytes, initialization))
    }
}

/// A piece of a file on this machine.
struct Local {
    path: PathBuf,
    offset: u64,
    length: u64,
    downloaded: Option<TempPath>,
}

impl Local {
    async fn fetch(place: &Place, downloader: &Downloader) -> Result<Self, IngestError> {
        match &place.location {
            Location::File(path) => {
                let (offset, length) =
                    extent(path, place.range).map_err(|source| IngestError::File { path: path.clone(), source })?;
                Ok(Self { path: path.clone(), offset, length, downloaded: None })
            }
            Location::Url(url) => {
                let (downloaded, length) = download_to_file(url, place.range, downloader).await?;
                Ok(Self { path: downloaded.to_path_buf(), offset: 0, length, downloaded: Some(downloaded) })
            }
        }
    }

    fn read(
        self,
        head: Bytes,
        initialization: Option<&Initialization>,
        near: Option<i64>,
    ) -> Result<ReadPiece, ProbeError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head);
        let mut input = Hashing { input: part(&self.path, self.offset, self.length)?, hasher };
        let media = probe(&mut input, initialization, near)?;
        let upload = Upload { head, file: self.path, offset: self.offset, length: self.length };
        let object = Object { upload, hash: input.hasher.finalize(), _downloaded: self.downloaded };
        Ok(ReadPiece { media, object })
    }
}

/// Hashes all that is read through it.
struct Hashing<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

/// The part of a file that a range means; the range must lie inside the file.
fn extent(path: &Path, range: Option<(u64, u64)>) -> Result<(u64, u64), std::io::Error> {
    let size = std::fs::metadata(path)?.len();
    match range {
        None => Ok((0, size)),
        Some((offset, length)) if offset.checked_add(length).is_some_and(|end| end <= size) => Ok((offset, length)),
        Some(_) => Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the byte range goes past its end")),
    }
}

fn part(path: &Path, offset: u64, length: u64) -> Result<std::io::Take<File>, std::io::Error> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file.take(length))
}

/// Downloads a file, or a part of one, that is known to be small.
pub async fn download_to_memory(
    url: &Url,
    range: Option<(u64, u64)>,
    limit: u64,
    downloader: &Downloader,
) -> Result<Vec<u8>, IngestError> {
    let mut response = downloader.get(url, range).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| transport(url, source))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > limit {
            let target = Location::Url(url.clone()).to_string();
            return Err(TamsError::Protocol { target, reason: format!("more than {limit} bytes") }.into());
        }
    }
    Ok(bytes)
}

async fn download_to_file(
    url: &Url,
    range: Option<(u64, u64)>,
    downloader: &Downloader,
) -> Result<(TempPath, u64), IngestError> {
    /// How often a download that broke off is begun again.
    const ATTEMPTS: usize = 3;
    let failed = |source| IngestError::File { path: std::env::temp_dir(), source };
    let mut attempt = 1;
    loop {
        let (file, path) = tempfile::NamedTempFile::new().map_err(failed)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let mut length = 0;
        let mut response = downloader.get(url, range).await?;
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    file.write_all(&chunk).await.map_err(failed)?;
                    length += chunk.len() as u64;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match broken {
            None => {
                file.flush().await.map_err(failed)?;
                return Ok((path, length));
            }
            Some(error) if attempt == ATTEMPTS => return Err(transport(url, error).into()),
            Some(_) => attempt += 1,
        }
    }
}
