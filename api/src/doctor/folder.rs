//! The data folder, its disk, and what the operating system allows the process.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use tokio::task::spawn_blocking;

use super::Finding;
use crate::http::Limits;

/// Less free space than this is a fault; less than ten times as much, a warning.
const LEAST_SPACE: u64 = 1 << 30;
/// How often a write to disk is timed.
const SYNCS: usize = 16;
/// How much is written each time, in bytes: about a record.
const SYNC_BYTES: usize = 4096;
/// A disk that takes longer makes every write of a client wait for longer than that.
const SLOW_SYNC: Duration = Duration::from_millis(10);
/// Files that a server has open besides its connections.
const OTHER_FILES: u64 = 128;

pub(super) async fn examine(data: &Path, limits: &Limits) -> Vec<Finding> {
    let mut findings = vec![open_files(limits)];
    // It is made at the first start; until then what counts is where that will be.
    let folder = data.ancestors().map(or_here).find(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from("/"));
    findings.push(space(&folder));
    let timed = {
        let folder = folder.clone();
        spawn_blocking(move || time_syncs(&folder)).await
    };
    findings.push(match timed {
        Ok(Ok(median)) if median > SLOW_SYNC => Finding::warn(
            "disk",
            format!("writing to it takes {} ms", median.as_millis()),
            "every write of a client waits for it: use a disk with a write cache that survives a power cut",
        ),
        Ok(Ok(median)) => Finding::ok("disk", format!("writing to it takes {} µs", median.as_micros())),
        Ok(Err(error)) => Finding::fail(
            "data folder",
            format!("{} cannot be written: {error}", folder.display()),
            "give the user that runs tapelog the right to write there, or set data to another folder",
        ),
        Err(error) => Finding::fail("data folder", error.to_string(), "report this fault of the program"),
    });
    findings
}

fn or_here(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn open_files(limits: &Limits) -> Finding {
    const CHECK: &str = "open files";
    let Some(allowed) = getrlimit(Resource::Nofile).current else {
        return Finding::ok(CHECK, "as many as there is memory for");
    };
    let needed = limits.connections as u64 + OTHER_FILES;
    if allowed < needed {
        let advice = format!("allow {needed} (ulimit -n, or LimitNOFILE of systemd), or set limits.connections lower");
        let found = format!("{allowed} are allowed, fewer than limits.connections = {}", limits.connections);
        return Finding::warn(CHECK, found, advice);
    }
    Finding::ok(CHECK, format!("{allowed} are allowed"))
}

fn space(folder: &Path) -> Finding {
    const CHECK: &str = "free space";
    let advice = "free some, or set data to a folder on another disk: a log that cannot grow takes no writes";
    match statvfs(folder) {
        Err(error) => Finding::fail(CHECK, format!("{} cannot be asked: {error}", folder.display()), advice),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} at {}", bytes(free), folder.display());
            match free {
                ..LEAST_SPACE => Finding::fail(CHECK, found, advice),
                _ if free < 10 * LEAST_SPACE => Finding::warn(CHECK, found, advice),
                _ => Finding::ok(CHECK, found),
            }
        }
    }
}

/// A number of bytes, for people.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        0x4000_0000.. => format!("{} GiB", bytes >> 30),
    }
}

/// How long it takes until written bytes are on disk: the median of some.
fn time_syncs(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!(".tapelog-doctor-{}", std::process::id()));
    let timed = (|| {
        let mut file = File::create_new(&path)?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let started = Instant::now();
            file.write_all(&[0; SYNC_BYTES])?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times[SYNCS / 2])
    })();
    // A file that could not be made is not there to be removed.
    if timed.is_ok() {
        fs::remove_file(&path)?;
    }
    timed
}
