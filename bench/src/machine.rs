//! What the operating system knows: processor time, memory and disk of processes. From `/proc`: elsewhere than on
//! Linux these figures are left out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// What `/proc` counts processor time in: hundredths of a second on every architecture that Linux has users on.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of the machine and of every process, at one moment.
#[derive(Debug)]
pub struct CpuSample {
    busy: u64,
    total: u64,
    processes: HashMap<u32, ProcessTime>,
}

#[derive(Debug)]
struct ProcessTime {
    parent: u32,
    ticks: u64,
}

/// Where processor time went between two samples.
#[derive(Debug, Clone, Copy)]
pub struct CpuUse {
    /// The share of all processors (0 to 1) that went to processes that have nothing to do with the measurement.
    pub foreign: f64,
    /// What the measured server used, with its child processes, when it is a process of ours.
    pub server: Option<Duration>,
}

impl CpuSample {
    /// The state now.
    pub fn take() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let fields: Vec<u64> =
            stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
        let [user, nice, system, idle, io_wait, interrupts, soft_interrupts, stolen, ..] = *fields else { return None };
        // Interrupts are counted for the machine but for no process; most here are our own loopback traffic.
        let busy = user + nice + system + stolen;
        let total = busy + idle + io_wait + interrupts + soft_interrupts;

        let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process that has ended meanwhile has no file any more.
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in parentheses, may hold anything; behind it: state, parent, ..., and from 14 on the times.
            let (_, behind_name) = stat.rsplit_once(')')?;
            let fields: Vec<&str> = behind_name.split_whitespace().collect();
            let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
            let parent = u32::try_from(number(1)?).ok()?;
            Some((pid, ProcessTime { parent, ticks: number(11)? + number(12)? }))
        });
        Some(Self { busy, total, processes: processes.collect() })
    }

    /// Where processor time went since an earlier sample.
    pub fn since(&self, earlier: &Self, server: Option<u32>) -> CpuUse {
        let own = self.tree_since(earlier, std::process::id());
        let total = (self.total - earlier.total).max(1);
        let foreign = (self.busy - earlier.busy).saturating_sub(own) as f64 / total as f64;
        let server = server.map(|pid| TICK * u32::try_from(self.tree_since(earlier, pid)).unwrap_or(u32::MAX));
        CpuUse { foreign, server }
    }

    /// Ticks that a process and its descendants used since an earlier sample.
    fn tree_since(&self, earlier: &Self, root: u32) -> u64 {
        let used = |pid: &u32| {
            let now = self.processes.get(pid).map_or(0, |process| process.ticks);
            now.saturating_sub(earlier.processes.get(pid).map_or(0, |process| process.ticks))
        };
        let children = self.processes.iter().filter(|(_, process)| process.parent == root);
        used(&root) + children.map(|(pid, _)| self.tree_since(earlier, *pid)).sum::<u64>()
    }
}

/// Bytes of a process that are in memory (`VmRSS`).
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The child processes of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let processes = CpuSample::take().map(|sample| sample.processes).unwrap_or_default();
    processes.into_iter().filter(|(_, process)| process.parent == pid).map(|(child, _)| child).collect()
}

/// How many bytes the files of a folder hold, with those of the folders in it. Zero when there is no such folder.
///
/// # Errors
/// When a folder cannot be read.
pub fn folder_bytes(folder: &Path) -> io::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// What the figures depend on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Logical processors.
    pub processors: usize,
    /// What they call themselves.
    pub processor: String,
    /// Bytes of memory.
    pub memory: u64,
    /// The operating system.
    pub system: String,
    /// The file system that the data lie on: in memory (`tmpfs`), a write to disk costs nothing.
    pub disk: String,
}

impl Machine {
    /// This machine, with data in this folder.
    pub fn this(folder: &Path) -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = after(&file("/proc/meminfo"), "MemTotal");
        let kibibytes = memory.and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok());
        let mounts = file("/proc/mounts");
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((Path::new(fields.next()?), fields.next()?))
        });
        let mount = mounts.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.components().count());
        Self {
            disk: mount.map_or(String::new(), |(_, kind)| kind.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            processor: after(&file("/proc/cpuinfo"), "model name").unwrap_or_default(),
            memory: kibibytes.unwrap_or_default() * 1024,
            system: format!("{} {}", std::env::consts::OS, file("/proc/sys/kernel/osrelease").trim()),
        }
    }
}
