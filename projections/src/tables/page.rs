//! Pages of listings: in what order, from where, how many (sections 1.6 and 1.7).

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tapelog_events::{DeletionRequestId, FlowId, Instant, ProfileId, SourceId, WebhookId};
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

impl Paging<'_> {
    /// Whether the listing goes the other way round.
    pub fn is_reversed(&self) -> bool {
        self.direction == Direction::Reversed
    }
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
    /// Before every other.
    const MIN: Self;
    /// After every other.
    const MAX: Self;
    fn to_bytes(self) -> [u8; 16];
    fn from_bytes(bytes: [u8; 16]) -> Self;
}

macro_rules! listed_ids {
    ($($id:ident),*) => {$(
        impl ListedId for $id {
            const MIN: Self = Self::from_uuid(Uuid::nil());
            const MAX: Self = Self::from_uuid(Uuid::max());

            fn to_bytes(self) -> [u8; 16] {
                *self.as_uuid().as_bytes()
            }

            fn from_bytes(bytes: [u8; 16]) -> Self {
                Self::from_uuid(Uuid::from_bytes(bytes))
            }
        }
    )*};
}

listed_ids!(FlowId, SourceId, ProfileId, WebhookId, DeletionRequestId);

/// The cursor that names a place in a listing by id.
pub(super) fn encode_id<Id: ListedId>(id: Id) -> String {
    encode_cursor(&id.to_bytes())
}

/// The place that [`encode_id`] named.
pub(super) fn decode_id<Id: ListedId>(cursor: &str) -> Result<Id, InvalidCursor> {
    decode_cursor(cursor)?.try_into().map(Id::from_bytes).map_err(|_| InvalidCursor)
}

/// What decides an item's place before its id does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank<Text> {
    /// Newest first.
    Date(Reverse<Instant>),
    /// A to Z.
    Text(Text),
    /// Has not the property that is sorted by: after all that have it.
    Unset,
}

impl<Text> Rank<Text> {
    /// By a moment that not every item has.
    pub fn of_date(date: Option<Instant>) -> Self {
        date.map_or(Self::Unset, |date| Self::Date(Reverse(date)))
    }
}

impl Rank<&str> {
    fn to_owned(self) -> Rank<Box<str>> {
        match self {
            Rank::Date(date) => Rank::Date(date),
            Rank::Text(text) => Rank::Text(text.into()),
            Rank::Unset => Rank::Unset,
        }
    }
}

impl Rank<Box<str>> {
    fn borrowed(&self) -> Rank<&str> {
        match self {
            Rank::Date(date) => Rank::Date(*date),
            Rank::Text(text) => Rank::Text(text),
            Rank::Unset => Rank::Unset,
        }
    }
}

type Place<Id> = (Rank<Box<str>>, Id);

/// What of an item its places are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted<'a> {
    pub created: Instant,
    pub updated: Instant,
    pub label: Option<&'a str>,
}

