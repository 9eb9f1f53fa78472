//! The past of random logs: what is told of a moment against what the tables said at that moment.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tapelog_commands::{Command, Handled, SegmentName};
use tapelog_events::{AUTH_CLASSES, Access, ChainHash, Commit, Record, Seq, TagValue, TimeRange, Timestamp, codec};
use tapelog_projections::history::as_of::{AsOf, Wanted};
use tapelog_projections::history::{History, Moment};
use tapelog_projections::{Direction, FlowFilter, Live, Paging, SegmentFilter, SortBy, SourceFilter, Tables};
use tapelog_store::log::memory::MemoryLog;
use tapelog_store::log::{Head, Log};
use tempfile::{TempDir, tempdir};

use crate::model::{access, direction, flow_filter, segment_filter, sort, source_filter};
use crate::scribe::{
    Scribe, delete_in, delete_segments, first_page, flow, metadata, new_segment, object, post, post_ranges, put, range,
    reader_of, set, source, tag,
};
use crate::step::{FLOWS, OBJECTS, SOURCES, Step, object_number, some_range, step};

/// How many pages of a listing are compared.
const PAGES: usize = 4;

/// A log with its index, and the tables after each of its commits.
struct Chronicle {
    past: AsOf,
    /// By the moment after each commit, the first before all.
    recorded: Vec<(Moment, Tables)>,
    _folder: TempDir,
}

impl Chronicle {
    /// The commits that a scribe wrote, the next so many in each record.
    async fn of(recorded: Vec<(Option<Commit>, Tables)>, sizes: &[usize], present: Tables) -> Self {
        let log = MemoryLog::reliable();
        let folder = tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let genesis = log.read(Seq(1)).await.unwrap().unwrap();
        let mut head = Head { seq: Seq(1), hash: ChainHash::of(&genesis) };
        let mut records = vec![(head, codec::decode(&genesis).unwrap())];
        let mut sizes = sizes.iter().cycle();
        let mut moments = Vec::new();
        let mut commits: Vec<Commit> = Vec::new();
        let mut room = *sizes.next().unwrap();
        let count = recorded.len();
        for (index, (commit, tables)) in recorded.into_iter().enumerate() {
            let Some(commit) = commit else {
                moments.push((Moment::after(Seq(1)), tables));
                continue;
            };
            commits.push(commit);
            moments.push((Moment { seq: head.seq.next(), commits: commits.len() as u32 }, tables));
            if commits.len() >= room || index + 1 == count {
                let record =
                    Record { format: codec::FORMAT, prev_hash: head.hash, commits: std::mem::take(&mut commits) };
                let payload = Bytes::from(codec::encode(&record));
                let hash = ChainHash::of(&payload);
                log.append(head.seq, payload).await.unwrap();
                head = Head { seq: head.seq.next(), hash };
                records.push((head, record));
                room = *sizes.next().unwrap();
            }
        }
        history.apply(&records).unwrap();
        let past = AsOf::new(history, Arc::new(log), Arc::new(Live::new(present)));
        Self { past, recorded: moments, _folder: folder }
    }

    /// What steps lead to; nothing of it is there any more.
    async fn of_steps(steps: &[Step], sizes: &[usize]) -> Self {
        let mut scribe = Scribe::new();
        let mut recorded = vec![(None, scribe.tables.clone())];
        for step in steps {
            if let Handled::Commit(commit, _) = scribe.ask(step.command(&scribe)) {
                recorded.push((Some((*commit).clone()), scribe.tables.clone()));
            }
        }
        Self::of(recorded, sizes, Tables::new()).await
    }

    async fn of_commands(commands: Vec<Command>) -> Self {
        let mut scribe = Scribe::new();
        let mut recorded = vec![(None, scribe.tables.clone())];
        for command in commands {
            match scribe.ask(command) {
                Handled::Commit(commit, _) => recorded.push((Some((*commit).clone()), scribe.tables.clone())),
                other => panic!("{other:?}"),
            }
        }
        Self::of(recorded, &[2], scribe.tables).await
    }

    async fn told(&self, number: usize, access: &Arc<Access>, wanted: Wanted<'_>) -> Arc<Tables> {
        self.past.tables(self.recorded[number].0, access, wanted).await.unwrap()
    }
}

/// What is asked about one moment.
#[derive(Debug, Clone)]
struct Questions {
    moment: prop::sample::Index,
    access: Arc<Access>,
    clip: Option<TimeRange>,
    flows: (FlowFilter, SortBy, Direction, usize),
    sources: (SourceFilter, SortBy, Direction, usize),
    segments: (u32, SegmentFilter, Direction, usize),
    name: (u32, i64, u32),
    source: u32,
    object: u32,
}

