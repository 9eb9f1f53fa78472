//! Media bytes: object storage on any S3, and an S3 of our own for a laptop.
//!
//! tapelog never moves media through its API: clients upload to and download from the object store
//! with presigned URLs (TAMS AppNote 0021). [`MediaStore`] is the client of one storage backend, and it signs
//! those URLs; [`LocalS3`] is the backend of a machine that has none, an S3 endpoint in this process over a
//! local folder. [`object_key`] says where in the bucket the bytes of a TAMS object are.

mod fetch;
mod key;
mod local;
mod metrics;
mod presign;
mod s3;
mod secret;
mod upload;

pub use fetch::{FetchError, FetchSettings, Fetcher};
pub use key::{object_key, write_object_key};
pub use local::{LocalCredentials, LocalS3, LocalS3Error, LocalS3Settings};
pub use metrics::MediaMetrics;
pub use presign::{PresignedPut, SigningTime};
pub use s3::{Addressing, Conditional, Expected, MediaError, MediaStore, ObjectHead, S3Settings, S3SettingsError};
pub use secret::Secret;
