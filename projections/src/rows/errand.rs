//! What has to be done about bytes.

use std::str::FromStr;

use serde::Serialize;
use tapelog_commands::Errand;
use tapelog_events::{Instant, ObjectId, Seq, StorageId};

use super::columns::required;
use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// What has to be done about an object's bytes on one storage backend. See [`Errand`].
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ErrandRow {
    pub object_id: ObjectId,
    pub storage_id: StorageId,
    kind: ErrandKind,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum ErrandKind {
    Copy,
    Erase,
}

impl ErrandKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Erase => "erase",
        }
    }
}

impl FromStr for ErrandKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Copy, Self::Erase].into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

impl ErrandRow {
    pub fn errand(&self) -> Errand {
        let since = self.since;
        match self.kind {
            ErrandKind::Copy => Errand::Copy { since },
            ErrandKind::Erase => Errand::Erase { since },
        }
    }
}

impl Row for ErrandRow {
    const TABLE: &'static str = "errands";
    const DIVISION: Division = Division::Whole;
    type Key = (ObjectId, StorageId);

    fn key(&self) -> Self::Key {
        (self.object_id.clone(), self.storage_id)
    }

    fn name(&self) -> String {
        format!("errand about the object {} on the storage backend {}", self.object_id, self.storage_id)
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        Box::new(contents.tables.registry().errands.iter().map(|((object_id, storage_id), errand)| {
            let (kind, since) = match errand {
                Errand::Copy { since } => (ErrandKind::Copy, *since),
                Errand::Erase { since } => (ErrandKind::Erase, *since),
            };
            Self { object_id: object_id.clone(), storage_id: *storage_id, kind, since }
        }))
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        changes.errands
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            Column::display("object_id", rows.iter().map(|row| Some(&row.object_id))).required(),
            Column::display("storage_id", rows.iter().map(|row| Some(row.storage_id))).required(),
            Column::text("errand", rows.iter().map(|row| Some(row.kind.as_str()))).required(),
            Column::instant("since", rows.iter().map(|row| Some(row.since))).required(),
        ]
    }
}

impl StoredRow for ErrandRow {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        let ids = batch.parsed("object_id")?.into_iter().zip(batch.parsed("storage_id")?);
        let errands = batch.parsed("errand")?.into_iter().zip(batch.instant("since")?);
        ids.zip(errands)
            .map(|((object_id, storage_id), (kind, since))| {
                Ok(Self {
                    object_id: required(object_id, "object_id")?,
                    storage_id: required(storage_id, "storage_id")?,
                    kind: required(kind, "errand")?,
                    since: required(since, "since")?,
                })
            })
            .collect()
    }

    fn note_change(changes: &mut Changes, _: Partition, seq: Seq) {
        changes.errands = seq;
    }
}
