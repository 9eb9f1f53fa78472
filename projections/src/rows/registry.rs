//! Profiles, webhooks, deletion requests, accounts and tokens: few, and each stored as a whole beside the columns that
//! it is asked for by.

use std::fmt::{self, Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tapelog_commands::Registry;
use tapelog_events::{
    Account, AccountName, DeadLetter, DeletionRequest, DeletionRequestId, DeletionStatus, EventPosition, Profile,
    ProfileId, Seq, Token, TokenId, TokenKind, Webhook, WebhookId, WebhookStatus,
};

use super::{Batch, Column, Contents, Division, Malformed, Row, Rows, StoredRow};
use crate::tables::changes::Changes;
use crate::tables::partition::Partition;

/// What a registry holds.
pub(crate) trait Document: Clone + PartialEq + Debug + Serialize + DeserializeOwned + 'static {
    /// The table.
    const TABLE: &'static str;
    /// What one is called.
    const NAME: &'static str;
    type Key: Ord + Display;

    fn key(&self) -> Self::Key;

    /// All there are, by key.
    fn all(registry: &Registry) -> impl Iterator<Item = &Self>;

    fn changed(changes: &Changes) -> Seq;

    fn changed_mut(changes: &mut Changes) -> &mut Seq;

    /// The columns beside the whole.
    fn columns(documents: &[&Self]) -> Vec<Column>;
}

/// One thing that a registry holds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct DocumentRow<D>(pub D);

impl<D: Document> Row for DocumentRow<D> {
    const TABLE: &'static str = D::TABLE;
    const DIVISION: Division = Division::Whole;
    type Key = D::Key;

    fn key(&self) -> D::Key {
        self.0.key()
    }

    fn name(&self) -> String {
        format!("{} {}", D::NAME, self.0.key())
    }

    fn rows<'a>(contents: &'a Contents<'_>, _: Partition) -> Rows<'a, Self> {
        Box::new(D::all(contents.tables.registry()).map(|document| Self(document.clone())))
    }

    fn changed(changes: &Changes, _: Partition) -> Seq {
        D::changed(changes)
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let documents: Vec<&D> = rows.iter().map(|Self(document)| document).collect();
        let mut columns = D::columns(&documents);
        columns.push(Column::documents(documents.into_iter()));
        columns
    }
}

impl<D: Document> StoredRow for DocumentRow<D> {
    fn read(batch: &Batch) -> Result<Vec<Self>, Malformed> {
        Ok(batch.documents()?.into_iter().map(Self).collect())
    }

    fn note_change(changes: &mut Changes, _: Partition, seq: Seq) {
        *D::changed_mut(changes) = seq;
    }
}

impl Document for Profile {
    const TABLE: &'static str = "profiles";
    const NAME: &'static str = "profile";
    type Key = ProfileId;

    fn key(&self) -> ProfileId {
        self.id
    }

    fn all(registry: &Registry) -> impl Iterator<Item = &Self> {
        registry.profiles.values()
    }

    fn changed(changes: &Changes) -> Seq {
        changes.profiles
    }

    fn changed_mut(changes: &mut Changes) -> &mut Seq {
        &mut changes.profiles
    }

    fn columns(profiles: &[&Self]) -> Vec<Column> {
        let profiles = || profiles.iter();
        let technical = || profiles().map(|profile| &profile.flow_metadata);
        vec![
            Column::display("id", profiles().map(|profile| Some(profile.id))).required(),
            Column::text("label", profiles().map(|profile| profile.label.as_ref())),
            Column::text("description", profiles().map(|profile| profile.description.as_ref())),
            Column::text("format", technical().map(|metadata| Some(metadata.format.as_str()))).required(),
            Column::text("codec", technical().map(|metadata| metadata.codec.as_ref())),
            Column::text("container", technical().map(|metadata| metadata.container.as_ref())),
            Column::uint64("avg_bit_rate", technical().map(|metadata| metadata.avg_bit_rate)),
            Column::text("created_by", profiles().map(|profile| profile.created_by.as_ref())),
            Column::instant("created", profiles().map(|profile| Some(profile.created))).required(),
        ]
    }
}

impl Document for Webhook {
    const TABLE: &'static str = "webhooks";
    const NAME: &'static str = "webhook";
    type Key = WebhookId;

    fn key(&self) -> WebhookId {
        self.id
    }

    fn all(registry: &Registry) -> impl Iterator<Item = &Self> {
        registry.webhooks.values()
    }

    fn changed(changes: &Changes) -> Seq {
        changes.webhooks
    }

    fn changed_mut(changes: &mut Changes) -> &mut Seq {
        &mut changes.webhooks
    }

    fn columns(webhooks: &[&Self]) -> Vec<Column> {
        let webhooks = || webhooks.iter();
        let status = |webhook: &Self| match webhook.status {
            WebhookStatus::Created => "created",
            WebhookStatus::Started => "started",
            WebhookStatus::Disabled => "disabled",
            WebhookStatus::Error(_) => "error",
        };
        vec![
            Column::display("id", webhooks().map(|webhook| Some(webhook.id))).required(),
            Column::text("url", webhooks().map(|webhook| Some(&webhook.subscription.url))).required(),
            Column::text("status", webhooks().map(|webhook| Some(status(webhook)))).required(),
            Column::text("owner", webhooks().map(|webhook| Some(&webhook.owner))).required(),
            Column::instant("created", webhooks().map(|webhook| Some(webhook.created))).required(),
        ]
    }
}

