//! What holds after any commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tapelog_commands::{Errand, Memory, Registry, RegistryParts, State, StateParts};
use tapelog_events::{
    DataEssence, EssenceParameters, Flow, FlowId, Incarnation, Instance, LogStarted, ObjectId, SourceId, TimeRange,
};
use uuid::Uuid;

use crate::asked::{INIT_OBJECTS, ask, asked};
use crate::harness::{allocated, commit_of, flow_created, source_created, stored_flow};
use crate::picture::{Picture, picture};

fn assert_invariants(state: &State) {
    let picture = picture(state);
    assert_segments_and_objects(&picture);
    assert_visibility(state, &picture);
    assert_errands(&picture);
    let mut of_source: BTreeMap<SourceId, BTreeSet<FlowId>> = BTreeMap::new();
    let mut collectors: BTreeMap<FlowId, BTreeSet<FlowId>> = BTreeMap::new();
    for (id, flow) in &picture.flows {
        of_source.entry(flow.flow.source_id).or_default().insert(*id);
        for member in flow.flow.members() {
            assert!(picture.flows.contains_key(&member.id), "L9: {id} collects {}, which is gone", member.id);
            collectors.entry(member.id).or_default().insert(*id);
        }
        assert!(!reaches(&picture, *id, *id), "{id} collects itself");
    }
    for (id, source) in &picture.sources {
        let flows = of_source.remove(id).unwrap_or_default();
        assert!(!flows.is_empty(), "L8: source {id} has no flow");
        assert_eq!(source.flows, flows, "L8");
        for flow in flows {
            assert_eq!(picture.flows[&flow].flow.format, source.source.format);
        }
    }
    assert!(of_source.is_empty(), "L8: flows of unknown sources {of_source:?}");
    for (id, flow) in &picture.flows {
        assert_eq!(flow.collected_by, collectors.remove(id).unwrap_or_default(), "L9");
    }
}

fn assert_segments_and_objects(picture: &Picture) {
    let mut uses: BTreeMap<&ObjectId, BTreeSet<(FlowId, i128)>> = BTreeMap::new();
    let mut needed: BTreeMap<&ObjectId, BTreeMap<FlowId, u64>> = BTreeMap::new();
    for (id, segments) in &picture.segments {
        for pair in segments.windows(2) {
            assert!(pair[0].1.half_open_nanos().1 <= pair[1].1.half_open_nanos().0, "L6: {pair:?}");
        }
        for (object, range, ts_offset, ..) in segments {
            assert!(uses.entry(object).or_default().insert((*id, range.half_open_nanos().0)));
            let on_object = range.checked_shift_back(*ts_offset).unwrap();
            assert!(picture.objects[object].range.unwrap().contains_range(&on_object), "{object} {range}");
            if let Some(init) = &picture.objects[object].init {
                *needed.entry(init).or_default().entry(*id).or_default() += 1;
            }
        }
    }
    for (id, object) in &picture.objects {
        assert_eq!(object.uses, uses.remove(id).unwrap_or_default(), "L7: uses of {id}");
        assert_eq!(object.needed, needed.remove(id), "L7: what needs {id}");
        let states = [
            object.allocated.is_some(),
            object.since.is_some(),
            object.condemned,
            object.needed.is_some(),
            !object.uses.is_empty(),
        ];
        assert_eq!(states.into_iter().filter(|holds| *holds).count(), 1, "L7: {id} stands at one place of its life");
        let users =
            object.uses.iter().map(|(flow, _)| flow).chain(object.needed.iter().flatten().map(|(flow, _)| flow));
        assert!(object.first.is_none_or(|first| users.clone().any(|flow| *flow == first)), "L7: first");
        if let Some(init) = &object.init {
            let init = &picture.objects[init];
            assert!(init.range.is_none() && init.allocated.is_none() && !init.condemned, "L7: init object of {id}");
        }
    }
    assert!(uses.is_empty(), "L7: segments of unknown objects {uses:?}");
    let segments = picture.segments.values().map(Vec::len).sum();
    assert_eq!(picture.counts, (segments, picture.objects.len()));
}

/// What was put aside is not found, and nothing else is hidden.
fn assert_visibility(state: &State, picture: &Picture) {
    let inventory = state.inventory();
    for (id, segments) in &picture.segments {
        let slot = inventory.flow_even_hidden(*id).unwrap();
        let shown = picture.flows.contains_key(id);
        assert_ne!(shown, picture.registry.trash.get(id).is_some());
        assert_eq!(
            (inventory.flow(id.to_owned()), inventory.flow_id(slot)),
            (shown.then_some(slot), shown.then_some(*id))
        );
        let tagged = inventory.tagged_segments(slot, &TimeRange::ETERNITY);
        let expected = segments.iter().filter_map(|(_, range, .., tags)| Some((*range, tags.as_ref()?)));
        assert!(tagged.map(|(segment, tags)| (segment.timerange, tags)).eq(expected));
    }
}

/// Copies are made of objects that are there, to where they are not.
fn assert_errands(picture: &Picture) {
    for ((object_id, storage_id), errand) in picture.registry.errands.iter() {
        let object = picture.objects.get(object_id).filter(|object| !object.condemned);
        let is_there =
            object.is_some_and(|object| object.instances.contains(&Instance::Controlled { storage_id: *storage_id }));
        assert!(!is_there, "{object_id} is where it is to be copied to, or erased from");
        match errand {
            Errand::Copy { .. } => assert!(object.is_some(), "{object_id} is to be copied, and gone"),
            Errand::Erase { .. } => {}
        }
    }
}

