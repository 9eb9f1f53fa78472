//! Writes the golden records to where the fuzzer begins, one event to a file: whole, they are too long for it to change
//! anything but details. To be run when there are new golden records, in the folder of the workspace.

use std::error::Error;
use std::fs;
use std::path::Path;

use tapelog_events::codec::{decode, encode};
use tapelog_events::{Commit, Record};

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = Path::new("fuzz/seeds/record");
    for entry in fs::read_dir("events/tests/data")? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|name| name.starts_with("golden-"))
        else {
            continue;
        };
        let bytes = fs::read(&path)?;
        let mut rest = bytes.as_slice();
        let mut number = 0;
        while let Some((length, after)) = rest.split_first_chunk() {
            let (record, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            rest = after;
            let record = decode(record)?;
            for seed in record.commits.iter().flat_map(split) {
                let kind = seed.events.first().map_or("commit", |event| event.kind());
                let bytes = encode(&Record { commits: vec![seed], ..record.clone() });
                fs::write(seeds.join(format!("{name}-{number:03}-{kind}")), bytes)?;
                number += 1;
            }
        }
    }
    Ok(())
}

/// The commit without its events, and each of them in a commit of its own.
fn split(commit: &Commit) -> Vec<Commit> {
    let without = Commit { events: Vec::new(), ..commit.clone() };
    let bare = Commit { idempotency: None, ..without.clone() };
    let events = commit.events.iter().map(|event| Commit { events: vec![event.clone()], ..bare.clone() });
    std::iter::once(without).chain(events).collect()
}
