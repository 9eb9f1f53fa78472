//! Settings of the archive of the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The archive: files that hold the log, from which `tapelog log import` restores it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSettings {
    /// Where the log is archived: a folder, best on another disk, or `s3://<bucket>/<prefix>` at the endpoint and with the
    /// keys of `media`, or of the backend in `storage` that has this bucket. Absent: it is not archived. Nodes of one log
    /// may share one archive; two logs may not.
    pub place: Option<String>,
    /// Seconds between looks for what is new. So much may be lost when the log is.
    pub every_seconds: u64,
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self { place: None, every_seconds: 10 }
    }
}
