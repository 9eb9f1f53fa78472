//! What there is little of: profiles, webhooks, deletion requests, accounts and tokens, what is being copied or erased,
//! and Flows that were put aside.

use std::collections::BTreeMap;

use tapelog_events::{
    Account, AccountName, DeadLetter, DeletionRequest, DeletionRequestId, Event, EventPosition, Flow, FlowId, Instance,
    Instant, ObjectId, Profile, ProfileId, Seq, Source, StorageId, Token, TokenId, Webhook, WebhookId,
};

/// A map whose changes can be undone together.
#[derive(Debug, Clone, PartialEq)]
pub struct Register<K, V> {
    entries: BTreeMap<K, V>,
    journal: Option<Vec<(K, Option<V>)>>,
}

impl<K, V> Default for Register<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), journal: None }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Register<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect(), journal: None }
    }
}

impl<K: Ord + Clone, V> Register<K, V> {
    /// The entry under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Every entry by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// Every value by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.entries.values()
    }

    /// The entries whose keys lie in a range.
    pub fn range(&self, range: impl std::ops::RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.range(range)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts a value under a key, or takes it away.
    fn set(&mut self, key: K, value: Option<V>) {
        let before = match value {
            Some(value) => self.entries.insert(key.clone(), value),
            None => self.entries.remove(&key),
        };
        if let Some(journal) = &mut self.journal {
            journal.push((key, before));
        }
    }

    fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    fn keep(&mut self) {
        self.journal = None;
    }

    fn rollback(&mut self) {
        for (key, before) in self.journal.take().into_iter().flatten().rev() {
            self.set(key, before);
        }
    }
}

/// A Flow that was put aside.
#[derive(Debug, Clone, PartialEq)]
pub struct TrashedFlow {
    /// As it was.
    pub flow: Flow,
    /// When its segments changed last.
    pub segments_updated: Option<Instant>,
    /// Its Source as it was.
    pub source: Source,
    /// When it was put aside.
    pub at: Instant,
}

/// What has to be done about an object's bytes on one storage backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// They are to be copied there.
    Copy {
        /// Since when.
        since: Instant,
    },
    /// They are to be erased there.
    Erase {
        /// Since when.
        since: Instant,
    },
}

/// What there is little of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    /// Profiles.
    pub profiles: Register<ProfileId, Profile>,
    /// Webhooks.
    pub webhooks: Register<WebhookId, Webhook>,
    /// Notifications that receivers of webhooks refused for good.
    pub dead_letters: Register<(WebhookId, EventPosition), DeadLetter>,
    /// Deletion requests, open and ended.
    pub deletions: Register<DeletionRequestId, DeletionRequest>,
    /// Which deletion requests are open, by Flow.
    open_deletions: Register<(FlowId, DeletionRequestId), ()>,
    /// Accounts.
    pub accounts: Register<AccountName, Account>,
    /// Tokens.
    pub tokens: Register<TokenId, Token>,
    /// What has to be done about bytes.
    pub errands: Register<(ObjectId, StorageId), Errand>,
    /// Flows that were put aside.
    pub trash: Register<FlowId, TrashedFlow>,
}

/// The entries that a [`Registry`] is put together from.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each is the field of `Registry` with its name")]
pub struct RegistryParts {
    pub profiles: Vec<Profile>,
    pub webhooks: Vec<Webhook>,
    pub dead_letters: Vec<DeadLetter>,
    pub deletions: Vec<DeletionRequest>,
    pub accounts: Vec<Account>,
    pub tokens: Vec<Token>,
    pub errands: Vec<((ObjectId, StorageId), Errand)>,
    pub trash: Vec<TrashedFlow>,
}

impl From<RegistryParts> for Registry {
    fn from(parts: RegistryParts) -> Self {
        let RegistryParts { profiles, webhooks, dead_letters, deletions, accounts, tokens, errands, trash } = parts;
        let open = deletions.iter().filter(|request| request.is_open());
        Self {
            open_deletions: open.map(|request| ((request.flow_id, request.id), ())).collect(),
            profiles: profiles.into_iter().map(|profile| (profile.id, profile)).collect(),
            webhooks: webhooks.into_iter().map(|webhook| (webhook.id, webhook)).collect(),
            dead_letters: dead_letters
                .into_iter()
                .map(|letter| ((letter.webhook_id, letter.position), letter))
                .collect(),
            deletions: deletions.into_iter().map(|request| (request.id, request)).collect(),
            accounts: accounts.into_iter().map(|account| (account.name.clone(), account)).collect(),
            tokens: tokens.into_iter().map(|token| (token.id, token)).collect(),
            errands: errands.into_iter().collect(),
            trash: trash.into_iter().map(|trashed| (trashed.flow.id, trashed)).collect(),
        }
    }
}

