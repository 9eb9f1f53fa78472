//! The authentication log: every token that was given out, and every request whose credentials did not hold, as lines of
//! JSON in the data folder.
//!
//! One thread writes. Whatever clients send, it writes no more than [`LINES_A_SECOND`] of failures: those that are alike
//! are counted and written once every [`WINDOW`], and files are as large and as many as is said here.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tapelog_events::Instant as Moment;

/// Entries that may wait to be written; more are counted.
const ENTRIES_AHEAD: usize = 1024;
/// For how long failures that are alike are counted before they are written.
const WINDOW: Duration = Duration::from_secs(10);
/// Kinds of failures that are counted at once.
const KINDS: usize = 1024;
/// Lines of failures in a second, in the long run.
const LINES_A_SECOND: f64 = 20.0;
/// Lines of failures that may come at once.
const BURST: f64 = 200.0;
/// Bytes of a file; the next line begins another.
const FILE_BYTES: u64 = 4 << 20;
/// For how long lines go to one file.
const FILE_AGE: Duration = Duration::from_secs(86_400);
/// Files that are kept at most: with their greatest size, a quarter of a gigabyte.
const FILES: usize = 64;
/// Bytes of a text that a client sent, such as the name of an account.
const TEXT_BYTES: usize = 128;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// A token was given out.
    Granted,
    /// The credentials do not hold.
    Failed,
    /// The credentials were not looked at: there were too many wrong ones before.
    Throttled,
    /// More failures than are written.
    LeftOut,
}

/// By what somebody tried to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// Nothing.
    Nothing,
    /// A header that cannot be read.
    Unreadable,
    /// Account and password.
    Password,
    /// A token that this store remembers.
    Token,
    /// An access token that this store has signed.
    AccessToken,
    /// A token of an identity provider.
    IssuerToken,
    /// A refresh token.
    RefreshToken,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Authentication")]
pub struct Entry {
    /// When.
    pub time: Moment,
    /// What became of it.
    pub outcome: Attempt,
    /// By what.
    pub means: Means,
    /// Who it was, or claimed to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<IpAddr>,
    /// The request; the last one, where it was often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How often.
    pub times: u64,
}

impl Entry {
    /// An attempt that happened now.
    pub fn now(outcome: Attempt, means: Means) -> Self {
        let time = SystemTime::now().into();
        Self { time, outcome, means, principal: None, reason: None, remote: None, request_id: None, times: 1 }
    }

    /// What makes failures alike.
    fn kind(&self) -> Kind {
        (self.outcome, self.means, self.principal.clone(), self.reason.clone(), self.remote)
    }

    fn cut(mut self) -> Self {
        for text in [&mut self.principal, &mut self.reason].into_iter().flatten() {
            if text.len() > TEXT_BYTES {
                text.truncate(text.floor_char_boundary(TEXT_BYTES));
            }
        }
        self
    }

    fn tell(&self) {
        let Self { outcome, means, principal, reason, remote, request_id, times, .. } = self;
        let (principal, reason) = (principal.as_deref(), reason.as_deref());
        let (remote, request_id) = (remote.map(tracing::field::display), request_id.as_deref());
        match outcome {
            Attempt::Granted => {
                tracing::info!(target: TARGET, ?means, principal, remote, request_id, times, "a token was given out");
            }
            Attempt::Failed | Attempt::Throttled | Attempt::LeftOut => {
                tracing::warn!(target: TARGET, ?outcome, ?means, principal, reason, remote, request_id, times, "authentication failed");
            }
        }
    }
}

type Kind = (Attempt, Means, Option<String>, Option<String>, Option<IpAddr>);

/// The target of its lines in the log of the process.
pub const TARGET: &str = "tapelog::auth";

enum Message {
    Entry(Entry),
    Stop,
}

