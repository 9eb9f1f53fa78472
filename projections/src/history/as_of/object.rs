//! An object as it was: all that ever named it, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_commands::inventory::{Instances, Inventory, Object, ObjectState, SegmentUse};
use tapelog_events::{Event, FlowId, ObjectId, SegmentsAdded, Seq, TimeRange};

use super::instances::{add, instances_of, listed_in};
use super::metadata::Metadata;
use super::{AsOfError, Question};
use crate::Tables;
use crate::history::History;
use crate::history::versions::{BEGINNING, Kind, Life, Place, Span, Stretch};

/// A segment that uses an object.
struct Use {
    stretch: Stretch,
    /// The object that holds its media: the one itself, or one that needs it.
    media: ObjectId,
}

/// What happened to the segments of a Flow.
enum Happening {
    Used(Vec<Use>),
    Deleted(Stretch, Option<ObjectId>),
    Gone,
}

/// What an object was said to be when it was used last.
struct Description {
    place: Place,
    object: Object,
    /// The init object that it needs.
    init: Option<(ObjectId, Instances)>,
    /// Whether it is one itself.
    is_init: bool,
    range: TimeRange,
}

/// The segments that use an object, and the Flow that used it first, as events left them.
#[derive(Default)]
struct Uses {
    segments: BTreeMap<FlowId, BTreeMap<i128, Use>>,
    first: Option<FlowId>,
}

impl Uses {
    fn take(&mut self, flow_id: FlowId, happening: Happening) {
        match happening {
            Happening::Used(uses) => {
                if self.segments.is_empty() {
                    self.first = Some(flow_id);
                }
                self.segments
                    .entry(flow_id)
                    .or_default()
                    .extend(uses.into_iter().map(|usage| (usage.stretch.from, usage)));
            }
            Happening::Deleted(stretch, media) => {
                if let Some(uses) = self.segments.get_mut(&flow_id) {
                    uses.retain(|_, usage| {
                        !stretch.contains(&usage.stretch) || media.as_ref().is_some_and(|media| *media != usage.media)
                    });
                }
            }
            Happening::Gone => drop(self.segments.remove(&flow_id)),
        }
        self.segments.retain(|_, uses| !uses.is_empty());
        // A Flow that no longer uses the object is no longer said to have used it first.
        self.first = self.first.filter(|first| self.segments.contains_key(first));
    }
}

/// What else happened to the segments of Flows that used an object, and which of these are put aside.
type Fates = (Vec<(Place, FlowId, Happening)>, BTreeSet<FlowId>);

fn fates(history: &History, used: &BTreeMap<FlowId, Stretch>, until: Place) -> Result<Fates, fjall::Error> {
    let (mut happenings, mut hidden) = (Vec::new(), BTreeSet::new());
    for (flow_id, stretch) in used {
        for Span { stretch, place, kind, .. } in history.versions().deleted(*flow_id, *stretch, (BEGINNING, until))? {
            if let Kind::Deleted(object) = kind {
                happenings.push((place, *flow_id, Happening::Deleted(stretch, object)));
            }
        }
        for (number, life) in history.versions().lives(*flow_id, until).enumerate() {
            match life? {
                (place, Life::Deleted) => happenings.push((place, *flow_id, Happening::Gone)),
                (_, Life::Trashed) if number == 0 => drop(hidden.insert(*flow_id)),
                (_, Life::Created | Life::Trashed | Life::Restored) => {}
            }
        }
    }
    Ok((happenings, hidden))
}

/// The segments of an event that use an object.
fn uses_in(event: &SegmentsAdded, id: &ObjectId) -> Vec<Use> {
    let is_init = |number: u32| event.init_objects.get(number as usize).is_some_and(|init| init.object_id == *id);
    let used =
        event.segments.iter().filter(|segment| segment.object_id == *id || segment.init_object.is_some_and(is_init));
    let uses = used.map(|segment| {
        let (from, to) = segment.timerange.half_open_nanos();
        Use { stretch: Stretch { from, to }, media: segment.object_id.clone() }
    });
    uses.collect()
}

