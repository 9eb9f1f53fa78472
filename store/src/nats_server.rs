//! A private nats-server that this process starts, watches and stops.
//!
//! It has its own folder, a free port on the loopback interface and a password of its own, so that any number
//! of them run side by side. If it dies it is started again on the same port, and clients reconnect by
//! themselves. One process owns a folder at a time. What a killed owner has left running is ended
//! before the next start (on Linux; elsewhere the new server then fails to start until it is ended by hand).

mod config;
mod leftover;
mod program;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::media::Secret;
pub use config::Durability;
use program::Program;
pub use program::Version;

const USER: &str = "tapelog";
/// How often to look whether a server is ready.
const POLL: Duration = Duration::from_millis(20);
/// How long a server gets to stop by itself: it closes its files, which takes moments.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause before a server that died is started again; it doubles up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that has lived this long was well: the pauses start over.
const WELL_AFTER: Duration = Duration::from_secs(10);
/// How many lines of the server's log an error quotes, and how far from the end they are looked for.
const QUOTED_LINES: usize = 10;
const QUOTED_BYTES: u64 = 8 * 1024;

/// How to run the server.
#[derive(Debug, Clone)]
pub struct NatsServerSettings {
    /// The program. Without it, `nats-server` is taken from `PATH` or from where `setup.sh` puts it.
    pub program: Option<PathBuf>,
    /// A configuration file instead of the built-in `nats.conf`. It must set neither port, store_dir nor
    /// authorization, and have `sync_interval`, if at all, on a line of its own.
    pub config: Option<PathBuf>,
    /// The folder of the log; made if missing.
    pub store_dir: PathBuf,
    /// How long the server may take to be ready: it reads its log first, about a second for each million subjects.
    pub ready_timeout: Duration,
}

impl NatsServerSettings {
    /// The defaults, with the log in this folder.
    pub fn new(store_dir: impl Into<PathBuf>) -> Self {
        Self { program: None, config: None, store_dir: store_dir.into(), ready_timeout: Duration::from_secs(60) }
    }
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NatsServerError {
    /// There is no nats-server.
    #[error(
        "there is no nats-server {looked_in}: run ./setup.sh, which installs it for you, \
         or install nats-server 2.10 or later and put it on PATH"
    )]
    Missing {
        /// Where it was looked for.
        looked_in: String,
    },
    /// The program does not behave like a nats-server.
    #[error("{} does not run as a nats-server: {detail}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What happened.
        detail: String,
    },
    /// Another process runs a server on this folder.
    #[error("the log in {} is in use by process {pid}", store_dir.display())]
    InUse {
        /// The folder.
        store_dir: PathBuf,
        /// The process that owns the folder, as it wrote it down.
        pid: String,
    },
    /// A file or folder cannot be used.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server was started and is not ready.
    #[error("nats-server is not ready: {detail}; the end of {}:\n{log}", log_file.display())]
    NotReady {
        /// What happened.
        detail: String,
        /// The server's log.
        log_file: PathBuf,
        /// Its last lines.
        log: String,
    },
}

/// A nats-server that could be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The program.
    pub program: PathBuf,
    /// Its version.
    pub version: Version,
    /// What an acknowledgement of it would mean.
    pub durability: Durability,
}

/// Finds what [`NatsServer::start`] would start, and starts nothing.
///
/// # Errors
/// When there is no program, or it or the configuration cannot be used.
pub async fn installed(settings: &NatsServerSettings) -> Result<Installed, NatsServerError> {
    let Program { path, version } = Program::find(settings.program.as_deref()).await?;
    let (_, durability) = config::text(settings.config.as_deref(), version, &Secret::random())?;
    Ok(Installed { program: path, version, durability })
}

