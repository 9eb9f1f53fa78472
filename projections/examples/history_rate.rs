//! Measured by hand: how fast records are entered in the history.
#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use std::time::Instant as Clock;
use tapelog_events::*;
use tapelog_projections::history::History;
use tapelog_store::log::Head;
use uuid::Builder;

fn uuid(n: u64) -> uuid::Uuid {
    let h = blake3::hash(&n.to_be_bytes());
    Builder::from_random_bytes(h.as_bytes()[..16].try_into().unwrap()).into_uuid()
}

fn main() {
    let per_commit: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let total: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let batch: usize = std::env::args().nth(3).unwrap().parse().unwrap();
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let history = History::open(folder.path()).unwrap();
    let mut head = Head::START;
    let mut n = 0u64;
    let mut spent = std::time::Duration::ZERO;
    let mut records = vec![];
    let mut objects = vec![];
    while (n as usize) < total {
        let mut commits = vec![];
        for c in 0..30u64 {
            let flow = (n / per_commit as u64 + c) % 64;
            let mut segments = vec![];
            for _ in 0..per_commit {
                let id = ObjectId::from_uuid(uuid(n)).unwrap();
                if n % 1000 == 0 { objects.push(id.clone()); }
                let s = (n as i64) * 2;
                segments.push(Segment {
                    object_id: id,
                    timerange: TimeRange::from_start_end(Timestamp::from_parts(s, 0).unwrap(), Timestamp::from_parts(s + 2, 0).unwrap()),
                    ts_offset: Timestamp::ZERO, last_duration: None, sample_offset: None, sample_count: None, object_timerange: None,
                    key_frame_count: None, init_object: None, instances: InstanceIndexes::from_slice(&[0]),
                });
                n += 1;
            }
            let event = SegmentsAdded {
                flow_id: FlowId::from_uuid(uuid(1_000_000_000 + flow)), source_id: SourceId::from_uuid(uuid(2_000_000_000 + flow)),
                collected_by: Membership::default(),
                instances: vec![Instance::Controlled { storage_id: StorageId::from_uuid(uuid(3_000_000_000)) }],
                init_objects: vec![], segments,
            };
            commits.push(Commit { id: CommitId::from_uuid(uuid(n)), at: Instant::from_micros(n as i64), actor: format!("a{}", c % 4), request_id: None, idempotency: None, events: vec![event.into()] });
        }
        let record = Record { format: 1, prev_hash: head.hash, commits };
        let hash = ChainHash::of(&head.seq.0.to_be_bytes());
        head = Head { seq: head.seq.next(), hash };
        records.push((head, record));
        if records.len() >= batch {
            let t = Clock::now();
            history.apply(&records).unwrap();
            spent += t.elapsed();
            records.clear();
        }
    }
    history.apply(&records).unwrap();
    let rate = n as f64 / spent.as_secs_f64();
    println!("{n} segments, {} records in {spent:?}: {rate:.0} segments/s, {:.0} records/s", head.seq, rate / 30.0 / per_commit as f64);
    let du = |what: &str| {
        let out = std::process::Command::new("sh").arg("-c").arg(format!("cd {} && du -sb . keyspaces/* *.jnl 2>/dev/null | tr '\\n' ' '", folder.path().display())).output().unwrap();
        println!("{what}: disk_space {} = {:.1} B/segment; {}", history.disk_space().unwrap(), history.disk_space().unwrap() as f64 / n as f64, String::from_utf8_lossy(&out.stdout));
    };
    du("end");
    let cpu = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = cpu.rsplit(')').next().unwrap().split_whitespace().collect();
    println!("cpu user {}s/100 sys {}s/100", f[11], f[12]);
    let t = Clock::now();
    if std::env::args().nth(4).is_some() { std::process::exit(0) }
    drop(history);
    println!("drop {:?}", t.elapsed());
    let t = Clock::now();
    let history = History::open(folder.path()).unwrap();
    println!("reopen {:?}", t.elapsed());
    let _ = history.head();
}
