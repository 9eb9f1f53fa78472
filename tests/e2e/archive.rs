//! The archive of the log: what was archived comes back as it was, and a log that is shorter than what was acknowledged
//! is never passed off as the whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use async_nats::jetstream;
use bytes::Bytes;
use serde_json::{Value, json};
use tapelog_tests::eventually;
use tapelog_tests::nats::Nats;
use tapelog_tests::program::said;
use tapelog_tests::server::{Options, PATIENCE, Server, digest};
use tapelog_tests::store::{contents, create_flow, fill};

const STREAM: &str = "TAPELOG";

/// Keeping an archive in this place, and looking for what is new as often as it can.
fn archiving_to(place: &str) -> Options {
    Options::default().and("TAPELOG_ARCHIVE__PLACE", place).and("TAPELOG_ARCHIVE__EVERY_SECONDS", 1)
}

/// A few records.
async fn write(server: &Server) {
    for _ in 0..5 {
        let flow = create_flow(server.api()).await;
        fill(server.api(), &flow, 0..3).await;
    }
}

/// The number of the record at which the log stands.
async fn seq(server: &Server) -> u64 {
    let position = server.api().position().await;
    position.rsplit_once('.').unwrap().1.parse().unwrap()
}

async fn archived(server: &Server) {
    let wanted = seq(server).await;
    eventually("the archive is up to date", PATIENCE, async || {
        let status = server.api().get("/admin/archive").await.json();
        (status["archived"].as_u64()? >= wanted).then_some(())
    })
    .await;
}

/// What the data folder knows of its log.
fn marked(server: &Server) -> u64 {
    let marker: Value = serde_json::from_slice(&fs::read(server.data().join("log.json")).unwrap()).unwrap();
    marker["last_seq"].as_u64().unwrap()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", said(output));
    said(output)
}

/// The server's disk loses the log; the archive brings it back.
async fn a_lost_log_comes_back(place: &str) {
    let mut server = Server::start_with(archiving_to(place)).await;
    write(&server).await;
    archived(&server).await;
    let metrics = String::from_utf8(server.api().get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("archive_behind_records 0"), "{metrics}");
    let beside = succeeded(&server.run("doctor").await);
    assert!(beside.contains("ok    archive: "), "{beside}");
    write(&server).await;
    let (live, position) = (contents(server.api()).await, server.api().position().await);
    server.stop().await;
    let tables = digest(&server.run("verify").await);
    let alone = succeeded(&server.run("doctor").await);
    assert!(alone.contains("ok    archive: "), "{alone}");

    fs::remove_dir_all(server.data().join("nats")).unwrap();
    let why = server.refuses_to_start().await;
    assert!(why.contains("is not there") && why.contains("tapelog log import"), "{why}");
    let report = succeeded(&server.run("log import").await);
    assert!(report.contains(&format!("position {position}")), "a stop archives what is left: {report}");
    assert_eq!(digest(&server.run("verify").await), tables);
    server.start_again().await;
    assert_eq!(server.api().position().await, position);
    assert_eq!(contents(server.api()).await, live);

    write(&server).await;
    archived(&server).await;
    server.verify().await;
    server.stop().await;
    assert!(succeeded(&server.run("log import").await).contains("imported 0 records"), "there is nothing to restore");
    succeeded(&server.run_with("log archive-status", &["--check"]).await);
}

#[tokio::test]
async fn a_lost_log_comes_back_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    a_lost_log_comes_back(folder.path().to_str().unwrap()).await;
}

#[tokio::test]
async fn a_lost_log_comes_back_from_object_storage() {
    a_lost_log_comes_back("s3://tapelog-media/backup/log").await;
}

