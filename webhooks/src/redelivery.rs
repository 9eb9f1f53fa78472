//! Dead letters that somebody asked to be tried once more: delivered beside the main line, one at a time per webhook.

use std::sync::Arc;

use tapelog_commands::{Command, ResolveDeadLetter};
use tapelog_events::{DeadLetter, Resolution, WebhookId};
use tapelog_store::log::Log;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::lease::Tenure;
use crate::office::{Ended, Office, PAUSE, delivers, failure, now};
use crate::origin::{OriginError, read};
use crate::recipient::Recipient;
use crate::{AttemptResult, Lane, notices};

/// Tries every dead letter of a webhook once that is asked for, until there is none.
pub(crate) async fn redeliver<L: Log>(
    office: Arc<Office<L>>,
    tenure: Tenure,
    id: WebhookId,
    stopping: CancellationToken,
) {
    loop {
        let asked = office.parts.directory.to_redeliver();
        let letters: Vec<_> = asked.into_iter().filter(|letter| letter.webhook_id == id).collect();
        if letters.is_empty() {
            return;
        }
        for letter in letters {
            if try_once(&office, &tenure, letter, &stopping).await.is_err() {
                return;
            }
        }
    }
}

async fn try_once<L: Log>(
    office: &Office<L>,
    tenure: &Tenure,
    letter: DeadLetter,
    stopping: &CancellationToken,
) -> Result<(), Ended> {
    let webhook = office.parts.directory.webhook(letter.webhook_id).filter(|webhook| delivers(webhook)).ok_or(Ended)?;
    let recipient = Recipient::of(webhook, office);
    let seq = letter.position.seq;
    let record = loop {
        match stopping.run_until_cancelled(read(&*office.parts.log, seq)).await.ok_or(Ended)? {
            Ok(record) => break Ok(record),
            Err(OriginError::Unreachable(_)) => stopping.run_until_cancelled(sleep(PAUSE)).await.ok_or(Ended)?,
            Err(error) => break Err(error.to_string()),
        }
    };
    let tried = match &record {
        Err(error) => Err(error.clone()),
        Ok(record) => match notices(seq, record).find(|notice| notice.position == letter.position) {
            None => Err("the log has no such notification".to_owned()),
            Some(notice) if !recipient.filter.matches(&notice) => {
                Err("the webhook does not ask for this any more, or its owner may not see it".to_owned())
            }
            Some(notice) => {
                if !tenure.holds() {
                    return Err(Ended);
                }
                let attempt = letter.attempts.saturating_add(1);
                let post = recipient.post(office, &notice, attempt, Lane::Usual);
                let tried = office.finish(post, stopping).await?;
                tried.map(|attempted| attempted.result).map_err(|unusable| unusable.to_string())
            }
        },
    };
    let (attempts, failure) = match tried {
        Ok(AttemptResult::Delivered { .. }) => {
            let DeadLetter { webhook_id, position, .. } = letter;
            let resolved = ResolveDeadLetter { webhook_id, position, resolution: Resolution::Delivered };
            return office.submit(Command::ResolveDeadLetter(resolved), stopping).await;
        }
        Ok(result) => (letter.attempts.saturating_add(1), failure(&result, result.to_string())),
        Err(summary) => {
            warn!(webhook_id = %letter.webhook_id, position = %letter.position, summary, "a dead letter cannot be delivered");
            let kind = "not_deliverable".to_owned();
            (letter.attempts, tapelog_events::Failure { kind, summary, time: now() })
        }
    };
    office.submit(Command::PutDeadLetter(Box::new(DeadLetter { attempts, failure, ..letter })), stopping).await
}