/// A running server. Dropping it stops the server as well, without waiting for it.
pub struct NatsServer {
    url: String,
    password: Secret,
    version: Version,
    durability: Durability,
    pid: Arc<AtomicU32>,
    stop: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl NatsServer {
    /// Starts a server and waits until it answers as JetStream.
    pub async fn start(settings: NatsServerSettings) -> Result<Self, NatsServerError> {
        let program = Program::find(settings.program.as_deref()).await?;
        let store_dir = make_store_dir(&settings.store_dir)?;
        let lock = lock(&store_dir)?;

        let password = Secret::random();
        let (text, durability) = config::text(settings.config.as_deref(), program.version, &password)?;
        let launch = Launch {
            program: program.path,
            config: store_dir.join("server.conf"),
            ports: store_dir.join("ports"),
            log: store_dir.join("server.log"),
            store_dir,
        };
        leftover::end(&launch.config).await.map_err(in_folder(&launch.store_dir))?;
        launch.prepare(&text)?;

        let deadline = Instant::now() + settings.ready_timeout;
        let mut child = launch.spawn(None).map_err(in_folder(&launch.program))?;
        let port = launch.learn_port(&mut child, deadline).await?;
        let url = format!("nats://127.0.0.1:{port}");
        launch.wait_until_ready(&mut child, &url, &password, deadline).await?;

        let pid = Arc::new(AtomicU32::new(child.id().unwrap_or_default()));
        let stop = CancellationToken::new();
        let supervisor = Supervisor { launch, port, pid: Arc::clone(&pid), stop: stop.clone(), _lock: lock };
        Ok(Self {
            url,
            password,
            version: program.version,
            durability,
            pid,
            stop,
            supervisor: tokio::spawn(supervisor.run(child)),
        })
    }

    /// Where clients connect, with [`NatsServer::connect_options`].
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Options for a client, with the credentials of this server.
    pub fn connect_options(&self) -> async_nats::ConnectOptions {
        credentials(&self.password)
    }

    /// The version of the server.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What an acknowledgement of this server means.
    pub fn durability(&self) -> &Durability {
        &self.durability
    }

    /// The process id of the server as it runs now.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Stops the server: asks it to, and after ten seconds kills it.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.supervisor).await {
            tracing::error!(%error, "the supervisor of nats-server ended badly");
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a server is started with.
struct Launch {
    program: PathBuf,
    store_dir: PathBuf,
    config: PathBuf,
    ports: PathBuf,
    log: PathBuf,
}

impl Launch {
    /// Writes the configuration, and removes what earlier starts have left.
    fn prepare(&self, config: &str) -> Result<(), NatsServerError> {
        match fs::remove_dir_all(&self.ports) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_folder(&self.ports)(error)),
            _ => fs::create_dir(&self.ports).map_err(in_folder(&self.ports))?,
        }
        // It holds the password.
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&self.config)
            .and_then(|mut file| file.write_all(config.as_bytes()))
            .map_err(in_folder(&self.config))
    }

    /// Starts the server, on a free port unless one is given.
    fn spawn(&self, port: Option<u16>) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        Command::new(&self.program)
            .arg("-c")
            .arg(&self.config)
            .arg("-p")
            .arg(port.map_or("-1".to_owned(), |port| port.to_string()))
            .arg("-sd")
            .arg(&self.store_dir)
            .arg("--ports_file_dir")
            .arg(&self.ports)
            .arg("-l")
            .arg(&self.log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // What the server says before it has opened its log.
            .stderr(log)
            // A Ctrl-C in the terminal goes to us alone: the server has to outlive the last record.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// The port that the server has taken, from the file in which it says so.
    async fn learn_port(&self, child: &mut Child, deadline: Instant) -> Result<u16, NatsServerError> {
        #[derive(Deserialize)]
        struct Ports {
            nats: Vec<String>,
        }
        let suffix = format!("_{}.ports", child.id().unwrap_or_default());
        loop {
            for entry in fs::read_dir(&self.ports).map_err(in_folder(&self.ports))? {
                let path = entry.map_err(in_folder(&self.ports))?.path();
                if !path.to_string_lossy().ends_with(&suffix) {
                    continue;
                }
                // A file that is not complete yet does not parse, and is read again.
                let ports = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Ports>(&bytes).ok());
                let port = ports.and_then(|ports| ports.nats.first()?.rsplit_once(':')?.1.parse().ok());
                if let Some(port) = port {
                    return Ok(port);
                }
            }
            self.pause(child, deadline, "it has not opened a port").await?;
        }
    }

    async fn wait_until_ready(
        &self,
        child: &mut Child,
        url: &str,
        password: &Secret,
        deadline: Instant,
    ) -> Result<(), NatsServerError> {
        let mut trouble = "it does not answer".to_owned();
        loop {
            let time_left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(time_left, ask_jetstream(url, password)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => trouble = error,
                // The deadline has passed: the pause finds it so.
                Err(_) => {}
            }
            self.pause(child, deadline, &trouble).await?;
        }
    }

    /// Waits a moment, unless the server has died or the time is up.
    async fn pause(&self, child: &mut Child, deadline: Instant, trouble: &str) -> Result<(), NatsServerError> {
        match child.try_wait() {
            Ok(Some(status)) => Err(self.not_ready(format!("it ended with {status}"))),
            _ if Instant::now() >= deadline => Err(self.not_ready(format!("{trouble}, and the time is up"))),
            _ => {
                tokio::time::sleep(POLL).await;
                Ok(())
            }
        }
    }

    fn not_ready(&self, detail: String) -> NatsServerError {
        NatsServerError::NotReady {
            detail,
            log_file: self.log.clone(),
            log: last_lines(&self.log).unwrap_or_else(|error| error.to_string()),
        }
    }
}