/// What an event that uses an object says of it.
fn described(place: Place, event: &SegmentsAdded, id: &ObjectId) -> Option<Description> {
    let instances = listed_in(event, id)?;
    let object = Object { instances, ..Object::default() };
    let media = event.segments.iter().rev().find(|segment| segment.object_id == *id);
    Some(match media {
        None => Description { place, object, init: None, is_init: true, range: TimeRange::NEVER },
        Some(segment) => {
            let init = segment.init_object.and_then(|number| event.init_objects.get(number as usize));
            Description {
                place,
                object: Object { key_frame_count: segment.key_frame_count, ..object },
                init: init.map(|init| (init.object_id.clone(), instances_of(event, &init.instances))),
                is_init: false,
                range: segment.whole_object()?,
            }
        }
    })
}

impl Question<'_> {
    pub async fn object(mut self, id: &ObjectId) -> Result<Arc<Tables>, AsOfError> {
        let until = self.until();
        let mut happenings: Vec<(Place, FlowId, Happening)> = Vec::new();
        let mut used: BTreeMap<FlowId, Stretch> = BTreeMap::new();
        let mut last: Option<Description> = None;
        for seq in self.touched(id, Seq::ZERO.next()).await? {
            for (place, event) in self.loaded.events_before(seq, until) {
                if let Event::SegmentsAdded(event) = event {
                    let uses = uses_in(event, id);
                    for usage in &uses {
                        let hull = used.entry(event.flow_id).or_insert(usage.stretch);
                        hull.from = hull.from.min(usage.stretch.from);
                        hull.to = hull.to.max(usage.stretch.to);
                    }
                    if !uses.is_empty() {
                        last = described(place, event, id).or(last);
                        happenings.push((place, event.flow_id, Happening::Used(uses)));
                    }
                }
                // What was added before its first use is among what that names.
                let Some(last) = &mut last else { continue };
                if let Event::InstanceAdded(event) = event
                    && event.object_id == *id
                {
                    add(&mut last.object.instances, event.instance.clone());
                }
                if let Event::InstanceRemoved(event) = event
                    && event.object_id == *id
                {
                    last.object.instances.retain(|instance| *instance != event.instance);
                }
            }
        }
        let Some(last) = last else {
            return self.put_together(Metadata::default(), Inventory::default()).await;
        };
        let (others, hidden) = self.ask(move |history| fates(history, &used, until)).await?;
        happenings.extend(others);
        happenings.sort_by_key(|(place, ..)| *place);
        let mut uses = Uses::default();
        for (_, flow_id, happening) in happenings {
            uses.take(flow_id, happening);
        }
        let metadata = self.flows_alone(uses.segments.keys().copied().collect()).await?;
        let inventory = self.holding(id, last, &uses, &hidden).await?;
        self.put_together(metadata, inventory).await
    }

    /// An inventory with the object alone.
    async fn holding(
        &mut self,
        id: &ObjectId,
        last: Description,
        uses: &Uses,
        hidden: &BTreeSet<FlowId>,
    ) -> Result<Inventory, AsOfError> {
        let mut inventory = Inventory::default();
        if uses.segments.is_empty() {
            return Ok(inventory);
        }
        let Description { place, mut object, init, is_init, range } = last;
        if let Some((init, instances)) = init {
            let named = HashMap::from([(init.clone(), (place, instances))]);
            object.init = Some(inventory.restore_init(&init));
            let instances = self.instances(named).await?.remove(&init).unwrap_or_default();
            inventory.restore_object(&init, &Object { instances, ..Object::default() });
        }
        let slots = uses.segments.iter().map(|(flow_id, of_flow)| (inventory.create_flow(*flow_id), of_flow));
        let slots: Vec<_> = slots.collect();
        let first = uses.first.and_then(|first| inventory.flow(first));
        object.state = if is_init {
            let flows = slots.iter().map(|(slot, of_flow)| (*slot, of_flow.len() as u64)).collect();
            ObjectState::Init { first, flows }
        } else {
            let starts = slots
                .iter()
                .flat_map(|(flow, of_flow)| of_flow.keys().map(|start| SegmentUse { flow: *flow, start: *start }));
            ObjectState::Registered { range, first, uses: starts.collect() }
        };
        inventory.restore_object(id, &object);
        hidden.iter().for_each(|flow_id| inventory.hide_flow(*flow_id));
        Ok(inventory)
    }
}
