//! Every body that a request can have: the first line is the path that it is sent to, the rest is the body.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tapelog_api::http::fuzzing;

fuzz_target!(|input: &[u8]| {
    let Some((path, body)) = split(input) else { return };
    if let Ok(path) = str::from_utf8(path) {
        fuzzing::body(path, body);
    }
});

// A path with an id in it does not survive being changed at random, so most changes leave it alone.
fuzz_mutator!(|input: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let kept = match split(&input[..size]) {
        Some((path, _)) if !seed.is_multiple_of(16) && path.len() + 1 < max_size => path.len() + 1,
        Some(_) | None => 0,
    };
    kept + fuzzer_mutate(&mut input[kept..], size - kept, max_size - kept)
});

fn split(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((&input[..end], &input[end + 1..]))
}
