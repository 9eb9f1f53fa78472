//! One process at a time uses a data folder; the others can learn where its server is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What the process that uses a data folder says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// The base URL of its server, once it serves.
    pub url: Option<String>,
}

/// The right to use a data folder, for as long as it lives.
#[derive(Debug)]
pub struct Claim(File);

/// What came of asking for a data folder.
#[derive(Debug)]
pub enum Asked {
    /// It is ours.
    Ours(Claim),
    /// Another process uses it.
    Taken(Owner),
}

impl Claim {
    /// Asks for the data folder whose claim file this is.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn ask(path: &Path) -> Result<Asked> {
        let unusable = || format!("{} cannot be used", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(unusable)?;
        match file.try_lock() {
            Ok(()) => {
                let claim = Self(file);
                claim.say(None).with_context(unusable)?;
                Ok(Asked::Ours(claim))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).with_context(unusable)?;
                let owner = serde_json::from_str(&text).with_context(unusable)?;
                Ok(Asked::Taken(owner))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(unusable),
        }
    }

    /// Claims the data folder, or says who has it.
    ///
    /// # Errors
    /// When another process uses it, or the file cannot be read or written.
    pub fn take(path: &Path) -> Result<Self> {
        match Self::ask(path)? {
            Asked::Ours(claim) => Ok(claim),
            Asked::Taken(owner) => anyhow::bail!(
                "the data folder of {} is in use by process {}{}",
                path.display(),
                owner.pid,
                owner.url.map(|url| format!(", which serves {url}")).unwrap_or_default()
            ),
        }
    }

    /// Tells other processes where the server is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn say(&self, url: Option<String>) -> std::io::Result<()> {
        let owner = Owner { pid: std::process::id(), url };
        let mut file = &self.0;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(serde_json::to_string(&owner)?.as_bytes())
    }
}
