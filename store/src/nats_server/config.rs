//! The configuration that the server is started with, and what it means for an acknowledgement.

use std::fmt;
use std::fs;
use std::path::Path;

use super::program::Version;
use super::{NatsServerError, USER, in_folder};
use crate::media::Secret;

/// The annotated file at the root of the repository.
const BUILT_IN: &str = include_str!("../../../nats.conf");
const SYNC_INTERVAL: &str = "sync_interval";
/// What a server does that is not told how often to sync.
const DEFAULT_SYNC_INTERVAL: &str = "2m";

/// What it means that the server has acknowledged a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// The record is on disk: not even a power cut can lose it.
    EveryAckIsOnDisk,
    /// The operating system has the record, and writes it to disk within this time, as nats-server spells it
    /// (`2m`, `500ms`). Crashes of tapelog and nats-server lose nothing; a power cut loses what came since.
    SyncEvery(String),
}

impl Durability {
    /// The sentence with which an operator has to be warned, if one is due.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::EveryAckIsOnDisk => None,
            Self::SyncEvery(interval) => Some(format!(
                "an acknowledged write is in the memory of the operating system, and on disk only {interval} later: \
                 a power cut or a crash of the operating system loses what was acknowledged since \
                 (crashes of tapelog or nats-server lose nothing). \
                 nats-server 2.10 or later with `sync_interval: always` has every acknowledged write on disk"
            )),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryAckIsOnDisk => f.write_str("every acknowledged write is on disk"),
            Self::SyncEvery(interval) => write!(f, "acknowledged writes are on disk within {interval}"),
        }
    }
}

/// The text for this version of the server, from the given file or the built-in one, with the password set.
pub(super) fn text(
    file: Option<&Path>,
    version: Version,
    password: &Secret,
) -> Result<(String, Durability), NatsServerError> {
    let base = match file {
        Some(path) => fs::read_to_string(path).map_err(in_folder(path))?,
        None => BUILT_IN.to_owned(),
    };
    let (mut text, durability) = adapt(&base, version);
    text.push_str(&format!("authorization {{ user: {USER}, password: \"{}\" }}\n", password.expose()));
    Ok((text, durability))
}

/// The lines that this version understands.
fn adapt(base: &str, version: Version) -> (String, Durability) {
    let mut interval = DEFAULT_SYNC_INTERVAL;
    let mut text = String::with_capacity(base.len());
    for line in base.lines() {
        if let Some(value) = sync_interval(line) {
            if !version.knows_sync_interval() {
                continue;
            }
            interval = value;
        }
        text.push_str(line);
        text.push('\n');
    }
    let durability = match interval {
        "always" => Durability::EveryAckIsOnDisk,
        interval => Durability::SyncEvery(interval.to_owned()),
    };
    (text, durability)
}

/// The value, if this is the line that sets it.
fn sync_interval(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix(SYNC_INTERVAL)?;
    let value = rest.trim_start_matches([' ', '\t', ':', '=']);
    let value = value.split(['#', ',', ';']).next().unwrap_or_default();
    Some(value.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN_12: Version = Version { major: 2, minor: 9, patch: 10 };
    const CURRENT: Version = Version { major: 2, minor: 15, patch: 1 };

    #[test]
    fn by_default_an_acknowledged_record_is_on_disk() {
        let (text, durability) = adapt(BUILT_IN, CURRENT);
        assert_eq!(text, BUILT_IN);
        assert_eq!(durability, Durability::EveryAckIsOnDisk);
        assert_eq!(durability.warning(), None);
    }

    #[test]
    fn a_server_that_cannot_sync_always_is_started_without_it_and_with_a_warning() {
        let (text, durability) = adapt(BUILT_IN, DEBIAN_12);
        assert!(text.lines().all(|line| sync_interval(line).is_none()));
        assert_eq!(durability, Durability::SyncEvery("2m".to_owned()));
        assert!(durability.warning().is_some_and(|sentence| sentence.contains("2m")));
    }

    #[test]
    fn the_interval_of_an_operators_file_is_the_one_that_is_told() {
        let (_, durability) = adapt("jetstream {\n  sync_interval = \"10s\" # fast\n}\n", CURRENT);
        assert_eq!(durability, Durability::SyncEvery("10s".to_owned()));
    }
}
