//! Answers that are remembered by idempotency key.

use serde::Serialize;
use tapelog_events::{Idempotency, Instant, Seq};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// A remembered answer.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct AnswerRow {
    /// Its place among all that are remembered, oldest first.
    place: u64,
    pub at: Instant,
    pub entry: Idempotency,
}

impl Row for AnswerRow {
    const TABLE: &'static str = "answers";
    const DIVISION: Division = Division::Whole;
    type Key = u64;

    fn key(&self) -> u64 {
        self.place
    }

    fn name(&self) -> String {
        format!("remembered answer {}, to the key {}", self.place, hex::encode(self.entry.key))
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        let answers = contents.tables.state().memory().iter().zip(0..);
        Box::new(answers.map(|((at, entry), place)| Self { place, at, entry: entry.clone() }))
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.answers
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            Column::uint64("place", rows.iter().map(|row| Some(row.place))).required(),
            Column::instant("at", rows.iter().map(|row| Some(row.at))).required(),
            Column::documents(rows.iter().map(|row| &row.entry)),
        ]
    }
}

impl StoredRow for AnswerRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let entries = batch.documents()?;
        let columns = batch.uint64("place")?.into_iter().zip(batch.instant("at")?).zip(entries);
        columns
            .map(|((place, at), entry)| Ok(Self { place: required(place, "place")?, at: required(at, "at")?, entry }))
            .collect()
    }

    fn note_change(changes: &mut Changes, _: Partition, seq: Seq) {
        changes.answers = seq;
    }
}