/// A store moves: exported from the running server, then what is new from the stopped one, and imported elsewhere.
#[tokio::test]
async fn an_exported_log_is_the_same_store_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("export");
    let place = place.to_str().unwrap();
    let mut server = Server::start().await;
    write(&server).await;
    // More records than an import sends ahead of their acknowledgements.
    for number in 0..300 {
        server.api().post("/service", &json!({ "name": number.to_string() })).await.expect(200);
    }
    let first = seq(&server).await;
    let exported = succeeded(&server.run_with("log export", &[place]).await);
    assert!(exported.contains(&format!("exported {first} records")), "{exported}");
    write(&server).await;
    let (live, position, last) = (contents(server.api()).await, server.api().position().await, seq(&server).await);
    server.stop().await;
    let exported = succeeded(&server.run_with("log export", &[place]).await);
    assert!(exported.contains(&format!("exported {} records", last - first)), "{exported}");
    assert!(succeeded(&server.run_with("log export", &[place]).await).contains("exported 0 records"));
    succeeded(&server.run_with("log archive-status", &[place, "--check"]).await);

    let mut elsewhere = Server::prepare(Options::default());
    succeeded(&elsewhere.run_with("log import", &[place]).await);
    elsewhere.start_again().await;
    assert_eq!(elsewhere.api().position().await, position);
    assert_eq!(contents(elsewhere.api()).await, live);
    write(&elsewhere).await;
    elsewhere.verify().await;

    // A new machine with the old settings does not begin anew.
    let mut forgetful = Server::prepare(archiving_to(place));
    let forgetful = forgetful.refuses_to_start().await;
    assert!(forgetful.contains("is not there") && forgetful.contains("tapelog log import"), "{forgetful}");

    // They go different ways from here, and the archive is that of one of them.
    server.start_again().await;
    write(&server).await;
    succeeded(&server.run_with("log export", &[place]).await);
    let other = refused(&elsewhere.run_with("log export", &[place]).await);
    assert!(other.contains("not that of the log") || other.contains("lost records"), "{other}");
    // Nor is a part of the one put after the other.
    let end = seq(&elsewhere).await;
    elsewhere.stop().await;
    write(&server).await;
    let part = folder.path().join("part");
    let part = part.to_str().unwrap();
    succeeded(&server.run_with("log export", &[part, "--from", &(end + 1).to_string()]).await);
    let other = refused(&elsewhere.run_with("log import", &[part]).await);
    assert!(other.contains("went another way"), "{other}");
    let stranger = Server::start().await;
    let other = refused(&stranger.run_with("log export", &[place]).await);
    assert!(other.contains("archive holds the log"), "{other}");
}

/// The log is for administrators; a command on the machine of the server counts as one.
#[tokio::test]
async fn a_server_that_asks_for_credentials_gives_its_log_to_administrators_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(Options::protected()).await;
    for path in ["/admin/log", "/admin/archive"] {
        server.api().get(path).await.expect(401);
    }
    let exported = succeeded(&server.run_with("log export", &[folder.path().to_str().unwrap()]).await);
    assert!(exported.contains("hash"), "{exported}");
}

#[tokio::test]
async fn an_archive_that_ends_before_what_was_acknowledged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut server = Server::start().await;
    write(&server).await;
    let archived = seq(&server).await;
    succeeded(&server.run_with("log export", &[place]).await);
    write(&server).await;
    let acknowledged = seq(&server).await;
    eventually("the data folder knows how far the log went", PATIENCE, async || {
        (marked(&server) >= acknowledged).then_some(())
    })
    .await;
    // No checkpoint was written, and none will be.
    server.kill();
    server.kill_nats();
    let nats = server.data().join("nats");
    fs::rename(&nats, server.folder().join("kept")).unwrap();

    let short = refused(&server.run_with("log import", &[place]).await);
    let missing = format!("records {} to {acknowledged} are missing", archived + 1);
    assert!(short.contains(&missing), "{short}");
    server.refuses_to_start().await;

    fs::remove_dir_all(&nats).unwrap();
    fs::rename(server.folder().join("kept"), &nats).unwrap();
    server.start_again().await;
    assert_eq!(seq(&server).await, acknowledged, "nothing was touched");

    // A checkpoint knows it as well.
    server.stop().await;
    fs::remove_file(server.data().join("log.json")).unwrap();
    fs::remove_dir_all(&nats).unwrap();
    let short = refused(&server.run_with("log import", &[place]).await);
    assert!(short.contains(&missing), "{short}");
}

/// A file of the archive is gone, and then damaged: the import says which, and goes on once it is back.
#[tokio::test]
async fn an_import_from_a_damaged_archive_ends_with_its_name_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut server = Server::start().await;
    write(&server).await;
    succeeded(&server.run_with("log export", &[place]).await);
    create_flow(server.api()).await;
    let (live, last) = (contents(server.api()).await, seq(&server).await);
    server.stop().await;
    succeeded(&server.run_with("log export", &[place]).await);
    let file = newest_file(folder.path());
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(&file).unwrap();

    let mut elsewhere = Server::prepare(Options::default());
    for damage in [None, Some(&whole[..whole.len() - 1])] {
        match damage {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let why = refused(&elsewhere.run_with("log import", &[place]).await);
        assert!(why.contains(&name), "{why}");
        let why = elsewhere.refuses_to_start().await;
        assert!(why.contains("acknowledged") || why.contains("log import"), "a part is not the log: {why}");
    }
    fs::write(&file, whole).unwrap();
    let rest = succeeded(&elsewhere.run_with("log import", &[place]).await);
    assert!(!rest.contains(&format!("imported {last} records")), "it goes on where it ended: {rest}");
    elsewhere.start_again().await;
    assert_eq!(contents(elsewhere.api()).await, live);
    elsewhere.verify().await;
}

