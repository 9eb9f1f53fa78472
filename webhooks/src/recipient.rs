//! A webhook as it is at the moment, ready to be delivered to.

use std::sync::Arc;

use tapelog_events::Webhook;
use tapelog_store::log::Log;

use crate::office::{Office, now};
use crate::{AttemptRow, Attempted, Filter, Lane, Notice, Target, Transforms, Unusable, write_body};

/// How many bytes of memory a body begins with: what most need.
const BODY_BYTES: usize = 1024;

/// A webhook as it is at the moment, with what is made of it once and used for each delivery.
pub(crate) struct Recipient {
    pub webhook: Arc<Webhook>,
    pub filter: Filter,
    transforms: Transforms,
    target: Result<Target, Unusable>,
}

impl Recipient {
    pub fn of<L: Log>(webhook: Arc<Webhook>, office: &Office<L>) -> Self {
        let access = Arc::new(webhook.access.clone());
        Self {
            filter: Filter::of(&webhook.subscription, access),
            transforms: Transforms::from(&webhook.subscription),
            target: Target::of(&webhook, &*office.parts.secrets, now()),
            webhook,
        }
    }

    /// Why nothing can be posted, if so.
    pub fn unusable(&self) -> Option<Unusable> {
        self.target.as_ref().err().copied()
    }

    /// Tries to deliver once, and notes what came of it. The body is rendered now, so that its URLs are fresh.
    ///
    /// # Errors
    /// When nothing can be posted to this webhook.
    pub async fn post<L: Log>(
        &self,
        office: &Office<L>,
        notice: &Notice<'_>,
        attempt: u32,
        lane: Lane,
    ) -> Result<Attempted, Unusable> {
        let target = self.target.as_ref().map_err(|unusable| *unusable)?;
        let parts = &office.parts;
        let id = format!("{}.{}.{}", parts.incarnation, notice.position, self.webhook.id);
        let mut body = Vec::with_capacity(BODY_BYTES);
        write_body(&*parts.render, notice, &self.transforms, &self.filter.access, &mut body);
        let attempted = parts.client.post(target, &id, body.into(), lane).await;
        office.measured.attempted(&attempted, notice);
        parts.attempts.note(AttemptRow {
            webhook_id: self.webhook.id,
            position: notice.position,
            notification: notice.notification,
            attempt,
            attempted: attempted.clone(),
            node: parts.node.clone(),
        });
        Ok(attempted)
    }

    /// Posts a notification that tells of nothing, to see whether it arrives.
    ///
    /// # Errors
    /// When nothing can be posted to this webhook.
    pub async fn ping<L: Log>(&self, office: &Office<L>) -> Result<Attempted, Unusable> {
        let target = self.target.as_ref().map_err(|unusable| *unusable)?;
        let (at, webhook_id) = (now(), self.webhook.id);
        let id = format!("{}.ping.{}.{webhook_id}", office.parts.incarnation, at.as_micros());
        let body = serde_json::json!({
            "event_timestamp": at,
            "event_type": "tapelog/ping",
            "event": { "webhook_id": webhook_id },
        });
        Ok(office.parts.client.post(target, &id, body.to_string().into(), Lane::Probe).await)
    }
}
