//! Real bytes of every format of the log that was ever written, which must read as what was meant for ever.
//!
//! Each file holds records, each behind its length in four bytes, most significant first. Together, the records of all
//! files have every type of event, with each optional field once set and once not. A file is never changed after its release. A
//! new format, event or field gets a file of its own and its expected values here; `TAPELOG_WRITE_GOLDEN=1 cargo test
//! -p tapelog-events --test golden` writes files that are missing, and none that is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod first;
mod second;
mod third;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tapelog_events::codec::{decode, encode};
use tapelog_events::*;

/// A file, its records, and the hash of the last of them, which stands for every byte of all.
type Golden = (&'static str, fn() -> Vec<Record>, &'static str);

const FILES: [Golden; 3] = [
    ("golden-v1.bin", first::records, "55f8594876c20ad2d8e39253f089a241eb571f2536a97156a76337bc2c0aae1d"),
    ("golden-v1-whole-api.bin", second::records, "31fd9bb1acab37cfbf8a8538ca9f5155f44d08ab5ccf1aa09092c825eade26fc"),
    ("golden-v1-delivery.bin", third::records, "c190b186edea29bdc0738c5c965c9a25a7ff0b33bf6857e4a5ce487cf5438e20"),
];

#[test]
fn every_golden_record_reads_as_what_was_meant_and_is_written_the_same() {
    for (file, records, _) in FILES {
        let expected = records();
        let path = path_of(file);
        if std::env::var_os("TAPELOG_WRITE_GOLDEN").is_some() && !path.exists() {
            fs::write(&path, framed(&expected)).unwrap();
        }
        let bytes = fs::read(&path).unwrap();
        let records = unframed(&bytes);
        assert_eq!(records.len(), expected.len(), "{file}");
        for (number, (bytes, expected)) in records.iter().zip(&expected).enumerate() {
            let read = decode(bytes).unwrap();
            assert_eq!(read, *expected, "{file}, record {number}");
            assert_eq!(encode(&read), *bytes, "{file}, record {number}");
        }
    }
}

#[test]
fn golden_records_are_chained_by_hash() {
    for (file, _, last) in FILES {
        let bytes = fs::read(path_of(file)).unwrap();
        let mut before = ChainHash::ZERO;
        for record in unframed(&bytes) {
            assert_eq!(decode(record).unwrap().prev_hash, before);
            before = ChainHash::of(record);
        }
        assert_eq!(before.to_string(), last, "{file}");
    }
}

#[test]
fn golden_records_have_every_type_of_event() {
    let events = [first::events(), second::events(), third::events()].concat();
    let kinds: BTreeSet<_> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds.len(), 37, "{kinds:?}");
    for event in events {
        // A new type of event does not compile here until it has its golden record.
        match event {
            Event::LogStarted(_)
            | Event::ServiceUpdated(_)
            | Event::SourceCreated(_)
            | Event::SourceUpdated(_)
            | Event::SourceDeleted(_)
            | Event::FlowCreated(_)
            | Event::FlowUpdated(_)
            | Event::FlowDeleted(_)
            | Event::FlowTrashed(_)
            | Event::FlowRestored(_)
            | Event::FlowPurged(_)
            | Event::ObjectsAllocated(_)
            | Event::ObjectsCondemned(_)
            | Event::ObjectsDeleted(_)
            | Event::SegmentsAdded(_)
            | Event::SegmentsDeleted(_)
            | Event::SegmentTagged(_)
            | Event::ProfileCreated(_)
            | Event::InstanceAdded(_)
            | Event::InstanceRemoved(_)
            | Event::InstanceErased(_)
            | Event::CopyRequested(_)
            | Event::CopyFailed(_)
            | Event::DeletionRequested(_)
            | Event::DeletionAdvanced(_)
            | Event::DeletionForgotten(_)
            | Event::WebhookCreated(_)
            | Event::WebhookUpdated(_)
            | Event::WebhookDeleted(_)
            | Event::DeadLettered(_)
            | Event::RedeliveryRequested(_)
            | Event::DeadLetterResolved(_)
            | Event::ReplayRequested(_)
            | Event::AccountSet(_)
            | Event::AccountDeleted(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_) => {}
        }
    }
}

fn path_of(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

fn framed(records: &[Record]) -> Vec<u8> {
    let mut file = Vec::new();
    for record in records {
        let bytes = encode(record);
        file.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        file.extend(bytes);
    }
    file
}

fn unframed(mut file: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk() {
        let (record, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        records.push(record);
        file = rest;
    }
    assert!(file.is_empty());
    records
}
