//! Media for the tests, made by ffmpeg and measured by ffprobe. Both must be there: the tests fail
//! without them, they never skip.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn run(program: &str, directory: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(["-hide_banner", "-loglevel", "error"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): run ./setup.sh"));
    assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs ffmpeg with a picture and a sound of `seconds` as inputs 0 and 1.
pub fn encode(directory: &Path, rate: &str, seconds: u32, arguments: &[&str]) {
    let picture = format!("testsrc2=size=320x180:rate={rate}:duration={seconds}");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let mut all = vec!["-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    all.extend(arguments);
    run("ffmpeg", directory, &all);
}

/// One stream as ffprobe sees it; times in ticks of its time base.
#[derive(Debug)]
pub struct Probed {
    pub kind: String,
    pub number: String,
    pub timescale: u32,
    pub first: i64,
    pub last: i64,
    /// End of the packet presented last, if ffprobe knows its duration.
    pub end: Option<i64>,
    pub key_frames: usize,
    pub width: Option<u64>,
    pub height: Option<u64>,
    pub frame_rate: String,
    pub sample_rate: Option<String>,
    pub channels: Option<u64>,
}

pub fn ffprobe(file: &Path) -> Vec<Probed> {
    let directory = file.parent().unwrap();
    let path = file.to_str().unwrap();
    let output = run("ffprobe", directory, &["-show_streams", "-show_packets", "-of", "json", path]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packets = all["packets"].as_array().unwrap();
    all["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| {
            let mine: Vec<&Value> = packets.iter().filter(|packet| packet["stream_index"] == stream["index"]).collect();
            let time = |packet: &&&Value| packet["pts"].as_i64().unwrap();
            let last = mine.iter().max_by_key(time).unwrap();
            let (_, timescale) = stream["time_base"].as_str().unwrap().split_once('/').unwrap();
            Probed {
                kind: stream["codec_type"].as_str().unwrap().to_owned(),
                number: stream["id"].as_str().unwrap_or_default().to_owned(),
                timescale: timescale.parse().unwrap(),
                first: mine.iter().map(|packet| time(&packet)).min().unwrap(),
                last: time(&last),
                end: last["duration"].as_i64().map(|duration| time(&last) + duration),
                key_frames: mine.iter().filter(|packet| packet["flags"].as_str().unwrap().starts_with('K')).count(),
                width: stream["width"].as_u64(),
                height: stream["height"].as_u64(),
                frame_rate: stream["r_frame_rate"].as_str().unwrap().to_owned(),
                sample_rate: stream["sample_rate"].as_str().map(str::to_owned),
                channels: stream["channels"].as_u64(),
            }
        })
        .collect()
}

/// The files of a folder with this ending, in order of their names.
pub fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
