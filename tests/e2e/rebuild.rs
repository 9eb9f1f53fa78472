//! The log is the truth: tables come about from it in several ways, always the same; and a log that is not whole is
//! never taken for one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::load::{Load, Writer};
use tapelog_tests::nats::Nats;
use tapelog_tests::program::said;
use tapelog_tests::server::{Options, PATIENCE, Server, digest, signal_process};
use tapelog_tests::store::{
    allocate, contents, create_flow, fill, multi_flow, new_id, post_segments, put_flow, second, segment, upload,
    video_flow, with,
};

/// A history in which everything happens that can.
async fn history(api: &Api, seed: u64, steps: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let flows: Vec<_> = (0..5).map(|_| new_id()).collect();
    let sources: Vec<_> = (0..3).map(|_| new_id()).collect();
    for step in 0..steps {
        let flow = &flows[random.random_range(0..flows.len())];
        let path = format!("/flows/{flow}");
        let at = random.random_range(0..60);
        let answer = match random.random_range(0..16) {
            0 | 1 => {
                let source = &sources[random.random_range(0..sources.len())];
                put_flow(api, &with(video_flow(flow), "source_id", json!(source))).await
            }
            2 if random.random_range(0..4) == 0 => api.delete(&path).await,
            2 | 3 => api.put(&format!("{path}/tags/{}", at % 5), &json!([step.to_string(), "x"])).await,
            4 => api.delete(&format!("{path}/tags/{}", at % 5)).await,
            5 => {
                let members: Vec<_> = flows.iter().filter(|_| random.random()).map(String::as_str).collect();
                let items = multi_flow(flow, &members)["flow_collection"].clone();
                api.put(&format!("{path}/flow_collection"), &items).await
            }
            6 => api.put(&format!("{path}/description"), &json!(format!("step {step}"))).await,
            7 => api.post("/service", &json!({ "name": format!("step {step}") })).await,
            8 => api.put(&format!("/sources/{}/label", sources[at % 3]), &json!(step.to_string())).await,
            9 => api.delete(&format!("{path}/segments?timerange=[{at}:0_{}:0)", at + 3)).await,
            10 if api.get(&path).await.status == 200 => {
                let object = allocate(api, flow, 2).await[0].clone();
                upload(api, &object, format!("step {step}")).await.expect(200);
                let posted = json!({ "object_id": object["object_id"], "timerange": second(at), "key_frame_count": 1 });
                post_segments(api, flow, &posted).await
            }
            11 => {
                // The same object in several Flows, a part of it each time.
                let shared = with(
                    segment("shared", &format!("[{at}:0_{}:0)", at + 1)),
                    "object_timerange",
                    json!("[0:0_100:0)"),
                );
                post_segments(api, flow, &shared).await
            }
            12 => {
                let body = segment(&format!("keyed {at}"), &second(at));
                let keyed = api.request(Method::POST, &format!("{path}/segments")).json(&body);
                Answer::to(keyed.header("idempotency-key", format!("{flow}/{at}"))).await
            }
            _ => {
                let list: Vec<_> = (at..at + 6).map(|at| segment(&new_id(), &second(at))).collect();
                post_segments(api, flow, &Value::Array(list)).await
            }
        };
        assert!(answer.status < 500, "{answer}");
    }
}

fn checkpoints(server: &Server) -> PathBuf {
    server.data().join("checkpoints")
}

/// The files of a folder whose names end so, in order.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files
}

