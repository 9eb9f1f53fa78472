//! The storage backends of the settings: S3 services that are named, and endpoints of our own over local folders.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tapelog_events::{Incarnation, StorageId};
use tapelog_store::media::{
    Addressing, LocalCredentials, LocalS3, LocalS3Settings, MediaMetrics, MediaStore, S3Settings, Secret,
};
use url::Url;
use uuid::Uuid;

use crate::http::{BackendDescription, BackendPlace, Backends, StorageBackend, StoreType};
use crate::node::URL_VALIDITY;
use crate::settings::{DataFolder, MediaSettings, Settings};

/// Namespace of the ids of storage backends.
const BACKENDS: Uuid = Uuid::from_u128(0x6d1c_5f0e_7b0a_4a52_9c1e_0f4a_8e2d_3b71);

/// The storage backends, once they are open.
pub struct Storage {
    /// Each of them.
    pub backends: Arc<Backends>,
    /// The bucket of each, by label.
    stores: Vec<(String, Arc<MediaStore>)>,
    /// Those of our own.
    locals: Vec<LocalS3>,
}

impl Storage {
    /// Opens each backend of the settings and makes its bucket, if that is not there. Endpoints of our own are served at
    /// the address of `http`, unless the settings say where.
    ///
    /// # Errors
    /// When the settings contradict each other, or a backend cannot be used.
    pub async fn open(
        settings: &Settings,
        data: &DataFolder,
        http: SocketAddr,
        incarnation: Incarnation,
        metrics: &MediaMetrics,
    ) -> Result<Self> {
        let descriptions = descriptions(settings, incarnation)?;
        let (mut backends, mut stores, mut locals) = (Vec::new(), Vec::new(), Vec::new());
        for (backend, description) in settings.storage_backends().zip(descriptions) {
            let media = match remote(backend, metrics.clone())? {
                Some(media) => media,
                None => {
                    let folder = folder(settings, backend, data);
                    let (local, media) = local(backend, folder, data, http, metrics.clone()).await?;
                    locals.push(local);
                    media
                }
            };
            let usable = media.ensure_bucket().await;
            usable.with_context(|| format!("the bucket of storage backend {} cannot be used", backend.label))?;
            let media = Arc::new(media);
            stores.push((backend.label.clone(), Arc::clone(&media)));
            backends.push(StorageBackend { description, media });
        }
        Ok(Self { backends: Arc::new(Backends::new(backends)), stores, locals })
    }

    /// The bucket of the backend with this label.
    pub fn store(&self, label: &str) -> Option<Arc<MediaStore>> {
        self.stores.iter().find(|(known, _)| known == label).map(|(_, store)| Arc::clone(store))
    }

    /// Stops the endpoints of our own, after what is being transferred.
    pub async fn close(self) {
        for local in self.locals {
            local.shutdown().await;
        }
    }
}

/// The client of a backend that is an S3 service, where it is one. Nothing is sent yet.
///
/// # Errors
/// When its settings cannot work.
pub fn remote(settings: &MediaSettings, metrics: MediaMetrics) -> Result<Option<MediaStore>> {
    let Some(endpoint) = &settings.endpoint else { return Ok(None) };
    let key = |given: &Option<String>, name: &str, variable: &str| {
        let key = given.clone().or_else(|| std::env::var(variable).ok());
        key.with_context(|| format!("{name} of storage backend {} is not set, nor is {variable}", settings.label))
    };
    let access_key = key(&settings.access_key, "access_key", "AWS_ACCESS_KEY_ID")?;
    let secret = key(&settings.secret_key, "secret_key", "AWS_SECRET_ACCESS_KEY")?;
    client(settings, endpoint, access_key, Secret::new(secret), metrics).map(Some)
}

/// Serves a backend of our own to a command, while no server does.
///
/// # Errors
/// When its folder or its address cannot be used, which a server that runs already does.
pub async fn serve_own(settings: &Settings, own: &MediaSettings, data: &DataFolder) -> Result<(LocalS3, MediaStore)> {
    local(own, folder(settings, own, data), data, settings.listen, MediaMetrics::default()).await
}

/// The folder of a backend of our own.
fn folder(settings: &Settings, own: &MediaSettings, data: &DataFolder) -> PathBuf {
    if std::ptr::eq(own, &settings.media) { data.media() } else { data.storage(&own.bucket) }
}

async fn local(
    settings: &MediaSettings,
    folder: PathBuf,
    data: &DataFolder,
    http: SocketAddr,
    metrics: MediaMetrics,
) -> Result<(LocalS3, MediaStore)> {
    let LocalCredentials { access_key, secret } = LocalCredentials::load_or_create(&data.media_credentials())
        .context("the keys of the media folder cannot be kept")?;
    let local = LocalS3::start(LocalS3Settings {
        listen: settings.listen.unwrap_or(SocketAddr::new(http.ip(), 0)),
        folder: settings.folder.clone().unwrap_or(folder),
        bucket: settings.bucket.clone(),
        access_key: access_key.clone(),
        secret: secret.clone(),
    });
    let local = local.await.with_context(|| format!("storage backend {} cannot be opened", settings.label))?;
    let media = client(settings, &local.endpoint(), access_key, secret, metrics)?;
    Ok((local, media))
}

