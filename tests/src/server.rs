//! The server as a process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::Api;
use crate::{eventually, program};

/// How long a server may take to be ready, and a command to end: debug builds on a busy machine are slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a server is started with, besides its folder.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A NATS server of the test's own.
    pub nats_url: Option<String>,
    /// Settings by their name in the environment, such as `TAPELOG_CHECKPOINT__EVERY_SECONDS`.
    pub settings: Vec<(&'static str, String)>,
    /// Whether it asks for credentials, as it does unless it is told not to. Most tests are not about that.
    pub protected: bool,
}

impl Options {
    /// With a checkpoint every so many seconds.
    pub fn checkpoint_every(seconds: u64) -> Self {
        Self::default().and("TAPELOG_CHECKPOINT__EVERY_SECONDS", seconds)
    }

    /// On a NATS server of the test's own.
    pub fn on(nats_url: &str) -> Self {
        Self { nats_url: Some(nats_url.to_owned()), ..Self::default() }
    }

    /// Asking for credentials.
    pub fn protected() -> Self {
        Self { protected: true, ..Self::default() }
    }

    /// With one more setting.
    pub fn and(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }
}

/// A server with a data folder of its own. Dropping it kills it, with its nats-server; if the test has failed, the end
/// of its log is printed.
pub struct Server {
    folder: TempDir,
    options: Options,
    process: Option<Child>,
    api: Option<Api>,
}

impl Server {
    /// Starts one, and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts one with these options, and waits until it is ready.
    pub async fn start_with(options: Options) -> Self {
        let mut server = Self::prepare(options);
        server.start_again().await;
        server
    }

    /// One that is not started yet.
    pub fn prepare(options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("tapelog-test-").tempdir().expect("a temporary folder");
        Self { folder, options, process: None, api: None }
    }

    /// Gives a setting another value from the next start on.
    pub fn set(&mut self, name: &'static str, value: impl ToString) {
        self.options.settings.push((name, value.to_string()));
    }

    /// Starts the process again on the same folder, on another port, and waits until it is ready.
    ///
    /// # Panics
    /// When it ends, or is not ready in time.
    pub async fn start_again(&mut self) {
        self.spawn();
        let url = eventually("the server prints its URL", PATIENCE, async || {
            if let Some(status) = self.ended() {
                panic!("the server ended with {status}");
            }
            let printed = fs::read_to_string(self.stdout()).unwrap_or_default();
            printed.split_once('\n').map(|(url, _)| url.to_owned())
        })
        .await;
        let api = Api::new(&url);
        eventually("the server is ready", PATIENCE, async || {
            matches!(api.request(reqwest::Method::GET, "/readyz").send().await, Ok(answer) if answer.status() == 200)
                .then_some(())
        })
        .await;
        self.api = Some(api);
    }

    /// Starts the process where it must not start, and gives what it says as it ends.
    ///
    /// # Panics
    /// When it does start.
    pub async fn refuses_to_start(&mut self) -> String {
        let before = self.log().len();
        self.spawn();
        let status = eventually("the server ends", PATIENCE, async || {
            assert_eq!(fs::read_to_string(self.stdout()).unwrap_or_default(), "", "the server started");
            self.ended()
        })
        .await;
        self.process = None;
        assert!(!status.success(), "a server that does not start says so by its exit status");
        self.log().split_off(before)
    }

    fn spawn(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(self.stderr()).unwrap();
        let mut command = self.command("serve");
        command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null());
        command.stdout(File::create(self.stdout()).unwrap()).stderr(log);
        self.process = Some(command.spawn().expect("the server was built"));
    }

    /// `tapelog <name>`, which may be several words, with this server's folder and options.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program::tapelog());
        // The folder, so that no settings file of a checkout gets in.
        command.args(name.split(' ')).arg("--data").arg(self.data()).current_dir(self.folder.path());
        if let Some(url) = &self.options.nats_url {
            command.args(["--nats-url", url]);
        }
        if !self.options.protected {
            command.env("TAPELOG_AUTH__MODE", "none");
        }
        command.env("NO_COLOR", "1").envs(self.options.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `tapelog <name>` on this server's folder until it ends.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run(&self, name: &str) -> Output {
        finished(self.command(name)).await
    }

    /// Runs `tapelog <name> <arguments>` on this server's folder until it ends.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run_with(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(name);
        command.args(arguments);
        finished(command).await
    }

    /// The server's process has to say that log, tables and checkpoint agree.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn verify(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let output = self.run("verify").await;
            assert!(output.status.success(), "{caller}: verify finds a difference: {}", program::said(&output));
        }
    }

    /// Its HTTP interface.
    ///
    /// # Panics
    /// When it does not run.
    pub fn api(&self) -> &Api {
        self.api.as_ref().expect("the server runs")
    }

    /// What it has logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.stderr()).unwrap_or_default()
    }

    /// The record of the checkpoint from which it has started last.
    ///
    /// # Panics
    /// When its log does not say.
    pub fn started_from(&self) -> u64 {
        let log = self.log();
        let opening = log.lines().rfind(|line| line.contains("opening the tables")).expect("a start says so");
        let number = opening.split("checkpoint=").nth(1).and_then(|rest| rest.split(' ').next());
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no checkpoint in {opening}"))
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn stdout(&self) -> PathBuf {
        self.folder.path().join("stdout")
    }

    fn stderr(&self) -> PathBuf {
        self.folder.path().join("stderr")
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().unwrap()
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the server runs");
        signal_process(process.id(), signal);
    }

    /// Asks it to stop, and waits until it has ended.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = eventually("the server stops", PATIENCE, async || self.ended()).await;
        assert!(status.success(), "the server ended with {status}");
        (self.process, self.api) = (None, None);
    }

    /// Kills it, without a chance to say goodbye.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        self.api = None;
    }

    /// The process of its private nats-server.
    pub fn nats_pid(&self) -> Option<u32> {
        // As the server itself finds one that was left over: by the configuration that only it is started with.
        let config = self.data().join("nats/server.conf").canonicalize().ok()?;
        let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.into_iter().find(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|argument| argument == config.as_os_str().as_encoded_bytes())
        })
    }

    /// Kills its private nats-server.
    pub fn kill_nats(&self) {
        if let Some(pid) = self.nats_pid() {
            signal_process(pid, Signal::KILL);
        }
    }
}

impl Server {
    /// Prints the end of its log, if the test has failed.
    pub(crate) fn explain_failure(&self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(60)..];
            #[expect(clippy::print_stderr, reason = "the test runner shows it under the failed test")]
            {
                eprintln!("the server's log ends so:\n{}", end.join("\n"));
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        self.kill_nats();
        self.explain_failure();
    }
}

/// The lines of a report of `tapelog verify` or `tapelog rebuild` that say what each table comes to.
///
/// # Panics
/// When there is no such report.
#[track_caller]
pub fn digest(report: &Output) -> Vec<String> {
    assert!(report.status.success(), "{}", program::said(report));
    let text = String::from_utf8_lossy(&report.stdout);
    let lines: Vec<_> = text.lines().filter(|line| line.contains(" rows ")).map(str::to_owned).collect();
    assert!(lines.len() >= 8, "{}", program::said(report));
    lines
}

/// Runs a command until it ends.
///
/// # Panics
/// When it does not end in time.
pub async fn finished(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    output.expect("a command ends in time").unwrap()
}

/// Sends a process a signal, if it is still there.
pub fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("process {pid:?} cannot be signalled: {error}"),
        }
    }
}
