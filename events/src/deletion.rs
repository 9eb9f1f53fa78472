//! Deletion requests (9.3): deletions that take longer than an answer may.

use serde::{Deserialize, Serialize};

use crate::{DeletionRequestId, Failure, FlowId, Instant, TimeRange};

/// Where a deletion stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletionStatus {
    /// Not begun.
    Created,
    /// Some segments are gone.
    Started,
    /// All is gone.
    Done,
    /// Given up.
    Error(Failure),
}

/// A deletion that goes on after it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRequest {
    /// Names it; made up by the server.
    pub id: DeletionRequestId,
    /// The Flow.
    pub flow_id: FlowId,
    /// As it was asked for; where the Flow goes, the range that the Flow had.
    pub timerange_to_delete: TimeRange,
    /// Whether the Flow goes once its segments are gone.
    pub delete_flow: bool,
    /// Where it stands.
    pub status: DeletionStatus,
    /// What is still to be deleted: from the first segment that is left to the last. Never, once all is gone.
    pub timerange_remaining: TimeRange,
    /// When it was asked for.
    pub created: Instant,
    /// Who asked for it.
    pub created_by: String,
    /// When it made progress last.
    pub updated: Instant,
    /// When this record of it may be forgotten; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Instant>,
}

impl DeletionRequest {
    /// Whether something is left to do.
    pub fn is_open(&self) -> bool {
        match self.status {
            DeletionStatus::Created | DeletionStatus::Started => true,
            DeletionStatus::Done | DeletionStatus::Error(_) => false,
        }
    }
}
