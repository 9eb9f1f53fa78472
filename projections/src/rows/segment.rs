//! Segments and their tags.

use serde::Serialize;
use tapelog_events::{FlowId, ObjectId, Seq, TagValue, TimeRange, Timestamp};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// A segment of a Flow.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct SegmentRow {
    pub flow_id: FlowId,
    pub timerange: TimeRange,
    pub object_id: ObjectId,
    pub ts_offset: Timestamp,
    pub last_duration: Option<Timestamp>,
    pub sample_offset: Option<i64>,
    pub sample_count: Option<i64>,
}

const TS_OFFSET: [&str; 2] = ["ts_offset_seconds", "ts_offset_nanoseconds"];
const LAST_DURATION: [&str; 2] = ["last_duration_seconds", "last_duration_nanoseconds"];

impl Row for SegmentRow {
    const TABLE: &'static str = "segments";
    const DIVISION: Division = Division::Partitioned;
    type Key = (FlowId, Option<Timestamp>);

    fn key(&self) -> Self::Key {
        (self.flow_id, self.timerange.start().map(|(start, _)| start))
    }

    fn name(&self) -> String {
        format!("segment {} of flow {}", self.timerange, self.flow_id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, part: Partition) -> Rows<'a, Self> {
        let inventory = contents.inventory();
        Box::new(contents.flows[part.number()].iter().flat_map(move |flow_id| {
            let slot = inventory.flow_even_hidden(*flow_id);
            let segments = slot.into_iter().flat_map(|slot| inventory.segments(slot, &TimeRange::ETERNITY));
            segments.map(|segment| Self {
                flow_id: *flow_id,
                timerange: segment.timerange,
                object_id: inventory.object_id(segment.object),
                ts_offset: segment.ts_offset,
                last_duration: segment.last_duration,
                sample_offset: segment.sample_offset,
                sample_count: segment.sample_count,
            })
        }))
    }

    fn changed(changes: &Changes, part: Partition) -> Seq {
        changes.segments[part.number()]
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let offset = Column::timestamp(TS_OFFSET, rows.iter().map(|row| Some(row.ts_offset)));
        let mut columns = vec![Column::display("flow_id", rows.iter().map(|row| Some(row.flow_id))).required()];
        columns.extend(Column::range(rows.iter().map(|row| Some(row.timerange))).map(Column::required));
        columns.push(Column::display("object_id", rows.iter().map(|row| Some(&row.object_id))).required());
        columns.extend(offset.map(Column::required));
        columns.extend(Column::timestamp(LAST_DURATION, rows.iter().map(|row| row.last_duration)));
        columns.push(Column::int64("sample_offset", rows.iter().map(|row| row.sample_offset)));
        columns.push(Column::int64("sample_count", rows.iter().map(|row| row.sample_count)));
        columns
    }
}

impl StoredRow for SegmentRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let (flow_ids, ranges) = (batch.parsed("flow_id")?, batch.range()?);
        let mut object_ids = batch.parsed("object_id")?;
        let (offsets, durations) = (batch.timestamp(TS_OFFSET)?, batch.timestamp(LAST_DURATION)?);
        let (sample_offsets, sample_counts) = (batch.int64("sample_offset")?, batch.int64("sample_count")?);
        (0..batch.rows())
            .map(|row| {
                Ok(Self {
                    flow_id: required(flow_ids[row], "flow_id")?,
                    timerange: required(ranges[row], "start_seconds")?,
                    object_id: required(object_ids[row].take(), "object_id")?,
                    ts_offset: required(offsets[row], TS_OFFSET[0])?,
                    last_duration: durations[row],
                    sample_offset: sample_offsets[row],
                    sample_count: sample_counts[row],
                })
            })
            .collect()
    }

    fn note_change(changes: &mut Changes, part: Partition, seq: Seq) {
        changes.segments[part.number()] = seq;
    }
}

/// One tag of a segment.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct SegmentTagRow {
    pub flow_id: FlowId,
    /// Where the segment starts.
    pub start: Timestamp,
    pub name: String,
    pub value: TagValue,
}

const START: [&str; 2] = ["start_seconds", "start_nanoseconds"];

impl Row for SegmentTagRow {
    const TABLE: &'static str = "segment_tags";
    const DIVISION: Division = Division::Partitioned;
    type Key = (FlowId, Timestamp, String);

    fn key(&self) -> Self::Key {
        (self.flow_id, self.start, self.name.clone())
    }

    fn name(&self) -> String {
        format!("tag {:?} of the segment at {} of flow {}", self.name, self.start, self.flow_id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, part: Partition) -> Rows<'a, Self> {
        let inventory = contents.inventory();
        Box::new(contents.flows[part.number()].iter().flat_map(move |flow_id| {
            let slot = inventory.flow_even_hidden(*flow_id);
            let tagged = slot.into_iter().flat_map(|slot| inventory.tagged_segments(slot, &TimeRange::ETERNITY));
            let placed = tagged.filter_map(|(segment, tags)| Some((segment.timerange.start()?.0, tags)));
            placed.flat_map(move |(start, tags)| {
                let tags = tags.iter().map(|(name, value)| (name.clone(), value.clone()));
                tags.map(move |(name, value)| Self { flow_id: *flow_id, start, name, value })
            })
        }))
    }

    fn changed(changes: &Changes, part: Partition) -> Seq {
        changes.segments[part.number()]
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let is_list = |value: &TagValue| match value {
            TagValue::One(_) => false,
            TagValue::Many(_) => true,
        };
        let texts = rows.iter().flat_map(|row| row.value.texts());
        let of_texts = vec![Column::text("value", texts.map(Some)).required()];
        let mut columns = vec![Column::display("flow_id", rows.iter().map(|row| Some(row.flow_id))).required()];
        columns.extend(Column::timestamp(START, rows.iter().map(|row| Some(row.start))).map(Column::required));
        columns.push(Column::text("name", rows.iter().map(|row| Some(&row.name))).required());
        columns.push(Column::boolean("is_list", rows.iter().map(|row| Some(is_list(&row.value)))).required());
        columns.push(Column::list("values", rows.iter().map(|row| row.value.texts().len()), of_texts));
        columns
    }
}

impl StoredRow for SegmentTagRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let (flow_ids, starts) = (batch.parsed("flow_id")?, batch.timestamp(START)?);
        let (mut names, lists) = (batch.parsed::<String>("name")?, batch.boolean("is_list")?);
        let (bounds, texts) = batch.list("values")?;
        let texts = texts.parsed::<String>("value")?;
        (0..batch.rows())
            .map(|row| {
                let texts = texts[bounds[row].clone()].iter().cloned();
                let mut texts = texts.map(|text| required(text, "value")).collect::<Result<Vec<_>, _>>()?;
                let value = match required(lists[row], "is_list")? {
                    true => TagValue::Many(texts),
                    false => TagValue::One(required(texts.pop(), "values")?),
                };
                Ok(Self {
                    flow_id: required(flow_ids[row], "flow_id")?,
                    start: required(starts[row], START[0])?,
                    name: required(names[row].take(), "name")?,
                    value,
                })
            })
            .collect()
    }

    fn note_change(changes: &mut Changes, part: Partition, seq: Seq) {
        changes.segments[part.number()] = seq;
    }
}