fn client(
    settings: &MediaSettings,
    endpoint: &str,
    access_key: String,
    secret: Secret,
    metrics: MediaMetrics,
) -> Result<MediaStore> {
    let label = &settings.label;
    let is_no_url = |name: &str| format!("{name} of storage backend {label} is not a URL");
    let public_endpoint = settings.public_endpoint.as_deref().map(Url::parse).transpose();
    let media = MediaStore::new(S3Settings {
        endpoint: Url::parse(endpoint).with_context(|| is_no_url("endpoint"))?,
        public_endpoint: public_endpoint.with_context(|| is_no_url("public_endpoint"))?,
        region: settings.region.clone(),
        bucket: settings.bucket.clone(),
        access_key,
        secret,
        addressing: if settings.path_style { Addressing::Path } else { Addressing::VirtualHost },
        url_validity: URL_VALIDITY,
        metrics,
    });
    media.with_context(|| format!("the settings of storage backend {label} cannot work"))
}

/// What clients are told of the backends. Ids are derived, so that every node of a log names them alike.
fn descriptions(settings: &Settings, incarnation: Incarnation) -> Result<Vec<BackendDescription>> {
    let mut said_default = settings.storage_backends().filter(|backend| backend.default == Some(true));
    let chosen = said_default.next().map(|backend| &backend.label);
    if let (Some(first), Some(second)) = (chosen, said_default.next()) {
        bail!("storage backends {first} and {} are both said to be the default one", second.label);
    }
    let (mut labels, mut ids) = (HashSet::new(), HashSet::new());
    let mut descriptions = Vec::new();
    for (index, backend) in settings.storage_backends().enumerate() {
        let derived = || Uuid::new_v5(&BACKENDS, format!("{incarnation}/{}", backend.bucket).as_bytes());
        let id = backend.id.unwrap_or_else(|| StorageId::from_uuid(derived()));
        let label = &backend.label;
        ensure!(labels.insert(label), "two storage backends have the label {label}, by which clients choose URLs");
        ensure!(
            ids.insert(id),
            "storage backend {label} has the id of another; give each an id where buckets are alike"
        );
        descriptions.push(BackendDescription {
            id,
            label: Some(label.clone()),
            default_storage: match (backend.default, chosen) {
                (Some(said), _) => said,
                (None, Some(_)) => false,
                (None, None) => index == 0,
            },
            place: BackendPlace {
                store_type: StoreType::HttpObjectStore,
                provider: backend.provider.clone(),
                region: Some(backend.region.clone()),
                availability_zone: backend.availability_zone.clone(),
                store_product: backend.store_product.clone(),
                tags: backend.tags.clone(),
            },
        });
    }
    Ok(descriptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(further: &str) -> Result<Vec<BackendDescription>> {
        let further = serde_json::from_str(further).unwrap();
        let incarnation = Incarnation::from_uuid(Uuid::from_u128(7));
        descriptions(&Settings { storage: further, ..Settings::default() }, incarnation)
    }

    fn defaults(further: &str) -> Vec<bool> {
        told(further).unwrap().iter().map(|backend| backend.default_storage).collect()
    }

    #[test]
    fn one_backend_at_most_is_the_default_one() {
        assert_eq!(defaults("[]"), [true]);
        assert_eq!(defaults(r#"[{"label":"b","bucket":"bbb"}]"#), [true, false]);
        assert_eq!(defaults(r#"[{"label":"b","bucket":"bbb","default":true}]"#), [false, true]);
        let two = r#"[{"label":"b","bucket":"bbb","default":true},{"label":"c","bucket":"ccc","default":true}]"#;
        assert!(told(two).unwrap_err().to_string().contains("default"));
    }

    #[test]
    fn backends_are_told_apart_by_label_and_by_id() {
        assert!(told(r#"[{"bucket":"bbb"}]"#).unwrap_err().to_string().contains("label"));
        assert!(told(r#"[{"label":"b"}]"#).unwrap_err().to_string().contains("id"));
        let named = told(r#"[{"label":"b","id":"60af2ab4-e8a5-4c65-a09b-d35983680315"}]"#).unwrap();
        assert_eq!(named[1].id.to_string(), "60af2ab4-e8a5-4c65-a09b-d35983680315");
        // The id of the first one never changes: objects in logs that exist are found by it.
        assert_eq!(named[0].id, told("[]").unwrap()[0].id);
        assert_eq!(named[0].id.to_string(), "b85b5382-b579-5aa2-87fd-1d4212636b01");
    }
}
