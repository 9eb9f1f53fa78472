//! Sources: their listing and the form they are served in (sections 2.3 and 4).

use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_events::{Access, Format, Source, SourceCollectionItem, SourceId};

use super::document::{self, SourceDocument};
use super::flow::is_collected_by;
use super::page::{InvalidCursor, Orders, Page, Paging, SortBy, Sorted};
use super::postings::{Candidates, Postings, selected_page};
use super::tag::TagKey;
use super::{Tables, TagFilter};

/// Which Sources are asked for: those that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceFilter {
    /// With exactly this label.
    pub label: Option<String>,
    /// Of this format.
    pub format: Option<Format>,
    /// With such tags.
    pub tags: Vec<TagFilter>,
    /// Collected by one of these Sources. An empty list asks for Sources that nothing collects.
    pub collected_by_ids: Option<Vec<SourceId>>,
    /// Whether it collects Sources.
    pub has_collection: Option<bool>,
    /// Who asks: Sources that they may not read are not among them, and what these collect or are collected by counts
    /// for nothing.
    pub access: Arc<Access>,
}

impl SourceFilter {
    fn matches(&self, tables: &Tables, source: &Source) -> bool {
        let may_read = |id: SourceId| tables.may_read_source(&self.access, id);
        self.access.may_read(&source.tags)
            && self.label.as_ref().is_none_or(|label| source.label.as_ref() == Some(label))
            && self.format.is_none_or(|format| source.format == format)
            && self.tags.iter().all(|filter| filter.matches(&source.tags))
            && self.collected_by_ids.as_deref().is_none_or(|asked| {
                let collectors = tables.state.collectors_of_source(source.id).into_iter();
                is_collected_by(collectors.filter(|id| may_read(*id)), asked)
            })
            && self.has_collection.is_none_or(|has_collection| {
                let collection = tables.state.collection_of_source(source.id);
                collection.iter().any(|item| may_read(item.id)) == has_collection
            })
    }

    /// What each selective condition leaves.
    fn candidates<'a>(&'a self, tables: &'a Tables) -> Vec<Candidates<'a, SourceKey, SourceId>> {
        let having =
            [self.label.as_deref().map(|label| SourceKey::Label(label.into())), self.format.map(SourceKey::Format)];
        let having = having.into_iter().flatten().map(|key| Candidates::Having(vec![key]));
        let tagged = self.tags.iter().filter_map(|filter| TagKey::asked_for(filter, SourceKey::Tag));
        let collectors = self.collected_by_ids.as_deref().filter(|asked| !asked.is_empty());
        let collected = collectors.map(|collectors| {
            let items = collectors.iter().flat_map(|id| tables.state.collection_of_source(*id));
            let ids: Vec<_> = items.map(|item| item.id).collect();
            Candidates::Found(ids.len(), Box::new(|| ids))
        });
        let collecting = (self.has_collection == Some(true)).then(|| {
            let (count, flows) = tables.flows.collectors();
            Candidates::Found(count, Box::new(|| flows.map(|flow| flow.source_id).collect()))
        });
        having.chain(tagged.map(Candidates::Having)).chain(collected).chain(collecting).collect()
    }
}

/// A property that Sources are found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SourceKey {
    Format(Format),
    Label(Box<str>),
    Tag(TagKey),
}

impl SourceKey {
    /// Every property of a Source.
    fn all_of(source: &Source) -> Vec<Self> {
        let label = source.label.as_deref().map(|label| Self::Label(label.into()));
        let tags = TagKey::all_of(&source.tags).map(Self::Tag);
        std::iter::once(Self::Format(source.format)).chain(label).chain(tags).collect()
    }
}

/// A Source as it stands in the tables.
#[derive(Debug, Clone, Copy)]
pub struct SourceView<'a> {
    tables: &'a Tables,
    source: &'a Arc<Source>,
    document: &'a str,
}

impl<'a> SourceView<'a> {
    /// Its metadata.
    pub fn source(&self) -> &'a Arc<Source> {
        self.source
    }

    /// The Sources that it collects, as the collections of its Flows say.
    pub fn source_collection(&self) -> Vec<SourceCollectionItem> {
        self.tables.state.collection_of_source(self.source.id)
    }

    /// The Sources that collect it.
    pub fn collected_by(&self) -> Vec<SourceId> {
        self.tables.state.collectors_of_source(self.source.id)
    }

    /// Writes it as `source.json`, without the Sources that one may not read.
    pub fn write_json(&self, out: &mut Vec<u8>, access: &Access) {
        let document = SourceDocument {
            source: self.source,
            source_collection: &self.source_collection(),
            collected_by: &self.collected_by(),
        };
        document.write_with(self.document, out, |id| self.tables.may_read_source(access, id));
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// As it was when it was put into the orders.
    source: Arc<Source>,
    document: Box<str>,
}

/// Sources in the orders they are listed in and by their properties, with their documents.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceIndex {
    entries: HashMap<SourceId, Entry>,
    orders: Orders<SourceId>,
    postings: Postings<SourceKey, SourceId>,
}

impl SourceIndex {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes the present metadata of a Source into account, `None` once it is gone, and gives back what was there
    /// before.
    pub fn put(&mut self, id: SourceId, source: Option<&Arc<Source>>) -> Option<Arc<Source>> {
        let before = self.entries.remove(&id).map(|entry| entry.source);
        if let Some(before) = &before {
            self.orders.remove(id, sorted(before));
        }
        if let Some(source) = source {
            self.orders.insert(id, sorted(source));
            self.entries.insert(id, Entry { source: Arc::clone(source), document: document::opened(&**source) });
        }
        let placed = |source: &Source| (source.created, SourceKey::all_of(source));
        self.postings.change(id, before.as_deref().map(placed), source.map(|source| placed(source)));
        before
    }
}

fn sorted(source: &Source) -> Sorted<'_> {
    Sorted { created: source.created, updated: source.updated, label: source.label.as_deref() }
}

impl Tables {
    /// A Source.
    pub fn source(&self, id: SourceId) -> Option<SourceView<'_>> {
        let Entry { source, document } = self.sources.entries.get(&id)?;
        Some(SourceView { tables: self, source, document })
    }

    /// The Sources that a filter lets pass, in order.
    ///
    /// # Errors
    /// When the cursor is not of such a listing.
    pub fn sources(
        &self,
        filter: &SourceFilter,
        sort: SortBy,
        paging: &Paging<'_>,
    ) -> Result<Page<SourceView<'_>>, InvalidCursor> {
        let SourceIndex { entries, orders, postings } = &self.sources;
        let select = |id: SourceId| {
            let Entry { source, document } = entries.get(&id)?;
            let view = SourceView { tables: self, source, document };
            filter.matches(self, source).then_some((sorted(source), view))
        };
        selected_page((orders, postings), filter.candidates(self), sort, paging, select)
    }
}
