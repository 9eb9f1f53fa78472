//! Real media in and out again, frame by frame, with the project's own clients.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tapelog_events::TimeRange;
use tapelog_tests::media::{Packaging, frames, hashes, recording};
use tapelog_tests::program::{said, tapelog};
use tapelog_tests::server::{Server, finished};
use tapelog_tests::store::{pluck, segments};

fn client(server: &Server, name: &str) -> Command {
    let mut command = Command::new(tapelog());
    command.current_dir(server.folder()).arg(name).args(["--url", server.api().base()]);
    command
}

/// What an ingest says of its flow.
#[derive(Debug, PartialEq, Eq)]
struct Ingested {
    flow: String,
    new: usize,
    there: usize,
}

async fn ingest(server: &Server, playlist: &Path) -> Ingested {
    let mut command = client(server, "ingest");
    command.arg(playlist);
    let output = finished(command).await;
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = text.split_whitespace().collect();
    let after =
        |word: &str| words[words.iter().position(|known| *known == word).unwrap_or_else(|| panic!("{text}")) + 1];
    let there = words.iter().position(|word| *word == "already").unwrap_or_else(|| panic!("{text}"));
    Ingested {
        flow: after("flow").to_owned(),
        new: after("segments").parse().unwrap(),
        there: words[there - 1].parse().unwrap(),
    }
}

async fn export(server: &Server, flow: &str, timerange: &str, file: &str) -> PathBuf {
    let file = server.folder().join(file);
    let mut command = client(server, "export");
    command.args([flow, "--timerange", timerange, "--no-gaps", "-o"]).arg(&file);
    let output = finished(command).await;
    assert!(output.status.success(), "{}", said(&output));
    file
}

fn pieces(playlist: &Path, end: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(playlist.parent().unwrap()).unwrap();
    let mut pieces: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    pieces.retain(|path| path.to_string_lossy().ends_with(end));
    pieces.sort();
    pieces
}

/// The main job of the project.
#[tokio::test]
async fn thirty_seconds_of_1080p_come_back_frame_by_frame() {
    let server = Server::start().await;
    let playlist = recording(server.folder(), 30, "1920x1080", Packaging::TransportStream);
    let ingested = ingest(&server, &playlist).await;
    assert_eq!((ingested.new, ingested.there), (15, 0));
    let whole = export(&server, &ingested.flow, "_", "whole.ts").await;
    let video = frames(&playlist, "0:v:0");
    assert_eq!(video.len(), 750);
    assert_eq!(hashes(&frames(&whole, "0:v:0")), hashes(&video), "every picture");
    assert_eq!(hashes(&frames(&whole, "0:a:0")), hashes(&frames(&playlist, "0:a:0")), "every sound");

    let again = ingest(&server, &playlist).await;
    assert_eq!(again, Ingested { flow: ingested.flow.clone(), new: 0, there: 15 });

    let stored = segments(server.api(), &ingested.flow).await;
    let ranges: Vec<TimeRange> = pluck(&stored, "timerange").iter().map(|range| range.parse().unwrap()).collect();
    for pair in ranges.windows(2) {
        assert_eq!(pair[0].half_open_nanos().1, pair[1].half_open_nanos().0, "no gap at the joint of {pair:?}");
    }
    let (start, end) = (pluck(&stored, "timerange")[4].clone(), pluck(&stored, "timerange")[7].clone());
    let aligned = format!("{}_{}", start.split('_').next().unwrap(), end.split('_').nth(1).unwrap());
    let part = export(&server, &ingested.flow, &aligned, "part.ts").await;
    let mut bytes = Vec::new();
    for piece in &pieces(&playlist, ".ts")[4..8] {
        bytes.extend(std::fs::read(piece).unwrap());
    }
    let expected = server.folder().join("expected.ts");
    std::fs::write(&expected, bytes).unwrap();
    let video = frames(&expected, "0:v:0");
    assert_eq!(video.len(), 200);
    assert_eq!(hashes(&frames(&part, "0:v:0")), hashes(&video));
}

/// However often and wherever an ingest is killed: run again, it completes, with each piece once.
#[tokio::test]
async fn a_killed_ingest_is_taken_up_where_it_ended() {
    let server = Server::start().await;
    let playlist = recording(server.folder(), 60, "320x180", Packaging::TransportStream);
    let mut interrupted = 0;
    for milliseconds in [30, 60, 100, 150, 200, 300] {
        let mut command = client(&server, "ingest");
        command.args(["--concurrency", "1"]).arg(&playlist);
        let mut process =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        interrupted += u32::from(process.try_wait().unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(interrupted > 0, "an ingest was killed under way");
    let ingested = ingest(&server, &playlist).await;
    assert_eq!(ingested.new + ingested.there, 30, "{ingested:?}");
    let stored = segments(server.api(), &ingested.flow).await;
    assert_eq!(stored.len(), 30, "exactly one segment for each piece");
    let whole = export(&server, &ingested.flow, "_", "whole.ts").await;
    assert_eq!(hashes(&frames(&whole, "0:v:0")), hashes(&frames(&playlist, "0:v:0")));
}

/// Fragmented MP4, where pieces need what stands in front of the first.
#[tokio::test]
async fn fragmented_mp4_comes_back_frame_by_frame() {
    let server = Server::start().await;
    let playlist = recording(server.folder(), 6, "640x360", Packaging::FragmentedMp4);
    let ingested = ingest(&server, &playlist).await;
    assert_eq!(ingested.new, 3);
    let whole = export(&server, &ingested.flow, "_", "whole.mp4").await;
    let video = frames(&playlist, "0:v:0");
    assert_eq!(video.len(), 150);
    assert_eq!(hashes(&frames(&whole, "0:v:0")), hashes(&video));
    assert_eq!(hashes(&frames(&whole, "0:a:0")), hashes(&frames(&playlist, "0:a:0")));
    assert_eq!(ingest(&server, &playlist).await.new, 0);
}