/// Takes entries, and reads them back.
#[derive(Clone)]
pub struct Journal {
    folder: Arc<Path>,
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes.
pub struct Writing {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl Writing {
    /// Writes what is waiting, and ends. Blocks.
    pub fn stop(self) {
        if self.sender.send(Message::Stop).is_ok() && self.thread.join().is_err() {
            tracing::error!("the authentication log ended by a panic");
        }
    }
}

impl Journal {
    /// Opens the log in a folder, where it is kept for so many days.
    ///
    /// # Errors
    /// When the folder or the thread cannot be made.
    pub fn open(folder: &Path, days: u32) -> Result<(Self, Writing)> {
        let unusable = || format!("the authentication log in {} cannot be written", folder.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(unusable)?;
        let files =
            Files { folder: folder.to_owned(), age: Duration::from_secs(u64::from(days) * 86_400), current: None };
        let (sender, receiver) = sync_channel(ENTRIES_AHEAD);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            files,
            counted: HashMap::new(),
            left_out: 0,
            told: Instant::now(),
            allowance: BURST,
            filled: Instant::now(),
            lost: Arc::clone(&lost),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("authentication log".to_owned());
        let thread = thread.spawn(move || writer.run(&receiver)).with_context(unusable)?;
        Ok((Self { folder: folder.into(), sender: sender.clone(), lost }, Writing { sender, thread }))
    }

    /// Notes an attempt. Waits for nothing.
    pub fn note(&self, entry: Entry) {
        if self.sender.try_send(Message::Entry(entry.cut())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries, newest first, and where the next page begins. Blocks.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn read(
        &self,
        limit: usize,
        before: Option<Place>,
        since: Option<Moment>,
    ) -> io::Result<(Vec<Entry>, Option<Place>)> {
        let (mut entries, mut last) = (Vec::new(), None);
        for (millis, path) in names(&self.folder)?.into_iter().rev() {
            if before.is_some_and(|before| millis > before.millis) {
                continue;
            }
            let end = before.filter(|before| before.millis == millis).map_or(u64::MAX, |before| before.offset);
            for (offset, entry) in lines(&path, end)?.into_iter().rev() {
                if since.is_some_and(|since| entry.time < since) {
                    return Ok((entries, None));
                }
                if entries.len() == limit {
                    return Ok((entries, last));
                }
                entries.push(entry);
                last = Some(Place { millis, offset });
            }
        }
        Ok((entries, None))
    }
}

/// A line in the log: entries before it are older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    millis: u64,
    offset: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.millis, self.offset)
    }
}

/// A text that is no place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is none that this log gave")]
pub struct NoPlace;

impl std::str::FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (millis, offset) = text.split_once('-').ok_or(NoPlace)?;
        Ok(Self { millis: millis.parse().map_err(|_| NoPlace)?, offset: offset.parse().map_err(|_| NoPlace)? })
    }
}

/// The files by the time at which they were begun.
fn names(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let millis = name.and_then(|name| name.strip_prefix("auth-")?.strip_suffix(".jsonl")?.parse().ok());
        names.extend(millis.map(|millis| (millis, path)));
    }
    names.sort_unstable();
    Ok(names)
}

/// The lines of a file that begin before `end`, each with where it begins. What is no entry, such as a line that is being
/// written, is passed over; so is a file that has just been removed.
fn lines(path: &Path, end: u64) -> io::Result<Vec<(u64, Entry)>> {
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut lines, mut offset, mut line) = (Vec::new(), 0, Vec::new());
    while offset < end {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            break;
        }
        lines.extend(serde_json::from_slice(&line).ok().map(|entry| (offset, entry)));
        offset += length;
    }
    Ok(lines)
}

struct Writer {
    files: Files,
    /// Failures that came again within the window: the last of each kind, how often, and since when.
    counted: HashMap<Kind, Counted>,
    /// Failures that were not written, and when that was told last.
    left_out: u64,
    told: Instant,
    allowance: f64,
    filled: Instant,
    lost: Arc<AtomicU64>,
    failing: bool,
}

struct Counted {
    last: Entry,
    times: u64,
    since: Instant,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            match receiver.recv_timeout(WINDOW) {
                Ok(Message::Entry(entry)) => self.take(entry, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.flush(Instant::now(), WINDOW);
        }
        self.flush(Instant::now(), Duration::ZERO);
    }

    fn take(&mut self, entry: Entry, now: Instant) {
        if entry.outcome == Attempt::Granted {
            return self.write(&entry);
        }
        if let Some(counted) = self.counted.get_mut(&entry.kind()) {
            counted.times += 1;
            counted.last = entry;
            return;
        }
        if self.counted.len() < KINDS && self.may_write(now) {
            self.write(&entry);
            self.counted.insert(entry.kind(), Counted { last: entry, times: 0, since: now });
        } else {
            self.left_out += 1;
        }
    }

