//! Objects as files: the S3 operations of the local endpoint.
//!
//! `s3s-fs` is not used, because it answers an upload before its bytes are on disk, keeps the
//! metadata of all objects as files in one folder, and moves object and metadata into place in two steps.
//! Here an object and its metadata are one file, so that one `rename` makes both visible:
//!
//! ```text
//! <bytes of the object> <metadata: JSON> <length of the metadata: u32> <magic: 8 bytes>
//! ```
//!
//! The bytes come first, so media players can open the files as they are. Numbers are big-endian.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use parking_lot::Mutex;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    Checksum, ChecksumAlgorithm, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, PutObjectInput,
    PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"TAPELOG1";
/// Length field and magic.
const FOOTER: usize = 4 + MAGIC.len();
/// More than any metadata: a content type has 1 KiB at most.
const LONGEST_METADATA: usize = 16 * 1024;
const LONGEST_CONTENT_TYPE: usize = 1024;
/// Bytes read from or written to disk at a time: large enough that a hop to the thread that does it costs nothing.
const BLOCK: usize = 256 * 1024;
/// How long an upload may send nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest name that file systems take.
const LONGEST_NAME: usize = 255;

/// The objects of one bucket in a folder.
pub(super) struct Folder {
    bucket: String,
    objects: PathBuf,
    /// Uploads that are not complete. On the file system of `objects`, so that they can be moved there.
    incoming: PathBuf,
    /// Held while an object is put in its place, so that what an upload asks of the one before is still true then.
    placing: Arc<Mutex<()>>,
}

/// What is kept of an object beside its bytes.
#[derive(Serialize, Deserialize)]
struct Metadata {
    content_type: Option<String>,
    /// MD5 of the bytes in hexadecimal digits, as S3 has it for objects that were uploaded in one piece.
    etag: String,
}

/// An object that has been opened for reading.
struct Object {
    file: File,
    /// Bytes of the object, without what follows them in the file.
    length: u64,
    modified: SystemTime,
    metadata: Metadata,
}

impl Folder {
    /// Opens the folder, makes what is missing, and removes what uploads that were cut off have left.
    pub fn open(root: &Path, bucket: String) -> io::Result<Self> {
        let objects = root.join("objects").join(&bucket);
        let incoming = root.join("incoming");
        fs::create_dir_all(&objects)?;
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&incoming)?,
        }
        File::open(root)?.sync_all()?;
        Ok(Self { bucket, objects, incoming, placing: Arc::default() })
    }

    /// The file of an object. Keys that are not plain relative paths are refused, so that no
    /// key leads out of the folder; those of [`object_key`](super::super::object_key) always are plain.
    fn path(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        if bucket != self.bucket {
            return Err(s3_error!(NoSuchBucket));
        }
        let plain = key.split('/').all(|name| {
            (1..=LONGEST_NAME).contains(&name.len())
                && !name.starts_with('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~=-".contains(&byte))
        });
        if plain {
            Ok(self.objects.join(key))
        } else {
            Err(s3_error!(
                InvalidArgument,
                "this store takes keys of A-Z a-z 0-9 . _ ~ = - in parts separated by slashes that do not start with a dot"
            ))
        }
    }

    async fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let path = self.path(bucket, key)?;
        match blocking(move || Object::open(&path)).await {
            Ok(object) => Ok(object),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(s3_error!(NoSuchKey))
            }
            Err(error) => Err(S3Error::internal_error(error)),
        }
    }
}

