//! Storage backends: what clients are told of them, and how URLs for their objects are signed.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tapelog_events::{StorageId, Tags};
use tapelog_store::media::MediaStore;

use super::response;

/// One storage backend.
pub struct StorageBackend {
    /// What clients are told of it.
    pub description: BackendDescription,
    /// Its bucket.
    pub media: Arc<MediaStore>,
}

/// What clients are told of a storage backend (`storage-backends-list.json`).
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "StorageBackend")]
pub struct BackendDescription {
    /// Names it.
    pub id: StorageId,
    /// A name for people, by which clients also choose URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether objects go here when a client does not say where.
    pub default_storage: bool,
    /// Where and what it is.
    #[serde(flatten)]
    pub place: BackendPlace,
}

/// Where and what a storage backend is (`storage-backend.json`): said of it, and of every URL when that is asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BackendPlace {
    /// The one kind there is.
    pub store_type: StoreType,
    /// Who provides it.
    pub provider: String,
    /// In which region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// In which zone of the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// What product it is.
    pub store_product: String,
    /// Free tags.
    pub tags: Tags,
}

/// Kinds of storage backends.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub enum StoreType {
    /// Objects by HTTP.
    #[serde(rename = "http_object_store")]
    HttpObjectStore,
}

/// The storage backends of a store, by label.
pub struct Backends(Vec<Backend>);

/// A backend with what is the same for each of its URLs.
pub(super) struct Backend {
    pub description: BackendDescription,
    pub media: Arc<MediaStore>,
    /// What follows a URL in `get_urls`.
    pub after_url: String,
    /// The same where clients ask for all there is.
    pub after_url_verbose: String,
}

impl Backends {
    /// The backends of a store.
    pub fn new(backends: Vec<StorageBackend>) -> Self {
        let mut backends: Vec<_> = backends.into_iter().map(Backend::new).collect();
        backends.sort_by(|a, b| {
            let key = |backend: &Backend| (backend.description.label.clone(), backend.description.id);
            key(a).cmp(&key(b))
        });
        Self(backends)
    }

    /// The bucket of a backend.
    pub fn media(&self, id: StorageId) -> Option<&MediaStore> {
        self.get(id).map(|backend| &*backend.media)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Backend> {
        self.0.iter()
    }

    pub(super) fn get(&self, id: StorageId) -> Option<&Backend> {
        self.0.iter().find(|backend| backend.description.id == id)
    }

    pub(super) fn default_storage(&self) -> Option<&Backend> {
        self.0.iter().find(|backend| backend.description.default_storage)
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|backend| backend.description.label.as_deref())
    }
}

impl Backend {
    fn new(StorageBackend { description, media }: StorageBackend) -> Self {
        #[derive(Serialize)]
        struct AfterUrl<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            label: Option<&'a str>,
            presigned: bool,
            #[serde(flatten, skip_serializing_if = "Option::is_none")]
            verbose: Option<Verbose<'a>>,
        }

        #[derive(Serialize)]
        struct Verbose<'a> {
            storage_id: StorageId,
            controlled: bool,
            #[serde(flatten)]
            place: &'a BackendPlace,
        }

        let after_url = |verbose: Option<Verbose<'_>>| {
            let members = AfterUrl { label: description.label.as_deref(), presigned: true, verbose };
            let object = String::from_utf8(response::encode(&members)).expect("JSON is UTF-8");
            object.replacen('{', "\",", 1)
        };
        let verbose = Verbose { storage_id: description.id, controlled: true, place: &description.place };
        let (after_url, after_url_verbose) = (after_url(None), after_url(Some(verbose)));
        Self { description, media, after_url, after_url_verbose }
    }
}
