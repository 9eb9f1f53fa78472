use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use proptest::prelude::*;
use tapelog_events::{Commit, CommitId, Event, Incarnation, Instant, LogStarted, Record, codec};
use tapelog_store::log::{Broken, Head};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

const INCARNATION: Incarnation = Incarnation::from_uuid(Uuid::from_u128(0x0000_0007_0000_4000_8000_0000_0000_0000));

/// A chain of records; each is as long as its number in `sizes` says.
fn log(sizes: &[usize]) -> Vec<Entry> {
    let mut head = Head::START;
    let entries = sizes.iter().enumerate().map(|(index, size)| {
        let commit = Commit {
            id: CommitId::from_uuid(Uuid::from_u128(index as u128)),
            at: Instant::from_micros(index as i64),
            actor: "x".repeat(*size),
            request_id: None,
            idempotency: None,
            events: vec![Event::LogStarted(LogStarted { incarnation: INCARNATION })],
        };
        let record = Record { format: codec::FORMAT, prev_hash: head.hash, commits: vec![commit] };
        let entry = Entry { seq: head.seq.next(), payload: codec::encode(&record).into() };
        (_, head) = head.read_next(&entry).unwrap();
        entry
    });
    entries.collect()
}

fn archive_in(folder: &Path, capacity: Capacity) -> Archive {
    Archive { capacity, ..Archive::new(Place::Folder(folder.to_owned())) }
}

async fn append(archive: &Archive, log: &[Entry], last: usize) -> Result<Appended, AppendError> {
    append_from(archive, log, None, last).await
}

async fn append_from(
    archive: &Archive,
    log: &[Entry],
    first: Option<Seq>,
    last: usize,
) -> Result<Appended, AppendError> {
    let extent = Extent { incarnation: INCARNATION, first, last: Seq(last as u64) };
    let read = |from: Seq| stream::iter(log[from.0 as usize - 1..].iter().cloned().map(Ok::<_, Broken>));
    archive.append(extent, read, |_| {}).await
}

async fn contents(archive: &Archive) -> Vec<Entry> {
    let manifest = archive.manifest().await.unwrap().unwrap();
    let mut entries = Vec::new();
    for file in manifest.files() {
        entries.extend(archive.read(&manifest, file).await.unwrap());
    }
    entries
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Files on disk, without the manifest and its lock.
fn stored(folder: &TempDir) -> Vec<PathBuf> {
    let folder = folder.path().join(format!("log/{INCARNATION}"));
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_archived_in_whatever_steps_is_the_log(
        sizes in prop::collection::vec(0_usize..2000, 1..80),
        steps in prop::collection::vec(1_usize..20, 1..30),
        bytes in 6000_usize..20_000,
        records in 4_u64..40,
    ) {
        let log = log(&sizes);
        let capacity = Capacity { bytes, records };
        block_on(async {
            let folder = TempDir::new().unwrap();
            let mut last = 0;
            for step in steps {
                // Each time by another process.
                let archive = archive_in(folder.path(), capacity);
                let before = last;
                last = (last + step).min(log.len());
                let appended = append(&archive, &log, last).await.unwrap();
                assert_eq!(appended.records as usize, last - before);
                assert_eq!(contents(&archive).await, log[..last]);
                let manifest = archive.manifest().await.unwrap().unwrap();
                assert_eq!(manifest.head().hash, tapelog_events::ChainHash::of(&log[last - 1].payload));
                for pair in manifest.files().windows(2) {
                    assert!(pair[0].records() >= pair[1].records() || capacity.is_half(&pair[0]), "{pair:?}");
                }
                for file in manifest.files() {
                    assert!(file.records() == 1 || (file.log_bytes <= bytes as u64 && file.records() <= records));
                }
            }
        });
    }
}

#[tokio::test]
async fn small_files_are_merged_and_the_replaced_ones_noted() {
    let folder = TempDir::new().unwrap();
    let archive = archive_in(folder.path(), CAPACITY);
    let log = log(&[10; 100]);
    for last in 1..=100 {
        append(&archive, &log, last).await.unwrap();
    }
    let manifest = archive.manifest().await.unwrap().unwrap();
    assert!(manifest.files().len() <= 7, "{} files for a hundred steps", manifest.files().len());
    let retired: Vec<_> = serde_json::to_value(&manifest).unwrap()["retired"].as_array().unwrap().clone();
    assert_eq!(manifest.files().len() + retired.len(), stored(&folder).len(), "nothing lies about unnoted");
}

#[tokio::test]
async fn a_replaced_file_is_removed_once_its_time_is_over() {
    let folder = TempDir::new().unwrap();
    let archive = archive_in(folder.path(), CAPACITY);
    let log = log(&[10; 3]);
    append(&archive, &log, 1).await.unwrap();
    let replaced = stored(&folder).remove(0);
    append(&archive, &log, 2).await.unwrap();
    assert!(replaced.exists(), "somebody may be reading it");
    let manifest = folder.path().join(MANIFEST);
    let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    text["retired"][0]["until"] = "2020-01-01T00:00:00Z".into();
    fs::write(&manifest, text.to_string()).unwrap();
    append(&archive, &log, 3).await.unwrap();
    assert!(!replaced.exists());
    assert_eq!(contents(&archive).await, log);
    text["retired"][0]["file"] = "../../elsewhere".into();
    fs::write(&manifest, text.to_string()).unwrap();
    assert!(matches!(archive.manifest().await, Err(OpenError::Manifest(ManifestError::Elsewhere(_)))));
}

#[tokio::test]
async fn a_file_that_is_missing_cut_or_altered_is_named() {
    let folder = TempDir::new().unwrap();
    let archive = archive_in(folder.path(), Capacity { bytes: 1 << 20, records: 10 });
    append(&archive, &log(&[10; 30]), 30).await.unwrap();
    let manifest = archive.manifest().await.unwrap().unwrap();
    let path = stored(&folder).remove(1);
    let name = path.file_name().unwrap().to_str().unwrap();
    let original = fs::read(&path).unwrap();
    let complaint = async || archive.check(&manifest, |_| {}).await.unwrap_err().to_string();

    fs::write(&path, &original[..original.len() / 2]).unwrap();
    assert!(complaint().await.contains(name));
    let mut altered = original.clone();
    altered[original.len() / 2] ^= 1;
    fs::write(&path, altered).unwrap();
    assert!(complaint().await.contains(name));
    fs::remove_file(&path).unwrap();
    assert!(complaint().await.contains(name));
    fs::write(&path, original).unwrap();
    archive.check(&manifest, |_| {}).await.unwrap();
}

/// Whoever can write the manifest can name any file in it; the records themselves show it.
#[tokio::test]
async fn a_file_of_other_records_is_refused_though_the_manifest_names_it() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let archive = archive_in(folder.path(), CAPACITY);
    append(&archive, &log(&[10; 5]), 5).await.unwrap();
    append(&archive_in(other.path(), CAPACITY), &log(&[11; 5]), 5).await.unwrap();
    let (ours, theirs) = (stored(&folder).remove(0), stored(&other).remove(0));
    fs::copy(&theirs, ours.with_file_name(theirs.file_name().unwrap())).unwrap();
    let mut text: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join(MANIFEST)).unwrap()).unwrap();
    let of_other: serde_json::Value = serde_json::from_slice(&fs::read(other.path().join(MANIFEST)).unwrap()).unwrap();
    let after = text["files"][0]["after"].clone();
    text["files"] = of_other["files"].clone();
    text["files"][0]["after"] = after;
    fs::write(folder.path().join(MANIFEST), text.to_string()).unwrap();
    let manifest = archive.manifest().await.unwrap().unwrap();
    assert!(matches!(archive.check(&manifest, |_| {}).await, Err(ReadError::End { .. })));
}