impl Object {
    fn open(path: &Path) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not a file of the local object store");
        let mut file = File::open(path)?;
        let attributes = file.metadata()?;
        if attributes.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let end = attributes.len().checked_sub(FOOTER as u64).ok_or_else(damaged)?;
        let mut footer = [0; FOOTER];
        file.seek(SeekFrom::Start(end))?;
        file.read_exact(&mut footer)?;
        let (metadata_length, magic) = footer.split_first_chunk::<4>().ok_or_else(damaged)?;
        let metadata_length = u32::from_be_bytes(*metadata_length) as usize;
        if magic != MAGIC || metadata_length > LONGEST_METADATA {
            return Err(damaged());
        }
        let length = end.checked_sub(metadata_length as u64).ok_or_else(damaged)?;
        let mut metadata = vec![0; metadata_length];
        file.seek(SeekFrom::Start(length))?;
        file.read_exact(&mut metadata)?;
        Ok(Self { file, length, modified: attributes.modified()?, metadata: serde_json::from_slice(&metadata)? })
    }

    fn etag(&self) -> ETag {
        ETag::Strong(self.metadata.etag.clone())
    }

    /// Whether a condition names this state of the object.
    fn is(&self, condition: &ETagCondition) -> bool {
        match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.weak_cmp(&self.etag()),
        }
    }

    /// The conditions of a read that browsers and caches use.
    fn check(&self, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<()> {
        if if_match.is_some_and(|condition| !self.is(condition)) {
            return Err(s3_error!(PreconditionFailed));
        }
        if if_none_match.is_some_and(|condition| self.is(condition)) {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }

    /// The bytes from `start`, `length` of them.
    fn read(mut self, start: u64, length: u64) -> io::Result<impl Stream<Item = io::Result<Bytes>>> {
        self.file.seek(SeekFrom::Start(start))?;
        let file = tokio::fs::File::from_std(self.file).take(length);
        Ok(stream::try_unfold(file, async |mut file| {
            let mut block = BytesMut::with_capacity(BLOCK.min(usize::try_from(file.limit()).unwrap_or(BLOCK)));
            let read = if file.limit() > 0 { file.read_buf(&mut block).await? } else { 0 };
            Ok((read > 0).then(|| (block.freeze(), file)))
        }))
    }
}

#[async_trait]
impl S3 for Folder {
    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        if request.input.bucket != self.bucket {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key).await?;
        object.check(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(object.length)?),
            e_tag: Some(object.etag()),
            last_modified: Some(Timestamp::from(object.modified)),
            content_type: object.metadata.content_type,
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key).await?;
        object.check(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (range, content_range) = match input.range {
            None => (0..object.length, None),
            Some(range) => {
                let range = range.check(object.length)?;
                let last = range.end.saturating_sub(1);
                let text = format!("bytes {}-{last}/{}", range.start, object.length);
                (range, Some(text))
            }
        };
        let length = range.end - range.start;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(length)?),
            content_range,
            e_tag: Some(object.etag()),
            last_modified: Some(Timestamp::from(object.modified)),
            content_type: object.metadata.content_type.clone(),
            body: Some(StreamingBlob::wrap(object.read(range.start, length).map_err(S3Error::internal_error)?)),
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request { mut input, trailing_headers, .. } = request;
        if input.content_type.as_ref().is_some_and(|value| value.len() > LONGEST_CONTENT_TYPE) {
            return Err(s3_error!(InvalidArgument, "the content type is longer than 1024 characters"));
        }
        let path = self.path(&input.bucket, &input.key)?;
        let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
        let mut checksums = hashers(&input)?;
        let mut draft = Draft::create(&self.incoming).await.map_err(S3Error::internal_error)?;
        let md5 = draft.receive(body, input.content_length, &mut checksums).await?;

        let trailers = trailing_headers.and_then(|trailers| trailers.take()).unwrap_or_default();
        compare_checksums(&input, &trailers, &checksums.finalize())?;
        let etag = hex::encode(md5);
        if input.content_md5.as_ref().is_some_and(|expected| *expected != BASE64_STANDARD.encode(md5)) {
            return Err(s3_error!(BadDigest));
        }
        let metadata = Metadata { content_type: input.content_type, etag: etag.clone() };
        let condition = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
        let place = Place { path, condition, placing: Arc::clone(&self.placing) };
        let published = draft.publish(&metadata, place).await.map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                s3_error!(InvalidArgument, "this store cannot keep an object under the name of another")
            }
            _ => S3Error::internal_error(error),
        })?;
        if !published {
            return Err(s3_error!(PreconditionFailed));
        }
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..PutObjectOutput::default() }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let path = self.path(&request.input.bucket, &request.input.key)?;
        match tokio::fs::remove_file(path).await {
            // S3: deleting what is not there succeeds.
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
                ) =>
            {
                Err(S3Error::internal_error(error))
            }
            _ => Ok(S3Response::new(DeleteObjectOutput::default())),
        }
    }
}

/// What must be true of the object that an upload replaces, at the moment when it does.
struct Condition {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
}

impl Condition {
    fn holds(&self, path: &Path) -> io::Result<bool> {
        if self.if_match.is_none() && self.if_none_match.is_none() {
            return Ok(true);
        }
        match Object::open(path) {
            Ok(object) => Ok(self.if_match.as_ref().is_none_or(|condition| object.is(condition))
                && !self.if_none_match.as_ref().is_some_and(|condition| object.is(condition))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(self.if_match.is_none())
            }
            Err(error) => Err(error),
        }
    }
}

/// Where an upload goes.
struct Place {
    path: PathBuf,
    condition: Condition,
    placing: Arc<Mutex<()>>,
}

/// An upload that is not complete. Its file is removed unless it is published.
struct Draft {
    path: PathBuf,
    writer: BufWriter<tokio::fs::File>,
}

