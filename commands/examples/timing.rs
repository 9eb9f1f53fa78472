use std::sync::Arc;
use std::time::Instant as Clock;
use tapelog_commands::inventory::Inventory;
use tapelog_commands::*;
use tapelog_events::*;
use uuid::Uuid;
fn oid(n: u64) -> ObjectId {
    let mut b = [0u8; 16];
    b[..8].copy_from_slice(&n.wrapping_mul(0x9E3779B97F4A7C15).to_be_bytes());
    b[8..].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_uuid(uuid::Builder::from_random_bytes(b).into_uuid()).unwrap()
}
fn rng(n: i64) -> TimeRange {
    TimeRange::from_start_end(
        Timestamp::from_parts(1_700_000_000 + n, 0).unwrap(),
        Timestamp::from_parts(1_700_000_001 + n, 0).unwrap(),
    )
}
fn seg(o: ObjectId, n: i64) -> Segment {
    Segment {
        object_id: o,
        timerange: rng(n),
        ts_offset: Timestamp::ZERO,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        object_timerange: None,
        key_frame_count: None,
        instances: InstanceIndexes::from_slice(&[0]),
    }
}
fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}
fn t(name: &str, count: u64, f: impl FnOnce()) {
    let c = Clock::now();
    let u = cpu();
    f();
    println!("{name}: cpu {} ns, wall {} ns", (cpu() - u) / count, c.elapsed().as_nanos() as u64 / count);
}
fn rss() -> u64 {
    std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
fn flow(id: FlowId, s: SourceId) -> FlowMetadata {
    let _ = id;
    FlowMetadata {
        source_id: s,
        label: None,
        description: None,
        created_by: None,
        updated_by: None,
        tags: Tags::new(),
        metadata_version: None,
        generation: None,
        status: None,
        read_only: None,
        max_bit_rate: None,
        flow_collection: None,
        technical: Technical::Own(Box::new(TechnicalMetadata {
            format: Format::Data,
            codec: None,
            container: Some("a/b".into()),
            avg_bit_rate: None,
            segment_duration: None,
            container_mapping: None,
            essence_parameters: None,
        })),
    }
}
fn main() {
    const N: u64 = 1_000_000;
    let st = StorageId::from_uuid(Uuid::from_u128(1));
    let inst = [Instance::Controlled { storage_id: st }];
    let at = Instant::from_micros(1);
    let segs: Vec<Segment> = (0..N).map(|n| seg(oid(n), n as i64)).collect();
    if std::env::args().any(|a| a == "window") {
        let mut inv = Inventory::default();
        let f = inv.create_flow(FlowId::from_uuid(Uuid::from_u128(1)));
        for s in &segs { inv.add(f, s, &inst).unwrap(); }
        for _ in 0..4 { t("window of 30", 500_000, || { let mut sum=0u64; for k in 0..500_000i64 { let n = (k*7919)%999_000; let r = TimeRange::from_start_end(rng(n).start().unwrap().0, rng(n+30).start().unwrap().0); for s in inv.segments(f,&r) { sum += s.ts_offset.as_nanos() as u64 + 1; } } std::hint::black_box(sum); }); }
        return;
    }
    if std::env::args().any(|a| a == "add") {
        for _ in 0..8 {
            let mut inv = Inventory::default();
            let f = inv.create_flow(FlowId::from_uuid(Uuid::from_u128(1)));
            t("add new object, one flow", N, || {
                for s in &segs {
                    inv.add(f, s, &inst).unwrap();
                }
            });
        }
        return;
    }
    {
        let before = rss();
        let mut inv = Inventory::default();
        let f = inv.create_flow(FlowId::from_uuid(Uuid::from_u128(1)));
        t("allocate", N, || {
            for s in &segs {
                inv.allocate(&s.object_id, f, st, at);
            }
        });
        t("add allocated, one flow", N, || {
            for s in &segs {
                inv.add(f, s, &inst).unwrap();
            }
        });
        println!("rss/segment {}", (rss() - before) / N);
        t("window of 30", 100_000, || {
            let mut sum = 0u64;
            for k in 0..100_000i64 {
                let n = (k * 7919) % 999_000;
                let r = TimeRange::from_start_end(rng(n).start().unwrap().0, rng(n + 30).start().unwrap().0);
                for s in inv.segments(f, &r) {
                    sum += s.ts_offset.as_nanos() as u64 + s.object_count_hack();
                }
            }
            std::hint::black_box(sum);
        });
        t("window of 30 + access + id", 100_000, || {
            let mut sum = 0u64;
            for k in 0..100_000i64 {
                let n = (k * 7919) % 999_000;
                let r = TimeRange::from_start_end(rng(n).start().unwrap().0, rng(n + 30).start().unwrap().0);
                for s in inv.segments(f, &r) {
                    let (i, _) = inv.object_access(s.object);
                    sum += i.len() as u64;
                    std::hint::black_box(inv.object_id(s.object));
                }
            }
            std::hint::black_box(sum);
        });
        t("object()", N, || {
            for s in &segs {
                std::hint::black_box(inv.object(inv.object_slot(&s.object_id).unwrap()));
            }
        });
        t("delete all", N, || {
            inv.delete(f, &TimeRange::ETERNITY, None, at);
        });
    }
    {
        let mut inv = Inventory::default();
        let f = inv.create_flow(FlowId::from_uuid(Uuid::from_u128(1)));
        t("add new object, one flow", N, || {
            for s in &segs {
                inv.add(f, s, &inst).unwrap();
            }
        });
    }
    {
        let mut inv = Inventory::default();
        let fs: Vec<_> = (0..1000).map(|n| inv.create_flow(FlowId::from_uuid(Uuid::from_u128(n)))).collect();
        t("add new object, 1000 flows", N, || {
            for (k, s) in segs.iter().enumerate() {
                inv.add(fs[k % 1000], s, &inst).unwrap();
            }
        });
        t("delete by 1000 of flows", N, || {
            for f in &fs {
                inv.delete(*f, &TimeRange::ETERNITY, None, at);
            }
        });
    }
    {
        let mut inv = Inventory::default();
        let f = inv.create_flow(FlowId::from_uuid(Uuid::from_u128(1)));
        t("begun: add new", N, || {
            for c in segs.chunks(100) {
                inv.begin();
                for s in c {
                    inv.add(f, s, &inst).unwrap();
                }
                inv.keep();
            }
        });
    }
    {
        let mut inv = Inventory::default();
        let f = inv.create_flow(FlowId::from_uuid(Uuid::from_u128(1)));
        let n = 20_000;
        t("one object, 20k segments", n, || {
            for k in 0..n as i64 {
                let s = Segment { ts_offset: Timestamp::from_parts(k, 0).unwrap(), ..seg(oid(1), k) };
                inv.add(f, &s, &inst).unwrap();
            }
        });
        t("one object, delete 20k segments", n, || {
            inv.delete(f, &TimeRange::ETERNITY, None, at);
        });
    }
    let mut state = State::default();
    let (fid, sid) = (FlowId::from_uuid(Uuid::from_u128(1)), SourceId::from_uuid(Uuid::from_u128(1)));
    let mk = |command| Request {
        command,
        commit_id: CommitId::from_uuid(Uuid::from_u128(1)),
        actor: "x".into(),
        request_id: Some("r".into()),
        idempotency: None,
    };
    handle(&mut state, &mk(Command::PutFlow(Box::new(PutFlow { flow_id: fid, metadata: flow(fid, sid) }))), at)
        .unwrap();
    let base = state.clone();
    let commits: Vec<Commit> = segs
        .iter()
        .map(|s| Commit {
            id: CommitId::from_uuid(Uuid::from_u128(1)),
            at,
            actor: "x".into(),
            request_id: None,
            idempotency: None,
            events: vec![
                SegmentsAdded {
                    flow_id: fid,
                    source_id: sid,
                    collected_by: Membership::default(),
                    instances: inst.to_vec(),
                    segments: vec![s.clone()],
                }
                .into(),
            ],
        })
        .collect();
    {
        let mut state = base.clone();
        t("fold SegmentsAdded of 1", N, || {
            for c in &commits {
                state.fold(c).unwrap();
            }
        });
    }
    let reserved: Arc<[String]> = Arc::from(["vault".to_owned()]);
    let new = |s: &Segment| {
        Ok(NewSegment {
            object_id: s.object_id.clone(),
            timerange: s.timerange,
            ts_offset: s.ts_offset,
            object_timerange: None,
            last_duration: None,
            sample_offset: None,
            sample_count: None,
            key_frame_count: None,
            get_urls: vec![],
        })
    };
    for size in [1usize, 100] {
        let mut state = base.clone();
        for c in segs.chunks(1000) {
            handle(
                &mut state,
                &mk(Command::AllocateStorage(AllocateStorage {
                    flow_id: fid,
                    object_ids: c.iter().map(|s| s.object_id.clone()).collect(),
                    chosen_by: ChosenBy::Server,
                    storage_id: st,
                    content_type: None,
                })),
                at,
            )
            .unwrap();
        }
        let reqs: Vec<_> = segs
            .chunks(size)
            .map(|c| {
                mk(Command::PostSegments(PostSegments {
                    flow_id: fid,
                    segments: c.iter().map(new).collect(),
                    shape: if size == 1 { RequestShape::Single } else { RequestShape::List },
                    reserved_labels: reserved.clone(),
                }))
            })
            .collect();
        t(&format!("handle(PostSegments of {size}) per request, begun by 64"), reqs.len() as u64, || {
            for c in reqs.chunks(64) {
                state.begin();
                for r in c {
                    std::hint::black_box(handle(&mut state, r, at).unwrap());
                }
                state.keep();
            }
        });
    }
    // replay: decode + fold, 64 commits a record
    let bytes: Vec<Vec<u8>> = commits
        .chunks(64)
        .map(|c| codec::encode(&Record { format: 1, prev_hash: ChainHash::ZERO, commits: c.to_vec() }))
        .collect();
    t("encode, per commit", N, || {
        for c in commits.chunks(64) {
            let r = Record { format: 1, prev_hash: ChainHash::ZERO, commits: c.to_vec() };
            std::hint::black_box(codec::encode(&r));
        }
    });
    t("decode, per commit", N, || {
        for b in &bytes {
            std::hint::black_box(codec::decode(b).unwrap());
        }
    });
    t("hash, per commit", N, || {
        for b in &bytes {
            std::hint::black_box(ChainHash::of(b));
        }
    });
    println!("bytes/commit {}", bytes.iter().map(Vec::len).sum::<usize>() / N as usize);
    drop(state);
}
trait Hack {
    fn object_count_hack(&self) -> u64;
}
impl Hack for tapelog_commands::inventory::StoredSegment {
    fn object_count_hack(&self) -> u64 {
        1
    }
}