    /// Writes what was counted since `window` ago or longer.
    fn flush(&mut self, now: Instant, window: Duration) {
        let is_due = |_: &Kind, counted: &mut Counted| now.saturating_duration_since(counted.since) >= window;
        let due: Vec<_> = self.counted.extract_if(is_due).map(|(_, counted)| counted).collect();
        for Counted { last, times, .. } in due {
            if times > 0 {
                self.write(&Entry { times, ..last });
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        self.left_out += lost;
        if self.left_out > 0 && now.saturating_duration_since(self.told) >= window {
            self.told = now;
            let times = std::mem::take(&mut self.left_out);
            self.write(&Entry { times, ..Entry::now(Attempt::LeftOut, Means::Nothing) });
        }
    }

    fn may_write(&mut self, now: Instant) -> bool {
        let filled = now.saturating_duration_since(self.filled).as_secs_f64() * LINES_A_SECOND;
        self.allowance = (self.allowance + filled).min(BURST);
        self.filled = now;
        let may = self.allowance >= 1.0;
        if may {
            self.allowance -= 1.0;
        }
        may
    }

    fn write(&mut self, entry: &Entry) {
        entry.tell();
        let mut line = serde_json::to_vec(entry).expect("an entry has string keys only");
        line.push(b'\n');
        match self.files.write(&line) {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "the authentication log cannot be written");
                }
                self.failing = true;
            }
        }
    }
}

struct Files {
    folder: PathBuf,
    /// After which time files are removed.
    age: Duration,
    current: Option<Current>,
}

struct Current {
    file: File,
    begun: SystemTime,
    bytes: u64,
}

impl Files {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let is_full = |current: &Current| {
            current.bytes + line.len() as u64 > FILE_BYTES
                || current.begun.elapsed().is_ok_and(|elapsed| elapsed > FILE_AGE)
        };
        let current = match self.current.take().filter(|current| !is_full(current)) {
            Some(current) => current,
            None => self.begin()?,
        };
        let current = self.current.insert(current);
        current.file.write_all(line)?;
        current.bytes += line.len() as u64;
        Ok(())
    }

    /// Begins a file, and removes those that are too many or too old.
    fn begin(&self) -> io::Result<Current> {
        let begun = SystemTime::now();
        let millis =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let existing = names(&self.folder)?;
        // A clock that was put back, or a second file within one millisecond.
        let name = existing.last().map_or(0, |(last, _)| last + 1).max(millis(begun));
        let path = self.folder.join(format!("auth-{name}.jsonl"));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let oldest = millis(begun.checked_sub(self.age + FILE_AGE).unwrap_or(SystemTime::UNIX_EPOCH));
        let too_many = (existing.len() + 1).saturating_sub(FILES);
        for (index, (millis, path)) in existing.iter().enumerate() {
            if index < too_many || *millis < oldest {
                fs::remove_file(path)?;
            }
        }
        Ok(Current { file, begun, bytes: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(principal: &str, request: usize) -> Entry {
        Entry {
            principal: Some(principal.to_owned()),
            request_id: Some(request.to_string()),
            ..Entry::now(Attempt::Failed, Means::Password)
        }
    }

    #[test]
    fn failures_that_are_alike_are_counted_and_all_are_read_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, writing) = Journal::open(folder.path(), 1).unwrap();
        for request in 0..5 {
            journal.note(failure("ann", request));
        }
        journal.note(Entry::now(Attempt::Granted, Means::Password));
        journal.note(Entry::now(Attempt::Granted, Means::Password));
        writing.stop();
        let (all, next) = journal.read(10, None, None).unwrap();
        let told: Vec<_> = all.iter().map(|entry| (entry.outcome, entry.request_id.as_deref(), entry.times)).collect();
        assert_eq!(next, None);
        assert_eq!(
            told,
            [
                (Attempt::Failed, Some("4"), 4),
                (Attempt::Granted, None, 1),
                (Attempt::Granted, None, 1),
                (Attempt::Failed, Some("0"), 1),
            ]
        );
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let (page, next) = journal.read(1, before, None).unwrap();
            pages.extend(page.iter().map(|entry| entry.time));
            let Some(next) = next else { break };
            before = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(pages, all.iter().map(|entry| entry.time).collect::<Vec<_>>());
        let since = Moment::from_micros(all[0].time.as_micros() + 1);
        assert!(journal.read(10, None, Some(since)).unwrap().0.is_empty());
    }

    #[test]
    fn a_flood_of_failures_writes_a_bounded_number_of_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, writing) = Journal::open(folder.path(), 1).unwrap();
        for request in 0..10_000 {
            journal.note(failure(&format!("{request}{}", "x".repeat(1000)), request));
        }
        writing.stop();
        let (all, _) = journal.read(usize::MAX, None, None).unwrap();
        assert!(all.len() < 600, "{}", all.len());
        assert_eq!(all.iter().map(|entry| entry.times).sum::<u64>(), 10_000);
        assert!(all.iter().all(|entry| entry.principal.as_ref().is_none_or(|name| name.len() <= TEXT_BYTES)));
    }
}
