//! Whether what clients were told is what the log says.

use std::collections::{BTreeSet, HashMap, HashSet};

use tapelog_commands::{Handled, Request, State, handle};
use tapelog_events::{CommitId, Event, FlowId, Record, Seq, SourceId, TimeRange};
use tapelog_store::sequencer::{SubmitError, Submitted};

use crate::Exchange;

/// The log, with the state after every commit.
pub struct Fold {
    /// For each record, the states from before its first commit to after its last.
    states: Vec<Vec<State>>,
    /// In which record each commit stands.
    commits: HashMap<CommitId, Vec<Seq>>,
    keys: Vec<[u8; 32]>,
}

impl Fold {
    pub fn of(records: &[Record]) -> Self {
        let mut fold = Self { states: Vec::new(), commits: HashMap::new(), keys: Vec::new() };
        let mut state = State::default();
        for (record, seq) in records.iter().zip(1..) {
            let mut states = vec![state.clone()];
            for commit in &record.commits {
                state.fold(commit).unwrap();
                states.push(state.clone());
                fold.commits.entry(commit.id).or_default().push(Seq(seq));
                fold.keys.extend(commit.idempotency.as_ref().map(|idempotency| idempotency.key));
            }
            fold.states.push(states);
        }
        fold
    }

    pub fn check(&self, exchange: &Exchange) {
        let Exchange { request, known, result } = exchange;
        let stored = self.commits.get(&request.commit_id).map_or(&[][..], Vec::as_slice);
        match result {
            Ok(Submitted { seq, outcome }) if stored.is_empty() => {
                let nothing = |handled| matches!(handled, Handled::Nothing(nothing) if nothing == *outcome);
                assert!(
                    self.was_true(request, *seq, *known, nothing),
                    "nothing had to be done for {request:?} at {seq}"
                );
            }
            Ok(Submitted { seq, .. }) => assert_eq!(stored, [*seq], "an acknowledged commit is in the log once (L3)"),
            Err(SubmitError::Rejected { rejection, seq }) => {
                assert!(stored.is_empty(), "a rejected request is not in the log");
                let rejected = |handled| matches!(handled, Handled::Rejected(reason) if reason == *rejection);
                assert!(
                    self.was_true(request, *seq, *known, rejected),
                    "{rejection} ({request:?}) at {seq}, {known} known"
                );
            }
            Err(SubmitError::OutcomeUnknown) => assert!(stored.len() <= 1, "a commit is in the log once (L3)"),
            Err(error) => assert!(stored.is_empty(), "{error}, but the commit is in the log"),
        }
    }

    /// Whether an answer held on the log at this record, and at no state that the client knew to be outdated.
    fn was_true(&self, request: &Request, seq: Seq, known: Seq, holds: impl Fn(Handled) -> bool) -> bool {
        assert!(seq >= known, "an answer speaks of the log as it was after the request was made");
        let states = &self.states[seq.0 as usize - 1];
        let fresh = if seq == known { &states[states.len() - 1..] } else { states };
        fresh.iter().any(|state| holds(handle(&mut state.clone(), request, state.time()).unwrap()))
    }

    /// Nothing is in the log that nobody asked for, and no idempotency key took effect twice.
    pub fn check_commits(&self, history: &[Exchange]) {
        let asked: HashSet<_> = history.iter().map(|exchange| exchange.request.commit_id).collect();
        let unasked = self.commits.iter().filter(|(id, at)| **at != [Seq(1)] && !asked.contains(*id)).count();
        assert_eq!(unasked, 0);
        let distinct: HashSet<_> = self.keys.iter().collect();
        assert_eq!(distinct.len(), self.keys.len(), "an idempotency key takes effect once");
    }
}

/// Everything that a state says about what the records are about, to compare states by.
pub fn portrait(state: &State, records: &[Record]) -> String {
    let mut flows = BTreeSet::<FlowId>::new();
    let mut sources = BTreeSet::<SourceId>::new();
    let mut keys = BTreeSet::new();
    for commit in records.iter().flat_map(|record| &record.commits) {
        keys.extend(commit.idempotency.as_ref().map(|idempotency| idempotency.key));
        for event in &commit.events {
            if let Event::FlowCreated(created) = event {
                flows.insert(created.flow.id);
                sources.insert(created.flow.source_id);
            }
        }
    }
    let inventory = state.inventory();
    let flows = flows.iter().map(|id| {
        let segments = inventory.flow(*id).map(|slot| {
            let segments = inventory.segments(slot, &TimeRange::ETERNITY);
            segments.map(|segment| (inventory.object_id(segment.object), segment.timerange)).collect::<Vec<_>>()
        });
        (state.flow(*id), segments)
    });
    let sources = sources.iter().map(|id| state.source(*id));
    let keys = keys.iter().map(|key| state.remembered(key));
    format!(
        "{:?} {:?} {:?} {} segments, {} objects, flows {:#?}, sources {:#?}, keys {:#?}",
        state.incarnation(),
        state.service(),
        state.time(),
        inventory.segment_count(),
        inventory.object_count(),
        flows.collect::<Vec<_>>(),
        sources.collect::<Vec<_>>(),
        keys.collect::<Vec<_>>()
    )
}
