//! Which Flows and Sources have a property, so that a selective filter need not look at all of them.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::ops::Bound;

use hashbrown::HashMap;
use tapelog_events::Instant;

use super::page::{
    CreatedBounds, InvalidCursor, ListedId, Orders, Page, Paging, SortBy, Sorted, by_created, sort_mark, sorted_page,
};

/// Names a property, and says how many have it.
#[derive(Debug, Clone, Copy)]
struct Posting {
    number: u32,
    count: u32,
}

/// Ids by property and date of creation, the newest first, in one set: a property costs next to nothing besides the
/// places of those that have it, of which each takes about 40 bytes.
#[derive(Debug, Clone)]
pub(super) struct Postings<Key, Id> {
    keys: HashMap<Key, Posting>,
    places: BTreeSet<(u32, Reverse<Instant>, Id)>,
    /// Numbers of properties that nothing has any more.
    free: Vec<u32>,
}

impl<Key, Id> Default for Postings<Key, Id> {
    fn default() -> Self {
        Self { keys: HashMap::new(), places: BTreeSet::new(), free: Vec::new() }
    }
}

impl<Key: Eq + Hash + Clone, Id: ListedId> Postings<Key, Id> {
    /// Takes into account which properties something had, and has now, each with the date of its creation.
    pub fn change(&mut self, id: Id, before: Option<(Instant, Vec<Key>)>, now: Option<(Instant, Vec<Key>)>) {
        let stays = |key: &Key, created: Instant, others: &Option<(Instant, Vec<Key>)>| {
            others.as_ref().is_some_and(|(other, keys)| *other == created && keys.contains(key))
        };
        if let Some((created, keys)) = &before {
            keys.iter().filter(|key| !stays(key, *created, &now)).for_each(|key| self.remove(key, *created, id));
        }
        if let Some((created, keys)) = &now {
            let new = keys.iter().filter(|key| !stays(key, *created, &before));
            new.for_each(|key| self.insert(key.clone(), *created, id));
        }
    }

    fn insert(&mut self, key: Key, created: Instant, id: Id) {
        let next = self.keys.len() as u32;
        let free = &mut self.free;
        let new = || Posting { number: free.pop().unwrap_or(next), count: 0 };
        let posting = self.keys.entry(key).or_insert_with(new);
        posting.count += u32::from(self.places.insert((posting.number, Reverse(created), id)));
    }

    fn remove(&mut self, key: &Key, created: Instant, id: Id) {
        let Some(posting) = self.keys.get_mut(key) else { return };
        posting.count -= u32::from(self.places.remove(&(posting.number, Reverse(created), id)));
        if posting.count == 0 {
            self.free.push(posting.number);
            self.keys.remove(key);
        }
    }

    /// How many have a property.
    pub fn count(&self, key: &Key) -> usize {
        self.keys.get(key).map_or(0, |posting| posting.count as usize)
    }

    /// Those that have a property, the newest first, from after a place to before another.
    fn range(
        &self,
        key: &Key,
        (from, to): CreatedBounds<Id>,
    ) -> impl DoubleEndedIterator<Item = (Reverse<Instant>, Id)> {
        let posting = self.keys.get(key);
        posting.into_iter().flat_map(move |Posting { number, .. }| {
            let within = |bound: Bound<_>, unbounded| match bound {
                Bound::Unbounded => Bound::Included(unbounded),
                bounded => bounded,
            };
            let from = within(from, (Reverse(Instant::MAX), Id::MIN)).map(|(created, id)| (*number, created, id));
            let to = within(to, (Reverse(Instant::MIN), Id::MAX)).map(|(created, id)| (*number, created, id));
            self.places.range((from, to)).map(|(_, created, id)| (*created, *id))
        })
    }

    /// Those that have a property, the newest first.
    pub fn ids(&self, key: &Key) -> impl Iterator<Item = Id> {
        self.range(key, (Bound::Unbounded, Bound::Unbounded)).map(|(_, id)| id)
    }
}

/// All that meet one condition of a filter, and perhaps others.
pub(super) enum Candidates<'a, Key, Id> {
    /// Those that have one of these properties.
    Having(Vec<Key>),
    /// At most so many, which are found out when they are wanted.
    Found(usize, Box<dyn FnOnce() -> Vec<Id> + 'a>),
}

impl<Key: Eq + Hash + Clone, Id: ListedId> Candidates<'_, Key, Id> {
    fn count(&self, postings: &Postings<Key, Id>) -> usize {
        match self {
            Self::Having(keys) => keys.iter().map(|key| postings.count(key)).sum(),
            Self::Found(count, _) => *count,
        }
    }

    /// The candidates, each once.
    fn ids(self, postings: &Postings<Key, Id>) -> Vec<Id> {
        let mut ids: Vec<Id> = match self {
            Self::Having(keys) => keys.iter().flat_map(|key| postings.ids(key)).collect(),
            Self::Found(_, find) => find(),
        };
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// How many looks at what is passed over cost as much as one candidate that is gathered and sorted.
const LOOKS_A_CANDIDATE: usize = 4;

/// The page of what `select` makes of the ids that it wants. What it wants is among each of the `candidates`: the
/// smallest are looked at, where that is less work than to look at all in their order until the page is full.
pub(super) fn selected_page<'a, Key: Eq + Hash + Clone, Id: ListedId, T>(
    (orders, postings): (&Orders<Id>, &Postings<Key, Id>),
    candidates: Vec<Candidates<'_, Key, Id>>,
    by: SortBy,
    paging: &Paging<'_>,
    select: impl Fn(Id) -> Option<(Sorted<'a>, T)>,
) -> Result<Page<T>, InvalidCursor> {
    let counted = candidates.into_iter().map(|candidates| (candidates.count(postings), candidates));
    let Some((count, smallest)) = counted.min_by_key(|(count, _)| *count) else {
        return orders.page(by, paging, |id| select(id).map(|(_, item)| item));
    };
    if let (Candidates::Having(keys), SortBy::Created) = (&smallest, by)
        && let [key] = keys.as_slice()
    {
        let select = |id| select(id).map(|(_, item)| item);
        return by_created(paging, |bounds| postings.range(key, bounds), select);
    }
    // Spread evenly, one of so many is wanted: a full page is found after this many looks.
    let looks_in_order = paging.limit.saturating_mul(orders.len()) / count.max(1);
    if count.saturating_mul(LOOKS_A_CANDIDATE) <= looks_in_order {
        let ids = smallest.ids(postings).into_iter();
        let selected = ids.filter_map(|id| select(id).map(|(sorted, item)| (sorted.rank(by), id, item)));
        return sorted_page(sort_mark(by), paging, selected);
    }
    orders.page(by, paging, |id| select(id).map(|(_, item)| item))
}
