//! Checkpoints: what is loaded is what was stored, and what is damaged is not used.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tapelog_commands::{
    AddInstance, AdvanceDeletion, Command, CondemnObjects, DeleteSegments, FinishCopy, FinishErasure, FlowMetadata,
    FlowProperty, InstanceName, Manner, NewSegment, PurgeFlow, RemoveInstance, SegmentName, TagSegment, TagsChange,
    Technical,
};
use tapelog_events::{
    EssenceParameters, Format, Instance, Instant, MultiEssence, Seq, TagValue, Tags, TechnicalMetadata, Timestamp,
    codec,
};
use tapelog_projections::checkpoint::{Checkpoints, OpenError, open_tables};
use tapelog_projections::verify::first_difference;
use tapelog_projections::{Listed, Live, Tables};
use tapelog_store::log::Log;
use tapelog_store::log::memory::MemoryLog;
use tempfile::TempDir;

use crate::scribe::{
    Scribe, allocate, backend, collecting, delete, delete_in, first_page, flow, labelled, metadata, new_segment,
    object, patience, post, post_ranges, put, range, set, source, technical,
};
use crate::step::{LetterStep, Step, step};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn checkpoints(folder: &TempDir) -> Checkpoints {
    Checkpoints::open(folder.path()).unwrap()
}

fn load(folder: &TempDir) -> Option<Tables> {
    checkpoints(folder).load_newest().unwrap()
}

