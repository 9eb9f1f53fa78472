//! Bytes that are no record are refused; a record is the same after it was written and read again, and one that cannot
//! have happened is called corrupt.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapelog_commands::State;
use tapelog_events::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = decode(bytes) {
        let written = encode(&record);
        let read = decode(&written).expect("what was encoded can be decoded");
        assert_eq!(read, record);
        assert_eq!(encode(&read), written, "the same record always gives the same bytes");
        let mut state = State::default();
        // Corrupt or not, it is told.
        drop(read.commits.iter().try_for_each(|commit| state.fold(commit)));
    }
});