/// L4, L5: live, verified, rebuilt, started from a checkpoint, from a tail, from nothing: all the same.
#[tokio::test]
async fn tables_are_the_same_however_they_come_about() {
    let mut server = Server::start().await;
    history(server.api(), 1, 150).await;
    server.stop().await;
    server.start_again().await;
    assert!(server.started_from() > 0, "a start goes on from the checkpoint");
    history(server.api(), 2, 150).await;
    let live = contents(server.api()).await;
    assert!(live.len() > 20, "there is something to compare");
    let of_live = digest(&server.run("verify").await);

    server.kill();
    let of_tail = digest(&server.run("verify").await);
    assert_eq!(of_tail, of_live, "an old checkpoint and the records after it");
    server.start_again().await;
    assert_eq!(contents(server.api()).await, live);
    server.stop().await;
    assert_eq!(digest(&server.run("verify").await), of_live, "the newest checkpoint");
    server.start_again().await;
    assert_eq!(contents(server.api()).await, live);
    server.kill();

    fs::remove_dir_all(checkpoints(&server)).unwrap();
    server.start_again().await;
    assert_eq!(server.started_from(), 0);
    assert_eq!(contents(server.api()).await, live, "from nothing but the log");
    assert_eq!(digest(&server.run("rebuild").await), of_live, "beside the tables of a running server");
    assert_eq!(contents(server.api()).await, live);
    server.stop().await;
    assert_eq!(digest(&server.run("rebuild").await), of_live);
    server.start_again().await;
    assert!(server.started_from() > 0, "what was rebuilt is what a start goes on from");
    assert_eq!(contents(server.api()).await, live);
    server.verify().await;
}

/// How the rebuild of a running server ends; each line before says how far it is.
async fn rebuilt(api: &Api) -> Value {
    let answer = Answer::to(api.request(Method::POST, "/admin/rebuild")).await.expect(200);
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let last = lines.pop().unwrap()["rebuilt"].take();
    assert!(last.is_object() && lines.iter().all(|line| line["progress"]["tip"].is_number()), "{answer}");
    last
}

/// Writes and reads back at once, until it is told to stop (L11). Whatever is not answered with success fails the test.
async fn read_own_writes(api: Api, stop: Arc<AtomicBool>) -> usize {
    let flow = create_flow(&api).await;
    let label = format!("/flows/{flow}/label");
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        let value = json!(format!("round {round}"));
        api.put(&label, &value).await.expect(204);
        assert_eq!(api.read(&label).await, value, "L11");
        fill(&api, &flow, round..round + 1).await;
        let listed = api.read(&format!("/flows/{flow}/segments?limit=1&reverse_order=true")).await;
        assert_eq!(listed[0]["timerange"], second(round), "L11");
        round += 1;
    }
    round
}

/// L5, L11: built beside the live tables, equal to them, in use without a request that fails, and what a start goes on
/// from.
#[tokio::test]
async fn a_running_server_rebuilds_its_tables_under_sixteen_writers() {
    let mut server = Server::start().await;
    history(server.api(), 5, 60).await;
    let mut writers = Vec::new();
    for seed in 0..16 {
        writers.push(Writer::new(server.api(), seed).await);
    }
    let load = Load::start(writers, server.api());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> =
        (0..4).map(|_| tokio::spawn(read_own_writes(server.api().clone(), Arc::clone(&stop)))).collect();
    let mut positions = Vec::new();
    for _ in 0..4 {
        let end = rebuilt(server.api()).await;
        assert!(end["findings"][0][1].is_null(), "equal tables: {end}");
        assert!(end["replaced"].as_u64() >= end["seq"].as_u64() && end["stored"].as_u64() >= end["replaced"].as_u64());
        positions.push(end["replaced"].as_u64().unwrap());
    }
    assert!(positions.is_sorted_by(|before, after| before < after), "others wrote meanwhile: {positions:?}");
    let told = server.run("rebuild").await;
    assert!(!digest(&told).is_empty() && said(&told).contains("equal to the log"), "{}", said(&told));
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    for writer in load.stop().await {
        let [acknowledged, refused, unanswered] = writer.counts();
        assert!(acknowledged > 0 && (refused, unanswered) == (0, 0), "{refused} refused, {unanswered} not answered");
        writer.check(server.api()).await;
    }
    server.verify().await;
    let last = server.api().read("/admin/projections").await["maintenance"]["last"].clone();
    assert_eq!((&last["work"], &last["outcome"]), (&json!("verification"), &json!("equal")), "{last}");

    let live = contents(server.api()).await;
    rebuilt(server.api()).await;
    server.kill();
    server.start_again().await;
    assert!(server.started_from() > positions[3], "from the checkpoint that the rebuild stored");
    assert_eq!(contents(server.api()).await, live);
    server.verify().await;
}

