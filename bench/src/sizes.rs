//! How much is measured: enough to be quoted, or just enough to be looked at.

use std::time::Duration;

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// What it is called in the report.
    pub name: &'static str,
    /// How often each measurement is made; the best counts.
    pub rounds: usize,
    /// How long one round of reads, or of publishing to the raw log, takes.
    pub round: Duration,
    /// Connections, and the single-segment requests of one round over all of them.
    pub posts: [(usize, usize); 4],
    /// Connections, and the bulk requests of one round over all of them.
    pub bulk_posts: [(usize, usize); 3],
    /// How many segments a Flow has that is no longer empty, for the cost of appending to it.
    pub grown_flow: usize,
    /// How many segments one round appends to it, and to an empty one.
    pub appended: usize,
    /// How many segments the small Flow has that windows are read from.
    pub small_flow: usize,
    /// How many segments the large Flow has: for windows, memory, disk, start and replay.
    pub large_flow: usize,
    /// How many Flows the small store has whose listings are read.
    pub few_flows: usize,
    /// How many Flows the large one has.
    pub many_flows: usize,
    /// How many events a webhook is told of.
    pub notified: usize,
    /// How many single segments are posted over many connections for the replay of such a log.
    pub packed_posts: usize,
    /// How many are posted one after the other for it: each is a record of its own.
    pub lone_posts: usize,
}

impl Sizes {
    /// For quoting: some minutes.
    pub fn full() -> Self {
        Self {
            name: "full",
            rounds: 3,
            round: Duration::from_secs(1),
            posts: [(1, 5_000), (16, 32_000), (64, 64_000), (256, 64_000)],
            bulk_posts: [(1, 1_000), (4, 3_000), (16, 4_000)],
            grown_flow: 100_000,
            appended: 32_000,
            small_flow: 10_000,
            large_flow: 1_000_000,
            few_flows: 1_000,
            many_flows: 100_000,
            notified: 20_000,
            packed_posts: 256_000,
            lone_posts: 20_000,
        }
    }

    /// For a look: about two minutes.
    pub fn quick() -> Self {
        Self {
            name: "quick",
            rounds: 2,
            round: Duration::from_millis(300),
            posts: [(1, 1_000), (16, 8_000), (64, 16_000), (256, 16_000)],
            bulk_posts: [(1, 200), (4, 400), (16, 800)],
            grown_flow: 20_000,
            appended: 8_000,
            small_flow: 10_000,
            large_flow: 100_000,
            few_flows: 1_000,
            many_flows: 10_000,
            notified: 4_000,
            packed_posts: 32_000,
            lone_posts: 2_000,
        }
    }
}
