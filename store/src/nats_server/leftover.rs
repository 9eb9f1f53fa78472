//! Ends the server of an owner that was killed.
//!
//! A server outlives a `kill -9` of its owner, and JetStream itself does not keep two servers out of one folder.
//! No file with a process id is needed to find it: it is the process whose command line names the
//! configuration in this folder, and since the caller holds the folder's lock, its owner is gone.

use std::io;
use std::path::Path;

/// Ends every server that was started with this configuration, and returns when it has ended.
#[cfg(not(target_os = "linux"))]
pub(super) async fn end(_config: &Path) -> io::Result<()> {
    Ok(())
}

/// Ends every server that was started with this configuration, and returns when it has ended.
#[cfg(target_os = "linux")]
pub(super) async fn end(config: &Path) -> io::Result<()> {
    for pid in linux::servers(config)? {
        linux::end(pid, config).await?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    const POLL: Duration = Duration::from_millis(20);
    /// How long a server gets to end by itself, and then to be gone after it was killed.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub fn servers(config: &Path) -> io::Result<Vec<Pid>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid.filter(|pid| is_ours(*pid, config)) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    pub async fn end(pid: Pid, config: &Path) -> io::Result<()> {
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // From here on the number cannot come to mean another process without our noticing: look again.
        if !is_ours(pid, config) {
            return Ok(());
        }
        tracing::warn!(pid = pid.as_raw_nonzero().get(), "ending the nats-server that a killed owner has left");
        for signal in [Signal::TERM, Signal::KILL] {
            match pidfd_send_signal(&process, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                if !is_ours(pid, config) {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Err(io::Error::other(format!("the nats-server of a killed owner, process {pid:?}, cannot be ended")))
    }

    /// Whether the process runs with `-c <config>`. One that has ended has no command line any more, also as a zombie.
    fn is_ours(pid: Pid, config: &Path) -> bool {
        let command_line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let arguments: Vec<_> = command_line.split(|byte| *byte == 0).collect();
        arguments.windows(2).any(|pair| pair[0] == b"-c" && pair[1] == config.as_os_str().as_bytes())
    }
}
