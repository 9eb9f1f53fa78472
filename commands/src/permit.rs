//! Fine-grained access (14.2): 404 where somebody has no permission at all, 403 where not this one.

use tapelog_events::{Flow, Permission, Tags, Verdict};

use crate::{Context, Rejection, State};

/// Lets a caller through who has a permission on a resource with these tags.
pub(crate) fn permit(
    context: &Context<'_>,
    permission: Permission,
    tags: &Tags,
    hidden: impl FnOnce() -> Rejection,
) -> Result<(), Rejection> {
    match context.access.judge(permission, tags) {
        Verdict::Granted => Ok(()),
        Verdict::Hidden => Err(hidden()),
        Verdict::Refused => Err(Rejection::Forbidden(match permission {
            Permission::Read => "see it".to_owned(),
            Permission::Write => "change it".to_owned(),
            Permission::Delete => "delete it, or anything of it".to_owned(),
        })),
    }
}

/// Lets a caller through who has a permission on a Flow.
pub(crate) fn permit_flow(context: &Context<'_>, permission: Permission, flow: &Flow) -> Result<(), Rejection> {
    permit(context, permission, &flow.tags, || Rejection::FlowNotFound(flow.id))
}

/// Lets a caller through who may change the classes of a resource like this.
pub(crate) fn permit_classes(context: &Context<'_>, before: &Tags, after: &Tags) -> Result<(), Rejection> {
    if context.access.may_reclassify(before, after) { Ok(()) } else { Err(Rejection::Reclassified) }
}

/// Lets through what changes a Flow that is neither locked nor on its way out.
pub(crate) fn ensure_writable(state: &State, flow: &Flow) -> Result<(), Rejection> {
    if flow.is_read_only() {
        return Err(Rejection::ReadOnly(flow.id));
    }
    if state.registry().open_deletions(flow.id).any(|request| request.delete_flow) {
        return Err(Rejection::BeingDeleted(flow.id));
    }
    Ok(())
}