/// It is seen while it goes on, nothing of its kind begins beside it, and it needs nobody who waits for it.
#[tokio::test]
async fn one_rebuild_is_under_way_at_a_time_and_goes_on_by_itself() {
    let mut server = Server::start().await;
    let api = server.api().clone();
    history(&api, 6, 60).await;
    let maintenance = async || api.read("/admin/projections").await["maintenance"].clone();
    assert_eq!(maintenance().await, json!({}));

    // A log that does not answer keeps the rebuild from its end.
    let log = server.nats_pid().expect("the server has one of its own");
    signal_process(log, Signal::STOP);
    let begun = api.request(Method::POST, "/admin/rebuild").send().await.unwrap();
    assert_eq!(begun.status(), 200);
    let running = maintenance().await["running"].clone();
    assert_eq!((&running["work"], &running["state"]), (&json!("rebuild"), &json!("folding")), "{running}");
    assert!(running["tip"].as_u64() > running["seq"].as_u64(), "{running}");
    for name in ["rebuild", "verify"] {
        let refused = Answer::to(api.request(Method::POST, &format!("/admin/{name}"))).await.expect(409);
        assert!(refused.message().contains("a rebuild is under way"), "{refused}");
        let told = server.run(name).await;
        assert!(!told.status.success() && said(&told).contains("a rebuild is under way"), "{}", said(&told));
    }
    drop(begun);
    signal_process(log, Signal::CONT);
    let last = eventually("the rebuild ends", PATIENCE, async || {
        let told = maintenance().await;
        told.get("running").is_none().then(|| told["last"].clone())
    })
    .await;
    assert_eq!((&last["work"], &last["outcome"]), (&json!("rebuild"), &json!("equal")), "{last}");

    // A server that stops does not wait for it.
    signal_process(log, Signal::STOP);
    let begun = tokio::spawn(Answer::try_to(api.request(Method::POST, "/admin/rebuild")));
    eventually("it is under way", PATIENCE, async || maintenance().await.get("running").map(drop)).await;
    server.signal(Signal::TERM);
    let told = begun.await.unwrap().unwrap().expect(200);
    assert!(String::from_utf8_lossy(&told.body).contains("shutting down"), "{told}");
    signal_process(log, Signal::CONT);
    server.stop().await;
    server.start_again().await;
    server.verify().await;
}

/// A checkpoint is a shortcut: when it is damaged, the start is longer and nothing else.
#[tokio::test]
async fn damaged_checkpoints_are_passed_over() {
    let mut server = Server::start().await;
    history(server.api(), 3, 60).await;
    let live = contents(server.api()).await;
    server.stop().await;
    let damages: [fn(&Path); 4] = [
        |folder| {
            let file = files(folder, ".parquet").remove(0);
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        },
        |folder| {
            let file = files(folder, ".parquet").remove(0);
            let length = fs::metadata(&file).unwrap().len();
            fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
        },
        |folder| fs::remove_file(files(folder, ".parquet").remove(0)).unwrap(),
        |folder| fs::write(files(folder, ".json").remove(0), "{\"format\": 1").unwrap(),
    ];
    for damage in damages {
        // All there are, so that none can stand in.
        let folder = checkpoints(&server);
        let manifests = files(&folder, ".json");
        manifests.iter().rev().skip(1).for_each(|older| fs::remove_file(older).unwrap());
        damage(&folder);
        server.start_again().await;
        assert_eq!(server.started_from(), 0, "the damage is noticed");
        assert_eq!(contents(server.api()).await, live);
        server.stop().await;
        server.verify().await;
    }
}

/// Changes what the newest checkpoint says of itself.
fn forge(server: &Server, member: &str, value: &str) {
    let newest = files(&checkpoints(server), ".json").pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&fs::read(&newest).unwrap()).unwrap();
    manifest[member] = json!(value);
    fs::write(&newest, manifest.to_string()).unwrap();
}

