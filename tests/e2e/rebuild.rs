//! The log is the truth: tables come about from it in several ways, always the same; and a log that is not whole is
//! never taken for one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::nats::Nats;
use tapelog_tests::program::said;
use tapelog_tests::server::{Options, Server, digest};
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
    let busy = server.run("rebuild").await;
    assert!(!busy.status.success() && said(&busy).contains("in use"), "{}", said(&busy));
    server.stop().await;
    assert_eq!(digest(&server.run("rebuild").await), of_live);
    server.start_again().await;
    assert!(server.started_from() > 0, "what was rebuilt is what a start goes on from");
    assert_eq!(contents(server.api()).await, live);
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

/// A checkpoint that is whole but not true is found by `verify`, and mended by `rebuild`.
#[tokio::test]
async fn a_planted_difference_is_found_and_mended() {
    let mut server = Server::start().await;
    history(server.api(), 4, 40).await;
    let live = contents(server.api()).await;
    server.stop().await;
    let newest = files(&checkpoints(&server), ".json").pop().unwrap();
    let original = fs::read_to_string(&newest).unwrap();
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_str(&original).unwrap();
        change(&mut manifest);
        fs::write(&newest, manifest.to_string()).unwrap();
    };

    forge(&|manifest| manifest["name"] = json!("planted"));
    let found = server.run("verify").await;
    assert!(!found.status.success() && said(&found).contains("planted"), "{}", said(&found));
    assert!(server.run("rebuild").await.status.success());
    server.verify().await;

    forge(&|manifest| manifest["chain_hash"] = json!("0".repeat(64)));
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