/// Whether a walk along collections leads from one Flow to another.
fn reaches(picture: &Picture, from: FlowId, to: FlowId) -> bool {
    let members = picture.flows[&from].flow.members();
    members.iter().any(|member| member.id == to || reaches(picture, member.id, to))
}

fn parts(registry: &Registry) -> RegistryParts {
    RegistryParts {
        profiles: registry.profiles.values().cloned().collect(),
        webhooks: registry.webhooks.values().cloned().collect(),
        dead_letters: registry.dead_letters.values().cloned().collect(),
        deletions: registry.deletions.values().cloned().collect(),
        accounts: registry.accounts.values().cloned().collect(),
        tokens: registry.tokens.values().cloned().collect(),
        errands: registry.errands.iter().map(|(place, errand)| (place.clone(), *errand)).collect(),
        trash: registry.trash.values().cloned().collect(),
    }
}

/// A log with three Flows, of which one needs init objects, so that few commands miss.
fn started() -> State {
    let mut state = State::default();
    let incarnation = Incarnation::from_uuid(Uuid::from_u128(1));
    let flow = |number, init_segments| {
        let (id, source_id) = (Uuid::from_u128(number), SourceId::from_uuid(Uuid::from_u128(number)));
        let essence = DataEssence { data_type: None, init_segments };
        let essence_parameters = Some(EssenceParameters::Data(essence));
        let flow = Flow { essence_parameters, ..stored_flow(FlowId::from_uuid(id), source_id) };
        vec![source_created(source_id), flow_created(flow)]
    };
    let start = vec![LogStarted { incarnation }.into(), allocated(None, INIT_OBJECTS)];
    let events = [start, flow(1, None), flow(2, None), flow(3, Some(true))].concat();
    state.fold(&commit_of(events)).unwrap();
    state
}

proptest! {
    #[test]
    fn invariants_hold_time_never_runs_backwards_and_the_log_alone_gives_the_same_state(
        asked in prop::collection::vec(asked(), 1..90),
    ) {
        let mut state = started();
        let mut replayed = started();
        let mut time = state.time();
        for (number, asked) in asked.iter().enumerate() {
            if let Some(commit) = ask(&mut state, number, asked) {
                prop_assert!(commit.at >= time);
                time = commit.at;
                replayed.fold(&commit).unwrap();
            }
            assert_invariants(&state);
        }
        prop_assert_eq!(picture(&state), picture(&replayed));
    }

    #[test]
    fn a_rollback_leaves_no_trace_and_what_is_kept_is_as_if_it_had_never_been_begun(
        before in prop::collection::vec(asked(), 0..25),
        undone in prop::collection::vec(asked(), 0..25),
        kept in prop::collection::vec(asked(), 0..25),
    ) {
        let mut state = started();
        let mut plain = started();
        for (number, asked) in before.iter().enumerate() {
            ask(&mut state, number, asked);
            ask(&mut plain, number, asked);
        }
        state.begin();
        for (number, asked) in undone.iter().enumerate() {
            ask(&mut state, 100 + number, asked);
        }
        state.rollback();
        prop_assert_eq!(picture(&state), picture(&plain));

        // What is begun forgets no key before it is kept; so that both forget alike, a record here is of one commit.
        for (number, asked) in kept.iter().enumerate() {
            state.begin();
            let commit = ask(&mut state, 200 + number, asked);
            state.keep();
            prop_assert_eq!(commit, ask(&mut plain, 200 + number, asked));
        }
        prop_assert_eq!(picture(&state), picture(&plain));
    }

    #[test]
    fn commands_of_one_record_see_each_other_and_a_reader_of_the_log_agrees(
        records in prop::collection::vec(prop::collection::vec(asked(), 1..8), 1..10),
    ) {
        let mut state = started();
        let mut reader = started();
        for (number, record) in records.iter().enumerate() {
            state.begin();
            let mut commits = Vec::new();
            for (index, asked) in record.iter().enumerate() {
                commits.extend(ask(&mut state, number * 100 + index, asked));
            }
            state.keep();
            for commit in &commits {
                reader.fold(commit).unwrap();
            }
            assert_invariants(&state);
        }
        prop_assert_eq!(picture(&state), picture(&reader));
    }

    #[test]
    fn a_state_put_together_from_its_parts_is_the_same(asked in prop::collection::vec(asked(), 1..40)) {
        let mut state = started();
        for (number, asked) in asked.iter().enumerate() {
            ask(&mut state, number, asked);
        }
        let (name, description) = state.service();
        let mut memory = Memory::default();
        for (at, entry) in state.memory().iter() {
            memory.remember(at, entry);
        }
        let restored = State::restore(StateParts {
            incarnation: state.incarnation(),
            name: name.map(str::to_owned),
            description: description.map(str::to_owned),
            time: state.time(),
            flows: state.flows().map(|flow| (Arc::unwrap_or_clone(Arc::clone(&flow.flow)), flow.segments_updated)).collect(),
            sources: state.sources().map(|source| Arc::unwrap_or_clone(Arc::clone(&source.source))).collect(),
            inventory: state.inventory().clone(),
            memory,
            registry: parts(state.registry()),
        });
        prop_assert_eq!(picture(&restored.unwrap()), picture(&state));
    }
}
