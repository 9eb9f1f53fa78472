//! The client of one storage backend: any service that speaks S3.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_http_client::{Builder as HttpClientBuilder, tls};
use bytes::Bytes;
use url::Url;

use super::Secret;
use super::metrics::MediaMetrics;
use super::presign::{PresignedPut, Presigner, PresignerSettings, SigningTime};

/// How long it may take until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one attempt of a call without a body may take; it is tried up to three times.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call without a body may take, with all its attempts.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long reading or writing the bytes of one object may take, with all attempts.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(300);
/// How long copying the bytes of one object may take. One that stalls is given up after seconds.
const COPY_TIMEOUT: Duration = Duration::from_secs(3600);
/// S3 refuses presigned URLs that live longer than a week, and ours live a quarter longer than promised.
const LONGEST_URL_VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600 / 5 * 4);

/// Where the bucket's name stands in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// `https://host/bucket/key`: understood by about every S3 but Amazon's newest regions.
    #[default]
    Path,
    /// `https://bucket.host/key`
    VirtualHost,
}

/// How to reach a bucket.
#[derive(Clone)]
pub struct S3Settings {
    /// Scheme, host and port of the S3 service. It has no path, because S3 signatures cover the whole path.
    pub endpoint: Url,
    /// The same service as clients see it, if that is another address; used in presigned URLs.
    pub public_endpoint: Option<Url>,
    /// The region that signatures name. Services without regions take any, `us-east-1` by custom.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The public half of the credentials.
    pub access_key: String,
    /// The secret half of the credentials.
    pub secret: Secret,
    /// Where the bucket's name stands in a URL.
    pub addressing: Addressing,
    /// How long a presigned URL is valid at least: `min_presigned_url_timeout` of the TAMS service.
    pub url_validity: Duration,
    /// Where calls are measured.
    pub metrics: MediaMetrics,
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum S3SettingsError {
    /// An endpoint is not just a scheme, a host and a port.
    #[error("the S3 endpoint {endpoint} must be http or https with a host and nothing after it")]
    Endpoint {
        /// What was given.
        endpoint: Url,
    },
    /// A URL cannot be valid for so long or so short.
    #[error("presigned URLs can be valid for 1 second to {} seconds, not {} seconds", LONGEST_URL_VALIDITY.as_secs(), validity.as_secs())]
    UrlValidity {
        /// What was given.
        validity: Duration,
    },
    /// A setting that must be there is empty.
    #[error("the S3 setting {name} is empty")]
    Empty {
        /// The field of [`S3Settings`].
        name: &'static str,
    },
}

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its size in bytes.
    pub length: u64,
    /// The content type with which it was uploaded.
    pub content_type: Option<String>,
    /// The entity tag that the backend gave it, with its quotes.
    pub etag: Option<String>,
}

/// What must stand under a key for [`MediaStore::put_if`] to store something there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Nothing,
    /// The object with this entity tag.
    Tag(String),
}

/// What came of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// The object is stored, with this entity tag, where the backend told.
    Stored(Option<String>),
    /// Something else stands under the key. It is as it was.
    Changed,
}

/// A call to the backend that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The object, or the bucket, is not there.
    #[error("{name} is not in the object store")]
    NotFound {
        /// The key or the bucket.
        name: String,
    },
    /// The backend did not answer in time, or answered that it cannot now: trying again later may help.
    #[error("the object store did not {operation}: {detail}")]
    Unavailable {
        /// What was asked for.
        operation: &'static str,
        /// What happened.
        detail: String,
    },
    /// The backend refuses: credentials, permissions or settings have to change.
    #[error("the object store refuses to {operation}: {detail}")]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// What it said.
        detail: String,
    },
}

/// The client of one bucket. Calls are bounded in time, and those that can be repeated are tried up to three times.
pub struct MediaStore {
    client: aws_sdk_s3::Client,
    bucket: String,
    region: String,
    presigner: Presigner,
}

impl MediaStore {
    /// Makes the client. Nothing is sent yet: see [`MediaStore::ensure_bucket`].
    pub fn new(settings: S3Settings) -> Result<Self, S3SettingsError> {
        for (name, value) in [
            ("region", settings.region.as_str()),
            ("bucket", &settings.bucket),
            ("access_key", &settings.access_key),
            ("secret", settings.secret.expose()),
        ] {
            if value.is_empty() {
                return Err(S3SettingsError::Empty { name });
            }
        }
        if !(Duration::from_secs(1)..=LONGEST_URL_VALIDITY).contains(&settings.url_validity) {
            return Err(S3SettingsError::UrlValidity { validity: settings.url_validity });
        }
        origin(&settings.endpoint)?;
        let presigner = Presigner::new(presigner_settings(&settings)?);
        Ok(Self { client: client(&settings), bucket: settings.bucket, region: settings.region, presigner })
    }

