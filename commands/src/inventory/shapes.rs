//! Shapes: what many objects have in common, kept once.

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};
use std::hash::BuildHasher;
use tapelog_events::time::Clusivity;

use super::object::ObjectSlot;

/// How long an object's range is, how it ends, where it starts, and which init object it needs. A recording has few different ones, so an object
/// refers to its shape by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub origin: Origin,
    /// From the start of the range to its end, in nanoseconds.
    pub length: i128,
    pub end: Clusivity,
    pub init: Option<ObjectSlot>,
}

/// Where the range of an object starts on its own timeline, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// This much before the start that its row holds: for objects that share one clock.
    Before(i128),
    /// Here, wherever they are used: for objects that each have a clock of their own.
    At(i128),
}

/// Shapes by number, each with the count of its users.
#[derive(Debug, Default, Clone)]
pub(super) struct Shapes {
    entries: Vec<(Shape, u32)>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
}

impl Shapes {
    /// How many shapes have users.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn get(&self, number: u32) -> Shape {
        self.entries[number as usize].0
    }

    /// The number of `shape`, with one user more.
    pub fn acquire(&mut self, shape: Shape) -> u32 {
        let Self { entries, numbers, free, hasher } = self;
        let hash = hasher.hash_one(shape);
        let found = numbers.entry(
            hash,
            |number| entries[*number as usize].0 == shape,
            |number| hasher.hash_one(entries[*number as usize].0),
        );
        match found {
            Entry::Occupied(occupied) => {
                let number = *occupied.get();
                entries[number as usize].1 += 1;
                number
            }
            Entry::Vacant(vacant) => {
                let number = free.pop().unwrap_or(entries.len() as u32);
                vacant.insert(number);
                match entries.get_mut(number as usize) {
                    Some(entry) => *entry = (shape, 1),
                    None => entries.push((shape, 1)),
                }
                number
            }
        }
    }

    /// Takes one user from a shape; without users its number is free.
    pub fn release(&mut self, number: u32) {
        let (shape, users) = &mut self.entries[number as usize];
        *users -= 1;
        if *users == 0 {
            let hash = self.hasher.hash_one(*shape);
            if let Ok(entry) = self.numbers.find_entry(hash, |other| *other == number) {
                entry.remove();
            }
            self.free.push(number);
        }
    }
}
