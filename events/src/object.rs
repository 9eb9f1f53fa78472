//! Instances of objects: where a copy of the bytes lies (section 8).

use serde::{Deserialize, Serialize};

use crate::StorageId;

/// One copy of an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instance {
    /// On a storage backend of this store, which signs URLs for it.
    Controlled {
        /// The backend.
        storage_id: StorageId,
    },
    /// At an address that this store knows and does not manage.
    Uncontrolled {
        /// The address, as the client gave it.
        url: String,
        /// The name by which clients choose it, unique among the object's instances.
        label: String,
    },
}
