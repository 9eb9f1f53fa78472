use std::time::Instant as Clock;
use tapelog_events::*;
use tapelog_projections::*;
use tapelog_store::log::Head;
use crate::scribe::*;

fn rss() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn build(count: u32) -> Tables {
    let mut tables = Tables::new();
    let mut n = 0u32;
    while n < count {
        let mut events = Vec::new();
        for i in n..(n + 1000).min(count) {
            let mix = i.wrapping_mul(2654435761);
            let at = Instant::from_micros(i64::from(i) * 1000);
            let upd = Instant::from_micros(i64::from(mix));
            let source_id = source(0x100000 + i / 2);
            if i % 2 == 0 {
                events.push(SourceCreated { source: Source { id: source_id, format: Format::Data, label: Some(format!("source {i}")), description: None, tags: Tags::new(), created_by: Some("a".into()), updated_by: Some("a".into()), created: at, updated: at } }.into());
            }
            let t = |k: &str, v: String| (k.to_owned(), TagValue::One(v));
            let tags: Tags = [t("input_quality", format!("q{}", mix % 3)), t("site", format!("s{}", mix / 7 % 10)), t("show", format!("show {}", mix / 11 % 100)), t("unique", format!("u{i}"))].into();
            events.push(FlowCreated { flow: Flow { id: FlowId::from_uuid(uuid::Uuid::from_u128(u128::from(mix) << 64 | 0x4000_8000_0000_0000_0000 | u128::from(i))), source_id, label: Some(format!("label {}", mix % 50021)), description: Some("a description of this flow".into()), created_by: Some("someone".into()), updated_by: Some("someone".into()), tags, metadata_version: "1".into(), generation: Some(0), created: at, metadata_updated: upd, status: Some(FlowStatus::Ingesting), read_only: None, max_bit_rate: None, avg_bit_rate: Some(5), flow_collection: None, profile_id: None, format: Format::Data, codec: Some("video/h264".into()), container: Some("video/mp2t".into()), segment_duration: None, container_mapping: None, essence_parameters: None }, collected_by: Membership::default() }.into());
        }
        let commit = Commit { id: CommitId::from_uuid(uuid(n)), at: Instant::from_micros(i64::from(n)), actor: "a".into(), request_id: None, idempotency: None, events };
        let record = Record { format: 1, prev_hash: tables.hash(), commits: vec![commit] };
        let head = Head { seq: tables.position().next(), hash: ChainHash::of(&n.to_be_bytes()) };
        tables.apply(head, &record).unwrap();
        n += 1000;
    }
    tables
}

#[test]
fn zz_perf() {
    for count in [1000, 100_000] {
        let before = rss();
        let begun = Clock::now();
        let tables = build(count);
        println!("{count}: built in {:?}, {} bytes a flow", begun.elapsed(), (rss() - before) / count as usize);
        let tag = |k: &str, v: &str| FlowFilter { tags: vec![TagFilter { name: k.into(), condition: TagCondition::AnyOf(vec![v.into()]) }], ..Default::default() };
        let both = FlowFilter { label: Some("label 7".into()), ..tag("input_quality", "q1") };
        for (name, filter) in [("none", FlowFilter::default()), ("1/3", tag("input_quality", "q1")), ("1/10", tag("site", "s3")), ("1/100", tag("show", "show 5")), ("1/n", tag("unique", "u500")), ("1/3+label", both)] {
            for sort in [SortBy::Created, SortBy::Updated, SortBy::Label] {
                for limit in [30, 100] {
                let mut times: Vec<_> = (0..51).map(|_| { let t = Clock::now(); let page = tables.flows(&filter, sort, &first_page(limit)).unwrap(); let mut out = Vec::new(); for item in &page.items { item.write_json(&mut out, None, &Access::Unrestricted); } std::hint::black_box(out); t.elapsed() }).collect();
                times.sort();
                print!("  {name} {sort:?} {limit}: {:?};", times[25]);
                }
            }
            println!();
        }
    }
}
