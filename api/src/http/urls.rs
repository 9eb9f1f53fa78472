//! `get_urls`: which addresses of an object a client is told (1.9). Only those are signed.

use std::time::SystemTime;

use smallvec::SmallVec;
use tapelog_events::{Access, Instance, Tags};
use tapelog_projections::TagFilter;
use tapelog_store::media::{SigningTime, write_object_key};
use tapelog_webhooks::Transforms;

use super::backend::{Backend, Backends};
use super::call::Call;
use super::json::push_string;
use super::problem::Problem;
use super::query::Query;
use super::tag_filter;

/// What a client asks of `get_urls`, decided as far as it can be before the objects are known.
pub struct Urls<'a> {
    /// Backends whose URLs are asked for.
    backends: SmallVec<[(&'a Backend, SigningTime); 2]>,
    /// Labels that are asked for, where only some are.
    labels: Option<Vec<String>>,
    /// Whether addresses outside the store are asked for.
    uncontrolled: bool,
    verbose: bool,
    /// Whether a URL for `HEAD` is told beside each presigned one.
    with_head: bool,
}

/// How a query asks for segments to be told (12.4).
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter.
pub fn transforms(query: &Query<'_>) -> Result<Transforms, Problem> {
    let include_object_timerange = query.boolean("include_object_timerange")? == Some(true);
    Ok(Transforms { include_object_timerange, ..of_urls(query)? })
}

/// As much of it as is about addresses.
fn of_urls(query: &Query<'_>) -> Result<Transforms, Problem> {
    Ok(Transforms {
        accept_get_urls: query.list("accept_get_urls")?,
        accept_storage_ids: query.list("accept_storage_ids")?,
        presigned: query.boolean("presigned")?,
        verbose_storage: query.boolean("verbose_storage")? == Some(true),
        include_object_timerange: false,
    })
}

impl<'a> Urls<'a> {
    /// What the parameters ask for. All conditions must be met; of storage backends that the caller may not see, no URL is
    /// told. `presigned_head=true` is an extension.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the parameter.
    pub fn parse(call: &Call<'a>, query: &Query<'_>) -> Result<Self, Problem> {
        let transforms = of_urls(query)?;
        let tags = tag_filter::parse(query, "storage_backend_tag")?;
        let with_head = query.boolean("presigned_head")? == Some(true);
        let urls = Self::tagged(&call.app.parts.backends, call.access(), &transforms, &tags, call.app.now());
        Ok(Self { with_head, ..urls })
    }

    /// What somebody who may see this is told, signed at a certain time.
    pub fn new(backends: &'a Backends, access: &Access, transforms: &Transforms, now: SystemTime) -> Self {
        Self::tagged(backends, access, transforms, &[], now)
    }

    fn tagged(
        backends: &'a Backends,
        access: &Access,
        transforms: &Transforms,
        tags: &[TagFilter],
        now: SystemTime,
    ) -> Self {
        let labels = transforms.accept_get_urls.as_ref();
        let storage_ids = transforms.accept_storage_ids.as_ref().filter(|ids| !ids.is_empty());
        let presigned = transforms.presigned;
        let accepts_tags = |of: &Tags| tags.iter().all(|filter| filter.matches(of));
        let accepts = |backend: &&Backend| {
            let description = &backend.description;
            // A backend without label has URLs without label, which are for those who ask for all.
            let label = description.label.as_ref();
            presigned != Some(false)
                && labels.is_none_or(|labels| label.is_some_and(|label| labels.contains(label)))
                && storage_ids.is_none_or(|ids| ids.contains(&description.id))
                && accepts_tags(&description.place.tags)
                && access.may_read(&description.place.tags)
        };
        let accepted = backends.iter().filter(accepts);
        Self {
            backends: accepted.map(|backend| (backend, backend.media.signing_time(now))).collect(),
            labels: labels.cloned(),
            uncontrolled: presigned != Some(true) && storage_ids.is_none() && accepts_tags(&Tags::new()),
            verbose: transforms.verbose_storage,
            with_head: false,
        }
    }

    /// When presigned URLs were signed: as long as that is the same, so are they.
    pub fn signed_at(&self) -> SmallVec<[SystemTime; 2]> {
        self.backends.iter().map(|(_, at)| at.start()).collect()
    }

    /// Writes the list for one object. `key` is room for its key, so that a page needs no more than one.
    pub fn write(&self, object_id: &str, instances: &[Instance], key: &mut String, out: &mut String) {
        out.push('[');
        let mut separator = "";
        for instance in instances {
            match instance {
                Instance::Controlled { storage_id } => {
                    let is_it = |(backend, _): &&(&Backend, _)| backend.description.id == *storage_id;
                    let Some((backend, at)) = self.backends.iter().find(is_it) else { continue };
                    out.push_str(separator);
                    out.push_str("{\"url\":\"");
                    key.clear();
                    write_object_key(object_id, key);
                    backend.media.presign_get(key, at, out);
                    if self.with_head {
                        out.push_str("\",\"head_url\":\"");
                        backend.media.presign_head(key, at, out);
                    }
                    out.push_str(if self.verbose { &backend.after_url_verbose } else { &backend.after_url });
                }
                Instance::Uncontrolled { url, label } => {
                    if !self.uncontrolled || self.labels.as_ref().is_some_and(|labels| !labels.contains(label)) {
                        continue;
                    }
                    out.push_str(separator);
                    out.push_str("{\"url\":");
                    push_string(out, url);
                    out.push_str(",\"label\":");
                    push_string(out, label);
                    out.push_str(",\"presigned\":false");
                    out.push_str(if self.verbose { ",\"controlled\":false}" } else { "}" });
                }
            }
            separator = ",";
        }
        out.push(']');
    }
}
