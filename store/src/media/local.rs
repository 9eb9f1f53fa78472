//! An S3 endpoint in this process over a local folder: the storage backend of a machine that has none.
//!
//! It speaks as much S3 as tapelog and its clients need: presigned and signed PUT, GET with ranges, HEAD and
//! DELETE of objects in one bucket. It has a listener of its own, checks every signature, and
//! answers browsers (CORS). An upload that has been answered is on disk (`fsync` of file and folder), and an
//! object is visible only once it is whole.

mod folder;

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Secret;
use folder::Folder;

/// How long a connection may be idle, or take over the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long transfers may go on after a shutdown has begun.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after an accept that failed, which means that sockets or memory have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where the endpoint listens and what it serves.
#[derive(Clone)]
pub struct LocalS3Settings {
    /// The address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder that holds the bytes; made if missing. One endpoint at a time may use it.
    pub folder: PathBuf,
    /// The one bucket.
    pub bucket: String,
    /// The public half of the credentials.
    pub access_key: String,
    /// The secret half of the credentials.
    pub secret: Secret,
}

/// The endpoint could not start.
#[derive(Debug, thiserror::Error)]
pub enum LocalS3Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("cannot use the media folder {}", folder.display())]
    Folder {
        /// What was asked for.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another endpoint serves this folder.
    #[error("the media folder {} is in use by another process", folder.display())]
    InUse {
        /// What was asked for.
        folder: PathBuf,
    },
    /// The bucket's name is not one that S3 allows.
    #[error("{bucket:?} is not a bucket name")]
    BucketName {
        /// What was asked for.
        bucket: String,
    },
}

/// The running endpoint. Dropping it closes its listener and connections at once.
pub struct LocalS3 {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
    /// Keeps other endpoints out of the folder.
    _lock: File,
}

impl LocalS3 {
    /// Starts to listen and serve.
    pub async fn start(settings: LocalS3Settings) -> Result<Self, LocalS3Error> {
        if !s3s::path::check_bucket_name(&settings.bucket) {
            return Err(LocalS3Error::BucketName { bucket: settings.bucket });
        }
        let LocalS3Settings { listen, folder, bucket, access_key, secret } = settings;
        let unusable = |source| LocalS3Error::Folder { folder: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(unusable)?;
        let lock = File::create(folder.join("lock")).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LocalS3Error::InUse { folder: folder.clone() },
            TryLockError::Error(source) => unusable(source),
        })?;
        let objects = Folder::open(&folder, bucket).map_err(unusable)?;

        let mut builder = S3ServiceBuilder::new(objects);
        builder.set_auth(SimpleAuth::from_single(access_key, secret.expose()));
        let service = builder.build();

        let listener = TcpListener::bind(listen).await.map_err(|source| LocalS3Error::Listen { listen, source })?;
        let address = listener.local_addr().map_err(|source| LocalS3Error::Listen { listen, source })?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, service, stop.clone()));
        Ok(Self { address, stop, server, _lock: lock })
    }

    /// The URL of the endpoint: for [`S3Settings::endpoint`](super::S3Settings::endpoint).
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, lets running transfers finish for up to ten seconds, and closes what is left.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the local S3 endpoint ended badly");
        }
    }
}

impl Drop for LocalS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the local S3 endpoint cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
            Some(_) = tasks.join_next() => continue,
            () = stop.cancelled() => break,
        };
        let service = service.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service_fn(move |request| answer(service.clone(), request)));
        let connection = connections.watch(connection);
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the local S3 endpoint broke");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.shutdown()).await.is_err() {
        tracing::warn!("transfers of the local S3 endpoint were cut off by the shutdown");
    }
}

/// Answers one request; a browser may read every answer, also the errors.
async fn answer(service: S3Service, request: Request<Incoming>) -> Result<Response<s3s::Body>, Infallible> {
    let mut response = if request.method() == Method::OPTIONS {
        preflight(&request)
    } else {
        service.call(request.map(s3s::Body::from)).await.unwrap_or_else(|error| {
            tracing::error!(?error, "the local S3 endpoint failed");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        })
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Content-Range, Accept-Ranges, Content-Length, Content-Type, Last-Modified"),
    );
    // Whoever may upload decides the content type; a browser must not be led to guess another.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The answer to a browser that asks whether it may send a request. It needs no signature (TAMS clients: `OPTIONS`
/// is sent without credentials), and gives nothing away: the request that follows is checked.
fn preflight(request: &Request<Incoming>) -> Response<s3s::Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, PUT, DELETE"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    // There is no wildcard for `x-amz-*` or for `Authorization`, so what is asked for is what is allowed.
    if let Some(asked) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

fn empty(status: StatusCode) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = status;
    response
}

/// The credentials of a local endpoint, made at the first start and kept in a file that only its owner can read.
#[derive(Clone, Deserialize)]
pub struct LocalCredentials {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret: Secret,
}

impl LocalCredentials {
    /// Reads the file, or makes fresh credentials and the file if there is none.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error),
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let access_key = format!("tapelog{}", hex::encode(rand::random::<[u8; 6]>()));
        let credentials = Self { access_key, secret: Secret::random() };
        // Written beside its place and then moved, so that a crash leaves no half file for the next start.
        let draft = path.with_extension("new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let text = serde_json::json!({
            "access_key": credentials.access_key,
            "secret": credentials.secret.expose(),
        });
        writeln!(file, "{text:#}")?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        Ok(credentials)
    }
}
