//! What a notice looks like on the wire: the seam to whoever serves the API.

use tapelog_events::{Access, StorageId, Subscription};

use crate::Notice;

/// How segments are told (12.4).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transforms {
    /// Labels of the URLs that are told. An empty list asks for none; absent, all.
    pub accept_get_urls: Option<Vec<String>>,
    /// Storage backends whose URLs are told. Empty or absent, all.
    pub accept_storage_ids: Option<Vec<StorageId>>,
    /// Only presigned URLs, or only others.
    pub presigned: Option<bool>,
    /// Whether URLs come with all that is known of their storage.
    pub verbose_storage: bool,
    /// Whether segments come with the ranges of their objects.
    pub include_object_timerange: bool,
}

impl From<&Subscription> for Transforms {
    fn from(subscription: &Subscription) -> Self {
        Self {
            accept_get_urls: subscription.accept_get_urls.clone(),
            accept_storage_ids: subscription.accept_storage_ids.clone(),
            presigned: subscription.presigned,
            verbose_storage: subscription.verbose_storage == Some(true),
            include_object_timerange: subscription.include_object_timerange == Some(true),
        }
    }
}

/// Renders notices in the form in which the API tells the same things.
pub trait Render: Send + Sync + 'static {
    /// Writes the member `event` of a notification (12.5) as JSON. URLs are signed now. `access` is that of whoever is
    /// told: what they may not see of other resources is left out.
    fn event(&self, notice: &Notice<'_>, transforms: &Transforms, access: &Access, out: &mut Vec<u8>);
}
