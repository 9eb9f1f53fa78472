//! What a notice looks like on the wire: the seam to whoever serves the API.

use std::sync::Arc;

use tapelog_events::{Access, Record, StorageId, Subscription};

use crate::{Notice, Subject, notices};

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

/// Writes the body of a notification (12.5).
pub fn write_body(
    render: &dyn Render,
    notice: &Notice<'_>,
    transforms: &Transforms,
    access: &Access,
    out: &mut Vec<u8>,
) {
    // Neither a time nor the name of an event has a character that JSON escapes.
    let head = format!(
        "{{\"event_timestamp\":\"{}\",\"event_type\":\"{}\",\"event\":",
        notice.at,
        notice.notification.as_str()
    );
    out.extend_from_slice(head.as_bytes());
    render.event(notice, transforms, access, out);
    out.push(b'}');
}

/// From how many segments on a notification is rendered where it holds up no other task: about a millisecond's worth.
const LARGE: usize = 1000;

/// The body of a notification of this record.
pub async fn body(
    render: &Arc<dyn Render>,
    record: &Arc<Record>,
    notice: &Notice<'_>,
    transforms: &Arc<Transforms>,
    access: &Arc<Access>,
) -> Vec<u8> {
    let is_large = matches!(notice.subject, Subject::Segments(added) if added.segments.len() >= LARGE);
    if !is_large {
        let mut out = Vec::new();
        write_body(&**render, notice, transforms, access, &mut out);
        return out;
    }
    let (render, record, position) = (Arc::clone(render), Arc::clone(record), notice.position);
    let (transforms, access) = (Arc::clone(transforms), Arc::clone(access));
    let rendered = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        if let Some(notice) = notices(position.seq, &record).find(|notice| notice.position == position) {
            write_body(&*render, &notice, &transforms, &access, &mut out);
        }
        out
    });
    rendered.await.expect("rendering does not panic, and nothing aborts it")
}
