//! The tables anew from the log's first record, also in a running server: built beside those in use, compared with them,
//! and put in their place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tapelog_events::Seq;
use tapelog_store::log::{Head, Log, ReplayError, Unreachable, replay};
use tokio::time::sleep;
use tracing::{error, info};

use crate::live::TakeOverError;
use crate::verify::{TableDigest, Verdict, blocking, compare};
use crate::{ApplyError, Live, Tables};

/// The log cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The log cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// A record is missing, altered, or cannot have happened.
    #[error(transparent)]
    Replay(#[from] ReplayError<ApplyError>),
}

/// Folds the log from its first record to its tip. `progress` is told the record that was applied last and the one to
/// reach.
///
/// # Errors
/// When the log cannot be read or applied.
pub async fn rebuild<L: Log>(log: &L, mut progress: impl FnMut(Seq, Seq)) -> Result<Tables, FoldError> {
    let tip = log.tip().await?;
    let mut tables = Tables::new();
    fold(log, &mut tables, tip, |applied| progress(applied, tip)).await?;
    Ok(tables)
}

/// Brings tables up to and with a record of the log.
pub(crate) async fn fold<L: Log>(
    log: &L,
    tables: &mut Tables,
    until: Seq,
    mut progress: impl FnMut(Seq),
) -> Result<(), ReplayError<ApplyError>> {
    replay(log, tables.head(), until, |head, record| {
        tables.apply(head, &record)?;
        progress(head.seq);
        Ok(())
    })
    .await?;
    Ok(())
}

/// What a rebuild in a running server is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It folds the log.
    Folding,
    /// It compares what came of it with the tables in use.
    Comparing,
    /// It folds what came meanwhile, and puts the new tables in the place of the old ones.
    Replacing,
}

/// How far a rebuild in a running server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is at.
    pub stage: Stage,
    /// The last record that was folded.
    pub seq: Seq,
    /// The record to reach: where the tables in use were last seen. It moves on while others write.
    pub tip: Seq,
}

/// What a rebuild in a running server came to.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// Where the tables that were in use were compared with the log.
    pub compared: Head,
    /// How they compared.
    pub verdict: Verdict,
    /// What the log comes to there.
    pub digest: Vec<TableDigest>,
    /// Where the new tables took their place.
    pub replaced: Seq,
    /// How many records were folded until they had been caught up with for the first time.
    pub folded: Seq,
    /// How long that took.
    pub folding: Duration,
}

/// How far behind those in use new tables may be to be compared or to take a tail, in records: so few are folded in less
/// time than it takes to ask for them.
const NEAR: u64 = 64;
/// How often to look whether the last reader of replaced tables has finished.
const READERS_POLL: Duration = Duration::from_millis(1);

/// Folds the log from its first record beside the tables in use, compares the two at one position once they have been
/// caught up with, and puts the new ones in the place of the old ones, whether they are equal or not: the log is the
/// truth. Reads and applications go on all the while, and reads that have begun finish on the old tables.
///
/// Takes the memory of the tables a second time, and for the comparison, which needs tables that stand still, a third
/// time. As it is about as much work as the server has done in its life, it belongs on a runtime of its own. Goes on until
/// it is done or dropped, however long the log cannot be reached; it never ends where records come faster than they can
/// be folded.
///
/// # Errors
/// When the log cannot be read or applied; the error says at which record. The tables in use stay.
pub async fn rebuild_live<L: Log>(
    log: &L,
    live: &Arc<Live>,
    mut progress: impl FnMut(Progress),
) -> Result<Rebuilt, ReplayError<ApplyError>> {
    let started = Instant::now();
    let mut tables = Box::new(Tables::new());
    catch_up(log, live, &mut tables, Stage::Folding, &mut progress).await?;
    let (folded, folding) = (tables.position(), started.elapsed());

    let in_use = Arc::clone(live);
    let subject = blocking(move || Box::new(in_use.read(Tables::clone))).await;
    fold(log, &mut tables, subject.position(), |_| {}).await?;
    progress(Progress { stage: Stage::Comparing, seq: tables.position(), tip: live.position() });
    let compared = tables.head();
    let (verdict, digest);
    (verdict, digest, tables) = blocking(move || (compare(&tables, &subject), tables.digest(), tables)).await;

    let before = loop {
        catch_up(log, live, &mut tables, Stage::Replacing, &mut progress).await?;
        let tail = live.tail();
        fold(log, &mut tables, tail.from(), |_| {}).await?;
        let in_use = Arc::clone(live);
        match blocking(move || in_use.take_over(tables, tail)).await {
            Ok(before) => break before,
            Err(TakeOverError::Missed(behind)) => tables = behind,
            Err(TakeOverError::Apply(error)) => return Err(ReplayError::Stopped(error)),
        }
    };
    let replaced = live.position();
    tell(&verdict, compared.seq, replaced);
    retire(before).await;
    Ok(Rebuilt { compared, verdict, digest, replaced, folded, folding })
}

/// Folds until the tables are near those in use, which move on.
async fn catch_up<L: Log>(
    log: &L,
    live: &Live,
    tables: &mut Tables,
    stage: Stage,
    progress: &mut impl FnMut(Progress),
) -> Result<(), ReplayError<ApplyError>> {
    loop {
        let (seq, tip) = (tables.position(), live.position());
        progress(Progress { stage, seq, tip });
        if tip.0.saturating_sub(seq.0) <= NEAR {
            return Ok(());
        }
        fold(log, tables, tip, |seq| progress(Progress { stage, seq, tip })).await?;
    }
}

fn tell(verdict: &Verdict, compared: Seq, replaced: Seq) {
    match verdict {
        Verdict::Equal => info!(%compared, %replaced, "tables were rebuilt from the log, and were equal to it"),
        Verdict::Different(difference) => {
            error!(%compared, %replaced, %difference, "tables in use were not what the log comes to; they were replaced");
        }
        Verdict::Ahead | Verdict::OtherRecord => {
            error!(%compared, %replaced, "tables in use stood for another record than the log has; they were replaced");
        }
    }
}

/// Frees tables once nobody reads them any more. The last reader would otherwise, in the middle of its request.
async fn retire(tables: Arc<RwLock<Tables>>) {
    while Arc::strong_count(&tables) > 1 {
        sleep(READERS_POLL).await;
    }
    blocking(move || drop(tables)).await;
}
