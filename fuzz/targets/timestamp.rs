//! A timestamp is what its text says, and counting with it neither overflows nor loses anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapelog_events::Timestamp;

fuzz_target!(|text: &str| {
    let Ok(timestamp) = text.parse::<Timestamp>() else { return };
    assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
    let (seconds, nanoseconds) = timestamp.to_parts();
    assert_eq!(Timestamp::from_parts(seconds, nanoseconds), Some(timestamp));
    assert_eq!(Timestamp::from_nanos(timestamp.as_nanos()), Some(timestamp));
    assert_eq!(timestamp.is_negative(), timestamp < Timestamp::ZERO);
    assert_eq!(timestamp.checked_sub(timestamp), Some(Timestamp::ZERO));
    for offset in [Timestamp::MIN, Timestamp::MAX, timestamp] {
        if let Some(later) = timestamp.checked_add(offset) {
            assert_eq!(later.checked_sub(offset), Some(timestamp));
        }
    }
});
