//! The tables: what the log comes to, kept ready to be read.
//!
//! [`Tables`] is a plain value: a fold of the log with the indexes that listings need, and the queries over it. [`Live`]
//! is where a server keeps it, and [`Projector`] what keeps it up to date. [`checkpoint`] stores it as Parquet, so that
//! a start need not read the whole log; [`archive`] keeps the log itself as files elsewhere; [`verify`] proves that tables and checkpoints are what the log says, and
//! [`rebuild`] makes them so.
//!
//! Guarantees: every record of the log is applied exactly once and in order, or the tables stop and say so; tables at
//! one position of one log are equal, however they came about. Assumes that records were decided by `tapelog-commands`.
//! Knows neither HTTP nor who may read what.

pub mod archive;
pub mod checkpoint;
pub mod history;
mod live;
mod metrics;
mod projector;
pub mod rebuild;
mod rows;
pub mod tables;
pub mod verify;

pub use live::{Live, ReplaceError, WaitError};
pub use projector::{Projector, ProjectorStatus};
pub use tables::{
    ApplyError, Counts, DeletionSort, Direction, FlowDocument, FlowFilter, FlowView, InvalidCursor, Listed, ListedInit,
    ListedSegment, ObjectKind, Page, Paging, ProfileFilter, SegmentFilter, SegmentNameError, SegmentPage, SortBy,
    SourceDocument, SourceFilter, SourceView, StoredObject, Tables, TagCondition, TagFilter, TagStatistics,
    TagValueStatistics, WebhookFilter,
};
