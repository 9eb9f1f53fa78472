//! Settings of object storage, and of what is fetched into it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use tapelog_events::{StorageId, Tags};

/// A storage backend: where media are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSettings {
    /// An S3 endpoint. Absent: an endpoint of tapelog's own, over a folder.
    pub endpoint: Option<String>,
    /// The same endpoint as clients reach it, when that is by another name.
    pub public_endpoint: Option<String>,
    /// Where tapelog's own endpoint is served. Absent: the address of `listen`, on a free port.
    pub listen: Option<SocketAddr>,
    /// The folder of tapelog's own endpoint. Absent: `media` in the data folder; for a further backend,
    /// `storage/<bucket>` there.
    pub folder: Option<PathBuf>,
    /// The bucket.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Access key. Absent: `AWS_ACCESS_KEY_ID` of the environment.
    pub access_key: Option<String>,
    /// Secret key. Absent: `AWS_SECRET_ACCESS_KEY` of the environment.
    #[serde(skip_serializing)]
    pub secret_key: Option<String>,
    /// Whether the bucket stands in the path of URLs, rather than in their host name.
    pub path_style: bool,
    /// Names the storage backend, for ever: objects are found by it. Absent: derived from the bucket.
    #[schemars(with = "Option<String>")]
    pub id: Option<StorageId>,
    /// The label of the storage backend, by which clients choose URLs.
    pub label: String,
    /// Whether objects go here when a client does not say where. Absent: yes for this one, unless a further backend says
    /// so of itself.
    pub default: Option<bool>,
    /// Who provides the backend, as TAMS tells its clients.
    pub provider: String,
    /// What product it is, as TAMS tells its clients.
    pub store_product: String,
    /// In which zone of the region it is, as TAMS tells its clients.
    pub availability_zone: Option<String>,
    /// Tags of the backend, as TAMS tells its clients. By `auth_classes` among them it is judged who may use it.
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub tags: Tags,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            public_endpoint: None,
            listen: None,
            folder: None,
            bucket: "tapelog-media".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: None,
            secret_key: None,
            path_style: true,
            id: None,
            label: "default".to_owned(),
            default: None,
            provider: "tapelog".to_owned(),
            store_product: "S3".to_owned(),
            availability_zone: None,
            tags: Tags::new(),
        }
    }
}

/// Reads a list of storage backends: from a file as such, from the environment as JSON.
pub(super) fn backends<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MediaSettings>, D::Error> {
    struct BackendsVisitor;

    impl<'de> Visitor<'de> for BackendsVisitor {
        type Value = Vec<MediaSettings>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of storage backends, or one as JSON")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            serde_json::from_str(text).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
            Deserialize::deserialize(SeqAccessDeserializer::new(items))
        }
    }

    deserializer.deserialize_any(BackendsVisitor)
}

/// What is fetched from addresses that clients name: objects outside the store that are to be copied into it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchSettings {
    /// Whether addresses that are not of the public internet may be asked: those of this machine, and of its network.
    pub allow_private: bool,
    /// Bytes of one object at most.
    pub most_bytes: u64,
}

impl Default for FetchSettings {
    fn default() -> Self {
        // What S3 takes in one piece.
        Self { allow_private: false, most_bytes: 5_000_000_000 }
    }
}
