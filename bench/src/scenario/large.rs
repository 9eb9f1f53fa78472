//! A store with a Flow of a million segments, and a small one beside it.

use anyhow::Result;

use super::Bench;
use crate::store::{Memory, Store};
use crate::tams::{Recorder, Timeline};

/// How many segments each request brings.
const SEGMENTS: usize = 100;
/// How many requests are prepared at once.
const REQUESTS: usize = 100;

/// The store, with what is in it.
pub struct Large {
    /// The server, which may be stopped.
    pub store: Store,
    /// The large Flow.
    pub large: Timeline,
    /// The small Flow.
    pub small: Timeline,
    /// Memory before anything was in it.
    pub memory_empty: Option<Memory>,
    /// Memory once the large Flow was in it, and nothing else.
    pub memory_loaded: Option<Memory>,
}

impl Large {
    /// The store, running: the one that is there, or a new one.
    pub async fn take(bench: &mut Bench) -> Result<Self> {
        match bench.large.take() {
            Some(mut large) => {
                large.store.start().await?;
                Ok(large)
            }
            None => Self::load(bench).await,
        }
    }

    async fn load(bench: &Bench) -> Result<Self> {
        let store = bench.subject.store("large").await?;
        let memory_empty = store.memory();
        let mut recorder = Recorder::connect(&store.endpoint).await?;
        let large = fill(bench, &mut recorder, bench.sizes.large_flow).await?;
        let memory_loaded = store.memory();
        let small = fill(bench, &mut recorder, bench.sizes.small_flow).await?;
        Ok(Self { store, large, small, memory_empty, memory_loaded })
    }
}

async fn fill(bench: &Bench, recorder: &mut Recorder, segments: usize) -> Result<Timeline> {
    let mut flow = recorder.create_flow().await?;
    while flow.segments < segments {
        bench.doing(format_args!("loading a flow of {segments} segments: {}", flow.segments));
        let requests = recorder.prepare(&mut flow, REQUESTS, SEGMENTS).await?;
        recorder.post(&requests).await?;
    }
    Ok(flow)
}
