//! Archives of the log, by the names that settings and commands give them.

mod keeper;
mod routes;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tapelog_projections::archive::{Archive, OpenError, Place, PlaceError};
use tapelog_projections::checkpoint;
use tapelog_store::log::jetstream;
use tapelog_store::media::{LocalS3, MediaError, MediaMetrics, MediaStore};

pub use keeper::Keeper;
pub use routes::{RemoteLog, Routes, router, status_of};

use crate::settings::{DataFolder, MediaSettings, Settings};
use crate::storage::{self, Storage};

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Folder(PathBuf),
    Bucket { bucket: String, prefix: String },
}

impl Target {
    fn parse(place: &str) -> Result<Self> {
        let Some(place) = place.strip_prefix("s3://") else {
            anyhow::ensure!(!place.is_empty(), "an archive is in a folder, or at s3://<bucket>/<prefix>");
            return Ok(Self::Folder(place.into()));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        anyhow::ensure!(!bucket.is_empty(), "s3://{place} names no bucket: s3://<bucket>/<prefix>");
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

/// A bucket that a server with these settings can reach.
enum Bucket<'a> {
    /// At an S3 service.
    Remote(Box<MediaStore>),
    /// Of the endpoint of our own that these settings are for.
    Own(&'a MediaSettings),
}

fn bucket<'a>(settings: &'a Settings, bucket: &str) -> Result<Bucket<'a>> {
    let known = settings.storage_backends().find(|backend| backend.bucket == bucket);
    let backend = match known {
        Some(own) if own.endpoint.is_none() => return Ok(Bucket::Own(own)),
        Some(known) => known.clone(),
        None => {
            let service = settings.storage_backends().find(|backend| backend.endpoint.is_some());
            let service = service.with_context(|| {
                format!(
                    "bucket {bucket} is not one of tapelog's own, and media.endpoint names no S3 service with others"
                )
            })?;
            MediaSettings { bucket: bucket.to_owned(), ..service.clone() }
        }
    };
    let store = storage::remote(&backend, MediaMetrics::default())?.context("the S3 service has an endpoint")?;
    Ok(Bucket::Remote(Box::new(store)))
}

fn in_bucket(store: Arc<MediaStore>, bucket: &str, prefix: String) -> Archive {
    let name = format!("s3://{bucket}/{prefix}");
    Archive::new(Place::S3 { store, prefix, name })
}

/// The archive that a server is to keep, where the settings name one.
///
/// # Errors
/// When the place makes no sense with these settings.
pub fn of_server(settings: &Settings, storage: &Storage) -> Result<Option<Archive>> {
    let Some(place) = &settings.archive.place else { return Ok(None) };
    let archive = match Target::parse(place).context("archive.place")? {
        Target::Folder(folder) => Archive::new(Place::Folder(folder)),
        Target::Bucket { bucket: name, prefix } => {
            let store = match bucket(settings, &name).context("archive.place")? {
                Bucket::Remote(store) => Arc::from(store),
                Bucket::Own(own) => storage.store(&own.label).context("every backend of the settings is open")?,
            };
            in_bucket(store, &name, prefix)
        }
    };
    Ok(Some(archive))
}

/// An archive that a command uses, with the endpoint of our own that it stands behind, where it does.
pub struct OpenArchive {
    /// The archive.
    pub archive: Archive,
    local: Option<LocalS3>,
}

impl OpenArchive {
    /// Opens the archive in this place.
    ///
    /// # Errors
    /// When the place makes no sense with these settings, or is served by a running server alone.
    pub async fn open(place: &str, settings: &Settings, data: &DataFolder) -> Result<Self> {
        let (archive, local) = match Target::parse(place)? {
            Target::Folder(folder) => (Archive::new(Place::Folder(folder)), None),
            Target::Bucket { bucket: name, prefix } => match bucket(settings, &name)? {
                Bucket::Remote(store) => (in_bucket(Arc::from(store), &name, prefix), None),
                Bucket::Own(own) => {
                    let (local, store) = storage::serve_own(settings, own, data).await?;
                    (in_bucket(Arc::new(store), &name, prefix), Some(local))
                }
            },
        };
        Ok(Self { archive, local })
    }

    /// Stops the endpoint of our own.
    pub async fn close(self) {
        if let Some(local) = self.local {
            local.shutdown().await;
        }
    }
}

/// Asks the archive of the settings, for a data folder that knows nothing of its log, whether there was one: then the
/// folder knows it from now on, and no new one is begun in its place.
///
/// # Errors
/// When the archive cannot be asked.
pub async fn recall(settings: &Settings, data: &DataFolder) -> Result<()> {
    let Some(place) = &settings.archive.place else { return Ok(()) };
    if jetstream::remembered(&data.log_marker())?.is_some() {
        return Ok(());
    }
    let opened = OpenArchive::open(place, settings, data).await.context("archive.place")?;
    let manifest = opened.archive.manifest().await;
    opened.close().await;
    let manifest = match manifest {
        Ok(Some(manifest)) => manifest,
        // A bucket that is not there yet has no archive in it.
        Ok(None) | Err(OpenError::Place(PlaceError::Media(MediaError::NotFound { .. }))) => return Ok(()),
        Err(error) => {
            return Err(error)
                .context(format!("the archive at {place} cannot be asked whether there is a log already"));
        }
    };
    tracing::info!(
        archive = place,
        seq = manifest.head().seq.0,
        "the archive tells of a log that this node did not know"
    );
    jetstream::note(&data.log_marker(), &settings.nats.stream, manifest.incarnation, manifest.head().seq)?;
    Ok(())
}

/// Says what to do about a log that is lost, where there is an archive of it.
pub fn with_advice(error: anyhow::Error, settings: &Settings) -> anyhow::Error {
    use jetstream::OpenError::{Broken, Lost};

    let log_is_lost = matches!(error.downcast_ref(), Some(Lost { .. } | Broken(_)))
        || matches!(error.downcast_ref(), Some(checkpoint::OpenError::Ahead { .. }));
    match &settings.archive.place {
        Some(place) if log_is_lost => {
            anyhow!("{error:#}; `tapelog log import` restores it from the archive at {place}")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_prefix_of_a_bucket() {
        let bucket = |bucket: &str, prefix: &str| Target::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!(Target::parse("/backup/log").unwrap(), Target::Folder("/backup/log".into()));
        assert_eq!(Target::parse("s3://backup").unwrap(), bucket("backup", ""));
        assert_eq!(Target::parse("s3://backup/a/b/").unwrap(), bucket("backup", "a/b"));
        assert!(Target::parse("s3:///a").is_err());
        assert!(Target::parse("").is_err());
    }

    #[test]
    fn a_bucket_is_one_that_the_settings_know_or_another_of_their_service() {
        let settings = Settings::default();
        assert!(matches!(bucket(&settings, "tapelog-media"), Ok(Bucket::Own(_))));
        assert!(bucket(&settings, "backup").is_err(), "nothing says at which service");
        let media = MediaSettings {
            endpoint: Some("https://s3.example.org".to_owned()),
            access_key: Some("key".to_owned()),
            secret_key: Some("secret".to_owned()),
            ..MediaSettings::default()
        };
        let settings = Settings { media, ..settings };
        assert!(matches!(bucket(&settings, "backup"), Ok(Bucket::Remote(_))));
    }
}