fn newest_file(archive: &Path) -> PathBuf {
    let manifest: Value = serde_json::from_slice(&fs::read(archive.join("log/manifest.json")).unwrap()).unwrap();
    let newest = manifest["files"].as_array().unwrap().last().unwrap();
    let life = archive.join("log").join(manifest["incarnation"].as_str().unwrap());
    life.join(newest["file"].as_str().unwrap())
}

/// The stream with other records in it than it had: somebody has copied what was left, or meddled.
async fn replace_records(nats: &Nats, records: &[Bytes]) {
    let jetstream = nats.jetstream().await;
    let config = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(STREAM).await.unwrap();
    jetstream.create_stream(config).await.unwrap();
    for record in records {
        jetstream.publish(format!("{STREAM}.records"), record.clone()).await.unwrap().await.unwrap();
    }
}

async fn records(jetstream: &jetstream::Context) -> Vec<Bytes> {
    let stream = jetstream.get_stream(STREAM).await.unwrap();
    let mut records = Vec::new();
    for seq in 1..=stream.cached_info().state.last_sequence {
        records.push(stream.get_raw_message(seq).await.unwrap().payload);
    }
    records
}

#[tokio::test]
async fn a_log_without_its_last_records_is_refused_and_completed_from_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let nats = Nats::start().await;
    let mut server = Server::start_with(Options { nats_url: Some(nats.url()), ..archiving_to(place) }).await;
    write(&server).await;
    let (live, position) = (contents(server.api()).await, server.api().position().await);
    server.stop().await;
    let jetstream = nats.jetstream().await;
    let whole = records(&jetstream).await;
    let earlier = tempfile::tempdir().unwrap();
    let earlier = earlier.path().to_str().unwrap();
    let to = (whole.len() - 5).to_string();
    succeeded(&server.run_with("log export", &[earlier, "--to", &to]).await);

    replace_records(&nats, &whole[..whole.len() - 3]).await;
    let why = server.refuses_to_start().await;
    assert!(why.contains("was acknowledged, but is not in the log any more"), "{why}");
    assert!(why.contains("tapelog log import"), "{why}");
    fs::remove_file(server.data().join("log.json")).unwrap();
    let why = server.refuses_to_start().await;
    assert!(why.contains("the archive tells of a log") && why.contains("was acknowledged"), "{why}");

    let mut meddled = whole.clone();
    *meddled.last_mut().unwrap() = Bytes::from_static(b"something else");
    replace_records(&nats, &meddled).await;
    let why = refused(&server.run("log import").await);
    assert!(why.contains("went another way"), "{why}");
    assert_eq!(records(&jetstream).await, meddled, "it is not touched");

    replace_records(&nats, &whole[..whole.len() - 3]).await;
    // As an import leaves it that is interrupted, for a node that knows nothing of the log.
    let mut config = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    config.metadata.insert("tapelog-restoring".to_owned(), whole.len().to_string());
    jetstream.update_stream(config).await.unwrap();
    let mut stranger = Server::prepare(Options::on(&nats.url()));
    let why = stranger.refuses_to_start().await;
    assert!(why.contains("log import"), "{why}");
    let why = refused(&stranger.run_with("log import", &[earlier]).await);
    assert!(why.contains("are missing from it"), "a shorter archive does not end it: {why}");

    let report = succeeded(&server.run("log import").await);
    assert!(report.contains("imported 3 records") && report.contains(&position), "{report}");
    assert_eq!(records(&jetstream).await, whole);
    server.start_again().await;
    assert_eq!(server.api().position().await, position);
    assert_eq!(contents(server.api()).await, live);
    server.verify().await;
}

/// Two nodes of one log keep one archive.
#[tokio::test]
async fn nodes_of_one_log_share_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let nats = Nats::start().await;
    let options = || Options { nats_url: Some(nats.url()), ..archiving_to(place) };
    let (mut one, mut other) = tokio::join!(Server::start_with(options()), Server::start_with(options()));
    for _ in 0..4 {
        write(&one).await;
        write(&other).await;
    }
    one.stop().await;
    other.stop().await;
    let whole = records(&nats.jetstream().await).await.len();
    let status = succeeded(&one.run_with("log archive-status", &["--check"]).await);
    assert!(status.contains(&format!("records 1 to {whole},")), "{status}");
    assert!(!one.log().contains("could not be archived") && !other.log().contains("could not be archived"));
}