/// Names a dead letter: the webhook and the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LetterKey(WebhookId, EventPosition);

impl fmt::Display for LetterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(webhook_id, position) = self;
        write!(f, "{position} of webhook {webhook_id}")
    }
}

impl Document for DeadLetter {
    const TABLE: &'static str = "dead_letters";
    const NAME: &'static str = "dead letter";
    type Key = LetterKey;

    fn key(&self) -> LetterKey {
        LetterKey(self.webhook_id, self.position)
    }

    fn all(registry: &Registry) -> impl Iterator<Item = &Self> {
        registry.dead_letters.values()
    }

    fn changed(changes: &Changes) -> Seq {
        changes.dead_letters
    }

    fn changed_mut(changes: &mut Changes) -> &mut Seq {
        &mut changes.dead_letters
    }

    fn columns(letters: &[&Self]) -> Vec<Column> {
        let letters = || letters.iter();
        vec![
            Column::display("webhook_id", letters().map(|letter| Some(letter.webhook_id))).required(),
            Column::display("position", letters().map(|letter| Some(letter.position))).required(),
            Column::text("event_type", letters().map(|letter| Some(letter.notification.as_str()))).required(),
            Column::instant("failed", letters().map(|letter| Some(letter.failure.time))).required(),
            Column::instant("redelivery", letters().map(|letter| letter.redelivery)),
        ]
    }
}

impl Document for DeletionRequest {
    const TABLE: &'static str = "deletion_requests";
    const NAME: &'static str = "deletion request";
    type Key = DeletionRequestId;

    fn key(&self) -> DeletionRequestId {
        self.id
    }

    fn all(registry: &Registry) -> impl Iterator<Item = &Self> {
        registry.deletions.values()
    }

    fn changed(changes: &Changes) -> Seq {
        changes.deletions
    }

    fn changed_mut(changes: &mut Changes) -> &mut Seq {
        &mut changes.deletions
    }

    fn columns(requests: &[&Self]) -> Vec<Column> {
        let requests = || requests.iter();
        let status = |request: &Self| match request.status {
            DeletionStatus::Created => "created",
            DeletionStatus::Started => "started",
            DeletionStatus::Done => "done",
            DeletionStatus::Error(_) => "error",
        };
        let asked = requests().map(|request| Some(request.timerange_to_delete));
        let remaining = requests().map(|request| Some(request.timerange_remaining));
        vec![
            Column::display("id", requests().map(|request| Some(request.id))).required(),
            Column::display("flow_id", requests().map(|request| Some(request.flow_id))).required(),
            // Not as columns of seconds: these ranges may be without end, or never.
            Column::display("timerange_to_delete", asked).required(),
            Column::display("timerange_remaining", remaining).required(),
            Column::boolean("delete_flow", requests().map(|request| Some(request.delete_flow))).required(),
            Column::text("status", requests().map(|request| Some(status(request)))).required(),
            Column::text("created_by", requests().map(|request| Some(&request.created_by))).required(),
            Column::instant("created", requests().map(|request| Some(request.created))).required(),
            Column::instant("updated", requests().map(|request| Some(request.updated))).required(),
            Column::instant("expiry", requests().map(|request| request.expiry)),
        ]
    }
}

impl Document for Account {
    const TABLE: &'static str = "accounts";
    const NAME: &'static str = "account";
    type Key = AccountName;

    fn key(&self) -> AccountName {
        self.name.clone()
    }

    fn all(registry: &Registry) -> impl Iterator<Item = &Self> {
        registry.accounts.values()
    }

    fn changed(changes: &Changes) -> Seq {
        changes.accounts
    }

    fn changed_mut(changes: &mut Changes) -> &mut Seq {
        &mut changes.accounts
    }

    fn columns(accounts: &[&Self]) -> Vec<Column> {
        let accounts = || accounts.iter();
        vec![
            Column::display("name", accounts().map(|account| Some(&account.name))).required(),
            Column::text("label", accounts().map(|account| account.label.as_ref())),
            Column::boolean("disabled", accounts().map(|account| Some(account.disabled))).required(),
            Column::instant("created", accounts().map(|account| Some(account.created))).required(),
            Column::instant("updated", accounts().map(|account| Some(account.updated))).required(),
        ]
    }
}

impl Document for Token {
    const TABLE: &'static str = "tokens";
    const NAME: &'static str = "token";
    type Key = TokenId;

    fn key(&self) -> TokenId {
        self.id
    }

    fn all(registry: &Registry) -> impl Iterator<Item = &Self> {
        registry.tokens.values()
    }

    fn changed(changes: &Changes) -> Seq {
        changes.tokens
    }

    fn changed_mut(changes: &mut Changes) -> &mut Seq {
        &mut changes.tokens
    }

    fn columns(tokens: &[&Self]) -> Vec<Column> {
        let tokens = || tokens.iter();
        let kind = |token: &Self| match token.kind {
            TokenKind::Api => "api",
            TokenKind::Refresh => "refresh",
        };
        vec![
            Column::display("id", tokens().map(|token| Some(token.id))).required(),
            Column::display("account", tokens().map(|token| Some(&token.account))).required(),
            Column::text("kind", tokens().map(|token| Some(kind(token)))).required(),
            Column::text("label", tokens().map(|token| token.label.as_ref())),
            Column::instant("created", tokens().map(|token| Some(token.created))).required(),
            Column::instant("expires", tokens().map(|token| token.expires)),
        ]
    }
}