impl<'a> Sorted<'a> {
    pub fn rank(&self, by: SortBy) -> Rank<&'a str> {
        match by {
            SortBy::Created => Rank::Date(Reverse(self.created)),
            SortBy::Updated => Rank::Date(Reverse(self.updated)),
            SortBy::Label => self.label.map_or(Rank::Unset, Rank::Text),
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
    pub fn len(&self) -> usize {
        self.created.len()
    }

    pub fn insert(&mut self, id: Id, sorted: Sorted<'_>) {
        self.created.insert((sorted.rank(SortBy::Created).to_owned(), id));
        self.updated.insert((sorted.rank(SortBy::Updated).to_owned(), id));
        self.label.insert((sorted.rank(SortBy::Label).to_owned(), id));
    }

    pub fn remove(&mut self, id: Id, sorted: Sorted<'_>) {
        self.created.remove(&(sorted.rank(SortBy::Created).to_owned(), id));
        self.updated.remove(&(sorted.rank(SortBy::Updated).to_owned(), id));
        self.label.remove(&(sorted.rank(SortBy::Label).to_owned(), id));
    }

    /// The page of what `select` makes of the ids that it wants.
    pub fn page<T>(
        &self,
        by: SortBy,
        paging: &Paging<'_>,
        select: impl Fn(Id) -> Option<T>,
    ) -> Result<Page<T>, InvalidCursor> {
        let mark = sort_mark(by);
        let after = paging.cursor.map(|cursor| decode_place(mark, cursor)).transpose()?;
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
        let encode = |(rank, id): &Place<Id>| encode_place(mark, rank.borrowed(), *id);
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

/// Between which places, ordered by date of creation, items are wanted.
pub(super) type CreatedBounds<Id> = (Bound<(Reverse<Instant>, Id)>, Bound<(Reverse<Instant>, Id)>);

/// The page of what `select` makes of the ids that it wants, which `range` has the newest first.
pub(super) fn by_created<Id: ListedId, T, Ids: DoubleEndedIterator<Item = (Reverse<Instant>, Id)>>(
    paging: &Paging<'_>,
    range: impl FnOnce(CreatedBounds<Id>) -> Ids,
    select: impl Fn(Id) -> Option<T>,
) -> Result<Page<T>, InvalidCursor> {
    let mark = sort_mark(SortBy::Created);
    let beyond = match paging.cursor.map(|cursor| decode_place(mark, cursor)).transpose()? {
        None => Bound::Unbounded,
        Some((Rank::Date(created), id)) => Bound::Excluded((created, id)),
        Some((Rank::Text(_) | Rank::Unset, _)) => return Err(InvalidCursor),
    };
    let choose = |(created, id)| select(id).map(|item| ((created, id), item));
    let encode = |(created, id)| encode_place(mark, Rank::Date(created), id);
    Ok(match paging.direction {
        Direction::Usual => Page::collect(range((beyond, Bound::Unbounded)).filter_map(choose), paging.limit, encode),
        Direction::Reversed => {
            Page::collect(range((Bound::Unbounded, beyond)).rev().filter_map(choose), paging.limit, encode)
        }
    })
}

/// The page of few items, in whatever order they come. `mark` tells the cursors of one listing from those of others.
pub(super) fn sorted_page<'a, Id: ListedId, T>(
    mark: u8,
    paging: &Paging<'_>,
    items: impl Iterator<Item = (Rank<&'a str>, Id, T)>,
) -> Result<Page<T>, InvalidCursor> {
    let after = paging.cursor.map(|cursor| decode_place::<Id>(mark, cursor)).transpose()?;
    let after = after.as_ref().map(|(rank, id)| (rank.borrowed(), *id));
    let items = items.map(|(rank, id, item)| ((rank, id), item));
    let mut left: Vec<_> = match (after, paging.direction) {
        (None, _) => items.collect(),
        (Some(after), Direction::Usual) => items.filter(|(place, _)| *place > after).collect(),
        (Some(after), Direction::Reversed) => items.filter(|(place, _)| *place < after).collect(),
    };
    left.sort_unstable_by(|(left, _), (right, _)| match paging.direction {
        Direction::Usual => left.cmp(right),
        Direction::Reversed => right.cmp(left),
    });
    Ok(Page::collect(left.into_iter(), paging.limit, |(rank, id)| encode_place(mark, rank, id)))
}

/// The mark of cursors in this order.
pub(super) const fn sort_mark(by: SortBy) -> u8 {
    match by {
        SortBy::Created => b'c',
        SortBy::Updated => b'u',
        SortBy::Label => b'l',
    }
}

const UNSET: u8 = 0;
const TEXT: u8 = 1;
const DATE: u8 = 2;

/// The mark, the rank and the id.
fn encode_place<Id: ListedId>(mark: u8, rank: Rank<&str>, id: Id) -> String {
    let mut bytes = vec![mark];
    match rank {
        Rank::Date(Reverse(date)) => {
            bytes.push(DATE);
            bytes.extend(date.as_micros().to_be_bytes());
        }
        Rank::Text(text) => {
            bytes.push(TEXT);
            bytes.extend(text.as_bytes());
        }
        Rank::Unset => bytes.push(UNSET),
    }
    bytes.extend(id.to_bytes());
    encode_cursor(&bytes)
}

fn decode_place<Id: ListedId>(mark: u8, cursor: &str) -> Result<Place<Id>, InvalidCursor> {
    let bytes = decode_cursor(cursor)?;
    let (rank, id) = bytes.split_last_chunk().ok_or(InvalidCursor)?;
    let rank = match rank {
        [found, ..] if *found != mark => return Err(InvalidCursor),
        [_, DATE, date @ ..] => {
            let micros = date.try_into().map_err(|_| InvalidCursor)?;
            Rank::Date(Reverse(Instant::from_micros(i64::from_be_bytes(micros))))
        }
        [_, TEXT, text @ ..] => Rank::Text(std::str::from_utf8(text).map_err(|_| InvalidCursor)?.into()),
        [_, UNSET] => Rank::Unset,
        _ => return Err(InvalidCursor),
    };
    Ok((rank, Id::from_bytes(*id)))
}
