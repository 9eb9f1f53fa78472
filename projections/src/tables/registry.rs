//! Listings of what there is little of: profiles, webhooks, deletion requests, Flows that were put aside (sections 2.1,
//! 2.2, 2.6).

use std::cmp::Reverse;
use std::sync::Arc;

use tapelog_commands::{Registry, TrashedFlow};
use tapelog_events::{Access, DeletionRequest, DeletionRequestId, Format, Profile, Webhook};

use super::page::{InvalidCursor, Page, Paging, Rank, sorted_page};
use super::{Tables, TagFilter};

/// Which profiles are asked for: those that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfileFilter {
    /// Of this format.
    pub format: Option<Format>,
    /// With exactly this codec.
    pub codec: Option<String>,
    /// With exactly this label.
    pub label: Option<String>,
    /// Who asks: profiles that they may not read are not among them.
    pub access: Arc<Access>,
}

impl ProfileFilter {
    fn matches(&self, profile: &Profile) -> bool {
        let technical = &profile.flow_metadata;
        self.format.is_none_or(|format| technical.format == format)
            && self.codec.as_ref().is_none_or(|codec| technical.codec.as_ref() == Some(codec))
            && self.label.as_ref().is_none_or(|label| profile.label.as_ref() == Some(label))
            && self.access.may_read(&profile.tags)
    }
}

/// Which webhooks are asked for: those that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookFilter {
    /// With such tags.
    pub tags: Vec<TagFilter>,
    /// Who asks: webhooks that they may not read are not among them.
    pub access: Arc<Access>,
}

impl WebhookFilter {
    fn matches(&self, webhook: &Webhook) -> bool {
        let tags = &webhook.subscription.tags;
        self.tags.iter().all(|filter| filter.matches(tags)) && self.access.may_read(tags)
    }
}

/// What deletion requests are listed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeletionSort {
    /// `created`: newest first.
    #[default]
    Created,
    /// `expiry`: latest first, and what has none after those, by id.
    Expiry,
}

const PROFILE_MARK: u8 = b'p';
const WEBHOOK_MARK: u8 = b'w';
const TRASH_MARK: u8 = b't';

impl Tables {
    /// Profiles, webhooks and what else there is little of.
    pub fn registry(&self) -> &Registry {
        self.state.registry()
    }

    /// The profiles that a filter lets pass, by id.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn profiles(&self, filter: &ProfileFilter, paging: &Paging<'_>) -> Result<Page<&Profile>, InvalidCursor> {
        let profiles = self.registry().profiles.values().filter(|profile| filter.matches(profile));
        sorted_page(PROFILE_MARK, paging, profiles.map(|profile| (Rank::Unset, profile.id, profile)))
    }

    /// The webhooks that a filter lets pass, by their addresses from A to Z.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn webhooks(&self, filter: &WebhookFilter, paging: &Paging<'_>) -> Result<Page<&Webhook>, InvalidCursor> {
        let webhooks = self.registry().webhooks.values().filter(|webhook| filter.matches(webhook));
        let placed = webhooks.map(|webhook| (Rank::Text(&*webhook.subscription.url), webhook.id, webhook));
        sorted_page(WEBHOOK_MARK, paging, placed)
    }

    /// Deletion requests, open and ended, in order.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn deletions(&self, sort: DeletionSort, paging: &Paging<'_>) -> Result<Page<&DeletionRequest>, InvalidCursor> {
        let (mark, rank): (u8, fn(&DeletionRequest) -> Rank<&str>) = match sort {
            DeletionSort::Created => (b'd', |request| Rank::Date(Reverse(request.created))),
            DeletionSort::Expiry => (b'e', |request| Rank::of_date(request.expiry)),
        };
        let requests = self.registry().deletions.values();
        sorted_page(mark, paging, requests.map(|request| (rank(request), request.id, request)))
    }

    /// A deletion request.
    pub fn deletion(&self, id: DeletionRequestId) -> Option<&DeletionRequest> {
        self.registry().deletions.get(&id)
    }

    /// Flows that were put aside and that one may read, the last ones first.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn trash(&self, access: &Access, paging: &Paging<'_>) -> Result<Page<&TrashedFlow>, InvalidCursor> {
        let trashed = self.registry().trash.values().filter(|trashed| access.may_read(&trashed.flow.tags));
        let placed = trashed.map(|trashed| (Rank::Date(Reverse(trashed.at)), trashed.flow.id, trashed));
        sorted_page(TRASH_MARK, paging, placed)
    }
}