fn questions() -> impl Strategy<Value = Questions> {
    let listings = (
        (flow_filter(), sort(), direction(), 1..4usize),
        (source_filter(), sort(), direction(), 1..4usize),
        (0..FLOWS, segment_filter(), direction(), 1..5usize),
    );
    let single = (proptest::option::of(some_range()), (0..FLOWS, -30..30i64, 0..OBJECTS), (0..SOURCES, 0..OBJECTS));
    (any::<prop::sample::Index>(), access(), listings, single).prop_map(
        |(moment, access, (flows, sources, segments), (clip, name, (source, object)))| Questions {
            moment,
            access,
            clip,
            flows,
            sources,
            segments,
            name,
            source,
            object,
        },
    )
}

fn flow_json(tables: &Tables, number: u32, clip: Option<Option<TimeRange>>, access: &Access) -> Option<String> {
    let mut text = Vec::new();
    let timerange = clip.map(|clip| tables.flow_range(flow(number), clip.as_ref()));
    tables.flow(flow(number))?.write_json(&mut text, timerange, access);
    Some(String::from_utf8(text).unwrap())
}

fn source_json(tables: &Tables, number: u32, access: &Access) -> Option<String> {
    let mut text = Vec::new();
    tables.source(source(number))?.write_json(&mut text, access);
    Some(String::from_utf8(text).unwrap())
}

async fn check(chronicle: &Chronicle, questions: &Questions) {
    let number = questions.moment.index(chronicle.recorded.len());
    let (_, then) = &chronicle.recorded[number];
    let access = &questions.access;
    for (of, clip) in [(questions.name.0, Some(questions.clip)), (questions.segments.0, None)] {
        let told = chronicle.told(number, access, Wanted::Flow { id: flow(of), range: clip }).await;
        assert_eq!(flow_json(&told, of, clip, access), flow_json(then, of, clip, access));
    }
    let told = chronicle.told(number, access, Wanted::Source(source(questions.source))).await;
    assert_eq!(source_json(&told, questions.source, access), source_json(then, questions.source, access));
    check_listings(chronicle, number, questions).await;
    check_segments(chronicle, number, questions).await;
    let id = object_number(questions.object);
    let told = chronicle.told(number, access, Wanted::Object(&id)).await;
    assert_eq!(told.object(&id), then.object(&id));
    if let Some(object) = then.object(&id) {
        let flows = |tables| object.referenced_by_flows(tables, &[], access, &first_page(9)).unwrap();
        assert_eq!(flows(&told), flows(then));
    }
}

