//! Which nats-server to run.

use std::env;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::NatsServerError;

const NAME: &str = "nats-server";
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// The version of a nats-server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Whether the server can be told how often to sync. Older ones refuse a configuration that says it.
    pub fn knows_sync_interval(self) -> bool {
        (self.major, self.minor) >= (2, 10)
    }

    /// Reads `nats-server: v2.15.1`, with or without a suffix such as `-beta.1`.
    fn parse(text: &str) -> Option<Self> {
        let numbers = text.trim().rsplit_once('v')?.1;
        let mut numbers = numbers.split(['.', '-', '+']).map(|number| number.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A nats-server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub path: PathBuf,
    pub version: Version,
}

impl Program {
    /// The given program; or the one on `PATH`, unless it is old and `setup.sh` has installed a newer one.
    pub async fn find(given: Option<&Path>) -> Result<Self, NatsServerError> {
        if let Some(path) = given {
            if !is_program(path) {
                return Err(NatsServerError::Missing { looked_in: format!("at {}", path.display()) });
            }
            return Self::ask(path.to_owned()).await;
        }
        let on_path = env::var_os("PATH")
            .and_then(|path| env::split_paths(&path).map(|folder| folder.join(NAME)).find(|path| is_program(path)));
        let set_up = set_up_folder().map(|folder| folder.join(NAME)).filter(|path| is_program(path));
        let on_path = match on_path {
            Some(path) => Some(Self::ask(path).await?),
            None => None,
        };
        if let Some(program) = &on_path
            && program.version.knows_sync_interval()
        {
            return Ok(program.clone());
        }
        let set_up = match set_up {
            Some(path) => Some(Self::ask(path).await?),
            None => None,
        };
        Self::newest(on_path, set_up).ok_or_else(|| NatsServerError::Missing {
            looked_in: match set_up_folder() {
                Some(folder) => format!("on PATH or in {}", folder.display()),
                None => "on PATH".to_owned(),
            },
        })
    }

    fn newest(on_path: Option<Self>, set_up: Option<Self>) -> Option<Self> {
        [on_path, set_up].into_iter().flatten().max_by_key(|program| program.version)
    }

    async fn ask(path: PathBuf) -> Result<Self, NatsServerError> {
        let run = Command::new(&path).arg("--version").kill_on_drop(true).output();
        let detail = match tokio::time::timeout(VERSION_TIMEOUT, run).await {
            Ok(Ok(output)) => {
                let text = String::from_utf8_lossy(&output.stdout);
                match Version::parse(&text) {
                    Some(version) => return Ok(Self { path, version }),
                    None => format!("it gives {:?} as its version", text.trim()),
                }
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not give its version in time".to_owned(),
        };
        Err(NatsServerError::Program { program: path, detail })
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Where `setup.sh` installs programs.
fn set_up_folder() -> Option<PathBuf> {
    let data = env::var_os("XDG_DATA_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/share")))?;
    Some(data.join("tapelog/bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &str, version: &str) -> Option<Program> {
        let version = Version::parse(version).expect("a version");
        Some(Program { path: Path::new(folder).join(NAME), version })
    }

    #[test]
    fn versions_are_read_as_servers_print_them() {
        assert_eq!(Version::parse("nats-server: v2.9.10\n"), Some(Version { major: 2, minor: 9, patch: 10 }));
        assert_eq!(Version::parse("nats-server: v2.12.0-RC.3"), Some(Version { major: 2, minor: 12, patch: 0 }));
        assert_eq!(Version::parse("usage: something else"), None);
    }

    #[test]
    fn an_old_server_on_path_gives_way_to_the_one_that_was_set_up() {
        let old = program("/usr/bin", "v2.9.10");
        let set_up = program("/home/me", "v2.15.1");
        assert_eq!(Program::newest(old.clone(), set_up.clone()), set_up);
        assert_eq!(Program::newest(old.clone(), None), old);
        assert_eq!(Program::newest(None, None), None);
    }
}
