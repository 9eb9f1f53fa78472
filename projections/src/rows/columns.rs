//! Rows as Arrow columns and back.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use arrow::error::ArrowError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tapelog_events::codec::{self, DecodeError};
use tapelog_events::time::Clusivity;
use tapelog_events::{Instant, TimeRange, Timestamp};

/// A file of a checkpoint that does not hold what its table needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("column {0} is missing, or holds another type")]
    Column(&'static str),
    #[error("column {0} has no value where it needs one")]
    Missing(&'static str),
    #[error("column {column} holds {text:?}, which has no meaning there")]
    Text { column: &'static str, text: String },
    #[error("column {0} holds a number that is out of range")]
    Number(&'static str),
    #[error("column {column} holds a document that cannot be read")]
    Document { column: &'static str, source: DecodeError },
}

const START: [&str; 2] = ["start_seconds", "start_nanoseconds"];
const END: [&str; 2] = ["end_seconds", "end_nanoseconds"];
const END_INCLUSIVE: &str = "end_inclusive";
const DOCUMENT: &str = "document";

/// A named column.
pub(crate) struct Column {
    name: &'static str,
    array: ArrayRef,
    is_nullable: bool,
}

impl Column {
    fn new(name: &'static str, array: impl Array + 'static) -> Self {
        Self { name, array: Arc::new(array), is_nullable: true }
    }

    /// Every row has a value.
    pub fn required(mut self) -> Self {
        self.is_nullable = false;
        self
    }

    pub fn text<T: AsRef<str>>(name: &'static str, values: impl Iterator<Item = Option<T>>) -> Self {
        Self::new(name, values.collect::<StringArray>())
    }

    /// Values by their text form.
    pub fn display<T: ToString>(name: &'static str, values: impl Iterator<Item = Option<T>>) -> Self {
        Self::text(name, values.map(|value| value.map(|value| value.to_string())))
    }

    pub fn binary(name: &'static str, values: impl Iterator<Item = Option<Vec<u8>>>) -> Self {
        Self::new(name, values.collect::<BinaryArray>())
    }

    /// Values in the log's form, of which every row has one.
    pub fn documents<'a, T: Serialize + 'a>(values: impl Iterator<Item = &'a T>) -> Self {
        Self::binary(DOCUMENT, values.map(|value| Some(codec::encode_value(value)))).required()
    }

    pub fn boolean(name: &'static str, values: impl Iterator<Item = Option<bool>>) -> Self {
        Self::new(name, values.collect::<BooleanArray>())
    }

    pub fn int64(name: &'static str, values: impl Iterator<Item = Option<i64>>) -> Self {
        Self::new(name, values.collect::<Int64Array>())
    }

    pub fn uint64(name: &'static str, values: impl Iterator<Item = Option<u64>>) -> Self {
        Self::new(name, values.collect::<UInt64Array>())
    }

    pub fn uint32(name: &'static str, values: impl Iterator<Item = Option<u32>>) -> Self {
        Self::new(name, values.collect::<UInt32Array>())
    }

    /// Wall-clock moments, in microseconds of UTC.
    pub fn instant(name: &'static str, values: impl Iterator<Item = Option<Instant>>) -> Self {
        let micros = values.map(|value| value.map(Instant::as_micros)).collect::<TimestampMicrosecondArray>();
        Self::new(name, micros.with_timezone("UTC"))
    }

    /// Media time as two columns, whole seconds and the nanoseconds from there: 48 bits of seconds do not fit into 64
    /// of nanoseconds.
    pub fn timestamp(
        [seconds, nanoseconds]: [&'static str; 2],
        values: impl Iterator<Item = Option<Timestamp>> + Clone,
    ) -> [Self; 2] {
        let parts = values.map(|value| value.map(Timestamp::to_parts));
        let whole = parts.clone().map(|parts| parts.map(|(seconds, _)| seconds));
        let rest = parts.map(|parts| parts.map(|(_, nanoseconds)| nanoseconds as i32));
        [Self::int64(seconds, whole), Self::new(nanoseconds, rest.collect::<Int32Array>())]
    }

    /// Ranges that are finite with an inclusive start, as all are that segments and objects have.
    pub fn range(values: impl Iterator<Item = Option<TimeRange>> + Clone) -> [Self; 5] {
        let starts = values.clone().map(|range| range?.start().map(|(start, _)| start));
        let [start_seconds, start_nanoseconds] = Self::timestamp(START, starts);
        let ends = values.clone().map(|range| range?.end().map(|(end, _)| end));
        let [end_seconds, end_nanoseconds] = Self::timestamp(END, ends);
        let inclusive = values.map(|range| range?.end().map(|(_, clusivity)| clusivity == Clusivity::Inclusive));
        [start_seconds, start_nanoseconds, end_seconds, end_nanoseconds, Self::boolean(END_INCLUSIVE, inclusive)]
    }

    /// A list of things in each row: how many each has, and the things of all rows one after the other.
    pub fn list(name: &'static str, lengths: impl ExactSizeIterator<Item = usize>, things: Vec<Self>) -> Self {
        let fields = things
            .into_iter()
            .map(|thing| {
                let field = Field::new(thing.name, thing.array.data_type().clone(), thing.is_nullable);
                (Arc::new(field), thing.array)
            })
            .collect::<Vec<_>>();
        let things = StructArray::from(fields);
        let thing = Field::new_list_field(things.data_type().clone(), false);
        let offsets = OffsetBuffer::from_lengths(lengths);
        Self::new(name, ListArray::new(Arc::new(thing), offsets, Arc::new(things), None)).required()
    }

    /// The columns side by side.
    pub fn batch(columns: Vec<Self>) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|column| (column.name, column.array, column.is_nullable)),
        )
    }
}

/// A batch of a file, read column by column.
pub(crate) struct Batch(pub RecordBatch);

impl Batch {
    pub fn rows(&self) -> usize {
        self.0.num_rows()
    }

    fn column<A: 'static>(&self, name: &'static str) -> Result<&A, Malformed> {
        let column = self.0.column_by_name(name).and_then(|array| array.as_any().downcast_ref());
        column.ok_or(Malformed::Column(name))
    }

    /// Texts read as values of another type.
    pub fn parsed<T: FromStr + Clone>(&self, name: &'static str) -> Result<Vec<Option<T>>, Malformed> {
        let column: &StringArray = self.column(name)?;
        let mut values = Vec::with_capacity(column.len());
        // Many columns repeat one text row after row.
        let mut last: Option<(&str, T)> = None;
        for text in column {
            values.push(match (text, &last) {
                (None, _) => None,
                (Some(text), Some((known, value))) if text == *known => Some(value.clone()),
                (Some(text), _) => {
                    let value: T = text.parse().map_err(|_| Malformed::Text { column: name, text: text.to_owned() })?;
                    last = Some((text, value.clone()));
                    Some(value)
                }
            });
        }
        Ok(values)
    }

    /// Lists of things: which are those of each row, and the things of all rows.
    pub fn list(&self, name: &'static str) -> Result<(Vec<Range<usize>>, Self), Malformed> {
        let column: &ListArray = self.column(name)?;
        let things = column.values().as_any().downcast_ref::<StructArray>().ok_or(Malformed::Column(name))?;
        let bounds = column.offsets().windows(2).map(|bounds| bounds[0] as usize..bounds[1] as usize);
        Ok((bounds.collect(), Self(RecordBatch::from(things))))
    }

    /// Values in the log's form, of which every row has one.
    pub fn documents<T: DeserializeOwned>(&self) -> Result<Vec<T>, Malformed> {
        let documents = self.optional_documents(DOCUMENT)?.into_iter();
        documents.map(|document| required(document, DOCUMENT)).collect()
    }

    /// Values in the log's form.
    pub fn optional_documents<T: DeserializeOwned>(&self, name: &'static str) -> Result<Vec<Option<T>>, Malformed> {
        let column: &BinaryArray = self.column(name)?;
        let decode = |bytes: Option<&[u8]>| {
            let document = bytes.map(codec::decode_value).transpose();
            document.map_err(|source| Malformed::Document { column: name, source })
        };
        column.iter().map(decode).collect()
    }

    pub fn boolean(&self, name: &'static str) -> Result<Vec<Option<bool>>, Malformed> {
        Ok(self.column::<BooleanArray>(name)?.iter().collect())
    }

    pub fn int64(&self, name: &'static str) -> Result<Vec<Option<i64>>, Malformed> {
        Ok(self.column::<Int64Array>(name)?.iter().collect())
    }

    pub fn uint64(&self, name: &'static str) -> Result<Vec<Option<u64>>, Malformed> {
        Ok(self.column::<UInt64Array>(name)?.iter().collect())
    }

    pub fn instant(&self, name: &'static str) -> Result<Vec<Option<Instant>>, Malformed> {
        let column: &TimestampMicrosecondArray = self.column(name)?;
        Ok(column.iter().map(|micros| micros.map(Instant::from_micros)).collect())
    }

    /// Media time, from two columns.
    pub fn timestamp(&self, [seconds, nanoseconds]: [&'static str; 2]) -> Result<Vec<Option<Timestamp>>, Malformed> {
        let whole = self.column::<Int64Array>(seconds)?.iter();
        let rest = self.column::<Int32Array>(nanoseconds)?.iter();
        whole
            .zip(rest)
            .map(|parts| match parts {
                (None, None) => Ok(None),
                (Some(whole), Some(rest)) => u32::try_from(rest)
                    .ok()
                    .and_then(|rest| Timestamp::from_parts(whole, rest))
                    .map(Some)
                    .ok_or(Malformed::Number(seconds)),
                (None, Some(_)) | (Some(_), None) => Err(Malformed::Missing(seconds)),
            })
            .collect()
    }

    /// Ranges, from five columns.
    pub fn range(&self) -> Result<Vec<Option<TimeRange>>, Malformed> {
        let bounds = self.timestamp(START)?.into_iter().zip(self.timestamp(END)?);
        let range = |((start, end), is_inclusive)| {
            let end_clusivity = match is_inclusive? {
                true => Clusivity::Inclusive,
                false => Clusivity::Exclusive,
            };
            Some(TimeRange::new(Some((start?, Clusivity::Inclusive)), Some((end?, end_clusivity))))
        };
        Ok(bounds.zip(self.boolean(END_INCLUSIVE)?).map(range).collect())
    }
}

/// The value of a column in which every row has one.
pub(crate) fn required<T>(value: Option<T>, column: &'static str) -> Result<T, Malformed> {
    value.ok_or(Malformed::Missing(column))
}
