//! Writing a checkpoint: files first, then the manifest that makes them one.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tapelog_events::Seq;

use super::folder::{FileError, Folder};
use super::manifest::{Manifest, PartFile};
use crate::Tables;
use crate::rows::{Column, Contents, Row, TableVisitor, visit_tables};

/// A checkpoint was not written. The one before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The tables are not whole.
    #[error("tables are not whole since record {0} failed, and are not stored")]
    Failed(Seq),
    /// The folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Rows could not be made columns.
    #[error("rows cannot be written as columns")]
    Columns(#[from] ArrowError),
    /// Columns could not be made a file.
    #[error("columns cannot be written as Parquet")]
    Parquet(#[from] ParquetError),
}

/// Rows that are turned into columns at once: few megabytes.
const BATCH_ROWS: usize = 16_384;

/// Rows of a row group: what a reader needs in memory at once, and what it can skip by statistics.
const GROUP_ROWS: usize = 131_072;

/// Writes the parts of every table that changed since `base`, and refers to the files of `base` for the others.
pub(super) fn write_tables(
    folder: &Folder,
    base: Option<&Manifest>,
    tables: &Tables,
) -> Result<BTreeMap<String, Vec<PartFile>>, WriteError> {
    let contents = Contents::of(tables);
    let mut writer = Writer { folder, base, tables, contents, files: BTreeMap::new() };
    visit_tables(&mut writer)?;
    folder.sync()?;
    Ok(writer.files)
}

struct Writer<'a> {
    folder: &'a Folder,
    base: Option<&'a Manifest>,
    tables: &'a Tables,
    contents: Contents<'a>,
    files: BTreeMap<String, Vec<PartFile>>,
}

impl TableVisitor for Writer<'_> {
    type Error = WriteError;

    fn visit<R: Row>(&mut self) -> Result<(), WriteError> {
        let mut files = Vec::new();
        for part in R::DIVISION.parts() {
            let changed = R::changed(self.tables.changes(), part);
            let unchanged = self.base.and_then(|base| base.file(R::TABLE, part)).filter(|file| file.changed == changed);
            if let Some(file) = unchanged {
                files.push(file.clone());
                continue;
            }
            let mut rows = R::rows(&self.contents, part).peekable();
            if rows.peek().is_none() {
                continue;
            }
            let mut file = self.folder.begin(&format!("{}-{:02}", R::TABLE, part.number()))?;
            let count = write_rows(&mut file.writer, rows)?;
            files.push(PartFile { part: part.number(), changed, rows: count, stored: file.finish("parquet")? });
        }
        self.files.insert(R::TABLE.to_owned(), files);
        Ok(())
    }
}

/// Writes rows as one Parquet file, and says how many there were.
fn write_rows<R: Row>(
    file: &mut (impl std::io::Write + Send),
    mut rows: impl Iterator<Item = R>,
) -> Result<u64, WriteError> {
    let schema = Column::batch(R::columns(&[]))?.schema();
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(&schema)?))?;
    let mut count = 0;
    loop {
        let batch: Vec<R> = rows.by_ref().take(BATCH_ROWS).collect();
        if batch.is_empty() {
            break;
        }
        count += batch.len() as u64;
        writer.write(&Column::batch(R::columns(&batch))?)?;
    }
    writer.close()?;
    Ok(count)
}

/// Numbers as differences, object ids by what they share with the one before; measured to be small and quick.
fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for column in ArrowSchemaConverter::new().convert(schema)?.columns() {
        let encoding = match (column.physical_type(), column.name()) {
            (Type::INT32 | Type::INT64, _) => Encoding::DELTA_BINARY_PACKED,
            (Type::BYTE_ARRAY, "object_id") => Encoding::DELTA_BYTE_ARRAY,
            (Type::BYTE_ARRAY, "document") => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            _ => continue,
        };
        let path = column.path();
        properties =
            properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path.clone(), encoding);
    }
    Ok(properties.build())
}
