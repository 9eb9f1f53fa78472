//! The path and query of a URL, with the cursors in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapelog_api::http::fuzzing;

fuzz_target!(|text: &str| {
    fuzzing::path_and_query(text);
});
