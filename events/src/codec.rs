//! How records are written: MessagePack with named fields, so that fields can be added; the one place that knows it.
//!
//! Whatever a released version wrote is read for ever. `tests/golden` holds real bytes of every format.

use serde::{Deserialize, Serialize};

use crate::Record;

/// The envelope that this version writes.
pub const FORMAT: u16 = 1;

/// Bytes that are not a record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not MessagePack of the expected shape, or an event that this version does not know.
    #[error("record cannot be decoded: {0}")]
    Malformed(#[from] rmp_serde::decode::Error),
    /// An envelope of a later version.
    #[error("record has format {0}, which is later than this version of tapelog knows")]
    UnknownFormat(u16),
    /// Something follows the record.
    #[error("record is followed by bytes that do not belong to it")]
    TrailingBytes,
}

/// Writes a record. The same record always gives the same bytes.
pub fn encode(record: &Record) -> Vec<u8> {
    encode_value(record)
}

/// Reads a record.
///
/// # Errors
/// When the bytes are not exactly one record of a known format with known events.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let (format, record) = match decode_value::<Record>(bytes) {
        Ok(record) => (record.format, Ok(record)),
        // A later envelope may have any shape; its number is in all of them.
        Err(error) => (decode_value::<Envelope>(bytes).map_or(FORMAT, |envelope| envelope.format), Err(error)),
    };
    if format > FORMAT { Err(DecodeError::UnknownFormat(format)) } else { record }
}

/// What every record of every format says.
#[derive(Deserialize)]
struct Envelope {
    format: u16,
}

/// Writes one value of the log's vocabulary in the log's form: for documents kept in checkpoints.
pub fn encode_value<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("writing to memory cannot fail, and every type of the log can be written")
}

/// Reads what [`encode_value`] wrote.
///
/// # Errors
/// When the bytes are not exactly one such value.
pub fn decode_value<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = T::deserialize(&mut deserializer)?;
    // Nothing is asked for by its marker alone, whose absence is the end of the bytes.
    match <()>::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        Ok(()) | Err(_) => Err(DecodeError::TrailingBytes),
    }
}
