//! Where the bytes of objects lay: what the event that names an object last says, and what changed since.

use hashbrown::HashMap;
use tapelog_commands::inventory::Instances;
use tapelog_events::{Event, Instance, ObjectId, SegmentsAdded};

use super::{AsOfError, Question};
use crate::history::versions::{InstanceChange, Place};

impl Question<'_> {
    /// Where objects lay at the moment, of which it is known where they lay when they were named at a place.
    pub async fn instances(
        &mut self,
        named: HashMap<ObjectId, (Place, Instances)>,
    ) -> Result<HashMap<ObjectId, Instances>, AsOfError> {
        let until = self.until();
        let objects: Vec<_> = named.iter().map(|(id, (place, _))| (id.clone(), *place)).collect();
        let changed = self.ask(move |history| {
            let mut changed = Vec::new();
            for (id, place) in objects {
                let mut changes = Vec::new();
                for change in history.versions().instance_changes(&id, (place, until)) {
                    let change = change?;
                    let is_all = matches!(change, InstanceChange::Listed(_));
                    changes.push(change);
                    if is_all {
                        break;
                    }
                }
                if !changes.is_empty() {
                    changed.push((id, changes));
                }
            }
            Ok(changed)
        });
        let changed = changed.await?;
        let listed = changed.iter().filter_map(|(_, changes)| match changes.last() {
            Some(InstanceChange::Listed((seq, ..))) => Some(*seq),
            Some(InstanceChange::Added(_) | InstanceChange::Removed(_)) | None => None,
        });
        self.loaded.load(&self.past.records, listed).await?;
        let mut instances: HashMap<_, _> = named.into_iter().map(|(id, (_, instances))| (id, instances)).collect();
        for (id, changes) in changed {
            let of_object = instances.entry(id.clone()).or_default();
            for change in changes.into_iter().rev() {
                match change {
                    InstanceChange::Listed(place) => {
                        let Event::SegmentsAdded(event) = self.loaded.event(place)? else {
                            return Err(AsOfError::NoSuchEvent(place.0));
                        };
                        *of_object = listed_in(event, &id).unwrap_or_default();
                    }
                    InstanceChange::Added(instance) => add(of_object, instance),
                    InstanceChange::Removed(instance) => of_object.retain(|other| *other != instance),
                }
            }
        }
        Ok(instances)
    }
}

/// The instances with these numbers in an event.
pub fn instances_of(event: &SegmentsAdded, numbers: &[u32]) -> Instances {
    numbers.iter().filter_map(|number| event.instances.get(*number as usize)).cloned().collect()
}

/// Where an object lay, as an event that uses it says.
pub fn listed_in(event: &SegmentsAdded, id: &ObjectId) -> Option<Instances> {
    let media = event.segments.iter().map(|segment| (&segment.object_id, &segment.instances));
    let init = event.init_objects.iter().map(|init| (&init.object_id, &init.instances));
    // An object that is used twice gains addresses from one use to the next.
    let last = media.chain(init).rev().find(|(other, _)| *other == id);
    last.map(|(_, numbers)| instances_of(event, numbers))
}

/// One instance more, unless it is there already.
pub fn add(instances: &mut Instances, instance: Instance) {
    if !instances.contains(&instance) {
        instances.push(instance);
    }
}
