//! Segments.

use serde::Serialize;
use tapelog_events::time::Clusivity;
use tapelog_events::{FlowId, ObjectId, Seq, TimeRange, Timestamp};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::partition::{Changes, Partition};

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

const START: [&str; 2] = ["start_seconds", "start_nanoseconds"];
const END: [&str; 2] = ["end_seconds", "end_nanoseconds"];
const END_INCLUSIVE: &str = "end_inclusive";
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
            let slot = inventory.flow(*flow_id);
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
        let ranges = || rows.iter().map(|row| &row.timerange);
        let [start_seconds, start_nanoseconds] =
            Column::timestamp(START, ranges().map(|range| range.start().map(|(start, _)| start)));
        let [end_seconds, end_nanoseconds] =
            Column::timestamp(END, ranges().map(|range| range.end().map(|(end, _)| end)));
        let end_inclusive = ranges().map(|range| range.end().map(|(_, clusivity)| clusivity == Clusivity::Inclusive));
        let [offset_seconds, offset_nanoseconds] =
            Column::timestamp(TS_OFFSET, rows.iter().map(|row| Some(row.ts_offset)));
        let [duration_seconds, duration_nanoseconds] =
            Column::timestamp(LAST_DURATION, rows.iter().map(|row| row.last_duration));
        vec![
            Column::display("flow_id", rows.iter().map(|row| Some(row.flow_id))).required(),
            start_seconds.required(),
            start_nanoseconds.required(),
            end_seconds.required(),
            end_nanoseconds.required(),
            Column::boolean(END_INCLUSIVE, end_inclusive).required(),
            Column::display("object_id", rows.iter().map(|row| Some(&row.object_id))).required(),
            offset_seconds.required(),
            offset_nanoseconds.required(),
            duration_seconds,
            duration_nanoseconds,
            Column::int64("sample_offset", rows.iter().map(|row| row.sample_offset)),
            Column::int64("sample_count", rows.iter().map(|row| row.sample_count)),
        ]
    }
}

impl StoredRow for SegmentRow {
    fn read(batch: &Batch<'_>) -> Result<Vec<Self>, Malformed> {
        let flow_ids = batch.parsed("flow_id")?;
        let (starts, ends) = (batch.timestamp(START)?, batch.timestamp(END)?);
        let inclusive = batch.boolean(END_INCLUSIVE)?;
        let mut object_ids = batch.parsed("object_id")?;
        let (offsets, durations) = (batch.timestamp(TS_OFFSET)?, batch.timestamp(LAST_DURATION)?);
        let (sample_offsets, sample_counts) = (batch.int64("sample_offset")?, batch.int64("sample_count")?);
        (0..batch.rows())
            .map(|row| {
                let end = match required(inclusive[row], END_INCLUSIVE)? {
                    true => Clusivity::Inclusive,
                    false => Clusivity::Exclusive,
                };
                Ok(Self {
                    flow_id: required(flow_ids[row], "flow_id")?,
                    timerange: TimeRange::new(
                        Some((required(starts[row], START[0])?, Clusivity::Inclusive)),
                        Some((required(ends[row], END[0])?, end)),
                    ),
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