/// Whether JetStream answers. Asked without the client's own types, which do not fit servers before 2.10.
async fn ask_jetstream(url: &str, password: &Secret) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<serde_json::Value>,
    }
    let client = credentials(password).connect(url).await.map_err(|error| error.to_string())?;
    let answer = client.request("$JS.API.INFO", Bytes::new()).await.map_err(|error| error.to_string())?;
    match serde_json::from_slice::<Answer>(&answer.payload) {
        Ok(Answer { error: None }) => Ok(()),
        Ok(Answer { error: Some(error) }) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn credentials(password: &Secret) -> async_nats::ConnectOptions {
    async_nats::ConnectOptions::with_user_and_password(USER.to_owned(), password.expose().to_owned())
}

/// Keeps the server running until it is told to stop.
struct Supervisor {
    launch: Launch,
    port: u16,
    pid: Arc<AtomicU32>,
    stop: CancellationToken,
    /// Keeps other owners out of the folder until the server has ended.
    _lock: File,
}

impl Supervisor {
    async fn run(self, mut child: Child) {
        let mut started = Instant::now();
        let mut pause = SHORTEST_PAUSE;
        loop {
            tokio::select! {
                ended = child.wait() => match ended {
                    Ok(status) => tracing::error!(%status, log = %self.launch.log.display(), "nats-server has died"),
                    Err(error) => tracing::error!(%error, "nats-server cannot be watched"),
                },
                () = self.stop.cancelled() => return stop(child).await,
            }
            if started.elapsed() >= WELL_AFTER {
                pause = SHORTEST_PAUSE;
            }
            child = loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stop.cancelled() => return,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                // The same port, so that clients find the server again. If someone else has taken it, the
                // server ends at once, and this goes on until the port is free.
                match self.launch.spawn(Some(self.port)) {
                    Ok(child) => break child,
                    Err(error) => tracing::error!(%error, "nats-server cannot be started again"),
                }
            };
            started = Instant::now();
            let pid = child.id().unwrap_or_default();
            self.pid.store(pid, Ordering::Relaxed);
            tracing::warn!(pid, port = self.port, "nats-server was started again");
        }
    }
}

async fn stop(mut child: Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::warn!(%error, "nats-server cannot be asked to stop");
    }
    if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
        tracing::warn!("nats-server does not stop and is killed");
        if let Err(error) = child.kill().await {
            tracing::error!(%error, "nats-server cannot be killed");
        }
    }
}

/// Makes the folder, for its owner only, and gives its absolute path: by that a leftover is recognised.
fn make_store_dir(path: &Path) -> Result<PathBuf, NatsServerError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| path.canonicalize()).map_err(in_folder(path))
}

/// Takes the folder. The lock goes with the process, however it ends.
fn lock(store_dir: &Path) -> Result<File, NatsServerError> {
    let path = store_dir.join("lock");
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(in_folder(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(in_folder(&path))?;
            return Err(NatsServerError::InUse { store_dir: store_dir.to_owned(), pid: pid.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(in_folder(&path)(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(in_folder(&path))?;
    Ok(file)
}

fn in_folder(path: &Path) -> impl Fn(io::Error) -> NatsServerError {
    move |source| NatsServerError::Folder { path: path.to_owned(), source }
}

fn last_lines(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n"))
}
