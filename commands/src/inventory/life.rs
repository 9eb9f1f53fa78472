//! What becomes of objects besides their use: instances come and go, and unused objects end.

use tapelog_events::{Instance, Instant, ObjectId};

use super::journal::Undo;
use super::object::{Instances, Object, ObjectSlot, ObjectState};
use super::{Contradiction, Inventory, Purpose, life};

impl Inventory {
    /// Gives an object one instance more.
    ///
    /// # Errors
    /// When it is unknown or condemned.
    pub fn add_instance(&mut self, id: &ObjectId, instance: &Instance) -> Result<(), Contradiction> {
        self.change_instances(id, "adds an instance to", |object| object.merge(std::slice::from_ref(instance)))
    }

    /// Takes an instance from an object.
    ///
    /// # Errors
    /// When it is unknown or condemned.
    pub fn remove_instance(&mut self, id: &ObjectId, instance: &Instance) -> Result<(), Contradiction> {
        self.change_instances(id, "takes an instance from", |object| object.instances.retain(|other| other != instance))
    }

    fn change_instances(
        &mut self,
        id: &ObjectId,
        does: &'static str,
        change: impl FnOnce(&mut Object),
    ) -> Result<(), Contradiction> {
        let known = self.objects.find(id).filter(|slot| self.purpose(*slot) != Purpose::Nothing);
        let slot = known.ok_or_else(|| life(id, does))?;
        let mut object = self.objects.get(slot);
        change(&mut object);
        self.replace_object(slot, &object);
        Ok(())
    }

    /// Whether any segment, of hidden Flows too, uses an object, or a media object, used or not, names it as its init
    /// object.
    pub fn is_in_use(&self, slot: ObjectSlot) -> bool {
        self.objects.is_in_use(slot)
    }

    /// Whether an object may go: one that was allocated before a moment and never registered, or that nothing has
    /// referred to since before another.
    pub fn is_expired(&self, slot: ObjectSlot, unregistered_before: Instant, unreferenced_before: Instant) -> bool {
        self.objects.is_expired(slot, unregistered_before, unreferenced_before)
    }

    /// Marks an object that nothing refers to: nothing may refer to it any more.
    ///
    /// # Errors
    /// When it is unknown, condemned already, or in use.
    pub fn condemn(&mut self, id: &ObjectId) -> Result<(), Contradiction> {
        let unused = |slot: &ObjectSlot| self.purpose(*slot) != Purpose::Nothing && !self.is_in_use(*slot);
        let slot = self.objects.find(id).filter(unused).ok_or_else(|| life(id, "condemns"))?;
        let Object { instances, .. } = self.objects.get(slot);
        self.replace_object(slot, &Object { state: ObjectState::Condemned, instances, ..Object::default() });
        Ok(())
    }

    /// Forgets a condemned object.
    ///
    /// # Errors
    /// When it is unknown or not condemned.
    pub fn forget(&mut self, id: &ObjectId) -> Result<(), Contradiction> {
        let condemned = self.objects.find(id).filter(|slot| self.purpose(*slot) == Purpose::Nothing);
        let slot = condemned.ok_or_else(|| life(id, "deletes"))?;
        self.note(|inventory| Undo::ObjectForgotten(id.clone(), Box::new(inventory.objects.get(slot))));
        self.objects.remove(id);
        Ok(())
    }

    /// Those of this many places from one on whose objects [may go](Self::is_expired), and the place to go on from;
    /// `None` at the end. Starts at 0.
    pub fn expired(
        &self,
        from: u32,
        rows: usize,
        unregistered_before: Instant,
        unreferenced_before: Instant,
    ) -> (Vec<ObjectId>, Option<u32>) {
        let (slots, next) = self.objects.places(from, rows);
        let expired = slots.filter(|slot| self.is_expired(*slot, unregistered_before, unreferenced_before));
        (expired.map(|slot| self.object_id(slot)).collect(), next)
    }

    /// The condemned objects at this many places from one on, each with where its bytes lie, and the place to go on from;
    /// `None` at the end. Starts at 0.
    pub fn condemned(&self, from: u32, rows: usize) -> (Vec<(ObjectId, Instances)>, Option<u32>) {
        let (slots, next) = self.objects.places(from, rows);
        let condemned = slots.filter(|slot| self.purpose(*slot) == Purpose::Nothing);
        (condemned.map(|slot| (self.object_id(slot), self.object_access(slot).0)).collect(), next)
    }
}
