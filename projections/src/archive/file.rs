//! One file of an archive: records as rows of Parquet, and back.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tapelog_events::{ChainHash, Instant, Seq};
use tapelog_store::log::{Broken, Entry, Head};

use super::manifest::{ArchivedFile, stem};
use super::{Capacity, PlaceError};

const SEQ: &str = "seq";
const AT: &str = "at";
const COMMITS: &str = "commits";
const PREV_HASH: &str = "prev_hash";
const HASH: &str = "hash";
const PAYLOAD: &str = "payload";

/// Records were not made a file.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// They could not be made columns.
    #[error("records cannot be written as columns")]
    Columns(#[from] ArrowError),
    /// Columns could not be made a file.
    #[error("records cannot be written as Parquet")]
    Parquet(#[from] ParquetError),
}

/// A file of the archive is not what was archived.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("file {file} of the archive is missing")]
    Missing {
        /// Its name.
        file: String,
    },
    /// Its contents are not those that were written.
    #[error("file {file} of the archive is damaged: its contents are not those that the manifest names")]
    Damaged {
        /// Its name.
        file: String,
    },
    /// It is not Parquet with the columns of an archive.
    #[error("file {file} of the archive cannot be read")]
    Unreadable {
        /// Its name.
        file: String,
        /// Why.
        source: ParquetError,
    },
    /// Its records are not those that the manifest says, in an unbroken chain.
    #[error("file {file} of the archive does not hold what the manifest says")]
    Altered {
        /// Its name.
        file: String,
        /// What is wrong.
        source: Broken,
    },
    /// Its records end elsewhere.
    #[error("file {file} of the archive does not end with record {last} as the manifest says")]
    End {
        /// Its name.
        file: String,
        /// The record that it should end with.
        last: Seq,
    },
    /// The place cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// A file that is being put together.
pub(super) struct Draft {
    start: Head,
    head: Head,
    rows: Vec<Row>,
    log_bytes: usize,
}

struct Row {
    entry: Entry,
    at: Option<Instant>,
    commits: u32,
    prev_hash: ChainHash,
    hash: ChainHash,
}

impl Draft {
    /// An empty one, for the records after this one.
    pub fn after(start: Head) -> Self {
        Self { start, head: start, rows: Vec::new(), log_bytes: 0 }
    }

    /// Where the chain stands after its last record.
    pub fn head(&self) -> Head {
        self.head
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it has no room for one more.
    pub fn is_full(&self, entry: &Entry, capacity: Capacity) -> bool {
        !self.is_empty()
            && (self.rows.len() as u64 >= capacity.records || self.log_bytes + entry.payload.len() > capacity.bytes)
    }

    /// Adds the record that comes next in the chain.
    pub fn push(&mut self, entry: Entry) -> Result<(), Broken> {
        let (record, head) = self.head.read_next(&entry)?;
        self.log_bytes += entry.payload.len();
        self.rows.push(Row {
            at: record.commits.first().map(|commit| commit.at),
            commits: u32::try_from(record.commits.len()).unwrap_or(u32::MAX),
            prev_hash: record.prev_hash,
            hash: head.hash,
            entry,
        });
        self.head = head;
        Ok(())
    }

    /// The contents of the file, and how the manifest names it.
    pub fn finish(self) -> Result<(ArchivedFile, Bytes), EncodeError> {
        let bytes = Bytes::from(encode(&self.rows)?);
        let (first, last) = (self.start.seq.next(), self.head.seq);
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        let file = ArchivedFile {
            file: format!("{}{}.parquet", stem(first, last), &blake3[..16]),
            first,
            last,
            bytes: bytes.len() as u64,
            log_bytes: self.log_bytes as u64,
            blake3,
            before: self.start.hash,
            after: self.head.hash,
        };
        Ok((file, bytes))
    }
}

fn encode(rows: &[Row]) -> Result<Vec<u8>, EncodeError> {
    let at: TimestampMicrosecondArray = rows.iter().map(|row| row.at.map(Instant::as_micros)).collect();
    let text =
        |hash: fn(&Row) -> ChainHash| rows.iter().map(|row| Some(hash(row).to_string())).collect::<StringArray>();
    let columns: [(&str, ArrayRef, bool); 6] = [
        (SEQ, Arc::new(rows.iter().map(|row| row.entry.seq.0).collect::<UInt64Array>()), false),
        (AT, Arc::new(at.with_timezone("UTC")), true),
        (COMMITS, Arc::new(rows.iter().map(|row| row.commits).collect::<UInt32Array>()), false),
        (PREV_HASH, Arc::new(text(|row| row.prev_hash)), false),
        (HASH, Arc::new(text(|row| row.hash)), false),
        (PAYLOAD, Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.entry.payload))), false),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    // No two of them are alike.
    let distinct = [PREV_HASH, HASH, PAYLOAD];
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?));
    let properties = distinct.into_iter().fold(properties, |properties, column| {
        properties.set_column_dictionary_enabled(ColumnPath::from(column), false)
    });
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}

/// The records of a file, if they are those that the manifest says.
pub(super) fn read(file: &ArchivedFile, bytes: Bytes) -> Result<Vec<Entry>, ReadError> {
    let name = || file.file.clone();
    if bytes.len() as u64 != file.bytes || blake3::hash(&bytes).to_hex().as_str() != file.blake3 {
        return Err(ReadError::Damaged { file: name() });
    }
    let entries = decode(bytes).map_err(|source| ReadError::Unreadable { file: name(), source })?;
    let mut head = file.start();
    for entry in &entries {
        (_, head) = head.read_next(entry).map_err(|source| ReadError::Altered { file: name(), source })?;
    }
    if head != file.end() {
        return Err(ReadError::End { file: name(), last: file.last });
    }
    Ok(entries)
}

fn decode(bytes: Bytes) -> Result<Vec<Entry>, ParquetError> {
    let mut entries = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let seqs = batch.column_by_name(SEQ).and_then(|column| column.as_any().downcast_ref::<UInt64Array>());
        let payloads = batch.column_by_name(PAYLOAD).and_then(|column| column.as_any().downcast_ref::<BinaryArray>());
        let columns = seqs.zip(payloads).filter(|(seqs, payloads)| seqs.null_count() + payloads.null_count() == 0);
        let (seqs, payloads) =
            columns.ok_or_else(|| ParquetError::General(format!("it has not the columns {SEQ} and {PAYLOAD}")))?;
        entries.extend(seqs.values().iter().zip(payloads.iter()).map(|(seq, payload)| Entry {
            seq: Seq(*seq),
            payload: Bytes::copy_from_slice(payload.unwrap_or_default()),
        }));
    }
    Ok(entries)
}