#[tokio::test]
async fn a_log_that_is_not_the_archived_one_is_not_appended() {
    let folder = TempDir::new().unwrap();
    let archive = archive_in(folder.path(), CAPACITY);
    let archived = log(&[10; 6]);
    append(&archive, &archived, 6).await.unwrap();
    let refused = |result: Result<Appended, AppendError>| result.unwrap_err();

    assert!(matches!(refused(append(&archive, &archived, 4).await), AppendError::Ahead { .. }));
    let mut other = archived[..5].to_vec();
    other.extend(log(&[10, 10, 10, 10, 10, 11, 10, 10]).split_off(5));
    assert!(matches!(refused(append(&archive, &other, 8).await), AppendError::Diverged(Seq(6))));
    let mut broken = log(&[10; 9]);
    broken[7].payload = broken[6].payload.clone();
    assert!(matches!(refused(append(&archive, &broken, 9).await), AppendError::Broken(Broken::Chain(Seq(8)))));
    let mut gap = log(&[10; 9]);
    gap.remove(7);
    assert!(matches!(refused(append(&archive, &gap, 9).await), AppendError::Ended(Seq(8))));
    let extent = Extent {
        incarnation: Incarnation::from_uuid(Uuid::from_u128(0x0000_0008_0000_4000_8000_0000_0000_0000)),
        first: None,
        last: Seq(6),
    };
    let read = |_| stream::empty::<Result<Entry, Broken>>();
    assert!(matches!(refused(archive.append(extent, read, |_| {}).await), AppendError::OtherLog { .. }));
    assert_eq!(contents(&archive).await, archived, "and the archive is as it was");
}

#[tokio::test]
async fn a_part_of_a_log_is_archived_with_its_place_in_the_chain() {
    let folder = TempDir::new().unwrap();
    let archive = archive_in(folder.path(), CAPACITY);
    let log = log(&[10; 30]);
    let appended = append_from(&archive, &log, Some(Seq(11)), 20).await.unwrap();
    assert_eq!((appended.records, appended.head.seq), (10, Seq(20)));
    let other_start = append_from(&archive, &log, Some(Seq(5)), 30).await;
    assert!(matches!(other_start, Err(AppendError::OtherStart { archived: Seq(11), asked: Seq(5) })));
    append(&archive, &log, 30).await.unwrap();
    assert_eq!(contents(&archive).await, log[10..]);
}

/// Two nodes that archive one log: whichever is late starts over, and the archive is the log.
#[tokio::test]
async fn two_that_archive_at_once_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let log = Arc::new(log(&[100; 60]));
    let nodes = [0, 1].map(|_| {
        let (log, folder) = (Arc::clone(&log), folder.path().to_owned());
        tokio::spawn(async move {
            let archive = archive_in(&folder, CAPACITY);
            let mut last = 1;
            while last <= 60 {
                match append(&archive, &log, last).await {
                    Ok(_) => last += 1,
                    // The other one was faster, or is further.
                    Err(AppendError::Contended) => {}
                    Err(AppendError::Ahead { archived, .. }) => last = archived.0 as usize,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for node in nodes {
        node.await.unwrap();
    }
    assert_eq!(contents(&archive_in(folder.path(), CAPACITY)).await, *log);
}

#[tokio::test]
async fn what_another_version_wrote_is_not_taken_for_an_archive() {
    let folder = TempDir::new().unwrap();
    let archive = archive_in(folder.path(), CAPACITY);
    archive.place().switch(MANIFEST, Bytes::from_static(b"{\"format\":9}"), &None).await.unwrap();
    assert!(matches!(archive.manifest().await, Err(OpenError::Manifest(ManifestError::Format(9)))));
}