/// A checkpoint that is whole but not true is found by `verify`, and mended by `rebuild`, also while the server runs.
#[tokio::test]
async fn a_planted_difference_is_found_and_mended() {
    let mut server = Server::start().await;
    history(server.api(), 4, 40).await;
    let live = contents(server.api()).await;
    server.stop().await;

    forge(&server, "name", "planted");
    let found = server.run("verify").await;
    assert!(!found.status.success() && said(&found).contains("planted"), "{}", said(&found));
    assert!(server.run("rebuild").await.status.success());
    server.verify().await;

    forge(&server, "name", "planted");
    server.start_again().await;
    assert_eq!(server.api().read("/service").await["name"], "planted");
    let end = rebuilt(server.api()).await;
    assert!(end["findings"][0][1].as_str().unwrap().contains("planted"), "{end}");
    assert_eq!(contents(server.api()).await, live);
    assert!(server.log().contains("they were replaced"), "an operator is told");
    server.verify().await;
    server.stop().await;

    forge(&server, "chain_hash", &"0".repeat(64));
    let refused = server.refuses_to_start().await;
    assert!(refused.contains("diverged") && refused.contains("checkpoint"), "{refused}");
    assert!(server.run("rebuild").await.status.success());
    server.start_again().await;
    assert_eq!(contents(server.api()).await, live);
    server.verify().await;
}

/// Where a log has been, one that is missing, another one or shorter is an error, never a new beginning.
#[tokio::test]
async fn a_lost_log_stops_the_start_with_an_explanation() {
    let mut nats = Nats::start().await;
    let mut server = Server::start_with(Options::on(&nats.url())).await;
    let flow = create_flow(server.api()).await;
    server.stop().await;
    nats.kill();
    let backup = server.folder().join("backup");
    copy(nats.folder(), &backup);
    nats.start_again().await;
    server.start_again().await;
    fill(server.api(), &flow, 0..3).await;
    server.stop().await;

    nats.kill();
    copy(&backup, nats.folder());
    nats.start_again().await;
    let refused = server.refuses_to_start().await;
    assert!(refused.contains("backup"), "an old copy: {refused}");

    let jetstream = nats.jetstream().await;
    let empty = jetstream.get_stream("TAPELOG").await.unwrap().get_info().await.unwrap().config;
    jetstream.delete_stream("TAPELOG").await.unwrap();
    let refused = server.refuses_to_start().await;
    assert!(refused.contains("TAPELOG") && refused.contains("backup"), "a lost stream: {refused}");
    assert!(jetstream.get_stream("TAPELOG").await.is_err(), "and it is not made anew");

    jetstream.create_stream(empty).await.unwrap();
    let refused = server.refuses_to_start().await;
    assert!(refused.contains("TAPELOG") || refused.contains("backup"), "an empty stream: {refused}");

    jetstream.delete_stream("TAPELOG").await.unwrap();
    let mut other = Server::start_with(Options::on(&nats.url())).await;
    for _ in 0..5 {
        create_flow(other.api()).await;
    }
    other.stop().await;
    let refused = server.refuses_to_start().await;
    assert!(refused.contains("incarnation") || refused.contains("replaced"), "another log: {refused}");
}

/// Puts a copy of a folder in the place of another.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The same with the private nats-server: somebody has removed its folder.
#[tokio::test]
async fn a_removed_folder_of_the_log_stops_the_start() {
    let mut server = Server::start().await;
    create_flow(server.api()).await;
    server.stop().await;
    fs::remove_dir_all(server.data().join("nats")).unwrap();
    let refused = server.refuses_to_start().await;
    assert!(refused.contains("backup"), "{refused}");
}

/// A stream that goes away under a running server: it says so, goes on reading, and writes nothing anywhere.
#[tokio::test]
async fn a_log_that_is_lost_while_serving_stops_writes_alone() {
    let nats = Nats::start().await;
    let server = Server::start_with(Options::on(&nats.url())).await;
    let api = server.api();
    let flow = create_flow(api).await;
    nats.jetstream().await.delete_stream("TAPELOG").await.unwrap();
    let answer = api.put(&format!("/flows/{flow}/label"), &json!("lost")).await;
    assert!(matches!(answer.status, 500 | 503), "{answer}");
    api.get(&format!("/flows/{flow}")).await.expect(200);
    assert_ne!(api.read(&format!("/flows/{flow}/label")).await, "lost");
    let ready = Answer::to(api.request(Method::GET, "/readyz")).await;
    assert_eq!(ready.status, 503, "{ready}");
}
