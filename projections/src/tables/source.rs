//! Sources: their listing and the form they are served in (sections 2.3 and 4).

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use tapelog_commands::State;
use tapelog_events::{Format, Source, SourceCollectionItem, SourceId};

use super::document;
use super::flow::is_collected_by;
use super::page::{InvalidCursor, Orders, Page, Paging, SortBy, Sorted};
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
}

impl SourceFilter {
    fn matches(&self, view: &SourceView<'_>) -> bool {
        let source = view.source();
        self.label.as_ref().is_none_or(|label| source.label.as_ref() == Some(label))
            && self.format.is_none_or(|format| source.format == format)
            && self.tags.iter().all(|filter| filter.matches(&source.tags))
            && self.collected_by_ids.as_deref().is_none_or(|asked| {
                let collectors: BTreeSet<_> = view.collected_by().into_iter().collect();
                is_collected_by(&collectors, asked)
            })
    }
}

/// A Source as it stands in the tables.
#[derive(Debug, Clone, Copy)]
pub struct SourceView<'a> {
    state: &'a State,
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
        self.state.collection_of_source(self.source.id)
    }

    /// The Sources that collect it.
    pub fn collected_by(&self) -> Vec<SourceId> {
        self.state.collectors_of_source(self.source.id)
    }

    /// Writes it as `source.json`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.document.as_bytes());
        let collection = self.source_collection();
        if !collection.is_empty() {
            out.extend_from_slice(b",\"source_collection\":");
            serde_json::to_writer(&mut *out, &collection).expect("writing ids and roles to memory cannot fail");
        }
        document::push_ids(out, "collected_by", self.collected_by().iter().map(SourceId::as_uuid));
        out.push(b'}');
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// As it was when it was put into the orders.
    source: Arc<Source>,
    document: Box<str>,
}

/// Sources in the orders they are listed in, with their documents.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceIndex {
    entries: HashMap<SourceId, Entry>,
    all: Orders<SourceId>,
}

impl SourceIndex {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes the present metadata of a Source into account; `None` once it is gone.
    pub fn put(&mut self, id: SourceId, source: Option<&Arc<Source>>) {
        if let Some(Entry { source: before, .. }) = self.entries.remove(&id) {
            self.all.remove(id, sorted(&before));
        }
        if let Some(source) = source {
            self.all.insert(id, sorted(source));
            self.entries.insert(id, Entry { source: Arc::clone(source), document: document::opened(&**source) });
        }
    }
}

fn sorted(source: &Source) -> Sorted<'_> {
    Sorted { created: source.created, updated: source.updated, label: source.label.as_deref() }
}

impl Tables {
    /// A Source.
    pub fn source(&self, id: SourceId) -> Option<SourceView<'_>> {
        let Entry { source, document } = self.sources.entries.get(&id)?;
        Some(SourceView { state: &self.state, source, document })
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
        self.sources.all.page(sort, paging, |id| self.source(id).filter(|view| filter.matches(view)))
    }
}
