//! A nats-server of the test's own, for servers that share a log, or lose it for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{PATIENCE, signal_process};
use crate::{eventually, program};

/// A nats-server with the project's `nats.conf`, its own folder, and one port for life.
pub struct Nats {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Nats {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tapelog-nats-").tempdir().expect("a temporary folder");
        let mut nats = Self { folder, port: 0, process: None };
        nats.start_again().await;
        nats
    }

    /// Starts it again on the same port, and waits until it answers.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "nats-server runs already");
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let ports = self.folder.path().join("ports");
        fs::create_dir_all(&ports).unwrap();
        let process = Command::new(program::nats_server())
            .arg("-c")
            .arg(program::workspace().join("nats.conf"))
            .args(["-p", &port, "-sd"])
            .arg(self.folder.path())
            .arg("--ports_file_dir")
            .arg(&ports)
            .arg("-l")
            .arg(self.log())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = ports.join(format!("nats-server_{}.ports", process.id()));
        self.process = Some(process);
        self.port = eventually("nats-server opens its port", PATIENCE, async || {
            let said: Value = serde_json::from_slice(&fs::read(&said).ok()?).ok()?;
            said["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
        })
        .await;
        eventually("nats-server answers", PATIENCE, async || {
            let client = async_nats::connect(self.url()).await.ok()?;
            async_nats::jetstream::new(client).query_account().await.ok()
        })
        .await;
    }

    /// Its folder: all that it knows.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Halts it: it keeps its connections, and answers nothing.
    pub fn halt(&self) {
        signal_process(self.process.as_ref().expect("nats-server runs").id(), Signal::STOP);
    }

    /// Lets it go on after [`Self::halt`].
    pub fn go_on(&self) {
        signal_process(self.process.as_ref().expect("nats-server runs").id(), Signal::CONT);
    }

    /// Its JetStream.
    pub async fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
