//! Pages of listings: in what order, from where, how many (sections 1.6 and 1.7).

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tapelog_events::{FlowId, Instant, SourceId};
use uuid::Uuid;

/// What Flows and Sources are listed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortBy {
    /// `created`: newest first.
    #[default]
    Created,
    /// `metadata_updated` of a Flow, `updated` of a Source: newest first.
    Updated,
    /// `label`: A to Z, and what has none after those, by id.
    Label,
}

/// Which way a listing goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// The order that [`SortBy`] names; segments by ascending time.
    #[default]
    Usual,
    /// Exactly the other way round (`reverse_order=true`).
    Reversed,
}

/// Which part of a listing is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Paging<'a> {
    /// Which way the listing goes.
    pub direction: Direction,
    /// Where to go on: [`Page::next`] of the page before. `None` for the first page.
    pub cursor: Option<&'a str>,
    /// How many items at the most.
    pub limit: usize,
}

/// One page of a listing. Only the last page of a listing has fewer items than were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` when no more items follow. It names the place of the last item, whether or
    /// not that is still there when it is used.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page from items and their keys, which begin after the cursor's place.
    pub(super) fn collect<K>(
        items: impl Iterator<Item = (K, T)>,
        limit: usize,
        encode: impl FnOnce(K) -> String,
    ) -> Self {
        let mut page = Self { items: Vec::with_capacity(limit.min(64)), next: None };
        let mut last = None;
        for (key, item) in items {
            if page.items.len() == limit {
                page.next = last.map(encode);
                break;
            }
            page.items.push(item);
            last = Some(key);
        }
        page
    }
}

/// A text that is not a cursor of the listing that it was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page is not a key that this listing gave out")]
pub struct InvalidCursor;

/// Bytes as the text of a cursor.
pub(super) fn encode_cursor(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a cursor's text.
pub(super) fn decode_cursor(cursor: &str) -> Result<Vec<u8>, InvalidCursor> {
    URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)
}

/// An id that things are listed by.
pub(super) trait ListedId: Copy + Ord {
    fn to_bytes(self) -> [u8; 16];
    fn from_bytes(bytes: [u8; 16]) -> Self;
}

macro_rules! listed_ids {
    ($($id:ident),*) => {$(
        impl ListedId for $id {
            fn to_bytes(self) -> [u8; 16] {
                *self.as_uuid().as_bytes()
            }

            fn from_bytes(bytes: [u8; 16]) -> Self {
                Self::from_uuid(Uuid::from_bytes(bytes))
            }
        }
    )*};
}

listed_ids!(FlowId, SourceId);

/// The cursor that names a place in a listing by id.
pub(super) fn encode_id<Id: ListedId>(id: Id) -> String {
    encode_cursor(&id.to_bytes())
}

/// The place that [`encode_id`] named.
pub(super) fn decode_id<Id: ListedId>(cursor: &str) -> Result<Id, InvalidCursor> {
    decode_cursor(cursor)?.try_into().map(Id::from_bytes).map_err(|_| InvalidCursor)
}

/// What decides an item's place before its id does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Newest first.
    Date(Reverse<Instant>),
    /// A to Z.
    Label(Box<str>),
    /// Has not the property that is sorted by: after all that have it.
    Unset,
}

type Place<Id> = (Rank, Id);

/// What of an item its places are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted<'a> {
    pub created: Instant,
    pub updated: Instant,
    pub label: Option<&'a str>,
}

impl Sorted<'_> {
    fn rank(&self, by: SortBy) -> Rank {
        match by {
            SortBy::Created => Rank::Date(Reverse(self.created)),
            SortBy::Updated => Rank::Date(Reverse(self.updated)),
            SortBy::Label => self.label.map_or(Rank::Unset, |label| Rank::Label(label.into())),
        }
    }
}

/// Ids in each of the orders that they can be listed in.
#[derive(Debug, Clone)]
pub(super) struct Orders<Id> {
    created: BTreeSet<Place<Id>>,
    updated: BTreeSet<Place<Id>>,
    label: BTreeSet<Place<Id>>,
}

