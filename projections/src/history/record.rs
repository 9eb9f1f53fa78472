//! Reading records from the log by their numbers.

use tapelog_events::codec::DecodeError;
use tapelog_events::{ChainHash, Record, Seq, codec};
use tapelog_store::log::{Log, Unreachable};
use tokio::task::spawn_blocking;

/// From how many bytes on a record takes so long to decode, about half a millisecond, that it must not hold up a thread
/// of the runtime.
const LARGE_BYTES: usize = 64 * 1024;

/// A record of the past cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// It is not in the log.
    #[error("record {0} is not in the log")]
    Missing(Seq),
    /// Bytes that are not a record that this version knows.
    #[error("record {seq} cannot be read")]
    Undecodable {
        /// Which record.
        seq: Seq,
        /// Why.
        source: DecodeError,
    },
}

/// A record where it stands in the log.
#[derive(Debug)]
pub(super) struct StoredRecord {
    pub seq: Seq,
    /// Its hash.
    pub hash: ChainHash,
    /// How large it is in the log.
    pub bytes: usize,
    pub record: Record,
}

/// Reads the record with this number.
pub(super) async fn read_record<L: Log>(log: &L, seq: Seq) -> Result<StoredRecord, ReadError> {
    let payload = log.read(seq).await?.ok_or(ReadError::Missing(seq))?;
    let bytes = payload.len();
    let decode = move || (ChainHash::of(&payload), codec::decode(&payload));
    let (hash, decoded) = if bytes < LARGE_BYTES {
        decode()
    } else {
        spawn_blocking(decode).await.expect("decoding does not panic, and nothing aborts it")
    };
    let record = decoded.map_err(|source| ReadError::Undecodable { seq, source })?;
    Ok(StoredRecord { seq, hash, bytes, record })
}