async fn check_listings(chronicle: &Chronicle, number: usize, questions: &Questions) {
    let (_, then) = &chronicle.recorded[number];
    let (filter, sort, direction, limit) = &questions.flows;
    let mut cursor = None::<String>;
    for _ in 0..PAGES {
        let paging = Paging { direction: *direction, cursor: cursor.as_deref(), limit: *limit };
        let wanted = Wanted::Flows { filter, sort: *sort, paging: &paging };
        let told = chronicle.told(number, &filter.access, wanted).await;
        let listed = |tables: &Tables| {
            let page = tables.flows(filter, *sort, &paging).unwrap();
            let json = page.items.iter().map(|view| {
                let mut text = Vec::new();
                view.write_json(&mut text, None, &filter.access);
                String::from_utf8(text).unwrap()
            });
            (json.collect::<Vec<_>>(), page.next)
        };
        assert_eq!(listed(&told), listed(then));
        cursor = listed(then).1;
        if cursor.is_none() {
            break;
        }
    }
    let (filter, sort, direction, limit) = &questions.sources;
    let told = chronicle.told(number, &filter.access, Wanted::Listing).await;
    let paging = Paging { direction: *direction, cursor: None, limit: *limit };
    let listed = |tables: &Tables| {
        let page = tables.sources(filter, *sort, &paging).unwrap();
        (page.items.iter().map(|view| view.source().id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(listed(&told), listed(then));
}

async fn check_segments(chronicle: &Chronicle, number: usize, questions: &Questions) {
    let (_, then) = &chronicle.recorded[number];
    let all = Arc::default();
    let (of, filter, direction, limit) = &questions.segments;
    let mut cursor = None::<String>;
    for _ in 0..PAGES {
        let paging = Paging { direction: *direction, cursor: cursor.as_deref(), limit: *limit };
        let wanted = Wanted::Segments { flow_id: flow(*of), filter, paging: &paging };
        let told = chronicle.told(number, &all, wanted).await;
        let page = then.segments(flow(*of), filter, &paging).unwrap();
        assert_eq!(told.segments(flow(*of), filter, &paging).unwrap(), page);
        cursor = page.page.next;
        if cursor.is_none() {
            break;
        }
    }
    let (of, start, object) = questions.name;
    let at = SegmentName::At(Timestamp::from_parts(start, 0).unwrap());
    for name in [at, SegmentName::Object(object_number(object))] {
        let told = chronicle.told(number, &all, Wanted::Segment { flow_id: flow(of), name: &name }).await;
        assert_eq!(told.segment_named(flow(of), &name), then.segment_named(flow(of), &name));
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    // With the number of moments, a thousand.
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_of_a_moment_is_what_the_tables_said_then(
        steps in proptest::collection::vec(step(), 300..600),
        sizes in proptest::collection::vec(1..5usize, 3),
        questions in proptest::collection::vec(questions(), 100),
    ) {
        run(async {
            let chronicle = Chronicle::of_steps(&steps, &sizes).await;
            for questions in &questions {
                check(&chronicle, questions).await;
            }
        });
    }
}

#[test]
fn before_all_commits_there_was_nothing() {
    run(async {
        let chronicle = Chronicle::of_commands(vec![put(flow(1), metadata(source(1)))]).await;
        let told = chronicle.past.tables(Moment::START, &Arc::default(), Wanted::Listing).await.unwrap();
        assert_eq!((told.counts().flows, told.counts().sources), (0, 0));
    });
}

#[test]
fn pages_of_a_long_recording_are_told_wherever_they_are_and_whatever_went_since() {
    run(async {
        let mut commands = vec![put(flow(1), metadata(source(1)))];
        for number in 0..60 {
            let ranges: Vec<_> =
                (0..7).map(|of| format!("[{}:0_{}:0)", number * 7 + of, number * 7 + of + 1)).collect();
            commands.push(post_ranges(flow(1), &ranges.iter().map(String::as_str).collect::<Vec<_>>()));
            if number > 20 && number % 5 == 0 {
                commands.push(delete_segments(flow(1), &format!("_{}:0)", (number - 20) * 7)));
            }
        }
        commands.push(delete_segments(flow(1), "[300:0_310:0)"));
        let chronicle = Chronicle::of_commands(commands).await;
        for number in [1, 5, 30, 50, chronicle.recorded.len() - 1] {
            let then = &chronicle.recorded[number].1;
            for (direction, timerange) in [
                (Direction::Usual, None),
                (Direction::Reversed, None),
                (Direction::Usual, Some(range("[90:500000000_305:0)"))),
                (Direction::Reversed, Some(range("(_305:500000000]"))),
            ] {
                let filter = SegmentFilter { timerange, ..SegmentFilter::default() };
                let mut cursor = None::<String>;
                loop {
                    let paging = Paging { direction, cursor: cursor.as_deref(), limit: 25 };
                    let wanted = Wanted::Segments { flow_id: flow(1), filter: &filter, paging: &paging };
                    let told = chronicle.told(number, &Arc::default(), wanted).await;
                    let page = then.segments(flow(1), &filter, &paging).unwrap();
                    assert_eq!(told.segments(flow(1), &filter, &paging).unwrap(), page);
                    assert!(told.counts().segments < 200, "a page takes {} segments", told.counts().segments);
                    cursor = page.page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
        }
    });
}

#[test]
fn what_may_not_be_seen_at_present_is_not_seen_in_the_past() {
    run(async {
        let secret = |number| set(flow(number), tag(AUTH_CLASSES, TagValue::One("secret".to_owned())));
        let shared = |number| post(flow(number), vec![new_segment(object("shared"), range("[0:0_1:0)"))]);
        let chronicle = Chronicle::of_commands(vec![
            put(flow(1), metadata(source(1))),
            put(flow(2), metadata(source(1))),
            put(flow(3), metadata(source(1))),
            shared(1),
            shared(2),
            secret(1),
            secret(2),
            delete_in(flow(2), tapelog_commands::Manner::Aside),
        ])
        .await;
        let reader = reader_of("news");
        let readable =
            |tables: &Tables, number| tables.flow(flow(number)).is_some_and(|it| reader.may_read(&it.flow().tags));
        for (number, is_readable) in [(1, false), (2, false), (3, true)] {
            let told = chronicle.told(5, &reader, Wanted::Flow { id: flow(number), range: None }).await;
            assert_eq!(readable(&told, number), is_readable, "{number}");
            let told = chronicle.told(5, &reader, Wanted::Listing).await;
            assert_eq!(readable(&told, number), is_readable, "{number}");
        }
        let id = object("shared");
        let told = chronicle.told(5, &reader, Wanted::Object(&id)).await;
        assert!(!told.object(&id).unwrap().is_readable(&told, &reader));
        let everything = chronicle.told(5, &Arc::default(), Wanted::Object(&id)).await;
        assert!(everything.object(&id).unwrap().is_readable(&everything, &Access::Unrestricted));
    });
}
