//! What somebody may see of what resources say of each other.

use tapelog_events::{Access, FlowId, SourceId};

use super::Tables;

impl Tables {
    /// Whether a Flow is there to be seen.
    pub(super) fn may_read_flow(&self, access: &Access, id: FlowId) -> bool {
        *access == Access::Unrestricted || self.state.flow(id).is_some_and(|state| access.may_read(&state.flow.tags))
    }

    /// Whether a Source is there to be seen.
    pub(super) fn may_read_source(&self, access: &Access, id: SourceId) -> bool {
        *access == Access::Unrestricted
            || self.state.source(id).is_some_and(|state| access.may_read(&state.source.tags))
    }
}
