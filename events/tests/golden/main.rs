//! Real bytes of every format of the log that was ever written, which must read as what was meant for ever.
//!
//! `data/golden-v1.bin` holds records, each behind its length in four bytes, most significant first; together they have
//! every type of event, with each optional field once set and once not. A file is never changed after its release. A
//! new format, event or field gets a file of its own and its expected values here; `TAPELOG_WRITE_GOLDEN=1 cargo test
//! -p tapelog-events --test golden` writes files that are missing, and none that is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod first;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tapelog_events::codec::{decode, encode};
use tapelog_events::*;

const FIRST: &str = "golden-v1.bin";

#[test]
fn every_golden_record_reads_as_what_was_meant_and_is_written_the_same() {
    for (file, expected) in [(FIRST, first::records())] {
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
    let bytes = fs::read(path_of(FIRST)).unwrap();
    let mut before = ChainHash::ZERO;
    for record in unframed(&bytes) {
        assert_eq!(decode(record).unwrap().prev_hash, before);
        before = ChainHash::of(record);
    }
    // The hash of the last record stands for every byte of all of them.
    assert_eq!(before.to_string(), "55f8594876c20ad2d8e39253f089a241eb571f2536a97156a76337bc2c0aae1d");
}

#[test]
fn golden_records_have_every_type_of_event() {
    let kinds: BTreeSet<_> = first::events().iter().map(Event::kind).collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    for event in first::events() {
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
            | Event::ObjectsAllocated(_)
            | Event::SegmentsAdded(_)
            | Event::SegmentsDeleted(_) => {}
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
