//! Init objects: which Flows need them, and how many media objects name them (5.6).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use tapelog_events::Instant;

use super::FlowSlot;
use super::object::ObjectSlot;

/// What is known of an init object besides what its row holds.
#[derive(Debug, Clone, Default)]
pub(super) struct InitUses {
    pub first: Option<FlowSlot>,
    /// How many segments of each Flow use media objects that need it.
    pub flows: BTreeMap<FlowSlot, u64>,
    /// Since when none does; means nothing while one does.
    pub since: Instant,
}

impl InitUses {
    /// One segment more of a Flow needs it.
    pub fn add(&mut self, flow: FlowSlot) {
        *self.flows.entry(flow).or_default() += 1;
    }

    /// One segment fewer of a Flow needs it. A Flow that no longer does is no longer said to have been the first.
    pub fn remove(&mut self, flow: FlowSlot) {
        if let Some(count) = self.flows.get_mut(&flow) {
            *count -= 1;
            if *count == 0 {
                self.flows.remove(&flow);
                self.first = self.first.filter(|first| *first != flow);
            }
        }
    }
}

/// How many media objects, used or not, name each init object: until it is none, an init object stays.
#[derive(Debug, Default, Clone)]
pub(super) struct Namers(HashMap<ObjectSlot, u32>);

impl Namers {
    pub fn add(&mut self, init: ObjectSlot) {
        *self.0.entry(init).or_default() += 1;
    }

    pub fn remove(&mut self, init: ObjectSlot) {
        if let Some(count) = self.0.get_mut(&init) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&init);
            }
        }
    }

    pub fn contains(&self, init: ObjectSlot) -> bool {
        self.0.contains_key(&init)
    }

    /// How many init objects are named.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
