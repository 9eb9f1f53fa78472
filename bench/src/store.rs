//! The server that is measured: one that runs already, or fresh ones of our own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::Endpoint;
use crate::machine;
use crate::process::Process;

/// What is measured.
pub enum Subject {
    /// A server that runs already, at its base URL, with headers for each request.
    Running {
        /// The base URL.
        base: String,
        /// The headers.
        headers: Vec<String>,
    },
    /// Servers that are started for the purpose, each on an empty folder.
    Own {
        /// The tapelog program.
        program: PathBuf,
        /// Where their folders go.
        folder: PathBuf,
    },
}

impl Subject {
    /// What it is, for the report.
    ///
    /// # Errors
    /// When the program does not say its version.
    pub async fn describe(&self) -> Result<String> {
        match self {
            Self::Running { base, .. } => Ok(base.clone()),
            Self::Own { program, .. } => {
                let mut command = tokio::process::Command::new(program);
                let output = command.arg("--version").stdin(Stdio::null()).output().await?;
                ensure!(output.status.success(), "{} --version: {}", program.display(), output.status);
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
        }
    }

    /// Whether servers can be started, stopped and looked into.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }

    /// A store to measure: an empty one with this name, if it is our own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn store(&self, name: &str) -> Result<Store> {
        match self {
            Self::Running { base, headers } => Ok(Store { endpoint: Endpoint::new(base, headers, None)?, own: None }),
            Self::Own { program, folder } => {
                let data = folder.join(name);
                let process = Process::serve(program, &data).await?;
                let endpoint = process.endpoint.clone();
                let own = Own { program: program.clone(), data, process: Some(process) };
                Ok(Store { endpoint, own: Some(own) })
            }
        }
    }
}

/// A store under measurement.
pub struct Store {
    /// Where it serves, while it runs.
    pub endpoint: Endpoint,
    own: Option<Own>,
}

struct Own {
    program: PathBuf,
    data: PathBuf,
    process: Option<Process>,
}

impl Store {
    /// Stops the server, if it is our own and running. Its data stay.
    ///
    /// # Errors
    /// When it does not stop as it should.
    pub async fn stop(&mut self) -> Result<()> {
        match self.own.as_mut().and_then(|own| own.process.take()) {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Starts the server again, unless it runs, and says how long it took to be ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&mut self) -> Result<Duration> {
        let Some(own) = &mut self.own else { return Ok(Duration::ZERO) };
        let process = match own.process.take() {
            Some(process) => process,
            None => Process::serve(&own.program, &own.data).await?,
        };
        self.endpoint = process.endpoint.clone();
        let process = own.process.insert(process);
        Ok(process.ready_after)
    }

    /// The folder with its data.
    ///
    /// # Errors
    /// When it is not our own.
    pub fn data(&self) -> Result<&Path> {
        let own = self.own.as_ref().context("the data of a server that was not started here cannot be looked into")?;
        Ok(&own.data)
    }

    /// The memory it has now, where that is known.
    pub fn memory(&self) -> Option<Memory> {
        let pid = self.endpoint.pid?;
        let children = machine::children(pid).into_iter().filter_map(machine::resident_bytes);
        Some(Memory { server: machine::resident_bytes(pid)?, log_server: children.sum() })
    }
}

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Of the server.
    pub server: u64,
    /// Of the nats-server that it started.
    pub log_server: u64,
}
