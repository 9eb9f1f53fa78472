//! Servers that the bench starts itself, as child processes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client::Endpoint;

/// How long a server may take until it serves: a start from a long log is what is measured.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// How long it may take to stop: it writes a checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// How often to ask whether it is ready: the resolution of the figures for a cold start.
const POLL: Duration = Duration::from_millis(2);
/// How much of its messages is quoted when it fails.
const QUOTED_BYTES: u64 = 2000;

/// A running server.
pub struct Process {
    /// Where it serves.
    pub endpoint: Endpoint,
    /// How long it took from its start until it was ready.
    pub ready_after: Duration,
    child: Running,
    log: PathBuf,
}

impl Process {
    /// Starts `tapelog serve` with its data in a folder, open to everybody on this machine, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the text quotes what it said.
    pub async fn serve(program: &Path, data: &Path) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let mut command = Command::new(program);
        // The working folder might hold settings that are meant for another server.
        command.args(["serve", "--auth", "none", "--listen", "127.0.0.1:0", "--data"]).arg(data).current_dir(data);
        // Receivers of webhooks are on this machine.
        command.env("TAPELOG_WEBHOOKS__ALLOW_NETWORKS", r#"["127.0.0.0/8"]"#);
        Self::start(command, &data.with_extension("log")).await
    }

    /// Starts the limit of HTTP.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn limit(folder: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(crate::LIMIT_SERVER);
        Self::start(command, &folder.join("limit-server.log")).await
    }

    async fn start(mut command: Command, log: &Path) -> Result<Self> {
        let messages = File::options().create(true).append(true).open(log)?;
        let begun = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(messages);
        let program = command.as_std().get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", Path::new(&program).display()))?;
        let mut child = Running(child);
        let started = wait_until_ready(&mut child.0);
        let endpoint = tokio::time::timeout(START_TIMEOUT, started)
            .await
            .context("timed out")
            .and_then(|started| started)
            .with_context(|| format!("{} does not start: {}", Path::new(&program).display(), quote(log)))?;
        Ok(Self { endpoint, ready_after: begun.elapsed(), child, log: log.to_owned() })
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop, or not with success.
    pub async fn stop(mut self) -> Result<()> {
        self.child.terminate()?;
        let ended = self.child.0.wait();
        let status = tokio::time::timeout(STOP_TIMEOUT, ended).await.context("the server does not stop")??;
        ensure!(status.success(), "the server ended with {status}: {}", quote(&self.log));
        Ok(())
    }
}

/// A child that is asked to stop, rather than killed, when it is dropped: it has children of its own.
struct Running(Child);

impl Running {
    /// Asks it to stop, unless it has ended.
    fn terminate(&self) -> io::Result<()> {
        match self.0.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            Some(pid) => Ok(kill_process(pid, Signal::TERM)?),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // There is nobody left to tell.
        drop(self.terminate());
    }
}

async fn wait_until_ready(child: &mut Child) -> Result<Endpoint> {
    let output = child.stdout.take().context("its output is not a pipe")?;
    let mut lines = BufReader::new(output).lines();
    let base = lines.next_line().await?.context("it ended without a line of output")?;
    // Whatever it prints later must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let endpoint = Endpoint::new(base.trim(), &[], child.id())?;
    loop {
        let request = endpoint.request("GET", "/readyz", None);
        let ready = match endpoint.connect().await {
            Ok(mut connection) => connection.exchange(&request).await.is_ok_and(|answer| answer.status == 200),
            Err(_) => false,
        };
        if ready {
            return Ok(endpoint);
        }
        ensure!(child.try_wait()?.is_none(), "it has ended");
        tokio::time::sleep(POLL).await;
    }
}

/// The end of a server's messages.
fn quote(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_else(|error| error.to_string())
}