impl<Id> Default for Orders<Id> {
    fn default() -> Self {
        Self { created: BTreeSet::new(), updated: BTreeSet::new(), label: BTreeSet::new() }
    }
}

impl<Id: ListedId> Orders<Id> {
    pub fn is_empty(&self) -> bool {
        self.created.is_empty()
    }

    pub fn insert(&mut self, id: Id, sorted: Sorted<'_>) {
        self.created.insert((sorted.rank(SortBy::Created), id));
        self.updated.insert((sorted.rank(SortBy::Updated), id));
        self.label.insert((sorted.rank(SortBy::Label), id));
    }

    pub fn remove(&mut self, id: Id, sorted: Sorted<'_>) {
        self.created.remove(&(sorted.rank(SortBy::Created), id));
        self.updated.remove(&(sorted.rank(SortBy::Updated), id));
        self.label.remove(&(sorted.rank(SortBy::Label), id));
    }

    /// The page of what `select` makes of the ids that it wants.
    pub fn page<T>(
        &self,
        by: SortBy,
        paging: &Paging<'_>,
        select: impl Fn(Id) -> Option<T>,
    ) -> Result<Page<T>, InvalidCursor> {
        let after = paging.cursor.map(|cursor| decode_place(by, cursor)).transpose()?;
        let places = match by {
            SortBy::Created => &self.created,
            SortBy::Updated => &self.updated,
            SortBy::Label => &self.label,
        };
        let choose = |place| {
            let (_, id): &Place<Id> = place;
            select(*id).map(|item| (place, item))
        };
        let beyond = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let encode = |place: &Place<Id>| encode_place(by, place);
        Ok(match paging.direction {
            Direction::Usual => {
                Page::collect(places.range((beyond, Bound::Unbounded)).filter_map(choose), paging.limit, encode)
            }
            Direction::Reversed => {
                Page::collect(places.range((Bound::Unbounded, beyond)).rev().filter_map(choose), paging.limit, encode)
            }
        })
    }
}

const fn sort_mark(by: SortBy) -> u8 {
    match by {
        SortBy::Created => b'c',
        SortBy::Updated => b'u',
        SortBy::Label => b'l',
    }
}

const HAS_LABEL: u8 = 1;
const HAS_NO_LABEL: u8 = 0;

/// What is sorted by, the rank and the id.
fn encode_place<Id: ListedId>(by: SortBy, (rank, id): &Place<Id>) -> String {
    let mut bytes = vec![sort_mark(by)];
    match rank {
        Rank::Date(Reverse(date)) => bytes.extend(date.as_micros().to_be_bytes()),
        Rank::Label(label) => {
            bytes.push(HAS_LABEL);
            bytes.extend(label.as_bytes());
        }
        Rank::Unset => bytes.push(HAS_NO_LABEL),
    }
    bytes.extend(id.to_bytes());
    encode_cursor(&bytes)
}

fn decode_place<Id: ListedId>(by: SortBy, cursor: &str) -> Result<Place<Id>, InvalidCursor> {
    let bytes = decode_cursor(cursor)?;
    let (rank, id) = bytes.split_last_chunk().ok_or(InvalidCursor)?;
    let (mark, rank) = rank.split_first().ok_or(InvalidCursor)?;
    if *mark != sort_mark(by) {
        return Err(InvalidCursor);
    }
    let rank = match (by, rank) {
        (SortBy::Created | SortBy::Updated, date) => {
            let micros = date.try_into().map_err(|_| InvalidCursor)?;
            Rank::Date(Reverse(Instant::from_micros(i64::from_be_bytes(micros))))
        }
        (SortBy::Label, [HAS_LABEL, label @ ..]) => {
            Rank::Label(std::str::from_utf8(label).map_err(|_| InvalidCursor)?.into())
        }
        (SortBy::Label, [HAS_NO_LABEL]) => Rank::Unset,
        (SortBy::Label, _) => return Err(InvalidCursor),
    };
    Ok((rank, Id::from_bytes(*id)))
}
