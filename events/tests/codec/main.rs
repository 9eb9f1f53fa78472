//! What is written reads back as it was, whatever it was; what was not written by us is an error and never a panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod resources;
mod values;

use proptest::collection::vec;
use proptest::prelude::*;
use tapelog_events::codec::{DecodeError, FORMAT, decode, decode_value, encode, encode_value};
use tapelog_events::*;
use uuid::Uuid;

use values::record;

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(record in record()) {
        let bytes = encode(&record);
        let read = decode(&bytes).unwrap();
        prop_assert_eq!(encode(&read), bytes);
        prop_assert_eq!(read, record);
    }

    #[test]
    fn a_record_that_was_cut_off_is_refused(record in record(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&record);
        prop_assert!(matches!(decode(&bytes[..cut.index(bytes.len())]), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn a_record_with_other_bytes_is_refused_or_is_a_record_that_can_be_written(
        record in record(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(&record);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(read) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&read)).unwrap(), read.clone());
            // What is read has a text: nothing panics later that could have been refused here.
            for commit in read.commits {
                prop_assert!(!commit.at.to_string().is_empty());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }
}

/// A record as another version of tapelog might write it.
#[derive(serde::Serialize)]
struct ForeignRecord<E> {
    format: u16,
    #[serde(with = "serde_bytes")]
    prev_hash: [u8; 32],
    commits: Vec<ForeignCommit<E>>,
    added_to_record: Vec<u8>,
}

#[derive(serde::Serialize)]
struct ForeignCommit<E> {
    added_to_commit: Option<&'static str>,
    id: CommitId,
    at: i64,
    actor: &'static str,
    events: Vec<E>,
}

fn foreign<E>(format: u16, event: E) -> ForeignRecord<E> {
    let id = CommitId::from_uuid(Uuid::from_u128(1));
    let commit = ForeignCommit { added_to_commit: Some("?"), id, at: 5, actor: "a", events: vec![event] };
    ForeignRecord { format, prev_hash: [0; 32], commits: vec![commit], added_to_record: vec![1, 2] }
}

#[derive(serde::Serialize)]
struct ForeignDeletion {
    flow_id: FlowId,
    added: Vec<(u8, &'static str)>,
    source_id: SourceId,
    timerange: TimeRange,
    count: u8,
}

fn foreign_deletion() -> ForeignDeletion {
    ForeignDeletion {
        flow_id: FlowId::from_uuid(Uuid::from_u128(2)),
        added: vec![(1, "x")],
        source_id: SourceId::from_uuid(Uuid::from_u128(3)),
        timerange: TimeRange::ETERNITY,
        count: 7,
    }
}

#[test]
fn fields_that_were_added_later_are_ignored_and_missing_ones_have_their_defaults() {
    let bytes = encode_value(&foreign(FORMAT, ("segments_deleted", 1, foreign_deletion())));
    let deletion = SegmentsDeleted {
        flow_id: FlowId::from_uuid(Uuid::from_u128(2)),
        source_id: SourceId::from_uuid(Uuid::from_u128(3)),
        collected_by: Membership::default(),
        timerange: TimeRange::ETERNITY,
        object_id: None,
        count: 7,
    };
    let commit = Commit {
        id: CommitId::from_uuid(Uuid::from_u128(1)),
        at: Instant::from_micros(5),
        actor: "a".to_owned(),
        request_id: None,
        idempotency: None,
        events: vec![deletion.into()],
    };
    let expected = Record { format: FORMAT, prev_hash: ChainHash::ZERO, commits: vec![commit] };
    assert_eq!(decode(&bytes).unwrap(), expected);
}

#[test]
fn an_event_of_an_unknown_type_or_version_is_refused_by_name() {
    for (kind, version) in [("segments_vanished", 1), ("segments_deleted", 2), ("segments_deleted", 0), ("", 1)] {
        let bytes = encode_value(&foreign(FORMAT, (kind, version, foreign_deletion())));
        let error = decode(&bytes).unwrap_err();
        let expected = format!("event {kind:?} version {version} is not known");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn an_event_without_version_or_payload_or_with_more_than_that_is_refused() {
    assert!(decode(&encode_value(&foreign(FORMAT, ("segments_deleted",)))).is_err());
    assert!(decode(&encode_value(&foreign(FORMAT, ("segments_deleted", 1)))).is_err());
    assert!(decode(&encode_value(&foreign(FORMAT, ("segments_deleted", 1, foreign_deletion(), 5)))).is_err());
}

#[test]
fn a_record_of_a_later_format_is_refused_by_its_number_whatever_else_it_says() {
    #[derive(serde::Serialize)]
    struct Later {
        shape: &'static str,
        format: u16,
    }
    let known_shape = encode_value(&foreign(FORMAT + 1, ("segments_deleted", 1, foreign_deletion())));
    let other_shape = encode_value(&Later { shape: "unheard of", format: FORMAT + 1 });
    for bytes in [known_shape, other_shape] {
        assert!(matches!(decode(&bytes), Err(DecodeError::UnknownFormat(format)) if format == FORMAT + 1));
    }
}

#[test]
fn a_record_is_followed_by_nothing() {
    let bytes = encode(&Record { format: FORMAT, prev_hash: ChainHash::ZERO, commits: Vec::new() });
    for first in 0..=u8::MAX {
        let followed = [&bytes[..], &[first]].concat();
        assert!(matches!(decode(&followed), Err(DecodeError::TrailingBytes)), "{first:#x}");
        for second in 0..=u8::MAX {
            let followed = [&bytes[..], &[first, second]].concat();
            assert!(matches!(decode(&followed), Err(DecodeError::TrailingBytes)), "{first:#x} {second:#x}");
        }
    }
}

#[test]
fn bytes_that_are_no_uuid_of_the_specification_are_no_object_id() {
    #[derive(serde::Serialize)]
    struct Bytes(#[serde(with = "serde_bytes")] Vec<u8>);
    for bytes in [vec![0; 16], vec![0xff; 16], Uuid::from_u128(1).as_bytes().to_vec(), vec![4; 15]] {
        let packed = encode_value(&Bytes(bytes));
        assert!(decode_value::<ObjectId>(&packed).is_err());
    }
}

#[test]
fn a_moment_that_has_no_text_is_no_moment() {
    for micros in [i64::MIN, Instant::MIN.as_micros() - 1, Instant::MAX.as_micros() + 1, i64::MAX] {
        assert!(decode_value::<Instant>(&encode_value(&micros)).is_err());
    }
    for (moment, text) in [(Instant::MIN, "0000-01-01T00:00:00.000000Z"), (Instant::MAX, "9999-12-31T23:59:59.999999Z")]
    {
        assert_eq!(moment.to_string(), text);
        assert_eq!(text.parse(), Ok(moment));
        assert_eq!(decode_value::<Instant>(&encode_value(&moment)).unwrap(), moment);
    }
    assert!("0000-01-01T00:00:00+01:00".parse::<Instant>().is_err());
}
