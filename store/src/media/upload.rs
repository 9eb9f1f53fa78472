//! Bytes that come to a storage backend through this server.

use std::error::Error;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use futures::Stream;

use super::s3::{MediaError, MediaStore};

impl MediaStore {
    /// Stores an object, or replaces it, with bytes of this length that arrive one after the other.
    ///
    /// # Errors
    /// When the backend does not take them, or they end before their end.
    pub async fn upload<S, E>(&self, key: &str, content_type: &str, length: u64, bytes: S) -> Result<(), MediaError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let body = reqwest::Body::wrap_stream(bytes);
        self.put_stream(key, content_type, length, ByteStream::new(SdkBody::from_body_1_x(body))).await
    }
}
