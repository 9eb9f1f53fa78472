#![allow(missing_docs, clippy::all)]
use std::time::Instant as T;
use tapelog_events::*;
use tapelog_projections::*;
use tapelog_store::log::Head;
fn rss() -> usize {
    std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
fn uid(n: u128) -> uuid::Uuid {
    let h = blake3::hash(&n.to_be_bytes());
    uuid::Builder::from_random_bytes(h.as_bytes()[..16].try_into().unwrap()).into_uuid()
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let v: Vec<&str> = s.split(' ').collect();
    (v[13].parse::<f64>().unwrap() + v[14].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    if let Some(d) = std::env::args().nth(1).filter(|a| a.starts_with('/')) {
        for _ in 0..4 {
            let c = checkpoint::Checkpoints::open(d.as_ref()).unwrap();
            let r = rss();
            let t = T::now();
            let b = cpu();
            let l = c.load_newest().unwrap().unwrap();
            println!("load {:?} cpu {:.2} rss {:.1}", t.elapsed(), cpu() - b, (rss() - r) as f64 / 1e6);
            drop(l);
        }
        return;
    }
    let flows: usize = std::env::args().nth(1).map_or(1, |a| a.parse().unwrap());
    const N: usize = 1_000_000;
    const PACK: usize = 64;
    let flow_ids: Vec<FlowId> = (0..flows).map(|i| FlowId::from_uuid(uid(i as u128 + (1 << 100)))).collect();
    let sid = SourceId::from_uuid(uid(1 << 90));
    let storage = StorageId::from_uuid(uid(1 << 91));
    let mk = |events: Vec<Event>, i: usize| Commit {
        id: CommitId::from_uuid(uid(i as u128 + (1 << 80))),
        at: Instant::from_micros(i as i64),
        actor: "a".into(),
        request_id: None,
        idempotency: None,
        events,
    };
    let mut tables = Tables::new();
    let mut first = vec![
        Event::from(LogStarted { incarnation: Incarnation::from_uuid(uid(1 << 92)) }),
        Event::from(SourceCreated {
            source: Source {
                id: sid,
                format: Format::Data,
                label: None,
                description: None,
                tags: Default::default(),
                created_by: None,
                updated_by: None,
                created: Default::default(),
                updated: Default::default(),
            },
        }),
    ];
    for id in &flow_ids {
        first.push(Event::from(FlowCreated {
            collected_by: Default::default(),
            flow: Flow {
                id: *id,
                source_id: sid,
                label: None,
                description: None,
                created_by: None,
                updated_by: None,
                tags: Default::default(),
                metadata_version: "1".into(),
                generation: None,
                created: Default::default(),
                metadata_updated: Default::default(),
                status: None,
                read_only: None,
                max_bit_rate: None,
                avg_bit_rate: None,
                flow_collection: None,
                profile_id: None,
                format: Format::Data,
                codec: None,
                container: Some("a/b".into()),
                segment_duration: None,
                container_mapping: None,
                essence_parameters: None,
            },
        }));
    }
    let mut head = Head::START;
    let mut push = |tables: &mut Tables, commits: Vec<Commit>, spent: &mut f64| {
        let record = Record { format: 1, prev_hash: head.hash, commits };
        head = Head { seq: head.seq.next(), hash: ChainHash::of(&head.seq.0.to_be_bytes()) };
        let t = T::now();
        tables.apply(head, &record).unwrap();
        *spent += t.elapsed().as_secs_f64();
    };
    let mut spent = 0.0;
    push(&mut tables, vec![mk(first, 0)], &mut spent);
    let r0 = rss();
    spent = 0.0;
    let mut i = 0;
    while i < N {
        let mut commits = Vec::new();
        for _ in 0..PACK {
            let f = flow_ids[i % flows];
            let o = ObjectId::from_uuid(uid(i as u128)).unwrap();
            let s = (i / flows) as i64;
            let at = |s| Timestamp::from_parts(s, 0).unwrap();
            commits.push(mk(
                vec![Event::from(SegmentsAdded {
                    flow_id: f,
                    source_id: sid,
                    collected_by: Default::default(),
                    instances: vec![Instance::Controlled { storage_id: storage }],
                    segments: vec![Segment {
                        object_id: o,
                        timerange: TimeRange::from_start_end(at(s), at(s + 1)),
                        ts_offset: Timestamp::ZERO,
                        last_duration: None,
                        sample_offset: None,
                        sample_count: None,
                        object_timerange: None,
                        key_frame_count: None,
                        instances: InstanceIndexes::from_slice(&[0]),
                    }],
                })],
                i,
            ));
            i += 1;
        }
        push(&mut tables, commits, &mut spent);
    }
    println!("apply {:.0} ns/segment, rss {:.1} B/segment", spent * 1e9 / N as f64, (rss() - r0) as f64 / N as f64);
    let t = T::now();
    let copy = tables.clone();
    println!("clone {:?} rss {:.1}", t.elapsed(), (rss() - r0) as f64 / N as f64);
    drop(copy);
    println!("after drop {:.1}", (rss() - r0) as f64 / N as f64);
    let dir = std::env::temp_dir().join(format!("speed{}", std::process::id()));
    let c = checkpoint::Checkpoints::open(&dir).unwrap();
    let t = T::now();
    let w = c.write(&tables).unwrap();
    println!(
        "write {:?} {:?} {:.1} B/segment, rss {:.1}",
        t.elapsed(),
        w,
        w.total_bytes as f64 / N as f64,
        (rss() - r0) as f64 / N as f64
    );
    for table in ["segments", "objects", "object_ref"] {
        let b: u64 = std::fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap())
            .filter(|e| e.file_name().to_str().unwrap().starts_with(table))
            .map(|e| e.metadata().unwrap().len())
            .sum();
        println!("  {table} {:.1} B/segment", b as f64 / N as f64);
    }
    let t = T::now();
    let l = c.load_newest().unwrap().unwrap();
    println!("load {:?} rss {:.1}", t.elapsed(), (rss() - r0) as f64 / N as f64);
    let t = T::now();
    assert!(verify::first_difference(&tables, &l).is_none());
    println!("compare {:?}", t.elapsed());
    let t = T::now();
    let _ = tables.digest();
    println!("digest {:?}", t.elapsed());
    for at in [0i64, (N / flows / 2) as i64, (N / flows) as i64 - 40] {
        let f = SegmentFilter {
            timerange: Some(TimeRange::from_start_end(
                Timestamp::from_parts(at, 0).unwrap(),
                Timestamp::from_parts(at + 30, 0).unwrap(),
            )),
            object_id: None,
        };
        let t = T::now();
        for k in 0..10000 {
            let p = tables
                .segments(flow_ids[k % flows], &f, &Paging { direction: Direction::Usual, cursor: None, limit: 100 })
                .unwrap();
            assert_eq!(p.page.items.len(), 30.min(N / flows));
        }
        println!("window of 30 at {at}: {:?}", t.elapsed() / 10000);
    }
    if std::env::args().nth(2).is_some() {
        println!("{}", dir.display());
        return;
    }
    std::fs::remove_dir_all(dir).unwrap();
}