impl Registry {
    /// The deletions of a Flow, or of segments of it, that go on.
    pub fn open_deletions(&self, flow_id: FlowId) -> impl Iterator<Item = &DeletionRequest> {
        let from = (flow_id, DeletionRequestId::from_uuid(uuid::Uuid::nil()));
        let of_flow = self.open_deletions.range(from..).map(|(key, ())| *key);
        of_flow.take_while(move |(id, _)| *id == flow_id).filter_map(|(_, id)| self.deletions.get(&id))
    }

    /// Every deletion that goes on.
    pub fn all_open_deletions(&self) -> impl Iterator<Item = &DeletionRequest> {
        self.open_deletions.iter().filter_map(|((_, id), ())| self.deletions.get(id))
    }

    /// The dead letters of a webhook, in log order.
    pub fn dead_letters_of(&self, webhook_id: WebhookId) -> impl DoubleEndedIterator<Item = &DeadLetter> {
        let first = EventPosition::start_of(Seq::ZERO);
        let last = EventPosition { seq: Seq(u64::MAX), commit: u32::MAX, event: u32::MAX };
        self.dead_letters.range((webhook_id, first)..=(webhook_id, last)).map(|(_, letter)| letter)
    }

    /// The tokens of an account.
    pub fn tokens_of(&self, name: &AccountName) -> impl Iterator<Item = &Token> {
        self.tokens.values().filter(move |token| token.account == *name)
    }

    pub(crate) fn begin(&mut self) {
        self.each(|register| register.begin());
    }

    pub(crate) fn keep(&mut self) {
        self.each(|register| register.keep());
    }

    pub(crate) fn rollback(&mut self) {
        self.each(|register| register.rollback());
    }

    fn each(&mut self, act: impl Fn(&mut dyn Journaled)) {
        let Self { profiles, webhooks, dead_letters, deletions, open_deletions, accounts, tokens, errands, trash } =
            self;
        let all: [&mut dyn Journaled; 9] =
            [profiles, webhooks, dead_letters, deletions, open_deletions, accounts, tokens, errands, trash];
        all.into_iter().for_each(act);
    }

    pub(crate) fn put_aside(&mut self, trashed: TrashedFlow) {
        self.trash.set(trashed.flow.id, Some(trashed));
    }

    pub(crate) fn take_back(&mut self, flow_id: FlowId) {
        self.trash.set(flow_id, None);
    }