    /// Makes the bucket if it is not there.
    pub async fn ensure_bucket(&self) -> Result<(), MediaError> {
        match self.check().await {
            Err(MediaError::NotFound { .. }) => {}
            found_or_failed => return found_or_failed,
        }
        // Amazon wants the region named, except its first one, which it does not want named.
        let location = (self.region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(self.region.as_str()))
                .build()
        });
        let created =
            self.client.create_bucket().bucket(&self.bucket).set_create_bucket_configuration(location).send().await;
        match created {
            Ok(_) => Ok(()),
            // Another node was faster.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(self.error("create the bucket", &self.bucket, &error)),
        }
    }

    /// Asks the backend whether the bucket is there and may be used.
    pub async fn check(&self) -> Result<(), MediaError> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|error| self.error("show the bucket", &self.bucket, &error))
    }

    /// What the backend knows of an object.
    pub async fn head(&self, key: &str) -> Result<ObjectHead, MediaError> {
        let answer = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        let head = answer.map_err(|error| self.error("show an object", key, &error))?;
        Ok(ObjectHead {
            length: head.content_length.and_then(|length| length.try_into().ok()).unwrap_or_default(),
            content_type: head.content_type,
            etag: head.e_tag,
        })
    }

    /// The bytes of an object, all in memory: meant for objects of our own making, not for media.
    pub async fn get(&self, key: &str) -> Result<Bytes, MediaError> {
        Ok(self.get_tagged(key).await?.0)
    }

    /// The bytes of an object, all in memory, and the entity tag that the backend gave it.
    pub async fn get_tagged(&self, key: &str) -> Result<(Bytes, Option<String>), MediaError> {
        const OPERATION: &str = "give an object";
        let transfer = async {
            let request = self.client.get_object().bucket(&self.bucket).key(key);
            let request = request.customize().config_override(transfer_timeouts());
            let object = request.send().await.map_err(|error| self.error(OPERATION, key, &error))?;
            let tag = object.e_tag;
            let bytes = object.body.collect().await.map_err(|error| MediaError::Unavailable {
                operation: OPERATION,
                detail: DisplayErrorContext(&error).to_string(),
            })?;
            Ok((bytes.into_bytes(), tag))
        };
        tokio::time::timeout(TRANSFER_TIMEOUT, transfer).await.unwrap_or_else(|_| {
            Err(MediaError::Unavailable {
                operation: OPERATION,
                detail: format!("not done after {} s", TRANSFER_TIMEOUT.as_secs()),
            })
        })
    }

    /// Stores an object, or replaces it.
    pub async fn put(&self, key: &str, content_type: &str, bytes: Bytes) -> Result<(), MediaError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key);
        let request = request.content_type(content_type).body(ByteStream::from(bytes));
        let answer = request.customize().config_override(transfer_timeouts()).send().await;
        answer.map(drop).map_err(|error| self.error("take an object", key, &error))
    }

    /// Stores an object if what stands under its key is what is expected. A backend that says that it knows no conditions
    /// stores it in any case; and since a call may be repeated, the object that is found instead may be this very one.
    pub async fn put_if(
        &self,
        key: &str,
        content_type: &str,
        bytes: Bytes,
        expected: &Expected,
    ) -> Result<Conditional, MediaError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key);
        let request = match expected {
            Expected::Nothing => request.if_none_match("*"),
            Expected::Tag(tag) => request.if_match(tag),
        };
        let request = request.content_type(content_type).body(ByteStream::from(bytes.clone()));
        let answer = request.customize().config_override(transfer_timeouts()).send().await;
        let error = match answer {
            Ok(stored) => return Ok(Conditional::Stored(stored.e_tag)),
            Err(error) => error,
        };
        match (error.raw_response().map(|response| response.status().as_u16()), error.code()) {
            // What is to be replaced is gone, or is being replaced at this moment.
            (Some(412 | 404 | 409), code) if code != Some("NoSuchBucket") => Ok(Conditional::Changed),
            (Some(501), _) => self.put(key, content_type, bytes).await.map(|()| Conditional::Stored(None)),
            _ => Err(self.error("take an object", key, &error)),
        }
    }

    /// Stores an object, or replaces it, with bytes of this length that are never in memory as a whole. Since they cannot
    /// be sent twice, there is one attempt. S3 takes up to 5 GB, as it does from clients with a presigned URL.
    pub async fn put_stream(
        &self,
        key: &str,
        content_type: &str,
        length: u64,
        bytes: ByteStream,
    ) -> Result<(), MediaError> {
        const OPERATION: &str = "take an object";
        let length = i64::try_from(length).map_err(|_| MediaError::Refused {
            operation: OPERATION,
            detail: format!("{length} bytes are too many"),
        })?;
        let request = self.client.put_object().bucket(&self.bucket).key(key);
        let request = request.content_type(content_type).content_length(length).body(bytes);
        let timeouts = aws_sdk_s3::Config::builder().timeout_config(timeouts(COPY_TIMEOUT, COPY_TIMEOUT));
        let answer = request.customize().config_override(timeouts).send().await;
        answer.map(drop).map_err(|error| self.error(OPERATION, key, &error))
    }

    /// Copies an object from another backend, or replaces it. It is never in memory as a whole.
    pub async fn copy_from(&self, other: &Self, key: &str) -> Result<(), MediaError> {
        const OPERATION: &str = "give an object";
        let answer = other.client.get_object().bucket(&other.bucket).key(key).send().await;
        let object = answer.map_err(|error| other.error(OPERATION, key, &error))?;
        let length = object.content_length.and_then(|length| u64::try_from(length).ok());
        let length = length.ok_or_else(|| MediaError::Unavailable {
            operation: OPERATION,
            detail: "it did not say how long the object is".to_owned(),
        })?;
        let content_type = object.content_type.as_deref().unwrap_or("application/octet-stream");
        self.put_stream(key, content_type, length, object.body).await
    }

    /// Deletes an object. That it was not there is success.
    pub async fn delete(&self, key: &str) -> Result<(), MediaError> {
        let answer = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        match answer.map_err(|error| self.error("delete an object", key, &error)) {
            Ok(_) | Err(MediaError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The moment to sign with: take it once per request.
    pub fn signing_time(&self, now: SystemTime) -> SigningTime {
        self.presigner.signing_time(now)
    }

    /// Appends a URL that reads `key` to `out`. Nothing is allocated, unless `out` has to grow.
    pub fn presign_get(&self, key: &str, at: &SigningTime, out: &mut String) {
        self.presigner.presign_get(key, at, out);
    }

    /// Appends a URL that gives the headers of `key` (HEAD) to `out`.
    pub fn presign_head(&self, key: &str, at: &SigningTime, out: &mut String) {
        self.presigner.presign_head(key, at, out);
    }

    /// A URL that uploads `key`, with exactly this content type.
    pub fn presign_put(&self, key: &str, content_type: &str, at: &SigningTime) -> PresignedPut {
        self.presigner.presign_put(key, content_type, at)
    }

    fn error<E>(&self, operation: &'static str, name: &str, error: &SdkError<E>) -> MediaError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let detail = DisplayErrorContext(error).to_string();
        match status {
            Some(404) if error.code() == Some("NoSuchBucket") => MediaError::NotFound { name: self.bucket.clone() },
            Some(404) => MediaError::NotFound { name: name.to_owned() },
            Some(408 | 429 | 500..) | None => MediaError::Unavailable { operation, detail },
            Some(_) => MediaError::Refused { operation, detail },
        }
    }
}

fn client(settings: &S3Settings) -> aws_sdk_s3::Client {
    let http = HttpClientBuilder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let credentials = Credentials::new(
        settings.access_key.clone(),
        settings.secret.expose().to_owned(),
        None,
        None,
        "tapelog settings",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .interceptor(settings.metrics.of(&settings.bucket))
        .endpoint_url(settings.endpoint.as_str())
        .force_path_style(settings.addressing == Addressing::Path)
        .region(Region::new(settings.region.clone()))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, CALL_TIMEOUT))
        // Many S3 services know neither the newer checksums nor their trailing form.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

fn timeouts(attempt: Duration, call: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(call)
        .build()
}

fn transfer_timeouts() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().timeout_config(timeouts(TRANSFER_TIMEOUT, TRANSFER_TIMEOUT))
}

/// Scheme and authority, apart.
fn origin(endpoint: &Url) -> Result<(&str, String), S3SettingsError> {
    let host = endpoint.host_str().filter(|_| {
        matches!(endpoint.scheme(), "http" | "https")
            && endpoint.path() == "/"
            && endpoint.query().is_none()
            && endpoint.fragment().is_none()
            && endpoint.username().is_empty()
            && endpoint.password().is_none()
    });
    let Some(host) = host else {
        return Err(S3SettingsError::Endpoint { endpoint: endpoint.clone() });
    };
    // A URL does not keep the default port of its scheme, and neither do `Host` headers.
    let authority = match endpoint.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Ok((endpoint.scheme(), authority))
}

fn presigner_settings(settings: &S3Settings) -> Result<PresignerSettings, S3SettingsError> {
    let (scheme, authority) = origin(settings.public_endpoint.as_ref().unwrap_or(&settings.endpoint))?;
    let (host, path_prefix) = match settings.addressing {
        Addressing::Path => (authority, format!("/{}/", settings.bucket)),
        Addressing::VirtualHost => (format!("{}.{authority}", settings.bucket), "/".to_owned()),
    };
    Ok(PresignerSettings {
        origin: format!("{scheme}://{host}"),
        host,
        path_prefix,
        region: settings.region.clone(),
        access_key: settings.access_key.clone(),
        secret: settings.secret.clone(),
        validity: settings.url_validity,
    })
}
