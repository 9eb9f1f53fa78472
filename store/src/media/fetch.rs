//! Fetching from addresses that clients named: copies of objects whose bytes lie outside this store (section 8).
//!
//! Only addresses of the public internet are asked, unless a setting says otherwise ([`Guard`]); an answer has limits of
//! time and size.

use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::s3::{MediaError, MediaStore};
use crate::guard::{Guard, Networks, Refused};

/// How long it may take until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may give nothing, at its start or on its way.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The media type of bytes of which nothing is said.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchSettings {
    /// Whether addresses that are not of the public internet may be asked: of this machine, or of its network.
    pub allow_private: bool,
    /// The most bytes of one answer.
    pub most_bytes: u64,
}

/// Why nothing was fetched. The text is for whoever named the address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address that can be asked.
    #[error("the URL is not http or https with a host and without credentials")]
    Url,
    /// An address that this server must not ask.
    #[error("the URL leads to an address that is not of the public internet, and fetch.allow_private is false")]
    Private,
    /// The answer was none of success.
    #[error("the URL answers with status {0}")]
    Status(u16),
    /// The answer does not say how long it is, which object stores want to know beforehand.
    #[error("the URL answers without Content-Length")]
    NoLength,
    /// The answer is too long.
    #[error("the URL answers with {length} bytes, but may with {most}")]
    TooLong {
        /// How long it is, in bytes.
        length: u64,
        /// How long it may be, in bytes.
        most: u64,
    },
    /// There was no answer.
    #[error("the URL cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// What was fetched could not be stored, or broke off.
    #[error(transparent)]
    Store(#[from] MediaError),
}

impl FetchError {
    /// Whether trying again later may help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Url | Self::Private | Self::NoLength | Self::TooLong { .. } => false,
            Self::Status(status) => matches!(status, 408 | 429 | 500..),
            Self::Unreachable(_) => true,
            Self::Store(error) => match error {
                // What is not there may be uploaded yet.
                MediaError::Unavailable { .. } | MediaError::NotFound { .. } => true,
                MediaError::Refused { .. } => false,
            },
        }
    }
}

/// Fetches from addresses that clients named.
#[derive(Debug, Clone)]
pub struct Fetcher {
    http: reqwest::Client,
    guard: Guard,
    settings: FetchSettings,
}

impl Fetcher {
    /// One with these settings.
    pub fn new(settings: FetchSettings) -> Self {
        let allowed = if settings.allow_private { Networks::all() } else { Networks::default() };
        let guard = Guard::new(allowed, []);
        let http = guard
            .client()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .expect("a client with these settings can always be made");
        Self { http, guard, settings }
    }

    async fn get(&self, url: &str) -> Result<reqwest::Response, FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::Url)?;
        self.guard.check_url(&url).map_err(|refused| match refused {
            Refused::Scheme | Refused::Credentials => FetchError::Url,
            Refused::Address => FetchError::Private,
        })?;
        let answer = self.http.get(url).send().await.map_err(|error| match Guard::has_refused(&error) {
            true => FetchError::Private,
            false => FetchError::Unreachable(error),
        })?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            status => Err(FetchError::Status(status)),
        }
    }
}

impl MediaStore {
    /// Stores what an address answers with, which is never in memory as a whole. It has to say its length beforehand.
    ///
    /// # Errors
    /// When it cannot be fetched, must not be, or cannot be stored.
    pub async fn fetch_from_url(&self, fetcher: &Fetcher, url: &str, key: &str) -> Result<(), FetchError> {
        let answer = fetcher.get(url).await?;
        let length = answer.content_length().ok_or(FetchError::NoLength)?;
        let most = fetcher.settings.most_bytes;
        if length > most {
            return Err(FetchError::TooLong { length, most });
        }
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or(UNKNOWN_TYPE).to_owned();
        let body = ByteStream::new(SdkBody::from_body_1_x(reqwest::Body::from(answer)));
        Ok(self.put_stream(key, &content_type, length, body).await?)
    }
}
