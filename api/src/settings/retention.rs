//! How long things are kept that nobody uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long things are kept that nobody uses.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// Seconds that an object is kept which was allocated and never registered. At least `min_object_timeout`, an hour.
    pub unregistered_seconds: u64,
    /// Seconds that an object is kept after the last segment that used it. Until then, posting a segment of it brings it
    /// back.
    pub unreferenced_seconds: u64,
    /// Seconds that a flow deleted with `soft_delete=true` can be restored.
    pub trash_seconds: u64,
    /// Seconds that a deletion request is listed after it has ended.
    pub deletion_requests_seconds: u64,
    /// Seconds between looks for what may go.
    pub sweep_every_seconds: u64,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        Self {
            unregistered_seconds: 2 * HOUR,
            unreferenced_seconds: DAY,
            trash_seconds: 7 * DAY,
            deletion_requests_seconds: 7 * DAY,
            sweep_every_seconds: 60,
        }
    }
}
