//! Tags of Sources and Flows, one row a text.

use serde::Serialize;
use tapelog_events::{Seq, TagValue, Tags};
use uuid::Uuid;

use super::{Column, Contents, Division, Row, Rows};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// One text of a tag.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct TagRow {
    /// `source` or `flow`.
    resource: &'static str,
    id: Uuid,
    name: String,
    /// Its place in a list; `None` when the value is a lone text.
    place: Option<u32>,
    value: String,
}

impl TagRow {
    fn of(resource: &'static str, id: &Uuid, tags: &Tags) -> Vec<Self> {
        let texts = tags.iter().flat_map(|(name, value)| {
            let place = |index| match value {
                TagValue::One(_) => None,
                TagValue::Many(_) => Some(index),
            };
            value.texts().iter().zip(0..).map(move |(text, index)| (name, place(index), text))
        });
        texts
            .map(|(name, place, text)| Self { resource, id: *id, name: name.clone(), place, value: text.clone() })
            .collect()
    }
}

impl Row for TagRow {
    const TABLE: &'static str = "tags";
    const DIVISION: Division = Division::Whole;
    type Key = (&'static str, Uuid, String, Option<u32>);

    fn key(&self) -> Self::Key {
        (self.resource, self.id, self.name.clone(), self.place)
    }

    fn name(&self) -> String {
        format!("tag {:?} of {} {}", self.name, self.resource, self.id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        let state = contents.tables.state();
        let mut flows: Vec<_> = state.flows().map(|state| &state.flow).collect();
        flows.sort_unstable_by_key(|flow| flow.id);
        let mut sources: Vec<_> = state.sources().map(|state| &state.source).collect();
        sources.sort_unstable_by_key(|source| source.id);
        let of_flows = flows.into_iter().flat_map(|flow| Self::of("flow", flow.id.as_uuid(), &flow.tags));
        let of_sources = sources.into_iter().flat_map(|source| Self::of("source", source.id.as_uuid(), &source.tags));
        Box::new(of_flows.chain(of_sources))
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.flows.max(changes.sources)
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            Column::text("resource", rows.iter().map(|row| Some(row.resource))).required(),
            Column::display("id", rows.iter().map(|row| Some(row.id))).required(),
            Column::text("name", rows.iter().map(|row| Some(&row.name))).required(),
            Column::uint32("place", rows.iter().map(|row| row.place)),
            Column::text("value", rows.iter().map(|row| Some(&row.value))).required(),
        ]
    }
}