#[track_caller]
fn assert_equal(left: &Tables, right: &Tables) {
    assert_eq!(left.head(), right.head());
    if let Some(difference) = first_difference(left, right) {
        panic!("{difference}");
    }
    assert_eq!(left.digest(), right.digest());
    let tags = |tables: &Tables| tables.tag_names("", &first_page(usize::MAX));
    assert_eq!(tags(left), tags(right));
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn small_store() -> Scribe {
    let mut scribe = Scribe::new();
    for number in 0..8 {
        scribe.write(put(flow(number), metadata(source(number / 2))));
        scribe.write(post_ranges(flow(number), &["[0:0_1:0)", "[1:0_2:0]", "[-5:0_0:0)"]));
    }
    scribe
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_checkpoint_and_the_tail_are_the_whole_log(
        steps in proptest::collection::vec((step(), proptest::option::weighted(0.1, any::<u8>())), 1..60),
        first in 0..60usize,
        second in 0..60usize,
    ) {
        let folder = folder();
        let writing = checkpoints(&folder);
        let mut scribe = Scribe::new();
        for (number, (step, key)) in steps.iter().enumerate() {
            if number == first || number == second {
                writing.write(&scribe.tables).unwrap();
                assert_equal(&load(&folder).unwrap(), &scribe.tables);
            }
            scribe.ask_with_key(step.command(&scribe), *key);
        }
        let mut tables = load(&folder).unwrap_or_default();
        let stored = tables.position().0 as usize;
        for (head, record) in &scribe.records[stored..] {
            tables.apply(*head, record).unwrap();
        }
        assert_equal(&tables, &scribe.tables);
        // What goes on from a loaded checkpoint is stored as exactly.
        writing.load_newest().unwrap();
        writing.write(&tables).unwrap();
        assert_equal(&load(&folder).unwrap(), &scribe.tables);
    }
}

#[test]
fn only_what_changed_is_written_again() {
    let folder = folder();
    let writing = checkpoints(&folder);
    let mut scribe = small_store();
    let first = writing.write(&scribe.tables).unwrap();
    assert_eq!(first.new_bytes, first.total_bytes);
    assert_eq!(writing.write(&scribe.tables).unwrap().new_bytes, 0);
    let before = files(folder.path(), "parquet");
    scribe.write(set(flow(1), FlowProperty::MaxBitRate(Some(1))));
    let live = Live::new(scribe.tables.clone());
    let second = writing.write_live(&live).unwrap();
    assert!(second.new_bytes < first.total_bytes / 2, "{second:?}");
    let after = files(folder.path(), "parquet");
    let is_unchanged = |table: &str| {
        let of_table = |files: &[PathBuf]| -> Vec<PathBuf> {
            let is_of_table = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(table);
            files.iter().filter(is_of_table).cloned().collect()
        };
        of_table(&before) == of_table(&after)
    };
    assert!(is_unchanged("segments-") && is_unchanged("objects-") && is_unchanged("sources-"));
    assert!(!is_unchanged("flows-"));
}

/// One of everything, in an order in which each command leads to something.
fn one_of_everything() -> Vec<Command> {
    let tags = |name: &str, value: TagValue| Tags::from([(name.to_owned(), value)]);
    let one = |text: &str| TagValue::One(text.to_owned());
    let tag_segment = |start, value| {
        Command::TagSegment(TagSegment {
            flow_id: flow(1),
            segment: SegmentName::At(Timestamp::from_parts(start, 0).unwrap()),
            change: TagsChange::Replace(tags("take", value)),
        })
    };
    let multi = TechnicalMetadata {
        essence_parameters: Some(EssenceParameters::Multi(MultiEssence { init_segments: Some(true) })),
        ..technical(Format::Multi)
    };
    let with_init = FlowMetadata { technical: Technical::Own(Box::new(multi)), ..metadata(source(3)) };
    let segment =
        |name: &str, text: &str| NewSegment { get_urls: Vec::new(), ..new_segment(object(name), range(text)) };
    let needing = |name: &str, text: &str| NewSegment { init_object_id: Some(object("init")), ..segment(name, text) };
    let storage_id = backend(1);
    let copy = |name: &str| {
        Command::AddInstance(AddInstance {
            object_id: object(name),
            instance: Instance::Controlled { storage_id },
            storage_tags: Tags::new(),
            reserved_labels: Vec::new().into(),
        })
    };
    let copied = |name: &str, result| Command::FinishCopy(FinishCopy { object_id: object(name), storage_id, result });
    let late = Instant::from_micros(i64::MAX / 2);
    let condemn = |name: &str| {
        let object_ids = vec![object(name)];
        Command::CondemnObjects(CondemnObjects { object_ids, unregistered_before: late, unreferenced_before: late })
    };
    let delete_segments_of = |number, timerange: &str, at_once| {
        let (timerange, patience) = (range(timerange), patience(at_once, number));
        Command::DeleteSegments(DeleteSegments { flow_id: flow(number), timerange, object_id: None, patience })
    };
    let (remember, request_id) = (Duration::ZERO, patience(0, 2).request_id);
    let erased = |name: &str| Command::FinishErasure(FinishErasure { object_id: object(name), storage_id });
    let unlink = InstanceName::Controlled(storage_id);
    vec![
        put(flow(1), FlowMetadata { tags: tags("k", one("v")), ..metadata(source(1)) }),
        put(flow(2), metadata(source(2))),
        put(flow(3), with_init),
        collecting(flow(4), source(4), &[flow(1), flow(2)]),
        post_ranges(flow(1), &["[0:0_1:0)", "[1:0_2:0]"]),
        tag_segment(0, TagValue::Many(vec!["a".to_owned(), "b".to_owned()])),
        tag_segment(1, TagValue::Many(Vec::new())),
        allocate(flow(2), ["a", "b", "c"].map(object).to_vec()),
        post(flow(2), vec![segment("a", "[0:0_1:0)"), segment("b", "[1:0_2:0)")]),
        copy("a"),
        copy("b"),
        copied("a", Ok(())),
        copied("b", Err("no".to_owned())),
        erased("b"),
        Command::RemoveInstance(RemoveInstance { object_id: object("a"), instance: unlink }),
        copy("b"),
        allocate(flow(3), ["init", "x", "y"].map(object).to_vec()),
        post(flow(3), vec![needing("x", "[0:0_1:0)"), needing("y", "[1:0_2:0)")]),
        delete_segments_of(3, "[0:0_1:0)", 9),
        delete_segments_of(3, "_", 9),
        post(flow(3), vec![needing("x", "[0:0_1:0)")]),
        delete_in(flow(1), Manner::Aside),
        Command::RestoreFlow(flow(1)),
        delete_in(flow(1), Manner::Aside),
        put(flow(5), FlowMetadata { tags: tags("k", one("w")), ..metadata(source(5)) }),
        post_ranges(flow(5), &["[0:0_1:0)"]),
        delete_in(flow(5), Manner::Aside),
        Command::PurgeFlow(PurgeFlow { flow_id: flow(5), before: late }),
        put(flow(6), FlowMetadata { tags: tags("k", one("w")), ..metadata(source(6)) }),
        collecting(flow(4), source(4), &[flow(2), flow(6)]),
        post_ranges(flow(6), &["[0:0_1:0)"]),
        Command::TagSegment(TagSegment {
            flow_id: flow(6),
            segment: SegmentName::At(Timestamp::ZERO),
            change: TagsChange::Replace(tags("take", one("1"))),
        }),
        condemn("y"),
        Command::ForgetObjects(vec![object("y")]),
        condemn("c"),
        delete_segments_of(2, "_", 1),
        Command::AdvanceDeletion(AdvanceDeletion { request_id, segments: 1, remember }),
        delete_segments_of(6, "_", 9),
        post_ranges(flow(6), &["[0:0_1:0)"]),
        Command::TagSegment(TagSegment {
            flow_id: flow(6),
            segment: SegmentName::At(Timestamp::ZERO),
            change: TagsChange::Replace(tags("take", one("2"))),
        }),
        erased("a"),
        copy("x"),
    ]
}

#[test]
fn each_change_is_in_the_next_checkpoint() {
    let folder = folder();
    let writing = checkpoints(&folder);
    let mut scribe = Scribe::new();
    let mut filled = BTreeSet::new();
    let mut check = |scribe: &Scribe| {
        writing.write(&scribe.tables).unwrap();
        let loaded = load(&folder).unwrap();
        assert_equal(&loaded, &scribe.tables);
        assert_eq!(loaded.registry(), scribe.tables.registry());
        let listings = [Listed::Flows, Listed::Sources, Listed::Segments(flow(2))];
        assert_eq!(listings.map(|it| loaded.changed(it)), listings.map(|it| scribe.tables.changed(it)));
        filled.extend(loaded.digest().into_iter().filter(|digest| digest.rows > 0).map(|digest| digest.table));
    };
    for command in one_of_everything() {
        scribe.write(command);
        check(&scribe);
    }
    let steps = [
        Step::Profile { number: 0 },
        Step::Webhook { number: 0, is_wanted: true },
        Step::DeadLetter { webhook: 0, number: 1, step: LetterStep::Refused },
        Step::DeadLetter { webhook: 0, number: 1, step: LetterStep::AskedFor },
        Step::DeadLetter { webhook: 0, number: 2, step: LetterStep::Refused },
        Step::DeadLetter { webhook: 0, number: 2, step: LetterStep::Discarded },
        Step::Webhook { number: 0, is_wanted: false },
        Step::Account { number: 0, is_wanted: true },
        Step::Token { number: 0, account: 0, is_wanted: true },
        Step::Token { number: 0, account: 0, is_wanted: false },
        Step::Token { number: 1, account: 0, is_wanted: true },
        Step::Account { number: 0, is_wanted: false },
        Step::Name { name: 0 },
    ];
    for step in steps {
        scribe.write(step.command(&scribe));
        check(&scribe);
    }
    scribe.ask_with_key(labelled(flow(2), source(2), Some("new")), Some(1));
    check(&scribe);
    let all: BTreeSet<_> = scribe.tables.digest().into_iter().map(|digest| digest.table).collect();
    assert_eq!(filled, all, "every table had rows");
}

#[test]
fn a_checkpoint_in_an_older_form_is_passed_over() {
    let folder = folder();
    checkpoints(&folder).write(&small_store().tables).unwrap();
    let manifest = &files(folder.path(), "json")[0];
    let older = fs::read_to_string(manifest).unwrap().replace("\"format\": 2", "\"format\": 1");
    fs::write(manifest, older).unwrap();
    assert!(load(&folder).is_none());
}

#[test]
fn two_checkpoints_are_kept_and_no_file_that_neither_needs() {
    let folder = folder();
    let writing = checkpoints(&folder);
    let mut scribe = small_store();
    fs::write(folder.path().join("segments-00.unfinished"), "left by a crash").unwrap();
    for number in 0..8 {
        writing.write(&scribe.tables).unwrap();
        scribe.write(delete(flow(number)));
    }
    writing.write(&scribe.tables).unwrap();
    assert_eq!(files(folder.path(), "json").len(), 2);
    assert!(files(folder.path(), "unfinished").is_empty());
    let needed: String =
        files(folder.path(), "json").iter().map(|manifest| fs::read_to_string(manifest).unwrap()).collect();
    for file in files(folder.path(), "parquet") {
        assert!(needed.contains(file.file_name().unwrap().to_str().unwrap()), "{file:?}");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    type Damage = fn(&Path);
    let truncated: Damage = |file| fs::write(file, &fs::read(file).unwrap()[..20]).unwrap();
    let flipped: Damage = |file| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    let removed: Damage = |file| fs::remove_file(file).unwrap();
    for (damage, extension) in [(truncated, "parquet"), (flipped, "parquet"), (removed, "parquet"), (truncated, "json")]
    {
        let folder = folder();
        let writing = checkpoints(&folder);
        let mut scribe = small_store();
        writing.write(&scribe.tables).unwrap();
        let (before, kept) = (scribe.tables.clone(), files(folder.path(), extension));
        scribe.write(labelled(flow(1), source(0), Some("new")));
        writing.write(&scribe.tables).unwrap();
        let new = files(folder.path(), extension).into_iter().find(|file| !kept.contains(file)).unwrap();
        damage(&new);
        let reopened = checkpoints(&folder);
        assert_equal(&reopened.load_newest().unwrap().unwrap(), &before);
        // The next one does not build on what is damaged.
        reopened.write(&scribe.tables).unwrap();
        assert_equal(&load(&folder).unwrap(), &scribe.tables);
        for manifest in files(folder.path(), "json") {
            damage(&manifest);
        }
        let is_gone = load(&folder).is_none();
        assert!(is_gone || extension == "parquet", "without a manifest that can be read there is no checkpoint");
    }
}

/// A log with these records after its own first one.
async fn log_of(commands: &[tapelog_commands::Command]) -> MemoryLog {
    let log = MemoryLog::reliable();
    let first = log.records()[0].clone();
    let mut state = tapelog_commands::State::default();
    let mut tables = Tables::new();
    let record = codec::decode(&first).unwrap();
    let mut head = tapelog_store::log::Head { seq: Seq(1), hash: tapelog_events::ChainHash::of(&first) };
    tables.apply(head, &record).unwrap();
    state.fold(&record.commits[0]).unwrap();
    for (number, command) in commands.iter().enumerate() {
        let commit_id = tapelog_events::CommitId::from_uuid(crate::scribe::uuid(number as u32));
        let request = crate::scribe::request(command.clone(), commit_id, None);
        let now = tapelog_events::Instant::from_micros(1);
        let handled = tapelog_commands::handle(&mut state, &request, now).unwrap();
        let tapelog_commands::Handled::Commit(commit, _) = handled else { panic!("{handled:?}") };
        let record = tapelog_events::Record { format: codec::FORMAT, prev_hash: head.hash, commits: vec![*commit] };
        let payload = bytes::Bytes::from(codec::encode(&record));
        log.append(head.seq, payload.clone()).await.unwrap();
        head = tapelog_store::log::Head { seq: head.seq.next(), hash: tapelog_events::ChainHash::of(&payload) };
    }
    log
}

#[tokio::test]
async fn a_start_replays_only_the_tail_and_refuses_a_checkpoint_of_another_log() {
    let commands = |of| (0..5).map(|number| put(flow(number), metadata(source(of)))).collect::<Vec<_>>();
    let log = log_of(&commands(1)).await;
    let folder = folder();
    let opening = Arc::new(checkpoints(&folder));
    let mut steps = Vec::new();
    let tables = open_tables(&log, &opening, |done, tip| steps.push((done.0, tip.0))).await.unwrap();
    assert_eq!((steps.first(), steps.last()), (Some(&(0, 6)), Some(&(6, 6))));
    opening.write(&tables).unwrap();

    steps.clear();
    let reopened = open_tables(&log, &opening, |done, tip| steps.push((done.0, tip.0))).await.unwrap();
    assert_eq!(steps, [(6, 6)]);
    assert_equal(&reopened, &tables);

    let other = log_of(&commands(2)).await;
    let diverged = open_tables(&other, &opening, |_, _| {}).await.unwrap_err();
    assert!(matches!(diverged, OpenError::Diverged(Seq(6))), "{diverged}");

    log.lose_after(Seq(4));
    let ahead = open_tables(&log, &opening, |_, _| {}).await.unwrap_err();
    assert!(matches!(ahead, OpenError::Ahead { checkpoint: Seq(6), tip: Seq(4) }), "{ahead}");
}
