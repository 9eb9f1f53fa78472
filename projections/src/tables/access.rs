//! What somebody may see of what resources say of each other.

use tapelog_events::{Access, FlowId, SourceId, Tags};

use super::Tables;

impl Tables {
    /// Whether a Flow is there to be seen. To those who may see everything, every Flow is, also one that is gone: what
    /// was true of it then may be told.
    pub fn may_read_flow(&self, access: &Access, id: FlowId) -> bool {
        *access == Access::Unrestricted || self.state.flow(id).is_some_and(|state| access.may_read(&state.flow.tags))
    }

    /// The same for a Source.
    pub fn may_read_source(&self, access: &Access, id: SourceId) -> bool {
        *access == Access::Unrestricted
            || self.state.source(id).is_some_and(|state| access.may_read(&state.source.tags))
    }

    /// The tags of a Flow, one that was put aside too.
    pub(crate) fn tags_even_hidden(&self, id: FlowId) -> Option<&Tags> {
        let trashed = || self.state.registry().trash.get(&id).map(|trashed| &trashed.flow.tags);
        self.state.flow(id).map(|state| &state.flow.tags).or_else(trashed)
    }
}