    /// Takes into account what an event says of what is kept here.
    pub(crate) fn evolve(&mut self, at: Instant, event: &Event) {
        match event {
            Event::ProfileCreated(event) => self.profiles.set(event.profile.id, Some(event.profile.clone())),
            Event::WebhookCreated(event) => self.webhooks.set(event.webhook.id, Some(event.webhook.clone())),
            Event::WebhookUpdated(event) => self.webhooks.set(event.webhook.id, Some(event.webhook.clone())),
            Event::WebhookDeleted(event) => {
                let letters: Vec<_> = self.dead_letters_of(event.webhook_id).map(|letter| letter.position).collect();
                letters.into_iter().for_each(|position| self.dead_letters.set((event.webhook_id, position), None));
                self.webhooks.set(event.webhook_id, None);
            }
            Event::DeadLettered(event) => {
                let letter = &event.letter;
                self.dead_letters.set((letter.webhook_id, letter.position), Some(letter.clone()));
            }
            Event::RedeliveryRequested(event) => {
                for position in &event.positions {
                    let key = (event.webhook_id, *position);
                    if let Some(letter) = self.dead_letters.get(&key) {
                        let letter = DeadLetter { redelivery: Some(at), ..letter.clone() };
                        self.dead_letters.set(key, Some(letter));
                    }
                }
            }
            Event::DeadLetterResolved(event) => self.dead_letters.set((event.webhook_id, event.position), None),
            Event::ReplayRequested(event) => {
                if let Some(webhook) = self.webhooks.get(&event.webhook_id) {
                    let webhook = Webhook { replay: Some(event.replay), ..webhook.clone() };
                    self.webhooks.set(webhook.id, Some(webhook));
                }
            }
            Event::DeletionRequested(event) => self.set_deletion(&event.request),
            Event::DeletionAdvanced(event) => self.set_deletion(&event.request),
            Event::DeletionForgotten(event) => self.deletions.set(event.request_id, None),
            Event::AccountSet(event) => self.accounts.set(event.account.name.clone(), Some(event.account.clone())),
            Event::AccountDeleted(event) => {
                let tokens: Vec<_> = self.tokens_of(&event.name).map(|token| token.id).collect();
                tokens.into_iter().for_each(|id| self.tokens.set(id, None));
                self.accounts.set(event.name.clone(), None);
            }
            Event::TokenIssued(event) => self.tokens.set(event.token.id, Some(event.token.clone())),
            Event::TokenRevoked(event) => self.tokens.set(event.token_id, None),
            Event::CopyRequested(event) => {
                let place = (event.object_id.clone(), event.storage_id);
                self.errands.set(place, Some(Errand::Copy { since: at }));
            }
            Event::CopyFailed(event) => {
                // Whoever was at it may have left bytes there.
                self.errands.set((event.object_id.clone(), event.storage_id), Some(Errand::Erase { since: at }));
            }
            Event::InstanceErased(event) => self.errands.set((event.object_id.clone(), event.storage_id), None),
            Event::InstanceAdded(event) => {
                if let Instance::Controlled { storage_id } = event.instance {
                    self.errands.set((event.object_id.clone(), storage_id), None);
                }
            }
            Event::InstanceRemoved(event) => {
                if let Instance::Controlled { storage_id } = event.instance {
                    self.errands.set((event.object_id.clone(), storage_id), Some(Errand::Erase { since: at }));
                }
            }
            Event::ObjectsCondemned(event) => {
                // Whoever copies it finds nothing to add the copy to; what was copied goes with the object.
                let copies: Vec<_> = event.object_ids.iter().flat_map(|id| self.copies_of(id)).collect();
                for place in copies {
                    self.errands.set(place, Some(Errand::Erase { since: at }));
                }
            }
            Event::LogStarted(_)
            | Event::ServiceUpdated(_)
            | Event::SourceCreated(_)
            | Event::SourceUpdated(_)
            | Event::SourceDeleted(_)
            | Event::FlowCreated(_)
            | Event::FlowUpdated(_)
            | Event::FlowDeleted(_)
            | Event::FlowTrashed(_)
            | Event::FlowRestored(_)
            | Event::FlowPurged(_)
            | Event::ObjectsAllocated(_)
            | Event::ObjectsDeleted(_)
            | Event::SegmentsAdded(_)
            | Event::SegmentsDeleted(_)
            | Event::SegmentTagged(_) => {}
        }
    }

    fn copies_of(&self, id: &ObjectId) -> Vec<(ObjectId, StorageId)> {
        let from = (id.clone(), StorageId::from_uuid(uuid::Uuid::nil()));
        let of_object = self.errands.range(from..).take_while(|((object_id, _), _)| object_id == id);
        of_object.filter(|(_, errand)| matches!(errand, Errand::Copy { .. })).map(|(place, _)| place.clone()).collect()
    }

    fn set_deletion(&mut self, request: &DeletionRequest) {
        self.open_deletions.set((request.flow_id, request.id), request.is_open().then_some(()));
        self.deletions.set(request.id, Some(request.clone()));
    }
}

/// What of a [`Register`] does not depend on what it holds.
trait Journaled {
    fn begin(&mut self);
    fn keep(&mut self);
    fn rollback(&mut self);
}

impl<K: Ord + Clone, V> Journaled for Register<K, V> {
    fn begin(&mut self) {
        Self::begin(self);
    }

    fn keep(&mut self) {
        Self::keep(self);
    }

    fn rollback(&mut self) {
        Self::rollback(self);
    }
}
