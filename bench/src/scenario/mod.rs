//! What is measured.

mod as_of;
mod bulk;
mod case;
mod footprint;
mod large;
mod listing;
mod post;
mod read;
mod rebuild;
mod replay;
mod webhooks;

use std::fmt;

use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;
use indicatif::ProgressBar;

use crate::client::Endpoint;
use crate::raw_log::RawLog;
use crate::report::Section;
use crate::sizes::Sizes;
use crate::store::Subject;
use large::Large;

/// What can be measured, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Single-segment POST
    Post,
    /// Bulk POST of 100 segments
    Bulk,
    /// Windows of segments, a Flow, listings
    Read,
    /// Filtered, sorted and unchanged listings, of few Flows and of many
    Listing,
    /// The past beside the present
    AsOf,
    /// Deliveries to webhooks
    Webhooks,
    /// Memory, disk and cold start
    Footprint,
    /// Replay of the log into tables
    Replay,
    /// Rebuild in a running server
    Rebuild,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Scenario {
    /// Measures it. `None` when the server that is measured does not allow it.
    ///
    /// # Errors
    /// When the server does not do what it should.
    pub async fn measure(self, bench: &mut Bench) -> Result<Option<Section>> {
        bench.progress.set_message(self.to_string());
        let needs_own_server = matches!(
            self,
            Self::Listing | Self::AsOf | Self::Webhooks | Self::Footprint | Self::Replay | Self::Rebuild
        );
        if needs_own_server && !bench.subject.is_own() {
            return Ok(None);
        }
        let section = match self {
            Self::Post => post::measure(bench).await,
            Self::Bulk => bulk::measure(bench).await,
            Self::Read => read::measure(bench).await,
            Self::Listing => listing::measure(bench).await,
            Self::AsOf => as_of::measure(bench).await,
            Self::Webhooks => webhooks::measure(bench).await,
            Self::Footprint => footprint::measure(bench).await,
            Self::Replay => replay::measure(bench).await,
            Self::Rebuild => rebuild::measure(bench).await,
        };
        section.map(Some)
    }
}

/// What the scenarios share.
pub struct Bench {
    /// What is measured.
    pub subject: Subject,
    /// The limit of HTTP.
    pub limit: Endpoint,
    /// The limit of the log.
    pub raw_log: RawLog,
    /// How much of everything.
    pub sizes: Sizes,
    /// Says what is going on.
    pub progress: ProgressBar,
    /// The store with a large Flow, once a scenario has needed it.
    pub large: Option<Large>,
}

impl Bench {
    /// Says what is going on.
    fn doing(&self, what: impl fmt::Display) {
        self.progress.set_message(what.to_string());
    }

    /// Stops everything that was started.
    ///
    /// # Errors
    /// When a server does not stop as it should.
    pub async fn finish(self) -> Result<()> {
        self.progress.finish_and_clear();
        self.raw_log.stop().await;
        match self.large {
            Some(mut large) => large.store.stop().await,
            None => Ok(()),
        }
    }
}

/// Deals requests out to connections, one to each in turn.
fn deal(requests: Vec<Bytes>, connections: usize) -> Vec<Vec<Bytes>> {
    let mut dealt = vec![Vec::with_capacity(requests.len() / connections + 1); connections];
    for (index, request) in requests.into_iter().enumerate() {
        dealt[index % connections].push(request);
    }
    dealt
}

/// `1 connection`, `2 connections`.
fn connections(count: usize) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}
