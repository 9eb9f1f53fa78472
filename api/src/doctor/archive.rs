//! The archive of the log: that it can be used, and how far it is.

use tapelog_events::Seq;
use tapelog_projections::archive::ArchiveStatus;
use tapelog_store::log::jetstream::remembered;
use tokio::time::timeout;

use super::{Finding, PATIENCE, causes};
use crate::archive::{OpenArchive, status_of};
use crate::auth::local_token;
use crate::claim::Owner;
use crate::settings::{DataFolder, Settings};

const CHECK: &str = "archive";

/// How many records the archive of a server may lack, in a busy moment.
const FEW: u64 = 100_000;

/// Looks at the archive, where the settings name one.
pub(super) async fn examine(settings: &Settings, owner: Option<&Owner>) -> Option<Finding> {
    let place = settings.archive.place.as_ref()?;
    let examined = timeout(PATIENCE, async {
        let data = DataFolder::open(&settings.data)?;
        match owner.and_then(|owner| owner.url.as_deref()) {
            Some(url) => running(url, &local_token(&data.local_token())?).await,
            None => stopped(place, settings, &data).await,
        }
    });
    let advice = "see that archive.place is right, and that tapelog may write there";
    Some(match examined.await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => Finding::fail(CHECK, format!("{place}: {}", causes(error.as_ref())), advice),
        Err(_) => Finding::fail(CHECK, format!("{place} does not answer"), advice),
    })
}

/// What the server says that keeps it.
async fn running(url: &str, token: &str) -> anyhow::Result<Finding> {
    let Some(ArchiveStatus { place, archived, log, error, .. }) = status_of(url, token).await? else {
        let advice = "start the server again, with the settings that name the archive";
        return Ok(Finding::warn(CHECK, "the server that runs keeps none", advice));
    };
    let found = format!("{place} has {archived} of {log} records");
    Ok(match error {
        Some(error) => Finding::fail(CHECK, format!("{found}: {error}"), "mend that: the log is not being archived"),
        None if log.saturating_sub(archived) > FEW => {
            Finding::warn(CHECK, found, "see again in a while whether it catches up, and what the server logs")
        }
        None => Finding::ok(CHECK, found),
    })
}

/// What stands there, beside what the data folder knows of the log.
async fn stopped(place: &str, settings: &Settings, data: &DataFolder) -> anyhow::Result<Finding> {
    let opened = OpenArchive::open(place, settings, data).await?;
    let manifest = opened.archive.manifest().await;
    opened.close().await;
    let remembered = remembered(&data.log_marker())?;
    let Some(manifest) = manifest? else {
        return Ok(Finding::ok(CHECK, format!("{place} is empty; the server begins it")));
    };
    let archived = manifest.head().seq;
    let found = format!("{place} has the records up to {archived}, as of {}", manifest.written_at);
    Ok(match remembered {
        Some((incarnation, _)) if incarnation != manifest.incarnation => {
            let advice = "set archive.place to a place of its own";
            Finding::fail(CHECK, format!("{place} holds the log {}, not {incarnation}", manifest.incarnation), advice)
        }
        Some((_, Seq(known))) if known > archived.0 => Finding::warn(
            CHECK,
            format!("{found}; the log has {known} at least"),
            "start the server: it archives the rest",
        ),
        _ => Finding::ok(CHECK, found),
    })
}