impl Draft {
    async fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(Uuid::new_v4().to_string());
        let file = tokio::fs::File::create_new(&path).await?;
        Ok(Self { path, writer: BufWriter::with_capacity(BLOCK, file) })
    }

    /// Writes the body; gives its MD5.
    async fn receive(
        &mut self,
        mut body: StreamingBlob,
        content_length: Option<i64>,
        checksums: &mut ChecksumHasher,
    ) -> S3Result<[u8; 16]> {
        let mut md5 = Md5::new();
        let mut received = 0_u64;
        loop {
            let chunk =
                tokio::time::timeout(STALL_TIMEOUT, body.next()).await.map_err(|_| s3_error!(RequestTimeout))?;
            let Some(chunk) = chunk else { break };
            // A body that ends early is an error of the connection here, never a short success.
            let chunk = chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
            received += chunk.len() as u64;
            md5.update(&chunk);
            checksums.update(&chunk);
            self.writer.write_all(&chunk).await.map_err(S3Error::internal_error)?;
        }
        if content_length.is_some_and(|length| u64::try_from(length) != Ok(received)) {
            return Err(s3_error!(IncompleteBody));
        }
        Ok(md5.finalize())
    }

    /// Makes the upload the object at its place, unless its condition does not hold, and says whether it did. When this
    /// returns, the object will survive a power cut.
    async fn publish(mut self, metadata: &Metadata, place: Place) -> io::Result<bool> {
        let metadata = serde_json::to_vec(metadata)?;
        let length = u32::try_from(metadata.len()).map_err(io::Error::other)?;
        self.writer.write_all(&metadata).await?;
        self.writer.write_all(&length.to_be_bytes()).await?;
        self.writer.write_all(MAGIC).await?;
        self.writer.flush().await?;
        self.writer.get_ref().sync_all().await?;
        let draft = self.path.clone();
        blocking(move || {
            let Place { path, condition, placing } = place;
            let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
            make_folder(folder)?;
            {
                let _placing = placing.lock();
                if !condition.holds(&path)? {
                    return Ok(false);
                }
                fs::rename(draft, &path)?;
            }
            File::open(folder)?.sync_all()?;
            Ok(true)
        })
        .await
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            // It has been published.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "an incomplete upload stays until the next start"),
            Ok(()) => {}
        }
    }
}

/// Makes a folder and those above it, each on disk when this returns.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_folder(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn signed(length: u64) -> S3Result<i64> {
    i64::try_from(length).map_err(S3Error::internal_error)
}

/// The digests to work out for this upload: those that its headers name, with or without their value,
/// which may also come after the body.
fn hashers(input: &PutObjectInput) -> S3Result<ChecksumHasher> {
    let algorithm = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
    let known = [
        ChecksumAlgorithm::CRC32,
        ChecksumAlgorithm::CRC32C,
        ChecksumAlgorithm::CRC64NVME,
        ChecksumAlgorithm::SHA1,
        ChecksumAlgorithm::SHA256,
    ];
    if algorithm.is_some_and(|name| !known.contains(&name)) {
        return Err(s3_error!(InvalidArgument, "this checksum algorithm is not known"));
    }
    let wanted = |name: &str, value: &Option<String>| value.is_some() || algorithm == Some(name);
    Ok(ChecksumHasher {
        crc32: wanted(ChecksumAlgorithm::CRC32, &input.checksum_crc32).then(Default::default),
        crc32c: wanted(ChecksumAlgorithm::CRC32C, &input.checksum_crc32c).then(Default::default),
        crc64nvme: wanted(ChecksumAlgorithm::CRC64NVME, &input.checksum_crc64nvme).then(Default::default),
        sha1: wanted(ChecksumAlgorithm::SHA1, &input.checksum_sha1).then(Default::default),
        sha256: wanted(ChecksumAlgorithm::SHA256, &input.checksum_sha256).then(Default::default),
    })
}

/// Compares the digests that the client gave, in a header or after the body, with those of what arrived.
fn compare_checksums(input: &PutObjectInput, trailers: &http::HeaderMap, found: &Checksum) -> S3Result<()> {
    for (trailer, header, found) in [
        ("x-amz-checksum-crc32", &input.checksum_crc32, &found.checksum_crc32),
        ("x-amz-checksum-crc32c", &input.checksum_crc32c, &found.checksum_crc32c),
        ("x-amz-checksum-crc64nvme", &input.checksum_crc64nvme, &found.checksum_crc64nvme),
        ("x-amz-checksum-sha1", &input.checksum_sha1, &found.checksum_sha1),
        ("x-amz-checksum-sha256", &input.checksum_sha256, &found.checksum_sha256),
    ] {
        let after_body = trailers.get(trailer).and_then(|value| value.to_str().ok());
        // A digest that was not announced before the body, and so not worked out, is a mismatch as well:
        // none is ever accepted unseen.
        let expected = header.as_deref().or(after_body);
        if expected.is_some() && expected != found.as_deref() {
            return Err(s3_error!(BadDigest));
        }
    }
    Ok(())
}
